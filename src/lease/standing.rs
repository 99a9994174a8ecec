//! What stands of a lease: its last record, and the hint behind it.

use std::time::Duration;

use super::LeaseError;
use super::hint::Hint;
use crate::clock::Timestamp;
use crate::io::Dir;
use crate::journal::{Claimed, LeaseRef, Leased, LockedLog, Record};
use crate::layout;
use crate::workspace::Task;

/// A lease as it stands: who claimed the task last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseState {
    /// The claim.
    pub lease: LeaseRef,
    /// Who claimed it.
    pub worker: String,
    /// How long it holds without a renewal.
    pub ttl: Duration,
    /// When it ends, by the holder's clock. Where the lease was released: when that was.
    pub expires_at: Timestamp,
    /// True once it was released.
    pub released: bool,
    /// True if it was held and its time is over, by the clock of the workspace: anybody may claim the task.
    /// Until somebody does, its holder may still write.
    pub expired: bool,
}

/// What changes whenever the holder gives a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sign {
    token: u64,
    version: u64,
    beats: u64,
}

/// A lease's last record, with what the hint adds to it.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) leased: Leased,
    beats: u64,
}

impl Standing {
    /// What the task's journal and the hint say; `None` if the task was never claimed.
    pub(super) fn read(locked: &mut LockedLog<'_>) -> Result<Option<Self>, LeaseError> {
        let leased = Leased::read(locked)?;
        Ok(leased.map(|leased| Self::of(leased, locked.journal_dir())))
    }

    /// What a last record and the hint behind it say.
    pub(super) fn of(mut leased: Leased, journal: &Dir) -> Self {
        let hint = Hint::read(journal).filter(|hint| {
            leased.held && (hint.token, hint.version) == (leased.token, leased.version)
        });
        if let Some(hint) = &hint {
            leased.claimed.expires_at = hint.expires_at;
        }
        Self { leased, beats: hint.map_or(0, |hint| hint.beats) }
    }

    pub(super) fn sign(&self) -> Sign {
        let Leased { token, version, .. } = self.leased;
        Sign { token, version, beats: self.beats }
    }

    pub(super) fn ttl(&self) -> Duration {
        Duration::from_millis(self.leased.claimed.ttl_ms)
    }

    /// The same for everybody to see.
    pub(super) fn state(self, task: &Task) -> LeaseState {
        let Leased { token, claimed, held, .. } = self.leased;
        let Claimed { worker_id, ttl_ms, expires_at } = claimed;
        LeaseState {
            lease: LeaseRef::new(task.id().clone(), token),
            worker: worker_id,
            ttl: Duration::from_millis(ttl_ms),
            expires_at,
            released: !held,
            expired: held && expires_at <= task.runtime().clock.now(),
        }
    }

    /// The hint that says that the holder is alive now.
    pub(super) fn beat(&self, expires_at: Timestamp) -> Hint {
        let Sign { token, version, beats } = self.sign();
        Hint { token, version, beats: beats.saturating_add(1), expires_at }
    }
}

impl LeaseState {
    /// The last claim of a task whose journal is locked.
    pub(crate) fn of_locked(
        task: &Task,
        locked: &mut LockedLog<'_>,
    ) -> Result<Option<Self>, LeaseError> {
        Ok(Standing::read(locked)?.map(|standing| standing.state(task)))
    }

    /// What a record of the task's lease says.
    pub(crate) fn of_record(task: &Task, record: &Record) -> Result<Self, LeaseError> {
        let leased = Leased::of(record)?;
        let journal = Dir::open(&task.path().join(layout::JOURNAL_DIR))?;
        Ok(Standing::of(leased, &journal).state(task))
    }

    /// True if nobody else may claim the task now.
    pub(crate) fn is_live(&self) -> bool {
        !self.released && !self.expired
    }
}

impl Task {
    /// The last claim of the task; `None` if there never was one. Takes no lock.
    ///
    /// # Errors
    /// Where the task's journal cannot be read.
    pub fn lease(&self) -> Result<Option<LeaseState>, LeaseError> {
        let events = self.events()?.in_stream("lease", self.id().as_str());
        let last = events.last(1)?.next().transpose()?;
        last.map(|record| LeaseState::of_record(self, &record)).transpose()
    }
}
