//! Group commit: threads that share a writer hand their events to the one that has the journal.
//!
//! Who wants something durable while another thread appends, leaves it there and sleeps. The other appends it as well,
//! under the same lock: each batch by itself, checked and refused by itself, as if its own thread had. All of them share
//! the next sync.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::HomeWriter;
use crate::journal::{
    AllAppended, Durability, Event, JournalError, JournalSync, LockedLog, Ticket,
};

/// Those who share a writer, and want something durable at the same time.
#[derive(Debug, Default)]
pub(super) struct Group {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// True while it is somebody's turn to append for all.
    is_taken: bool,
    handed: VecDeque<Arc<Handed>>,
}

/// A batch that another thread is to append.
#[derive(Debug)]
struct Handed(Mutex<Batch>);

#[derive(Debug)]
enum Batch {
    Waits(Vec<Event>),
    InHand,
    /// What became of it, and the ticket of its sync.
    Done(Result<AllAppended, JournalError>, Ticket),
    /// It was not appended, and will not be.
    GivenBack,
    /// Nobody knows whether it was appended.
    Lost,
}

impl HomeWriter {
    /// Appends a batch, and returns when it is on the disk.
    pub(super) fn append_together(&self, events: &[Event]) -> Result<AllAppended, JournalError> {
        let sync = self.syncing()?;
        loop {
            let Some(handed) = self.group.hand_over(events) else {
                return self.append_for_all(sync, events);
            };
            sync.wait(|| handed.ticket())?;
            match handed.replace(Batch::Lost) {
                Batch::Done(appended, _) => return appended,
                Batch::GivenBack => {}
                _ => return Err(sync.not_told("the thread that appended it panicked")),
            }
        }
    }

    /// The same, and of all that is handed over meanwhile.
    fn append_for_all(
        &self,
        sync: &JournalSync,
        events: &[Event],
    ) -> Result<AllAppended, JournalError> {
        let mut turn = Turn::new(&self.group, sync);
        let (appended, written) = self.decide(Durability::Buffered, |locked| {
            let appended = locked.append(events);
            turn.append_handed(locked);
            Ok::<_, JournalError>((appended, locked.written()))
        })?;
        // The last ticket of the turn: who waits for it, syncs for all whose own was taken before, and wakes them when those
        // can be seen. And before the turn ends: whoever that wakes, may sync at once.
        let ticket = appended.is_ok().then(|| sync.take(written));
        turn.wakes |= ticket.is_none();
        drop(turn);
        let appended = appended?;
        sync.wait(|| ticket)?;
        Ok(appended)
    }
}

impl Group {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one call, so a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a batch to whoever appends for all; `None` where nobody does: from now on, it is the caller's turn.
    fn hand_over(&self, events: &[Event]) -> Option<Arc<Handed>> {
        if !mem::replace(&mut self.state().is_taken, true) {
            return None;
        }
        // It may be long, and nobody should wait for it.
        let handed = Arc::new(Handed(Mutex::new(Batch::Waits(events.to_vec()))));
        let mut state = self.state();
        if !mem::replace(&mut state.is_taken, true) {
            return None;
        }
        state.handed.push_back(Arc::clone(&handed));
        Some(handed)
    }
}

impl Handed {
    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, with: Batch) -> Batch {
        mem::replace(&mut *self.batch(), with)
    }

    /// What its thread waits for, once that is known.
    fn ticket(&self) -> Option<Ticket> {
        match *self.batch() {
            Batch::Waits(_) | Batch::InHand => None,
            Batch::Done(_, ticket) => Some(ticket),
            Batch::GivenBack | Batch::Lost => Some(Ticket::NONE),
        }
    }

    /// Appends it. True if its thread has to be woken, since no sync does that.
    fn append(&self, locked: &mut LockedLog<'_>, sync: &JournalSync) -> bool {
        let Batch::Waits(events) = self.replace(Batch::InHand) else { return false };
        let before = locked.written();
        let appended = catch_unwind(AssertUnwindSafe(|| locked.append(&events)));
        let appended = appended.unwrap_or_else(|panic| {
            // A clock or a source of ids; those are asked before anything is written.
            if locked.written() == before && !locked.is_stale() {
                self.replace(Batch::Waits(events));
            }
            resume_unwind(panic)
        });
        let is_refused = appended.is_err();
        let ticket = if is_refused { Ticket::NONE } else { sync.take(locked.written()) };
        self.replace(Batch::Done(appended, ticket));
        is_refused
    }

    /// Nobody will append it any more.
    fn give_back(&self) {
        let mut batch = self.batch();
        *batch = match *batch {
            Batch::Waits(_) => Batch::GivenBack,
            Batch::InHand => Batch::Lost,
            _ => return,
        };
    }
}

/// So many are appended in one turn: others may sync meanwhile, and those come again.
const MOST: usize = 64;

/// The turn of the thread that appends for all.
struct Turn<'a> {
    group: &'a Group,
    sync: &'a JournalSync,
    /// Until nothing is handed over any more.
    goes_on: bool,
    taken: Vec<Arc<Handed>>,
    /// True if somebody sleeps whom no sync of the caller's wakes.
    wakes: bool,
}

impl<'a> Turn<'a> {
    fn new(group: &'a Group, sync: &'a JournalSync) -> Self {
        Self { group, sync, goes_on: true, taken: Vec::new(), wakes: false }
    }

    /// Appends what was handed over.
    fn append_handed(&mut self, locked: &mut LockedLog<'_>) {
        while let Some(handed) = self.next() {
            self.wakes |= handed.append(locked, self.sync);
        }
    }

    /// The next batch. Once there is none, whoever comes has a turn of his own.
    fn next(&mut self) -> Option<Arc<Handed>> {
        if self.taken.len() == MOST {
            return None;
        }
        let mut state = self.group.state();
        let next = state.handed.pop_front();
        state.is_taken = next.is_some();
        self.goes_on = next.is_some();
        self.taken.extend(next.clone());
        next
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.goes_on {
            let left = mem::take(&mut *self.group.state()).handed;
            self.taken.iter().chain(&left).for_each(|handed| handed.give_back());
        }
        if self.goes_on || self.wakes {
            self.sync.wake();
        }
    }
}
