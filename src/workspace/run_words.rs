//! What a task's journal says of its runs: which it knows, which should be there, and which are held.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Hold;
use super::holds::HoldWord;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{EventId, RunId};
use crate::journal::{Cursor, Events, Home, JournalError, LockedLog, Record, types};
use crate::status::RunStatus;

/// How far the journal of a run reached that was pruned or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalReach {
    pub(crate) bytes: u64,
    pub(crate) last_seq: u64,
    pub(crate) hash: Digest,
}

impl From<Cursor> for JournalReach {
    fn from(cursor: Cursor) -> Self {
        Self { bytes: cursor.offset, last_seq: cursor.seq, hash: cursor.hash }
    }
}

/// That a run was pruned, as its task's journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PrunedRun {
    /// The `run_pruned`.
    pub(crate) event_id: EventId,
    pub(crate) at: Timestamp,
    pub(crate) journal: Option<JournalReach>,
    /// `TASK/RUN` that it became, where it was not removed, but moved.
    pub(crate) to: Option<String>,
    status: Option<RunStatus>,
}

/// The payload of `run_restored`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoredRun {
    pub(crate) run_id: RunId,
    pub(crate) snapshot_id: Uuid,
    pub(crate) journal: Option<JournalReach>,
}

/// What a record says of whether a run should be there: the last such record of a run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RunWord {
    /// Or it came from there, `TASK/RUN`.
    Started(Option<String>),
    Pruned(Box<PrunedRun>),
    Restored(Box<RestoredRun>),
}

impl RunWord {
    /// The run, and what is said of it; `None` for a record that says nothing of where a run is.
    pub(crate) fn of(record: &Record) -> Result<Option<(RunId, Self)>, JournalError> {
        #[derive(Deserialize)]
        struct Started {
            #[serde(default)]
            from: Option<String>,
        }
        #[derive(Deserialize)]
        struct Pruned {
            #[serde(default)]
            journal: Option<JournalReach>,
            #[serde(default)]
            to: Option<String>,
            #[serde(default)]
            status: Option<RunStatus>,
        }
        let word = match record.event_type() {
            types::RUN_STARTED => Self::Started(record.payload::<Started>()?.from),
            types::RUN_PRUNED => {
                let Pruned { journal, to, status } = record.payload()?;
                let (event_id, at) = (record.event_id(), record.occurred_at());
                Self::Pruned(Box::new(PrunedRun { event_id, at, journal, to, status }))
            }
            types::RUN_RESTORED => Self::Restored(record.payload()?),
            _ => return Ok(None),
        };
        // A run that cannot have this name cannot be there either.
        Ok(RunId::new(record.stream_id()).ok().map(|run| (run, word)))
    }

    /// What a record says was done with a run that must have been there for it.
    pub(crate) fn proves(record: &Record) -> Option<(RunId, &'static str)> {
        let done = match record.event_type() {
            types::HOLD_PLACED => "held",
            types::RUN_RESTORED => "restored",
            _ => return None,
        };
        Some((RunId::new(record.stream_id()).ok()?, done))
    }

    /// True if the run should be there.
    pub(crate) fn is_there(&self) -> bool {
        !matches!(self, Self::Pruned(_))
    }

    /// True if the run succeeded, and went for its age alone.
    pub(crate) fn has_succeeded(&self) -> bool {
        matches!(self, Self::Pruned(run) if run.status == Some(RunStatus::Success))
    }
}

/// What a task's journal says of its runs. The last of `run_started`, `run_pruned` and `run_restored` says
/// whether a run should be there; a hold outlives a restore, and ends with a prune.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunWords {
    known: BTreeMap<RunId, RunWord>,
    held: BTreeMap<RunId, Hold>,
    /// Why a run must have been there, if more is known than that somebody was about to make it.
    stood: BTreeMap<RunId, &'static str>,
    read: Option<Cursor>,
}

impl RunWords {
    /// All that the journal says, read without a lock.
    pub(crate) fn read(task: &Home) -> Result<Self, JournalError> {
        let mut words = Self::default();
        for record in Events::open(task)? {
            words.apply(&record?)?;
        }
        Ok(words)
    }

    /// Takes in what was appended since, or all of it where the journal is another one by now.
    pub(crate) fn bring_up(&mut self, locked: &mut LockedLog<'_>) -> Result<(), JournalError> {
        let from = match self.read {
            Some(cursor) if locked.fits(cursor)? => Some(cursor),
            _ => {
                *self = Self::default();
                None
            }
        };
        locked.replay(from, &mut |record| self.apply(record))
    }

    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.read = Some(record.cursor());
        if let Some((run, done)) = RunWord::proves(record) {
            self.stood.insert(run, done);
        }
        if let Some((run, word)) = RunWord::of(record)? {
            match &word {
                RunWord::Started(_) | RunWord::Restored(_) => {}
                RunWord::Pruned(_) => {
                    self.held.remove(&run);
                    self.stood.remove(&run);
                }
            }
            self.known.insert(run, word);
            return Ok(());
        }
        match HoldWord::of(record)? {
            Some(HoldWord::Placed(hold)) => {
                self.held.insert(hold.run.clone(), hold);
            }
            Some(HoldWord::Lifted(run)) => {
                self.held.remove(&run);
                self.stood.remove(&run);
            }
            None => {}
        }
        Ok(())
    }

    /// What was done with a run that must have been there for it, unless it was pruned or given up since: it was held
    /// or restored.
    pub(crate) fn stood(&self, run: &RunId) -> Option<&'static str> {
        self.stood.get(run).copied()
    }

    /// The last word on whether a run should be there; `None` where the journal does not know it.
    pub(crate) fn word(&self, run: &RunId) -> Option<&RunWord> {
        self.known.get(run)
    }

    /// What was said of a run's removal, if that was the last word on whether it is there.
    pub(crate) fn pruned(&self, run: &RunId) -> Option<&PrunedRun> {
        match self.known.get(run)? {
            RunWord::Pruned(pruned) => Some(pruned),
            _ => None,
        }
    }

    /// The runs that should be there, sorted.
    pub(crate) fn there(&self) -> impl Iterator<Item = &RunId> {
        self.known.iter().filter(|(_, word)| word.is_there()).map(|(run, _)| run)
    }

    /// The runs that are gone: pruned, and not held since, as what still stood can be.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &RunId> {
        let gone = self.known.iter().filter(|(_, word)| !word.is_there()).map(|(run, _)| run);
        gone.filter(|run| !self.held.contains_key(*run))
    }

    /// The hold on a run.
    pub(crate) fn hold(&self, run: &RunId) -> Option<&Hold> {
        self.held.get(run)
    }

    /// The holds, sorted by run.
    pub(crate) fn into_holds(self) -> impl Iterator<Item = Hold> {
        self.held.into_values()
    }

    /// True if a run that is pruned had succeeded.
    pub(crate) fn has_success(&self) -> bool {
        self.known.values().any(RunWord::has_succeeded)
    }
}
