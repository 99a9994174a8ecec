//! An act, done: the calls of the library that it is.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use camino::Utf8Path;
use runjournal::index::Index;
use runjournal::testing::crash;
use runjournal::{
    ArtifactName, Backup, ClaimRef, Command, Cursor, Durability, Event, ExpectedVersion, Fold,
    JournalError, JournalWriter, Lease, LeaseRef, Outcome as End, Record, Rejection, Repair,
    RunContext, RunStatus, Signal, Step, StepError, Task, TaskStatus, Verify, Work, Workspace,
};
use serde_json::json;

use super::act::{Act, Ending, What};
use super::expect::note;
use super::predict::next_task;
use super::story::Story;
use super::trouble::Trouble;
use super::words::{self, HomeId};

/// Why a call was refused, with all that its error says.
#[derive(Debug, Clone)]
pub(super) struct Refusal(pub(super) String);

impl<E: Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(format!("{error:?}"))
    }
}

/// A worker with its handles.
#[derive(Debug)]
pub(super) struct Worker {
    workspace: Workspace,
    /// By task.
    leases: BTreeMap<usize, LeaseRef>,
    writers: BTreeMap<(HomeId, Option<u64>, bool), JournalWriter>,
    /// What it got from a queue.
    work: BTreeMap<HomeId, ClaimRef>,
    /// How far it read.
    cursors: BTreeMap<HomeId, Cursor>,
}

impl Worker {
    pub(super) fn new(workspace: Workspace) -> Self {
        Self {
            workspace,
            leases: BTreeMap::new(),
            writers: BTreeMap::new(),
            work: BTreeMap::new(),
            cursors: BTreeMap::new(),
        }
    }

    pub(super) fn token(&self, task: usize) -> Option<u64> {
        self.leases.get(&task).map(|lease| lease.token)
    }

    pub(super) fn work(&self, run: HomeId) -> Option<(String, String, u64)> {
        let claim = self.work.get(&run)?;
        Some((claim.item.clone(), claim.owner.clone(), claim.attempt))
    }

    /// Drops the writers that it keeps: one that saw a failed sync refuses to go on.
    pub(super) fn drop_writers(&mut self) {
        self.writers.clear();
    }

    fn task(&self, number: usize) -> Result<Task, Refusal> {
        let task = self.workspace.task(words::task(number))?;
        Ok(self.leases.get(&number).map_or(task.clone(), |lease| task.with_lease(lease.clone())))
    }

    fn ctx(&self, act: &Act) -> Result<RunContext, Refusal> {
        Ok(self.task(act.task)?.run(words::run(act.run))?.context().clone())
    }

    /// Does it. `story` is what the model knows of the run, or of the task where that is meant.
    pub(super) fn perform(
        &mut self,
        act: &Act,
        story: Option<&Story>,
        outside: &Utf8Path,
    ) -> Result<(), Refusal> {
        let ttl = |minutes: u64| Duration::from_secs(minutes * 60);
        match &act.what {
            What::Append { .. } => self.append(act, story),
            What::Write { .. } | What::Remove { .. } | What::Transaction { .. } => self.write(act),
            What::Step { .. } => self.step(act),
            What::Checkpoint => Ok(self.ctx(act)?.next_checkpoint().map(|_| ())?),
            What::Restore { turn } => {
                let ctx = self.ctx(act)?;
                ctx.checkpoint_at(*turn)?.artifacts()?.restore(&ctx)?;
                Ok(())
            }
            What::Claim { minutes } => {
                let name = words::worker(act.worker);
                let task = self.workspace.task(words::task(act.task))?;
                let lease = task.claim(&name, ttl(*minutes))?;
                self.leases.insert(act.task, lease.lease_ref().clone());
                Ok(())
            }
            What::Renew | What::Release => {
                let Some(lease) = self.leases.get(&act.task).cloned() else { return Ok(()) };
                let lease = Lease::of(&self.workspace.task(words::task(act.task))?, lease);
                match act.what {
                    What::Renew => _ = lease.renew()?,
                    _ => {
                        lease.release()?;
                        self.leases.remove(&act.task);
                    }
                }
                Ok(())
            }
            What::Command { id } => {
                let command = Command::new(words::command(*id), "take_seat").on("show", "S");
                let _ = self.ctx(act)?.dispatch(command, |seats: &Seats| {
                    if seats.0 >= 2 {
                        return Err(Rejection::new("sold out"));
                    }
                    Ok(vec![Event::new("seat_taken"), Event::new("seat_paid")])
                })?;
                Ok(())
            }
            What::QueueAdd { item } => {
                let work = Work::new(words::item(*item)).attempts(1 + *item as u64 % 3);
                let priority = i64::try_from(*item % 2).unwrap_or(0);
                self.ctx(act)?.queue().add(work.priority(priority))?;
                Ok(())
            }
            What::QueueNext { minutes } => {
                let owner = words::worker(act.worker);
                if let Some(claim) = self.ctx(act)?.queue().next(&owner, ttl(*minutes))? {
                    let claim = ClaimRef::new(&*claim.item, &*claim.owner, claim.attempt);
                    self.work.insert(HomeId::run(act.task, act.run), claim);
                }
                Ok(())
            }
            What::QueueDone { .. } | What::QueueFail { .. } => self.end_work(act),
            What::QueueReap => Ok(self.ctx(act)?.queue().reap().map(|_| ())?),
            What::Status => {
                let is_executing = story.is_some_and(|story| story.status == "EXECUTING");
                let to = if is_executing { RunStatus::Verifying } else { RunStatus::Executing };
                let task = self.task(act.task)?;
                Ok(task.run(words::run(act.run))?.set_status(to, None)?)
            }
            What::TaskStatus => {
                let next = next_task(story.map_or("", |story| &story.status));
                let to = if next == "DONE" { TaskStatus::Done } else { TaskStatus::InProgress };
                Ok(self.task(act.task)?.set_status(to)?)
            }
            What::Complete { success } => {
                let end = if *success { End::Success } else { End::Failed };
                let run = self.task(act.task)?.run(words::run(act.run))?;
                Ok(run.complete(end, None).map(|_| ())?)
            }
            What::StartRun => {
                self.task(act.task)?.start_run_as(words::run(act.run))?;
                Ok(())
            }
            What::CatchUp => Ok(self.ctx(act)?.catch_up().map(|_| ())?),
            What::Manifest => Ok(self.ctx(act)?.manifest().map(|_| ())?),
            What::Follow => self.follow(act, story),
            What::Refresh => {
                Ok(Index::at(&self.workspace, outside.join("index")).refresh().map(|_| ())?)
            }
            What::Verify => Ok(Verify::of(&self.workspace).run().map(|_| ())?),
            What::RepairPlan => Ok(Repair::of(&self.workspace).plan().map(|_| ())?),
            What::Backup => {
                let backup = Backup::create_at(outside.join("backup"))?;
                Ok(backup.take(&self.workspace).map(|_| ())?)
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, act: &Act, story: Option<&Story>) -> Result<(), Refusal> {
        let What::Append { events, durable, key, large, kept, expect } = &act.what else {
            return Ok(());
        };
        let event = |part: usize| {
            let event = Event::new("noted").stream("talk", "one");
            match key {
                Some(key) => event.payload(&json!({"key": key, "part": part})),
                None => event.payload(&note(act.number, part, *large)),
            }
        };
        let count = key.map_or(*events, |key| 1 + key);
        let mut events: Vec<_> = (0..count).map(event).collect();
        if let Some(first) = events.first_mut() {
            let mut event = first.clone();
            if let Some(key) = key {
                event = event.key(format!("append-{key}"));
            }
            let version = story.and_then(|story| story.versions.get("talk/one")).copied();
            event = match expect {
                None => event,
                Some(true) => {
                    event.expect(version.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact))
                }
                Some(false) => event.expect(ExpectedVersion::Exact(1_000_000)),
            };
            *first = event;
        }
        let home = HomeId::run(act.task, act.run);
        let durability = durability(*durable);
        let place = (home, self.token(act.task), *durable);
        let writer = match self.writers.remove(&place).filter(|_| *kept) {
            Some(writer) => writer,
            None => self.ctx(act)?.journal()?.durability(durability),
        };
        let done = match events.as_slice() {
            [_] => writer.append(events.remove(0)).map(|_| ()),
            events => writer.append_batch(events).map(|_| ()),
        };
        if !matches!(done, Err(JournalError::Poisoned { .. })) {
            self.writers.insert(place, writer);
        }
        Ok(done?)
    }

    fn write(&self, act: &Act) -> Result<(), Refusal> {
        let ctx = self.ctx(act)?;
        match &act.what {
            What::Write { path, content, durable, streamed } => {
                let path = words::path(*path);
                let content = words::content(*content, act.number, path);
                let artifacts = ctx.artifacts().durability(durability(*durable));
                if !streamed {
                    artifacts.write_bytes(ArtifactName::new(path)?, &content)?;
                    return Ok(());
                }
                let mut file = artifacts.create(ArtifactName::new(path)?)?;
                for piece in content.chunks(1000) {
                    file.write_all(piece)?;
                }
                file.commit()?;
            }
            What::Remove { path, durable } => {
                let artifacts = ctx.artifacts().durability(durability(*durable));
                artifacts.remove(ArtifactName::new(words::path(*path))?)?;
            }
            What::Transaction { paths, remove, events, durable, key, content } => {
                let mut tx = ctx.transaction().durability(durability(*durable));
                if let Some(key) = key {
                    let (path, content) = keyed(*key);
                    tx = tx.key(format!("change-{key}"));
                    tx.write_bytes(ArtifactName::new(path)?, &content)?;
                    tx.append(Event::new("noted").payload(&json!({"key": key})));
                    tx.commit()?;
                    return Ok(());
                }
                for path in paths {
                    let path = words::path(*path);
                    let content = words::content(*content, act.number, path);
                    tx.write_bytes(ArtifactName::new(path)?, &content)?;
                }
                if let Some(path) = remove.filter(|path| !paths.contains(path)) {
                    tx.remove(ArtifactName::new(words::path(path))?)?;
                }
                for part in 0..*events {
                    tx.append(Event::new("noted").payload(&note(act.number, part, false)));
                }
                tx.commit()?;
            }
            _ => {}
        }
        Ok(())
    }

    fn step(&self, act: &Act) -> Result<(), Refusal> {
        let What::Step { name, turn, ending, path, events } = &act.what else {
            return Ok(());
        };
        let mut step = Step::new(words::step(*name));
        if let Some(turn) = turn {
            step = step.turn(*turn);
        }
        let path = words::path(*path);
        self.ctx(act)?.step(step, |body| {
            body.write_bytes(ArtifactName::new(path)?, &words::content(5, act.number, path))?;
            for part in 0..*events {
                body.append(Event::new("noted").payload(&note(act.number, part, false)))?;
            }
            match ending {
                Ending::Completes => Ok(Signal::new(format!("by-{}", act.number))),
                Ending::Fails => Err(StepError::message("it cannot be done")),
                Ending::Dies => Err(crash()),
            }
        })?;
        Ok(())
    }

    fn end_work(&mut self, act: &Act) -> Result<(), Refusal> {
        let home = HomeId::run(act.task, act.run);
        let ctx = self.ctx(act)?;
        let Some(claim) = self.work.get(&home) else { return Ok(()) };
        match &act.what {
            What::QueueDone { events } => {
                let note = |part| Event::new("noted").payload(&note(act.number, part, false));
                ctx.queue().done_with(claim, (0..*events).map(note))?;
            }
            What::QueueFail { minutes } => {
                let delay = Duration::from_secs(minutes * 60);
                ctx.queue().fail(claim, "it cannot be done", delay)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads on from where it stood, and must get all that came since, once.
    fn follow(&mut self, act: &Act, story: Option<&Story>) -> Result<(), Refusal> {
        let home = HomeId::run(act.task, act.run);
        let ctx = self.ctx(act)?;
        let mut events = match self.cursors.get(&home) {
            Some(cursor) => ctx.events()?.from(*cursor)?,
            None => ctx.events()?,
        };
        let mut seqs = Vec::new();
        for record in events.by_ref() {
            seqs.push(record?.seq());
        }
        let last = story.map_or(0, |story| story.last_seq);
        // Somebody may append meanwhile, once.
        let most = last + u64::from(matches!(act.trouble, Some(Trouble::Meanwhile { .. })));
        if let Some(read) = seqs.last()
            && !(last..=most).contains(read)
        {
            return Err(Refusal(format!("WRONG: it read up to {read}, and {last} is the last")));
        }
        if seqs.windows(2).any(|pair| matches!(pair, [one, other] if one >= other)) {
            return Err(Refusal(format!("WRONG: it read {seqs:?}")));
        }
        self.cursors.insert(home, events.cursor());
        Ok(())
    }
}

fn durability(durable: bool) -> Durability {
    if durable { Durability::Durable } else { Durability::Buffered }
}

/// What a transaction with a key writes.
pub(super) fn keyed(key: usize) -> (&'static str, Vec<u8>) {
    (words::path(key + 2), format!("by the key {key}\n").into_bytes())
}

#[derive(Default)]
struct Seats(usize);

impl Fold for Seats {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.0 += usize::from(record.event_type() == "seat_taken");
        Ok(())
    }
}
