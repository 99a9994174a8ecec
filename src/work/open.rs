//! The items of a queue that are not over: what is ready, what waits for its time, what is claimed.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use super::WorkState;
use super::item::Word;
use super::timer::{Now, Timer, Until};
use crate::clock::Timestamp;
use crate::journal::{Fold, JournalError, Record, types};

/// The open items of a queue. Memory is for these alone.
#[derive(Debug, Default)]
pub(super) struct OpenWork {
    /// The seq of each item's `work_enqueued`: its number, by which age is told.
    numbers: HashMap<String, u64>,
    items: HashMap<u64, OpenItem>,
    /// Greater priority first, then age.
    ready: BTreeSet<(Reverse<i64>, u64)>,
    delayed: Timer,
    claimed: Timer,
}

/// An item that is not over.
#[derive(Debug)]
pub(super) struct OpenItem {
    pub(super) item: String,
    /// Its last record.
    pub(super) word: Word,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Ready,
    Delayed(Until),
    Claimed(Until),
}

impl Fold for OpenWork {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        let word = Word::of(record)?;
        let number = match self.take(record.stream_id()) {
            Some(number) => number,
            None if record.event_type() == types::WORK_ENQUEUED => record.seq(),
            // It is over: nothing brings it back.
            None => return Ok(()),
        };
        // What a type that is not known did to an item is not known either: it is not handed out.
        if let Some(word) = word.filter(|word| !word.state.is_over()) {
            self.put(number, record.stream_id(), word);
        }
        Ok(())
    }
}

impl OpenWork {
    fn put(&mut self, number: u64, item: &str, mut word: Word) {
        word.said.error = None;
        let said = &word.said;
        let place = match (word.state, said.expires_at, said.not_before) {
            (WorkState::Claimed, Some(at), _) => Place::Claimed(Until::seen(at, said.ttl_ms)),
            (_, _, Some(at)) => Place::Delayed(Until::seen(at, said.delay_ms)),
            _ => Place::Ready,
        };
        match place {
            Place::Ready => _ = self.ready.insert((Reverse(said.priority), number)),
            Place::Delayed(until) => self.delayed.set(number, until),
            Place::Claimed(until) => self.claimed.set(number, until),
        }
        self.numbers.insert(item.to_owned(), number);
        self.items.insert(number, OpenItem { item: item.to_owned(), word, place });
    }

    /// Takes an item out; its number.
    fn take(&mut self, item: &str) -> Option<u64> {
        let number = self.numbers.remove(item)?;
        let taken = self.items.remove(&number)?;
        match taken.place {
            Place::Ready => _ = self.ready.remove(&(Reverse(taken.word.said.priority), number)),
            Place::Delayed(until) => self.delayed.unset(number, until),
            Place::Claimed(until) => self.claimed.unset(number, until),
        }
        Some(number)
    }

    /// Makes ready what was delayed until now. What is ready stays so, if a clock should go back.
    pub(super) fn make_ready(&mut self, now: Now) {
        for number in self.delayed.over(now, usize::MAX) {
            let Some(item) = self.items.get_mut(&number) else { continue };
            if let Place::Delayed(until) = std::mem::replace(&mut item.place, Place::Ready) {
                self.delayed.unset(number, until);
            }
            self.ready.insert((Reverse(item.word.said.priority), number));
        }
    }

    /// The item to be worked on next, of those that are ready.
    pub(super) fn best(&self) -> Option<&OpenItem> {
        let (_, number) = self.ready.first()?;
        self.items.get(number)
    }

    /// Up to `limit` items whose claim is over.
    pub(super) fn expired(&self, now: Now, limit: usize) -> impl Iterator<Item = &OpenItem> {
        let over = self.claimed.over(now, limit);
        over.into_iter().filter_map(|number| self.items.get(&number))
    }

    /// When something will be ready, or a claim over, if anything is open.
    pub(super) fn due(&self, now: Now) -> Option<Timestamp> {
        if !self.ready.is_empty() {
            return Some(now.clock);
        }
        self.delayed.first(now).into_iter().chain(self.claimed.first(now)).min()
    }
}
