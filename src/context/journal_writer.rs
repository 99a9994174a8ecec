//! A journal to keep open.

use std::sync::Arc;

use crate::artifact::HomeWriter;
use crate::journal::{Appended, Durability, Event, JournalError};

/// A writer of a run's journal. It can be cloned and shared by threads; other writers, in this
/// process and in others, append to the same journal meanwhile, and nothing is torn or renumbered.
///
/// The lock is held for the moment of each append only; one who appends durably may append for some other threads as well. After a failed sync the writer refuses to go
/// on ([`JournalError::Poisoned`]): the system may have thrown away what it could not write.
#[derive(Debug, Clone)]
pub struct JournalWriter {
    writer: Arc<HomeWriter>,
    durability: Durability,
}

impl JournalWriter {
    pub(crate) fn open(writer: Arc<HomeWriter>) -> Result<Self, JournalError> {
        writer.with_log(|_| Ok::<_, JournalError>(()))?;
        Ok(Self { writer, durability: Durability::Buffered })
    }

    /// What each append survives once it returned; `Buffered` unless said otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Appends one event.
    ///
    /// # Errors
    /// See [`JournalError`]; unless a variant says otherwise, nothing was appended.
    pub fn append(&self, event: Event) -> Result<Appended, JournalError> {
        event.check_user()?;
        let appended = self.writer.append(std::slice::from_ref(&event), self.durability)?;
        appended.into_iter().next().ok_or_else(|| event.bad("it was not appended"))
    }

    /// Appends several events as one batch: all of them count, or none, whatever crashes. At most
    /// 1,024 events and 16 MiB.
    ///
    /// # Errors
    /// See [`JournalError`]; unless a variant says otherwise, nothing was appended.
    pub fn append_batch(&self, events: &[Event]) -> Result<Vec<Appended>, JournalError> {
        events.iter().try_for_each(Event::check_user)?;
        Ok(self.writer.append(events, self.durability)?.into_vec())
    }
}
