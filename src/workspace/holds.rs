//! Holds: a person's word that a run stays.

use serde::{Deserialize, Serialize};

use super::run_words::{PrunedRun, RunWord, RunWords};
use super::{Task, WorkspaceError};
use crate::clock::Timestamp;
use crate::id::RunId;
use crate::io::Dir;
use crate::journal::{Actor, Event, JournalError, LockedLog, Log, Record, types};
use crate::layout;

/// The kind of the streams that these records are in; their ids are the runs.
const STREAM: &str = "run";
/// Bytes of a reason, or of who gives it.
const LONGEST: usize = 1024;

/// That a run stays, whatever its age, until the hold is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hold {
    /// The run.
    pub run: RunId,
    /// Why it stays.
    pub reason: String,
    /// Who said so, where that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When the hold was placed.
    pub placed_at: Timestamp,
}

/// The payload of `hold_placed`, and of `hold_lifted`, which has no reason.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// What a record says of a hold.
pub(super) enum HoldWord {
    Placed(Hold),
    Lifted(RunId),
}

impl HoldWord {
    /// `None` for a record that says nothing of holds.
    pub(super) fn of(record: &Record) -> Result<Option<Self>, JournalError> {
        let is_placed = match record.event_type() {
            types::HOLD_PLACED => true,
            types::HOLD_LIFTED => false,
            _ => return Ok(None),
        };
        // A run that cannot have this name cannot be there either.
        let Ok(run) = RunId::new(record.stream_id()) else { return Ok(None) };
        if !is_placed {
            return Ok(Some(Self::Lifted(run)));
        }
        let Said { reason, by } = record.payload()?;
        let (reason, placed_at) = (reason.unwrap_or_default(), record.occurred_at());
        Ok(Some(Self::Placed(Hold { run, reason, by, placed_at })))
    }
}

impl Task {
    /// Holds a run: [`Prune`](crate::Prune) passes by it until the hold is lifted. Held for the same reason
    /// already, nothing is appended; another reason takes the place of the first. No lease is asked for, as
    /// this is a person's word and changes nothing of the work. Durable; a crash leaves the hold or none.
    ///
    /// # Errors
    /// [`WorkspaceError::RunNotFound`] where there is no such run, [`WorkspaceError::RunPruned`] where there
    /// was, [`JournalError::MissingJournal`] where its journal is lost; [`WorkspaceError::BadHold`] for a reason that is empty, longer than 1,024 bytes, or of several
    /// lines.
    pub fn hold_run(&self, run: &RunId, reason: &str) -> Result<Hold, WorkspaceError> {
        self.hold(run, reason, None)
    }

    /// The same, and says who wants it.
    ///
    /// # Errors
    /// As [`hold_run`](Task::hold_run).
    pub fn hold_run_by(&self, run: &RunId, reason: &str, by: &str) -> Result<Hold, WorkspaceError> {
        self.hold(run, reason, Some(by))
    }

    fn hold(&self, run: &RunId, reason: &str, by: Option<&str>) -> Result<Hold, WorkspaceError> {
        self.check_text(run, "the reason", reason)?;
        by.map_or(Ok(()), |by| self.check_text(run, "who places it", by))?;
        let (mut log, mut words) = self.words()?;
        let mut locked = log.lock()?;
        words.bring_up(&mut locked)?;
        self.check_is_there(run, &words)?;
        let known = words
            .hold(run)
            .filter(|hold| hold.reason == reason && (by.is_none() || hold.by.as_deref() == by));
        if let Some(known) = known {
            // Told of only once it is sure to stay: who placed it may have died before this.
            locked.sync()?;
            return Ok(known.clone());
        }
        let said = Said { reason: Some(reason.to_owned()), by: by.map(str::to_owned) };
        say(&mut locked, types::HOLD_PLACED, run, &said)?;
        words.bring_up(&mut locked)?;
        let placed = words.hold(run).cloned();
        placed.ok_or_else(|| self.not_found(run))
    }

    /// Lifts the hold on a run; false where there is none. A run that is lost though it was held, or put back from a
    /// backup, is given up by it: nobody misses it any more. Durable.
    ///
    /// # Errors
    /// Where the task's journal refuses.
    pub fn lift_hold(&self, run: &RunId) -> Result<bool, WorkspaceError> {
        let (mut log, mut words) = self.words()?;
        let mut locked = log.lock()?;
        words.bring_up(&mut locked)?;
        let is_lost = words.stood(run).is_some() && self.check_is_there(run, &words).is_err();
        if words.hold(run).is_none() && !is_lost {
            locked.sync()?;
            return Ok(false);
        }
        say(&mut locked, types::HOLD_LIFTED, run, &Said { reason: None, by: None })?;
        Ok(true)
    }

    /// The holds on runs of this task, sorted by run. Takes no lock.
    ///
    /// # Errors
    /// Where the task's journal cannot be read.
    pub fn holds(&self) -> Result<Vec<Hold>, WorkspaceError> {
        Ok(self.run_words()?.into_holds().collect())
    }

    /// What the task's journal says of its runs, read without a lock.
    pub(crate) fn run_words(&self) -> Result<RunWords, JournalError> {
        RunWords::read(&self.home())
    }

    /// The journal, to be locked, and what it says so far: others write while it is read.
    fn words(&self) -> Result<(Log, RunWords), WorkspaceError> {
        Ok((Log::open(&self.home())?, self.run_words()?))
    }

    pub(super) fn check_is_there(
        &self,
        run: &RunId,
        words: &RunWords,
    ) -> Result<(), WorkspaceError> {
        let dir = Dir::open(&self.path())?;
        let lacks = |part: &str| {
            Ok::<_, WorkspaceError>(dir.stat(&format!("{}/{run}/{part}", layout::RUNS))?.is_none())
        };
        let (is_none, is_damaged) = (lacks(layout::RUN)?, lacks(layout::JOURNAL)?);
        match words.pruned(run) {
            Some(pruned) if is_none || is_damaged => Err(self.was_pruned(run, pruned)),
            None if is_none => Err(self.not_found(run)),
            None if is_damaged => {
                let path = self.context(run).run_path().join(layout::JOURNAL);
                Err(JournalError::MissingJournal { path }.into())
            }
            _ => Ok(()),
        }
    }

    fn not_found(&self, run: &RunId) -> WorkspaceError {
        WorkspaceError::RunNotFound { task: self.id().clone(), run: run.clone() }
    }

    /// Refuses to start a run under an id that a run had that was pruned, or is lost: one id is one run.
    pub(super) fn check_not_gone(
        &self,
        locked: &mut LockedLog<'_>,
        run: &RunId,
    ) -> Result<(), WorkspaceError> {
        let mut words = RunWords::default();
        words.bring_up(locked)?;
        if let Some(done) = words.stood(run) {
            return Err(WorkspaceError::RunLost {
                task: self.id().clone(),
                run: run.clone(),
                done,
            });
        }
        match words.word(run) {
            Some(RunWord::Pruned(pruned)) => Err(self.was_pruned(run, pruned)),
            Some(RunWord::Started(Some(from))) => {
                let (task, run, from) = (self.id().clone(), run.clone(), from.clone());
                Err(WorkspaceError::MoveUnfinished { task, run, from })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn was_pruned(&self, run: &RunId, pruned: &PrunedRun) -> WorkspaceError {
        let (task, run, at) = (self.id().clone(), run.clone(), pruned.at);
        match pruned.to.clone() {
            Some(to) => WorkspaceError::RunMoved { task, run, to, at },
            None => WorkspaceError::RunPruned { task, run, at },
        }
    }

    fn check_text(
        &self,
        run: &RunId,
        what: &'static str,
        text: &str,
    ) -> Result<(), WorkspaceError> {
        let Some(reason) = hold_fault(text) else { return Ok(()) };
        Err(WorkspaceError::BadHold { task: self.id().clone(), run: run.clone(), what, reason })
    }
}

/// Why a text cannot be the reason of a hold, or say who places it.
pub(crate) fn hold_fault(text: &str) -> Option<&'static str> {
    match text {
        "" => Some("is empty"),
        long if long.len() > LONGEST => Some("has more than 1,024 bytes"),
        odd if odd.chars().any(char::is_control) => Some("has line breaks or control characters"),
        _ => None,
    }
}

/// Appends a person's word on a run, durably. No lease is asked for.
fn say(
    locked: &mut LockedLog<'_>,
    event_type: &str,
    run: &RunId,
    said: &Said,
) -> Result<(), JournalError> {
    let mut event = Event::new(event_type).stream(STREAM, run.as_str()).payload(said);
    if let Some(by) = &said.by {
        event = event.actor(Actor::new("human", Some(by.clone())));
    }
    locked.append_unfenced(std::slice::from_ref(&event))?;
    locked.sync()
}
