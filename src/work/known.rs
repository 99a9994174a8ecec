//! What a handle knows of the open items, and how it keeps up with the journal.

use std::time::{Duration, Instant};

use super::WorkError;
use super::draft::key;
use super::item::{STREAM, work_event};
use super::open::{OpenItem, OpenWork};
use super::timer::Now;
use crate::journal::{
    Event, ExpectedVersion, Folded, Home, JournalError, LockedLog, MAX_BATCH_RECORDS, Record,
};

/// What came in this time is little, and read under the lock as well as without it.
const FRESH: Duration = Duration::from_millis(100);

/// The open items of a queue, as they were when the journal was last read.
#[derive(Debug)]
pub(super) struct Known {
    open: Folded<OpenWork>,
    read_at: Option<Instant>,
}

impl Known {
    pub(super) fn new() -> Self {
        Self { open: Folded::new(STREAM, None), read_at: None }
    }

    pub(super) fn open(&self) -> &OpenWork {
        self.open.state()
    }

    /// Reads what came since, without the lock, so that little is left to read under it.
    pub(super) fn read(&mut self, home: &Home) -> Result<(), JournalError> {
        self.open.read(home)?;
        self.read_at = Some(Instant::now());
        Ok(())
    }

    /// Reads what came since, under the lock: then this is how things are.
    pub(super) fn catch_up(&mut self, locked: &mut LockedLog<'_>) -> Result<(), JournalError> {
        self.open.catch_up(locked)?;
        self.read_at = Some(Instant::now());
        Ok(())
    }

    /// True if there is something to claim or to reap, as far as can be told without the lock. A worker
    /// that is busy knows that from the time before.
    pub(super) fn has_work(&mut self, home: &Home, now: Now) -> Result<bool, JournalError> {
        let is_fresh = self.read_at.is_some_and(|at| now.watch.duration_since(at) < FRESH);
        if is_fresh && self.is_due(now) {
            return Ok(true);
        }
        self.read(home)?;
        Ok(self.is_due(now))
    }

    fn is_due(&mut self, now: Now) -> bool {
        self.next(now).is_some() || self.open().expired(now, 1).next().is_some()
    }

    /// The item to be worked on next.
    pub(super) fn next(&mut self, now: Now) -> Option<&OpenItem> {
        self.open.state_mut().make_ready(now);
        self.open().best()
    }

    /// Takes back a batch of items whose claim is over; how many.
    pub(super) fn reap(&self, locked: &mut LockedLog<'_>, now: Now) -> Result<usize, JournalError> {
        let expired = self.open().expired(now, MAX_BATCH_RECORDS);
        let events: Vec<Event> = expired
            .map(|OpenItem { item, word, .. }| {
                let (state, said) = word.expired();
                work_event(state, item, &said).expect(ExpectedVersion::Exact(word.version))
            })
            .collect();
        if !events.is_empty() {
            locked.append(&events)?;
        }
        Ok(events.len())
    }
}

/// The record that put an item in, for its input.
pub(super) fn enqueued(locked: &mut LockedLog<'_>, next: &OpenItem) -> Result<Record, WorkError> {
    let batch = locked.keyed(&key(&next.item))?;
    batch.and_then(|batch| batch.into_iter().next()).ok_or_else(|| WorkError::Foreign {
        item: next.item.clone(),
        seq: next.word.seq,
        reason: "it is open, though no record has its key".to_owned(),
    })
}
