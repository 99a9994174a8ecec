//! What the records of a stream add up to, kept up with a journal that grows.

use crate::journal::{Cursor, Events, ExpectedVersion, Home, JournalError, LockedLog, Record};

/// What a stream adds up to: a value that is made from its records, in order, and from nothing else.
///
/// ```
/// use runjournal::{Fold, JournalError, Record};
///
/// #[derive(Default)]
/// struct Seats {
///     taken: u32,
/// }
///
/// impl Fold for Seats {
///     fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
///         if record.event_type() == "seat_taken" {
///             self.taken += 1;
///         }
///         Ok(()) // types that it does not know are passed over
///     }
/// }
/// ```
pub trait Fold: Default {
    /// Takes in the next record.
    ///
    /// # Errors
    /// Where the record's payload does not read as it should: [`Record::payload`] says so.
    fn apply(&mut self, record: &Record) -> Result<(), JournalError>;
}

/// A fold of one stream, or of all streams of a kind, and how far it was read: each time only what came
/// since is.
#[derive(Debug)]
pub(crate) struct Folded<F> {
    kind: String,
    /// All streams of the kind where there is none.
    id: Option<String>,
    state: F,
    /// Of the last record that was taken in.
    version: Option<u64>,
    cursor: Option<Cursor>,
}

impl<F: Fold> Folded<F> {
    pub(crate) fn new(kind: impl Into<String>, id: Option<String>) -> Self {
        Self { kind: kind.into(), id, state: F::default(), version: None, cursor: None }
    }

    pub(crate) fn state(&self) -> &F {
        &self.state
    }

    /// For what is not of the records: what became due, say.
    pub(crate) fn state_mut(&mut self) -> &mut F {
        &mut self.state
    }

    /// Where the stream must still be for what was decided from the state to hold.
    pub(crate) fn expected(&self) -> ExpectedVersion {
        self.version.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact)
    }

    /// Reads on to the end that the journal has now, without its lock.
    pub(crate) fn read(&mut self, home: &Home) -> Result<(), JournalError> {
        match self.read_from_cursor(home) {
            // The journal is another one by now, or lost its tail.
            Err(JournalError::CursorMismatch { .. }) => {
                self.forget();
                self.read_from_cursor(home)
            }
            other => other,
        }
        .inspect_err(|_| self.forget())
    }

    fn read_from_cursor(&mut self, home: &Home) -> Result<(), JournalError> {
        let mut events = Events::open(home)?;
        if let Some(cursor) = self.cursor {
            events = events.from(cursor)?;
        }
        events.try_for_each(|record| self.take_in(&record?))
    }

    /// Reads on to the last record, under the lock; little if [`read`](Folded::read) was called before it
    /// was taken.
    pub(crate) fn catch_up(&mut self, locked: &mut LockedLog<'_>) -> Result<(), JournalError> {
        if let Some(cursor) = self.cursor
            && !locked.fits(cursor)?
        {
            self.forget();
        }
        let from = self.cursor;
        locked.replay(from, &mut |record| self.take_in(record)).inspect_err(|_| self.forget())
    }

    fn take_in(&mut self, record: &Record) -> Result<(), JournalError> {
        let is_of_stream = record.aggregate_kind() == self.kind
            && self.id.as_deref().is_none_or(|id| id == record.stream_id());
        if is_of_stream {
            self.state.apply(record)?;
            self.version = Some(record.stream_version());
        }
        self.cursor = Some(record.cursor());
        Ok(())
    }

    /// What was taken in in part is nothing.
    fn forget(&mut self) {
        (self.state, self.version, self.cursor) = (F::default(), None, None);
    }
}
