//! What brings a journal to the disk, for those who do not hold its lock.

use std::sync::Arc;

use crate::error::IoError;
use crate::io::{AppendFile, Dir};
use crate::journal::JournalError;
use crate::journal::log::sync::{SharedSync, Ticket, not_durable};

/// What brings a journal to the disk, without its lock. The first failure poisons every writer of this journal in this
/// process: a later sync could say OK though the data is gone.
#[derive(Debug, Clone)]
pub(crate) struct JournalSync {
    journal: Arc<Dir>,
    file: Arc<AppendFile>,
    shared: Arc<SharedSync>,
}

impl JournalSync {
    pub(super) fn new(journal: Arc<Dir>, file: Arc<AppendFile>, shared: Arc<SharedSync>) -> Self {
        Self { journal, file, shared }
    }

    /// A request to sync its first `written` bytes.
    pub(super) fn of(self, written: u64) -> Unsynced {
        Unsynced { sync: self, written }
    }

    /// A ticket for the journal's first `written` bytes: all that were written before, as far as we know.
    pub(crate) fn take(&self, written: u64) -> Ticket {
        self.shared.take(written)
    }

    /// Waits for the ticket. As long as there is `None`, another thread is about to take it; it waits for its own
    /// afterwards, or wakes us.
    pub(crate) fn wait(&self, ticket: impl Fn() -> Option<Ticket>) -> Result<(), JournalError> {
        self.shared.wait(&self.file, &self.journal, ticket)
    }

    /// Lets all who wait look again.
    pub(crate) fn wake(&self) {
        self.shared.wake();
    }

    /// The caller's bytes may be there, and nobody will tell whether they are on the disk.
    pub(crate) fn not_told(&self, why: &str) -> JournalError {
        let error = std::io::Error::other(why.to_owned());
        not_durable(&self.file, IoError::new("write", self.file.path(), error))
    }
}

/// A request to sync all that was written so far.
#[derive(Debug)]
#[must_use = "nothing is synced before it is waited for"]
pub(crate) struct Unsynced {
    sync: JournalSync,
    /// How long the journal is, as far as we know.
    written: u64,
}

impl Unsynced {
    /// Waits until everything appended is on the disk.
    pub(crate) fn sync(&self) -> Result<(), JournalError> {
        let ticket = self.sync.take(self.written);
        self.sync.wait(|| Some(ticket))
    }
}
