//! All that can be looked at, held against the model.

use std::collections::BTreeSet;

use camino::Utf8Path;
use runjournal::index::Index;
use runjournal::{
    Code, Event, Finding, JournalError, LeaseRef, ReadData, Record, Repair, RunContext, Scope,
    Severity, Subject, TaskId, Verify,
};

use super::plan::{RUNS, TASKS};
use super::story::Story;
use super::words::{self, HomeId};
use super::world::{Sure, World};
use crate::{Outcome, RawRecord, Violation, ensure, raw};

/// What the library reads of a journal: the records, and what it found.
pub(super) fn told(world: &World, id: HomeId) -> Outcome<(Vec<RawRecord>, Vec<Finding>)> {
    let (records, findings) = read(world, id)?;
    let home = world.root().join(id.path());
    let records = records.iter().map(|record| RawRecord::told(record.line(), &home));
    Ok((records.collect::<Outcome<_>>()?, findings))
}

fn read(world: &World, id: HomeId) -> Outcome<(Vec<Record>, Vec<Finding>)> {
    let task = world.workspace()?.task(words::task(id.task))?;
    Ok(match id.run {
        None => task.events()?.read_all()?,
        Some(run) => task.run(words::run(run))?.context().events()?.read_all()?,
    })
}

fn context(world: &World, id: HomeId) -> Outcome<RunContext> {
    let task = world.workspace()?.task(words::task(id.task))?;
    Ok(task.run(words::run(id.run.unwrap_or_default()))?.context().clone())
}

/// True for what a killed writer leaves, and no more.
fn is_usual(finding: &Finding) -> bool {
    matches!(finding.code, Code::Garbage | Code::TornTail)
}

/// Holds everything against the model.
///
/// # Errors
/// What does not hold.
pub(super) fn all(world: &mut World) -> Outcome {
    let ids: Vec<_> = world.homes.keys().copied().collect();
    for id in ids {
        if id.run.is_some() {
            put_in_place(world, id).map_err(|found| found.at(id.path()))?;
        }
        journal(world, id).map_err(|found| found.at(id.path()))?;
        if id.run.is_some() {
            files(world, id).map_err(|found| found.at(id.path()))?;
            run(world, id).map_err(|found| found.at(id.path()))?;
        }
    }
    world.take_in()
}

/// Catches up, as any writer does: what was committed is in place then.
fn put_in_place(world: &World, id: HomeId) -> Outcome {
    let findings = context(world, id)?.catch_up()?;
    let Some(home) = world.homes.get(&id) else { return Ok(()) };
    for finding in findings {
        let path = finding.place.path.to_string();
        let known = home.is_unsure()
            && (home.damaged
                || home.files.iter().any(|(name, sure)| {
                    *sure == Sure::Lost && path.ends_with(&format!("artifacts/{name}"))
                })
                || finding.code == Code::StageDamaged);
        ensure(known, || format!("not put in place: {finding:?}"))?;
    }
    Ok(())
}

/// I1, I2, I3: both readers see what the model has, and nothing worse than garbage.
fn journal(world: &World, id: HomeId) -> Outcome {
    let Some(home) = world.homes.get(&id) else { return Ok(()) };
    let (records, findings) = read(world, id)?;
    if !home.damaged {
        let worse: Vec<_> = findings.iter().filter(|finding| !is_usual(finding)).collect();
        ensure(worse.is_empty(), || format!("{worse:?}"))?;
    }
    let same = records.len() == home.records.len()
        && records.iter().zip(&home.records).all(|(record, known)| {
            record.seq() == known.seq() && record.event_id().to_string() == known.text("event_id")
        });
    ensure(same, || {
        format!("the library reads {} records of {}", records.len(), home.records.len())
    })?;
    if home.damaged {
        return Ok(());
    }
    let mut versions = std::collections::BTreeMap::<String, u64>::new();
    let mut keys = BTreeSet::new();
    for record in &home.records {
        let next = versions.entry(record.stream()).or_default();
        let version = record.number("stream_version");
        ensure(version == Some(*next), || {
            format!("seq {} has version {version:?} of {}", record.seq(), record.stream())
        })?;
        *next += 1;
        let key = record.text("idempotency_key");
        ensure(key.is_empty() || keys.insert(key.to_owned()), || format!("{key} stands twice"))?;
    }
    Ok(())
}

/// I4: the files are what the journal says, and there are no others.
fn files(world: &World, id: HomeId) -> Outcome {
    let Some(home) = world.homes.get(&id) else { return Ok(()) };
    if home.damaged {
        return Ok(());
    }
    let dir = world.root().join(id.path()).join("artifacts");
    let is_lost = |path: &str| home.files.get(path) == Some(&Sure::Lost);
    for (path, artifact) in home.story.artifacts.iter().filter(|(path, _)| !is_lost(path)) {
        let found = raw::digest(&dir.join(path))?;
        ensure(found == artifact.digest, || {
            format!("{path} is {found:?}, and {:?} by its record", artifact.digest)
        })?;
    }
    let mut left = vec![dir.clone()];
    while let Some(at) = left.pop() {
        let Ok(entries) = at.read_dir_utf8() else { continue };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                left.push(entry.path().to_owned());
                continue;
            }
            let path = entry.path().strip_prefix(&dir)?.to_string();
            let known = is_lost(&path) || home.story.digest(&path).is_some();
            ensure(known, || format!("nobody wrote {path}"))?;
        }
    }
    Ok(())
}

/// What the library says of a run, of its steps, commands, items and checkpoints.
fn run(world: &World, id: HomeId) -> Outcome {
    let Some(home) = world.homes.get(&id) else { return Ok(()) };
    let (story, ctx) = (&home.story, context(world, id)?);
    let state = ctx.run()?.state()?;
    let status = if story.status.is_empty() { "PLANNING" } else { &story.status };
    ensure(state.status.to_string() == status, || {
        format!("it is {}, and {status} by its records", state.status)
    })?;
    if home.damaged {
        return Ok(());
    }
    for (name, step) in &story.steps {
        let signal = ctx.signal(name)?.map(|signal| signal.as_str().to_owned());
        let wanted = (step.ended == Some(true)).then(|| step.signal.clone());
        ensure(signal == wanted, || format!("step {name} is {signal:?}, and {wanted:?}"))?;
    }
    let items: Vec<_> = ctx.queue().items()?.iter().map(in_short).collect();
    let known = story.items.iter().map(|item| {
        let owner = Some(item.owner.clone()).filter(|owner| !owner.is_empty());
        (item.name.clone(), item.state.clone(), item.attempt, owner)
    });
    let known: Vec<_> = known.collect();
    ensure(items == known, || format!("the queue is {items:?}, and {known:?} by its records"))?;
    for key in story.keys.keys() {
        if let Some(command) = key.strip_prefix("cmd:") {
            let receipt = ctx.receipt(command)?;
            ensure(receipt.is_some(), || format!("{command} has no receipt"))?;
        }
    }
    checkpoints(&ctx, story)
}

fn in_short(item: &runjournal::WorkItem) -> (String, String, u64, Option<String>) {
    (item.item.clone(), item.state.to_string(), item.attempt, item.owner.clone())
}

fn checkpoints(ctx: &RunContext, story: &Story) -> Outcome {
    let made: Vec<_> = ctx.checkpoints()?.iter().map(|made| made.turn).collect();
    ensure(made.iter().eq(story.checkpoints.keys()), || format!("the turns are {made:?}"))?;
    for (turn, then) in &story.checkpoints {
        let set = ctx.checkpoint_at(*turn)?.artifacts()?;
        ensure(set.names().len() == then.len(), || format!("turn {turn} has {:?}", set.names()))?;
        for name in set.names() {
            let content = words::digest(&set.read_bytes(name.clone())?);
            ensure(then.get(name.as_str()) == Some(&content), || {
                format!("{name} in turn {turn} is another")
            })?;
        }
    }
    Ok(())
}

/// What a power cut left: all that was to stay, and of the rest what it likes.
///
/// # Errors
/// Where something is gone that was to stay.
pub(super) fn after_a_power_cut(world: &mut World) -> Outcome {
    let ids: Vec<_> = world.homes.keys().copied().collect();
    let mut damaged = false;
    for id in ids {
        let dir = world.root().join(id.path());
        let Some(home) = world.homes.get(&id) else { continue };
        if !dir.join(id.genesis()).exists() {
            ensure(!home.told, || format!("{} is gone", id.path()))?;
            world.homes.remove(&id);
            continue;
        }
        let (records, findings) = told(world, id).map_err(|found| found.at(id.path()))?;
        let hurt = !findings.iter().all(is_usual);
        let mut left = survivors(world, id, &records, hurt).map_err(|found| found.at(id.path()))?;
        if hurt && !home.damaged {
            left.damaged = true;
        }
        damaged |= hurt;
        left.files = after_all(world, id, &dir.join("artifacts"))?;
        world.homes.insert(id, left);
    }
    if damaged {
        mend(world)?;
    }
    Ok(())
}

fn survivors(
    world: &World,
    id: HomeId,
    found: &[RawRecord],
    hurt: bool,
) -> Outcome<super::world::Home> {
    let Some(home) = world.homes.get(&id) else { return Err(Violation::new("nobody knows it")) };
    let mut left = found.iter().peekable();
    let mut records = Vec::new();
    for (at, known) in home.records.iter().enumerate() {
        if left.peek().is_some_and(|found| found.text("hash") == known.text("hash")) {
            left.next();
            records.push(known.clone());
        } else {
            let short = super::expect::in_short(known);
            ensure(at >= home.settled, || {
                let found: Vec<_> = found.iter().map(super::expect::in_short).collect();
                format!("durable and lost: {short}; the library reads {found:?}")
            })?;
        }
    }
    if let Some(strange) = left.next() {
        let short = super::expect::in_short(strange);
        return Err(Violation::new(format!("nobody wrote {short}, which a power cut left")));
    }
    // Without damage it is a beginning: nothing is missing between two that are there.
    let is_beginning =
        records.iter().zip(&home.records).all(|(a, b)| a.text("hash") == b.text("hash"));
    ensure(is_beginning || hurt || home.damaged, || {
        "records are missing, and nobody says so".into()
    })?;
    let story = Story::of(&records);
    let settled = records.len();
    let mut survivor = home.clone();
    (survivor.records, survivor.settled, survivor.story) = (records, settled, story);
    Ok(survivor)
}

/// What is sure of each file after the cut.
fn after_all(
    world: &World,
    id: HomeId,
    dir: &Utf8Path,
) -> Outcome<std::collections::BTreeMap<String, Sure>> {
    let Some(home) = world.homes.get(&id) else { return Ok(Default::default()) };
    let mut files = home.files.clone();
    for (path, sure) in files.iter_mut().filter(|(_, sure)| **sure != Sure::Kept) {
        let _ = raw::digest(&dir.join(path))?;
        *sure = Sure::Lost;
    }
    Ok(files)
}

/// Repairs what a power cut damaged, in the name of whoever holds the task.
fn mend(world: &mut World) -> Outcome {
    for task in 0..TASKS {
        let workspace = world.workspace()?;
        let id = TaskId::new(words::task(task))?;
        let mut subject = Subject::named(&workspace, Scope::task(id.clone()));
        let claim = world.homes.get(&HomeId::task(task)).and_then(|home| home.story.claim.clone());
        if let Some(claim) = claim {
            subject = subject.with_lease(LeaseRef::new(id, claim.token));
        }
        Repair::of(subject).run()?;
    }
    world.take_in()
}

/// At the end: also what takes longer.
///
/// # Errors
/// What does not hold.
pub(super) fn at_the_end(world: &mut World, index: bool) -> Outcome {
    all(world)?;
    strangers(world)?;
    verified(world)?;
    if index { indexed(world) } else { Ok(()) }
}

/// I5: whoever has no lease that is in force is not let in.
fn strangers(world: &mut World) -> Outcome {
    for id in (0..TASKS).flat_map(|task| (0..RUNS).map(move |run| HomeId::run(task, run))) {
        let Some(home) = world.homes.get(&id).filter(|home| !home.story.closed) else { continue };
        let Some(bound) = home.story.bound else { continue };
        let ctx = context(world, id)?;
        let task = world.homes.get(&HomeId::task(id.task));
        let claims = task.iter().flat_map(|task| &task.records);
        let claims = claims.filter(|record| record.text("event_type") == "lease_claimed");
        let old = claims.map(RawRecord::seq).filter(|token| *token < bound);
        for token in std::iter::once(None).chain(old.map(Some)) {
            let lease = |token| {
                Ok::<_, Violation>(LeaseRef::new(TaskId::new(words::task(id.task))?, token))
            };
            let ctx = match token {
                Some(token) => ctx.clone().with_lease(lease(token)?),
                None => ctx.clone(),
            };
            let answer = ctx.append(Event::new("stale"));
            let is_over = matches!(
                answer,
                Err(JournalError::LeaseLost { .. } | JournalError::LeaseRequired { .. })
            );
            ensure(is_over, || format!("{}: token {token:?} was let in: {answer:?}", id.path()))?;
        }
    }
    Ok(())
}

/// Verify finds nothing worse than the cuts explain.
fn verified(world: &World) -> Outcome {
    let found = Verify::of(&world.workspace()?).read_data(ReadData::All).run()?;
    let unsure = world.homes.values().any(super::world::Home::is_unsure);
    for finding in &found.findings {
        let usual = is_usual(finding)
            || finding.code.severity() < Severity::Warning
            || matches!(
                finding.code,
                Code::UnbornRun | Code::DoneWithoutSuccess | Code::CheckpointUnrecorded
            )
            // A cut may take a buffered record, and leave the cache that knows it.
            || (world.tally.cuts > 0 && finding.code == Code::HeadAhead);
        ensure(usual || unsure, || format!("verify found {finding:?}"))?;
    }
    Ok(())
}

/// I6: an index that was refreshed is the one that a rebuild makes.
fn indexed(world: &World) -> Outcome {
    let index = Index::at(&world.workspace()?, world.outside().join("index"));
    index.refresh()?;
    let mut differences = Vec::new();
    index.verify(&mut |_| {}, &mut |difference| differences.push(difference))?;
    ensure(differences.is_empty(), || format!("the index differs: {differences:?}"))
}
