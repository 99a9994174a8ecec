//! Group commit: threads that share a writer hand their events to the one that has the journal.
//!
//! Who wants something durable while another thread appends, leaves it there and sleeps. The other appends it as well,
//! under the same lock: each batch by itself, checked and refused by itself, as if its own thread had. All of them share
//! the next sync. (It knows nothing of artifacts, but who locks a journal puts them in place first.)

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::HomeWriter;
use crate::journal::{
    AllAppended, Durability, Event, JournalError, JournalSync, LockedLog, Ticket,
};
use crate::planted::Bug;

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
        let sync = self.journal_sync()?;
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
        if appended.is_ok() {
            // Taken last, so that the sync that we wait for is one of all batches of this turn; and before the turn ends, so
            // that it is ours as well if those who wake then sync at once.
            let ticket = sync.take(written);
            turn.syncs = true;
            drop(turn);
            sync.wait(|| Some(ticket))?;
        }
        appended
    }
}

impl Group {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in between its changes panics.
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

    /// Appends it.
    fn append(&self, locked: &mut LockedLog<'_>, sync: &JournalSync) -> Appended {
        let Batch::Waits(events) = self.replace(Batch::InHand) else { return Appended::Nothing };
        let before = locked.written();
        let early = Bug::TicketEarly.is_planted().then(|| sync.take(before));
        let appended = catch_unwind(AssertUnwindSafe(|| locked.append(&events)));
        let appended = appended.unwrap_or_else(|panic| {
            // A clock or a source of ids; those are asked before anything is written.
            let is_out = locked.written() == before && !locked.is_stale();
            let is_out = is_out || Bug::LostGivenBack.is_planted();
            self.replace(if is_out { Batch::GivenBack } else { Batch::Lost });
            resume_unwind(panic)
        });
        let is_in = appended.is_ok();
        let ticket = match is_in && !Bug::HandedUnsynced.is_planted() {
            true => early.unwrap_or_else(|| sync.take(locked.written())),
            false => Ticket::NONE,
        };
        self.replace(Batch::Done(appended, ticket));
        if is_in { Appended::Events(events.len()) } else { Appended::Nothing }
    }
}

/// What became of a batch that was handed over.
#[derive(PartialEq, Eq)]
enum Appended {
    Events(usize),
    /// It was refused: its thread waits for no sync.
    Nothing,
}

/// Events of a batch that is handed over, at most: a longer one goes by itself.
pub(super) const HANDED: usize = 16;
/// Batches and events of a turn, at which it ends: others may sync meanwhile, and those come again.
const MOST: usize = 64;

/// The turn of the thread that appends for all.
struct Turn<'a> {
    group: &'a Group,
    sync: &'a JournalSync,
    /// Until nothing is handed over any more.
    goes_on: bool,
    /// True if somebody was refused.
    refused: bool,
    /// True once the caller is sure to sync for those who were not.
    syncs: bool,
}

impl<'a> Turn<'a> {
    fn new(group: &'a Group, sync: &'a JournalSync) -> Self {
        Self { group, sync, goes_on: true, refused: false, syncs: false }
    }

    /// Appends what was handed over. Once there is nothing, whoever comes has a turn of his own.
    fn append_handed(&mut self, locked: &mut LockedLog<'_>) {
        let mut done = 0;
        while done < MOST {
            let Some(handed) = self.next() else { return };
            done += 1;
            match handed.append(locked, self.sync) {
                Appended::Events(events) => done += events,
                Appended::Nothing => self.refused = true,
            }
        }
    }

    fn next(&mut self) -> Option<Arc<Handed>> {
        let mut state = self.group.state();
        let next = state.handed.pop_front();
        state.is_taken = next.is_some();
        self.goes_on = next.is_some();
        next
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.goes_on {
            let left = mem::take(&mut *self.group.state()).handed;
            left.iter().for_each(|handed| drop(handed.replace(Batch::GivenBack)));
        }
        if self.goes_on || self.refused || !self.syncs {
            self.sync.wake();
        }
    }
}
