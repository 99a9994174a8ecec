//! What must hold of a tree that a power cut left.
//!
//! A killed process leaves no damage, and a power cut may: bytes that were not synced may be missing before others
//! that are there. So before everything else that holds after a crash, damage of a journal is closed off by a repair;
//! it may begin no earlier than where the journal was synced to, and costs nothing that was promised.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    Event, Events, Finding, JournalError, ReadData, Record, Repair, RunContext, Verify,
};

use super::workload::{ACKS, Recorded, Workload};
use crate::raw::{self, RawRecord};
use crate::{Acks, Outcome, Place, Violation, check, ensure};

/// All that was promised of the calls, at a place that a power cut left at this point.
pub(super) fn after_a_power_cut(
    workload: &Workload,
    recorded: &Recorded,
    point: usize,
    place: &Place,
) -> Outcome {
    let promised = |call: usize| {
        let call = call.checked_sub(1).and_then(|call| workload.calls.get(call));
        call.is_none_or(|call| !call.buffered)
    };
    let acknowledged = recorded.acknowledged_after(point, promised);
    tell(place, &acknowledged)?;
    let damage = close_damage(place, recorded, point).map_err(|found| found.at("its damage"))?;
    let made = recorded.calls_after(point);
    let last = workload.calls.get(made).or(workload.calls.last());
    let last = last.ok_or_else(|| Violation::new("nothing is called"))?;
    let is_strict = match damage {
        Damage::None => true,
        Damage::AtTheEnd => !last.worded_anew,
        Damage::Within => false,
    };
    if is_strict
        && !workload.calls.iter().take(made + 1).any(|call| call.buffered || call.durable_late)
    {
        return check::after_a_crash(last, place);
    }
    let mut forgiven = BTreeSet::new();
    for (call, line) in recorded.lines() {
        let Some(path) = artifact(line) else { continue };
        if promised(call) && acknowledged.iter().any(|told| told == line) {
            forgiven.remove(path);
        } else if !promised(call) || last.buffered || last.durable_late {
            forgiven.insert(path.to_owned());
        }
    }
    told(place, &acknowledged, &forgiven)
}

/// Makes this what was acknowledged at a place.
pub(super) fn tell(place: &Place, acknowledged: &[String]) -> Outcome {
    let mut text = String::new();
    for line in acknowledged {
        writeln!(text, "{line}")?;
    }
    Ok(std::fs::write(place.dir().join(ACKS), text)?)
}

/// True if a journal is damaged.
pub(super) fn is_damaged(place: &Place) -> Outcome<bool> {
    for (_, events) in homes(place)? {
        let (_, findings) = events.read_all()?;
        if findings.iter().any(|found| found.code.is_journal_damage()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The path of an artifact that a line tells of.
fn artifact(line: &str) -> Option<&str> {
    let mut words = line.splitn(4, ' ');
    if words.next() == Some("artifact") { words.nth(2) } else { None }
}

/// What damage there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    None,
    /// Nothing counts behind it, so that a reader that knows none reads the same.
    AtTheEnd,
    Within,
}

/// A task or a run, and the name of its genesis file.
type Home = (Utf8PathBuf, &'static str);

/// The tasks and runs that there are, and a reader of each one's journal.
fn homes(place: &Place) -> Outcome<Vec<(Home, Events)>> {
    let mut homes = Vec::new();
    if !place.root().join("workspace.json").exists() {
        return Ok(homes);
    }
    let workspace = place.workspace()?;
    for dir in dirs(&place.root())?.iter().filter(|dir| dir.join("task.json").exists()) {
        let task = workspace.task(dir.file_name().unwrap_or_default())?;
        homes.push(((dir.clone(), "task.json"), task.events()?));
        for run in dirs(&dir.join("runs"))?.iter().filter(|run| run.join("run.json").exists()) {
            let events = task.run(run.file_name().unwrap_or_default())?.context().events()?;
            homes.push(((run.clone(), "run.json"), events));
        }
    }
    Ok(homes)
}

fn dirs(dir: &Utf8Path) -> Outcome<Vec<Utf8PathBuf>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let all = dir.read_dir_utf8()?.collect::<Result<Vec<_>, _>>()?;
    let dirs = all.into_iter().map(|entry| entry.into_path());
    Ok(dirs.filter(|path| path.is_dir()).collect())
}

/// Closes off what damage there is of journals. It has to be in what was not synced.
fn close_damage(place: &Place, recorded: &Recorded, point: usize) -> Outcome<Damage> {
    let synced = recorded.trace.disk_after(point).synced();
    let known = place.acknowledged()?.iter().any(|line| line == "damaged");
    let mut is_damaged = false;
    let mut is_whole = true;
    for ((dir, genesis), events) in homes(place)? {
        let (records, findings) = events.read_all()?;
        let journal = dir.join("journal/events.jsonl");
        let relative = journal.strip_prefix(place.dir())?;
        let damage = findings.iter().filter(|found| found.code.is_journal_damage());
        for found in damage.filter(|_| !known) {
            // It may begin in an older torn tail, which an append that is not whole did not close.
            let place = &found.place;
            let end = place.offset.unwrap_or_default() + place.length.unwrap_or_default();
            let is_new = synced.get(relative).is_some_and(|length| end > *length);
            ensure(is_new, || format!("where all was synced, {found}"))?;
            is_damaged = true;
        }
        is_whole &= same_without_damage(&raw::records(&dir, genesis)?, &records)
            .map_err(|found| found.at(&dir))?;
    }
    if is_damaged {
        let repaired = Repair::of(&place.workspace()?).run()?;
        let failed = repaired.failed.first();
        ensure(failed.is_none(), || format!("it cannot be repaired: {failed:?}"))?;
    }
    Ok(match (is_damaged, is_whole) {
        (false, true) => Damage::None,
        (true, true) => Damage::AtTheEnd,
        (_, false) => Damage::Within,
    })
}

/// What a reader finds that knows no damage is what the library finds before any. True if that is all.
fn same_without_damage(raw: &[RawRecord], records: &[Record]) -> Outcome<bool> {
    let same = raw.len() <= records.len()
        && raw.iter().zip(records).all(|(raw, record)| {
            raw.seq() == record.seq() && raw.text("event_id") == record.event_id().to_string()
        });
    ensure(same, || "the readers differ".into())?;
    let in_order = records.windows(2).all(|pair| match pair {
        [first, second] => first.seq() < second.seq(),
        _ => true,
    });
    ensure(in_order, || "a seq stands twice".into())?;
    Ok(raw.len() == records.len())
}

/// What holds where calls were made that are not durable: what was promised is there, what does not fit is told of,
/// and the run goes on. What is at these paths may be lost.
fn told(place: &Place, acknowledged: &[String], forgiven: &BTreeSet<String>) -> Outcome {
    if !place.run_dir().join("run.json").exists() {
        return Ok(());
    }
    let ctx = crate::leases::writer(place)?;
    let records = raw::records(&place.run_dir(), "run.json")?;
    check::acknowledgements(&records, acknowledged)?;
    ctx.catch_up()?;
    fits(place, &ctx, forgiven).map_err(|found| found.at("after catching up"))?;
    let (before, _) = ctx.events()?.read_all()?;
    match ctx.append(Event::new("went_on")) {
        Ok(appended) => Acks::open(place)?.appended(&appended)?,
        Err(JournalError::Closed { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let (after, findings) = ctx.events()?.read_all()?;
    let goes_on = after.len() >= before.len()
        && before.iter().zip(&after).all(|(one, other)| one.event_id() == other.event_id());
    ensure(goes_on, || "an append changed what came before it".into())?;
    let damage = findings.iter().find(|found| found.code.is_journal_damage());
    let in_the_middle = raw::records(&place.run_dir(), "run.json")?.len() < after.len();
    ensure(damage.is_none() || in_the_middle, || format!("damage is left: {damage:?}"))?;
    fits(place, &ctx, forgiven).map_err(|found| found.at("afterwards"))
}

/// Each artifact is what the journal says, or, at a path where that may be lost, `verify` tells that it is not.
fn fits(place: &Place, ctx: &RunContext, forgiven: &BTreeSet<String>) -> Outcome {
    let verified = Verify::of(ctx).read_data(ReadData::All).run()?;
    let is_told = |path: &str| {
        let at = |found: &Finding| found.place.path.as_str().ends_with(path);
        verified.findings.iter().any(at)
    };
    let run = place.run_dir();
    let records = raw::records(&run, "run.json")?;
    if records.len() < ctx.events()?.read_all()?.0.len() {
        // Records count behind damage: what they say of artifacts is nothing that this reader knows.
        return ensure(!verified.is_clean(), || "nobody tells of the damage".into());
    }
    let last = raw::last_words(&records);
    for (path, record) in &last {
        let said = record.payload_text("digest");
        let found = raw::digest(&run.join("artifacts").join(path))?.unwrap_or_default();
        if found != said {
            ensure(forgiven.contains(path), || format!("{path} is lost, and was durable"))?;
            let stage = format!(".tmp/{}", record.text("event_id"));
            ensure(is_told(path) || is_told(&stage), || {
                format!("nobody tells that {path} is lost")
            })?;
        }
    }
    for entry in walkdir::WalkDir::new(run.join("artifacts")).min_depth(1) {
        let entry = entry?;
        let path = Utf8PathBuf::try_from(entry.path().to_owned())?;
        let path = path.strip_prefix(run.join("artifacts"))?.as_str();
        if entry.file_type().is_file() && !last.contains_key(path) {
            ensure(is_told(path), || format!("nobody tells that {path} is in no record"))?;
        }
    }
    Ok(())
}
