//! Group commit: threads that share a writer hand their events to the one that has the journal.
//!
//! Who wants something durable while another thread appends, leaves it there and sleeps. The other appends it as well,
//! under the same lock: each batch by itself, checked and refused by itself, as if its own thread had. All of them share
//! the next sync.

use std::collections::VecDeque;
use std::mem;
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
    /// True while somebody appends for all.
    led: bool,
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
    /// Nobody took it in hand.
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
                return self.lead(sync, events);
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
    fn lead(&self, sync: &JournalSync, events: &[Event]) -> Result<AllAppended, JournalError> {
        let mut led = Led::new(&self.group, sync);
        let (appended, written) = self.decide(Durability::Buffered, |locked| {
            let appended = locked.append(events);
            led.append_handed(locked);
            Ok::<_, JournalError>((appended, locked.written()))
        })?;
        // What came while the journal was unlocked. Where that fails, they are told themselves.
        while led.goes_on() {
            let more = self.decide(Durability::Buffered, |locked| {
                led.append_handed(locked);
                Ok::<_, JournalError>(())
            });
            if more.is_err() {
                break;
            }
        }
        led.wakes |= appended.is_err();
        drop(led);
        let appended = appended?;
        let ticket = sync.take(written);
        sync.wait(|| Some(ticket))?;
        Ok(appended)
    }
}

impl Group {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of it is one call, so a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves a batch to whoever appends for all; `None` where nobody does: from now on, it is the caller who does.
    fn hand_over(&self, events: &[Event]) -> Option<Arc<Handed>> {
        let mut state = self.state();
        if !mem::replace(&mut state.led, true) {
            return None;
        }
        let handed = Arc::new(Handed(Mutex::new(Batch::Waits(events.to_vec()))));
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

    /// Appends it; false where it was refused.
    fn append(&self, locked: &mut LockedLog<'_>, sync: &JournalSync) -> bool {
        let Batch::Waits(events) = self.replace(Batch::InHand) else { return true };
        let appended = locked.append(&events);
        let is_in = appended.is_ok();
        let ticket = if is_in { sync.take(locked.written()) } else { Ticket::NONE };
        self.replace(Batch::Done(appended, ticket));
        is_in
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
const TURN: usize = 1024;

/// The turn of the thread that appends for all.
struct Led<'a> {
    group: &'a Group,
    sync: &'a JournalSync,
    /// Until nothing is handed over any more.
    leads: bool,
    taken: Vec<Arc<Handed>>,
    /// True if somebody sleeps whom no sync of the caller's wakes.
    wakes: bool,
}

impl<'a> Led<'a> {
    fn new(group: &'a Group, sync: &'a JournalSync) -> Self {
        Self { group, sync, leads: true, taken: Vec::new(), wakes: false }
    }

    /// Appends what was handed over up to now.
    fn append_handed(&mut self, locked: &mut LockedLog<'_>) {
        while let Some(handed) = self.next() {
            self.wakes |= !handed.append(locked, self.sync);
        }
    }

    fn next(&mut self) -> Option<Arc<Handed>> {
        if self.taken.len() == TURN {
            return None;
        }
        let handed = self.group.state().handed.pop_front()?;
        self.taken.push(Arc::clone(&handed));
        Some(handed)
    }

    /// False where nothing was handed over any more: whoever comes from now on leads.
    fn goes_on(&mut self) -> bool {
        let mut state = self.group.state();
        if state.handed.is_empty() {
            state.led = false;
            self.leads = false;
        }
        self.leads && self.taken.len() < TURN
    }
}

impl Drop for Led<'_> {
    fn drop(&mut self) {
        if self.leads {
            let left = mem::take(&mut *self.group.state()).handed;
            self.taken.iter().chain(&left).for_each(|handed| handed.give_back());
        }
        if self.leads || self.wakes {
            self.sync.wake();
        }
    }
}
