//! The plan, carried out: each run is decided on once more, with its task's journal and its own locked.

use std::collections::BTreeMap;

use serde::Serialize;

use super::keep::{Keep, KeptRun, Trouble};
use super::leftover::{self, Leftover};
use super::look::{End, PrunableRun, age, milliseconds};
use super::plan::{self, Busy};
use super::{PruneError, PrunePlan, PrunePolicy, PruneReason};
use crate::artifact::HomeLog;
use crate::digest::Digest;
use crate::genesis::{self, WorkspaceGenesis};
use crate::id::{EventId, RunId, TaskId};
use crate::io::Dir;
use crate::journal::{Event, LockedLog, Log, types};
use crate::layout;
use crate::lease::LeaseState;
use crate::planted::Bug;
use crate::status::{Completed, Counts, Outcome, RunStatus};
use crate::workspace::{JournalReach, RunWords, Subject, Task, WorkspaceError, home_of, running};

/// What a prune did.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Runs that went.
    pub runs: Vec<PrunableRun>,
    /// Runs that were old enough and stay, those among them that were planned to go.
    pub kept: Vec<KeptRun>,
    /// Leftovers that went.
    pub leftovers: Vec<Leftover>,
}

/// The payload of `run_pruned`.
#[derive(Serialize)]
struct Payload {
    reason: PruneReason,
    status: RunStatus,
    age_ms: u64,
    artifacts_root: Digest,
    journal: JournalReach,
}

impl PrunePlan {
    /// Removes what was planned and is still so: each run is decided on again, by the clock of now, with the
    /// journal of its task and its own locked; what was appended to, held, claimed or taken up since stays.
    ///
    /// Of each run the task's journal keeps a `run_pruned`, on the disk before anything goes. A crash leaves a
    /// run as it was, or one that the next plan goes on to remove. Whoever waited for the journal of a run that
    /// went is told that it was removed; nothing that was acknowledged before goes without its age.
    ///
    /// # Errors
    /// Where newer code made the workspace. What concerns one task or run keeps that one, with the reason.
    pub fn apply(self) -> Result<Pruned, PruneError> {
        let Self { runs, kept, leftovers, subject, policy } = self;
        let root = Dir::open_root(subject.root())?;
        genesis::read::<WorkspaceGenesis>(&root)
            .and_then(|read| read.writable(root.path()))
            .map_err(WorkspaceError::from)?;
        let mut pruned = Pruned { runs: Vec::new(), kept, leftovers: Vec::new() };
        let mut trash = Trash { root: &root, dir: None };
        let mut by_task: BTreeMap<TaskId, Vec<PrunableRun>> = BTreeMap::new();
        for run in runs {
            by_task.entry(run.task.clone()).or_default().push(run);
        }
        for (id, runs) in by_task {
            let mut removal = Removal::open(&subject, policy, &id);
            for run in runs {
                let removed = match &mut removal {
                    Ok(removal) => removal.remove(&run, &mut trash),
                    Err(error) => Ok(Some(Keep::because(error))),
                };
                match removed {
                    Ok(None) => pruned.runs.push(run),
                    Ok(Some(why)) => pruned.keep(run, why),
                    // Somebody else was faster; what the disk refused behind the move is told.
                    Err(error) if !error.is_of_the_disk() && !stands(&root, &run)? => {}
                    Err(error) => pruned.keep(run, Keep::because(&error)),
                }
            }
        }
        pruned.remove_leftovers(leftovers, &subject, policy, &mut trash);
        Ok(pruned)
    }
}

impl Pruned {
    /// Bytes of the files that went.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let runs = self.runs.iter().map(|run| run.bytes);
        runs.chain(self.leftovers.iter().map(|leftover| leftover.bytes)).sum()
    }

    fn keep(&mut self, run: PrunableRun, why: Keep) {
        self.kept.push(KeptRun { task: run.task, run: Some(run.run), why });
    }

    /// What cannot be removed now is found by the next plan.
    fn remove_leftovers(
        &mut self,
        leftovers: Vec<Leftover>,
        subject: &Subject,
        policy: PrunePolicy,
        trash: &mut Trash<'_>,
    ) {
        let now = subject.now();
        let mut by_home: BTreeMap<(TaskId, Option<RunId>), Vec<Leftover>> = BTreeMap::new();
        for leftover in leftovers {
            match (&leftover.task, leftover.path.file_name()) {
                (Some(task), _) => {
                    let home = (task.clone(), leftover.run.clone());
                    by_home.entry(home).or_default().push(leftover);
                }
                (None, Some(name)) if trash.empty(name).is_ok() => self.leftovers.push(leftover),
                _ => {}
            }
        }
        for ((id, run), leftovers) in by_home {
            let Ok(task) = subject.task(&id) else { continue };
            let home = run
                .as_ref()
                .map_or_else(|| task.home().without_caller(), |run| home_of(&task, run));
            let planned: Vec<&Leftover> = leftovers.iter().collect();
            let gone = leftover::remove_parts(&home, &planned, &policy, now);
            let gone = gone.unwrap_or_default();
            self.leftovers.extend(
                leftovers
                    .into_iter()
                    .filter(|leftover| gone.iter().any(|part| leftover.path.ends_with(&part.path))),
            );
        }
    }
}

/// False once somebody moved or removed the run.
fn stands(root: &Dir, run: &PrunableRun) -> Result<bool, PruneError> {
    let dir = format!("{}/{}/{}", run.task, layout::RUNS, run.run);
    Ok(root.stat(&dir)?.is_some())
}

/// Where runs are moved to that go.
struct Trash<'a> {
    root: &'a Dir,
    dir: Option<Dir>,
}

impl Trash<'_> {
    /// The directory; its name is on the disk before anything is moved there.
    fn dir(&mut self) -> Result<&Dir, Trouble> {
        if self.dir.is_none() {
            if self.root.create_dir(layout::TRASH)? {
                self.root.sync("")?;
            }
            self.dir = Some(self.root.open_dir(layout::TRASH)?);
        }
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let path = || self.root.path().join(layout::TRASH);
        Ok(self
            .dir
            .as_ref()
            .ok_or_else(|| crate::error::IoError::new("open", &path(), missing()))?)
    }

    /// Moves what is left of a run in, durably.
    fn take(&mut self, task: &Dir, run: &RunId, name: EventId) -> Result<(), Trouble> {
        let name = name.to_string();
        // Not the remains of this run, but what somebody put back of it and pruned again.
        self.empty(&name)?;
        let trash = self.dir()?;
        let runs = task.open_dir(layout::RUNS)?;
        runs.rename(run.as_str(), trash, &name)?;
        trash.sync("")?;
        Ok(runs.sync("")?)
    }

    /// Removes something that was moved in, unless somebody else was faster.
    fn empty(&mut self, name: &str) -> Result<(), Trouble> {
        match self.dir()?.remove_tree(name) {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// The removal of runs of one task.
struct Removal<'a> {
    subject: &'a Subject,
    policy: PrunePolicy,
    task: Task,
    dir: Dir,
    log: Log,
    words: RunWords,
}

impl<'a> Removal<'a> {
    fn open(subject: &'a Subject, policy: PrunePolicy, id: &TaskId) -> Result<Self, Trouble> {
        let task = subject.task(id)?;
        let log = Log::open(&task.home().without_caller())?;
        // Others write while it is read; under the lock it is only what they added.
        let words = task.run_words()?;
        Ok(Self { subject, policy, dir: Dir::open(&task.path())?, task, log, words })
    }

    /// Removes a run, unless something keeps it.
    fn remove(
        &mut self,
        run: &PrunableRun,
        trash: &mut Trash<'_>,
    ) -> Result<Option<Keep>, Trouble> {
        let Self { subject, policy, task, dir, log, words } = self;
        let mut locked = log.lock()?;
        if let Some(keep) = keeps(task, &mut locked, words, run)? {
            return Ok(Some(keep));
        }
        let mut run_log = HomeLog::open(&home_of(task, &run.run))?;
        let (mut run_locked, not_applied) = run_log.lock_with_findings()?;
        if let Some(finding) = not_applied.first() {
            let reason = format!("{}: {}", finding.code, finding.reason);
            return Ok(Some(Keep::Damaged { reason }));
        }
        let grew = run_locked.log.cursor != run.journal && !Bug::GrownPruned.is_planted();
        if grew || run_locked.rest().damage().is_some() {
            return Ok(Some(Keep::Grew));
        }
        if let Some(holder) = running(run_locked.dir())? {
            return Ok(Some(Keep::Running { holder }));
        }
        let age = age(run.since, subject.now());
        trash.dir()?;
        let (journal, known) = (JournalReach::from(run.journal), words.pruned(&run.run));
        let name = match (&run.end, known) {
            // A crash came between the record and what follows.
            (End::Pruned(event), Some(known)) if known.event_id == *event => *event,
            (End::Pruned(_), _) => return Ok(Some(Keep::Grew)),
            _ if age < policy.age_for(run.reason) => return Ok(Some(Keep::Young)),
            // Of one that was to be moved, and goes instead, it says another thing.
            (_, Some(known)) if known.to.is_none() && known.journal == Some(journal) => {
                known.event_id
            }
            _ => record(&mut locked, run, journal, milliseconds(age))?,
        };
        if !Bug::PrunedUnsynced.is_planted() {
            locked.sync()?;
        }
        // Whoever is let in behind a kill finds the run ended: nothing is acknowledged that goes.
        if let End::Open(counts) = run.end {
            run_locked.append_unfenced(&[ended(name, counts)])?;
        }
        trash.take(dir, &run.run, name)?;
        // Whoever waits for the lock is told that the run was removed.
        let _ = run_locked.dir().remove_file(layout::JOURNAL);
        drop(run_locked);
        drop(locked);
        // What stays is nobody's any more, and goes with the next prune.
        let _ = trash.empty(&name.to_string());
        Ok(None)
    }
}

/// Why a run stays, as far as its task's journal tells.
fn keeps(
    task: &Task,
    locked: &mut LockedLog<'_>,
    words: &mut RunWords,
    run: &PrunableRun,
) -> Result<Option<Keep>, Trouble> {
    locked.check_not_damaged()?;
    words.bring_up(locked)?;
    if let Some(hold) = words.hold(&run.run).filter(|_| !Bug::HoldIgnored.is_planted()) {
        return Ok(Some(Keep::Held { reason: hold.reason.clone() }));
    }
    let lease = LeaseState::of_locked(task, locked)?.filter(LeaseState::is_live);
    let busy = Busy { worker: lease.map(|lease| lease.worker), flow: plan::flow(task)? };
    Ok(busy.keeps(matches!(run.end, End::Open(_))))
}

/// The end of a run that did not end by itself.
fn ended(pruned: EventId, counts: Counts) -> Event {
    let reason = Some("pruned: abandoned".to_owned());
    let (status, required) = (Outcome::Failed, Vec::new());
    Event::new(types::EXECUTION_COMPLETE)
        .key("run:complete")
        .causation(pruned)
        .payload(&Completed { status, reason, counts, required })
}

/// Says in the task's journal that a run goes: the name that it has in the trash.
fn record(
    task: &mut LockedLog<'_>,
    run: &PrunableRun,
    journal: JournalReach,
    age_ms: u64,
) -> Result<EventId, Trouble> {
    let PrunableRun { reason, status, artifacts_root, .. } = *run;
    let payload = Payload { reason, status, age_ms, artifacts_root, journal };
    let event = Event::new(types::RUN_PRUNED).stream("run", run.run.as_str()).payload(&payload);
    let appended = task.append_unfenced(std::slice::from_ref(&event))?;
    let first = appended.first().map(|first| first.event_id);
    Ok(first.ok_or_else(|| event.bad("it was not appended"))?)
}
