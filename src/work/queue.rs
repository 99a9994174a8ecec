//! The queue: add, claim, complete, fail, renew, reap.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::draft::{Enqueued, check_name, key};
use super::item::{Items, STREAM, Word, work_event};
use super::known::{Known, enqueued};
use super::timer::{Now, after, milliseconds};
use super::{Claim, ClaimRef, Work, WorkError, WorkItem, WorkState};
use crate::artifact::HomeWriter;
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::journal::{
    Actor, AllAppended, Appended, Durability, Event, Events, ExpectedVersion, Folded, JournalError,
    Record,
};
use crate::workspace::Task;

/// A queue of work over the journal of a run or a task. Any number of workers, in threads and
/// processes, share it; each keeps a handle, which knows the open items and reads on from there.
///
/// An item is added once and completes once. It is claimed by one worker at a time, for a time that can
/// be renewed; a claim that runs out, because its worker died or hangs, goes to the next, and what the
/// first one still says is refused. So an item may be *worked on* twice, and what it leads to is best
/// appended [with its completion](Queue::done_with).
///
/// All calls are durable unless [`durability`](Queue::durability) says otherwise: what returned survives
/// a power cut. A crash leaves the call done or not done, and the same call is right after it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let workspace = runjournal::Workspace::create(&root)?;
/// use std::time::Duration;
/// use runjournal::{Event, TaskOptions, Work};
///
/// let task = workspace.create_task("TASK-1", TaskOptions::default())?;
/// let queue = task.queue();
/// queue.add(Work::new("page-17").input(&"https://example.org/17").attempts(3))?;
///
/// while let Some(claim) = queue.next("worker-1", Duration::from_secs(60))? {
///     let url: String = claim.input()?;
///     match Some(url.len()) { // the work
///         Some(size) => queue.done_with(&claim, [Event::new("page_read").payload(&size)])?,
///         None => queue.fail(&claim, "it does not answer", Duration::from_secs(5))?,
///     };
/// }
/// assert_eq!(queue.items()?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Queue {
    writer: Arc<HomeWriter>,
    known: Arc<Mutex<Known>>,
    durability: Durability,
}

impl RunContext {
    /// The queue of the run. Nothing is opened before it is used.
    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue::new(self.writer())
    }
}

impl Task {
    /// The queue of the task. Nothing is opened before it is used.
    #[must_use]
    pub fn queue(&self) -> Queue {
        Queue::new(self.writer())
    }
}

impl Queue {
    fn new(writer: Arc<HomeWriter>) -> Self {
        let known = Arc::new(Mutex::new(Known::new()));
        Self { writer, known, durability: Durability::Durable }
    }

    /// What each call survives once it returned; `Durable` unless said otherwise. A durable call makes
    /// all that was appended before it durable too: of many items to add, only the last needs to be.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Puts an item in, once: where one with the same id and the same meaning was added before, that
    /// one is returned as a duplicate, whatever became of it.
    ///
    /// # Errors
    /// [`WorkError::Conflict`] where an item with this id and another priority, input or number of
    /// attempts was added before; [`WorkError::BadName`], [`WorkError::NoAttempts`] and
    /// [`WorkError::BadInput`] where it cannot be added; [`WorkError::Journal`] where the journal refuses.
    pub fn add(&self, work: Work) -> Result<Appended, WorkError> {
        let enqueued = work.checked()?;
        match self.writer.append(&[enqueued.event()], self.durability) {
            Err(JournalError::KeyConflict { seq, difference, .. }) => {
                Err(self.conflict(enqueued, seq, difference)?)
            }
            other => first(other?, &enqueued.item),
        }
    }

    /// What to say of an item whose id was used before.
    fn conflict(&self, new: Enqueued, seq: u64, other: &str) -> Result<WorkError, JournalError> {
        let old = self.writer.with_log(|log| log.lock()?.keyed(&key(&new.item)))?;
        let old = old.as_deref().and_then(<[_]>::first);
        let difference = old.map(|old| new.difference(old)).transpose()?;
        let difference = difference.filter(|difference| !difference.is_empty());
        let difference = difference.unwrap_or_else(|| other.to_owned());
        Ok(WorkError::Conflict { item: new.item, seq, difference })
    }

    /// Claims the next item that is due: of the greatest priority, then the oldest. Claims that are over
    /// are [reaped](Queue::reap) before, a batch of them at most, so that their items may be the next.
    /// `None` where nothing is due now; [`due`](Queue::due) says when that may change.
    ///
    /// # Errors
    /// [`WorkError::BadName`] and [`WorkError::NoTime`] where there can be no such claim;
    /// [`WorkError::Journal`] where the journal refuses.
    pub fn next(&self, owner: &str, ttl: Duration) -> Result<Option<Claim>, WorkError> {
        check_name("owner", owner)?;
        let ttl_ms = checked(ttl)?;
        let mut known = self.known();
        if !known.has_work(self.writer.home(), self.now())? {
            return Ok(None);
        }
        self.writer.decide(self.durability, move |locked| {
            // Who may not write is told so, and not that there is nothing to do.
            locked.check_admitted()?;
            known.catch_up(locked)?;
            let now = self.now();
            if known.reap(locked, now)? > 0 {
                known.catch_up(locked)?;
            }
            let Some(next) = known.next(now) else { return Ok(None) };
            let enqueued = enqueued(locked, next)?;
            let attempt = next.word.said.attempt.saturating_add(1);
            let reference = ClaimRef::new(next.item.as_str(), owner, attempt);
            let expires_at = after(now.clock, ttl);
            let said = next.word.claimed(&reference, ttl_ms, expires_at);
            let event = work_event(WorkState::Claimed, &next.item, &said)
                .actor(worker(owner))
                .expect(ExpectedVersion::Exact(next.word.version));
            locked.append(std::slice::from_ref(&event))?;
            Ok(Some(Claim { reference, expires_at, enqueued }))
        })
    }

    /// Completes an item. Once more for the same claim, after an answer that was lost, is a duplicate.
    ///
    /// # Errors
    /// [`WorkError::NotOwner`] where the claim is over, because it expired and was reaped, or was never
    /// the caller's; [`WorkError::NotFound`]; [`WorkError::Journal`] where the journal refuses.
    pub fn done(&self, claim: &ClaimRef) -> Result<Appended, WorkError> {
        self.done_with(claim, [])
    }

    /// Completes an item, and appends events as one with its completion: they are there if it is, and
    /// once. Of a duplicate they are not looked at.
    ///
    /// # Errors
    /// As [`done`](Queue::done); [`WorkError::Journal`] where an event cannot be appended: it may not have
    /// a key, for the completion is what happens once, and there may be 1,023 of them.
    pub fn done_with(
        &self,
        claim: &ClaimRef,
        events: impl IntoIterator<Item = Event>,
    ) -> Result<Appended, WorkError> {
        let events: Vec<Event> = events.into_iter().collect();
        events.iter().try_for_each(Event::check_user)?;
        let is_repeated = |word: &Word| word.state == WorkState::Completed;
        self.end(claim, is_repeated, |word| {
            let completed = work_event(WorkState::Completed, &claim.item, &word.completed());
            std::iter::once(completed.actor(worker(&claim.owner))).chain(events).collect()
        })
    }

    /// Ends an attempt that failed: the item is tried again after the delay, or is dead, where that was
    /// its last attempt. Once more for the same claim, after an answer that was lost, is a duplicate.
    ///
    /// # Errors
    /// As [`done`](Queue::done).
    pub fn fail(
        &self,
        claim: &ClaimRef,
        error: impl fmt::Display,
        delay: Duration,
    ) -> Result<Appended, WorkError> {
        let error = error.to_string();
        let is_repeated = |word: &Word| {
            matches!(word.state, WorkState::Failed | WorkState::Dead) && !word.said.expired
        };
        self.end(claim, is_repeated, |word| {
            let wait =
                (!delay.is_zero()).then(|| (after(self.now().clock, delay), milliseconds(delay)));
            let (state, said) = word.failed(error, wait);
            vec![work_event(state, &claim.item, &said).actor(worker(&claim.owner))]
        })
    }

    /// Makes a claim last for this time from now on; when it will be over.
    ///
    /// # Errors
    /// As [`done`](Queue::done); [`WorkError::NoTime`].
    pub fn renew(&self, claim: &ClaimRef, ttl: Duration) -> Result<Timestamp, WorkError> {
        let ttl_ms = checked(ttl)?;
        let mut expires_at = self.now().clock;
        self.end(
            claim,
            |_| false,
            |word| {
                expires_at = after(self.now().clock, ttl);
                let said = word.claimed(claim, ttl_ms, expires_at);
                vec![work_event(WorkState::Claimed, &claim.item, &said).actor(worker(&claim.owner))]
            },
        )?;
        Ok(expires_at)
    }

    /// Takes items back whose claim is over: by the clock of this process, or because this handle saw it
    /// unrenewed for as long as it was to last, so that a claim from a clock that was days ahead holds
    /// nothing for ever. They are due at once, or dead where that was their last attempt. How many.
    ///
    /// # Errors
    /// [`WorkError::Journal`] where the journal refuses.
    pub fn reap(&self) -> Result<usize, WorkError> {
        let mut reaped = 0;
        loop {
            let mut known = self.known();
            known.read(self.writer.home())?;
            if known.open().expired(self.now(), 1).next().is_none() {
                return Ok(reaped);
            }
            reaped += self.writer.decide(self.durability, move |locked| {
                known.catch_up(locked)?;
                known.reap(locked, self.now())
            })?;
        }
    }

    /// When [`next`](Queue::next) may have something: now, or the time when an item is due or a claim
    /// over. `None` where no item is open: all are completed or dead. Read without a lock, once no
    /// other thread is claiming with this handle.
    ///
    /// # Errors
    /// [`WorkError::Journal`] where the journal cannot be read.
    pub fn due(&self) -> Result<Option<Timestamp>, WorkError> {
        let mut known = self.known();
        known.read(self.writer.home())?;
        Ok(known.open().due(self.now()))
    }

    /// All items, in the order in which they were added, those that are over included. Reads the journal
    /// from its start, without a lock.
    ///
    /// # Errors
    /// [`WorkError::Journal`] where the journal cannot be read.
    pub fn items(&self) -> Result<Vec<WorkItem>, WorkError> {
        Ok(self.read(None)?)
    }

    /// An item; `None` where there is none with this id. Its last record is looked for from the journal's
    /// end, without a lock.
    ///
    /// # Errors
    /// [`WorkError::Journal`] where the journal cannot be read.
    pub fn item(&self, item: &str) -> Result<Option<WorkItem>, WorkError> {
        let events = Events::open(self.writer.home())?.in_stream(STREAM, item);
        let Some(last) = events.last(1)?.next() else { return Ok(None) };
        match Word::of(&last?)? {
            Some(word) => Ok(Some(WorkItem::new(item, word))),
            // What is not known is passed over, here as in the list.
            None => Ok(self.read(Some(item))?.pop()),
        }
    }

    fn read(&self, item: Option<&str>) -> Result<Vec<WorkItem>, JournalError> {
        let mut items = Folded::<Items>::new(STREAM, item.map(str::to_owned));
        items.read(self.writer.home())?;
        Ok(items.state().listed())
    }

    /// What this handle knows. The journal's lock is taken behind this one and never before it: who reads
    /// damage waits for that lock.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        Now { clock: self.writer.home().runtime.clock.now(), watch: Instant::now() }
    }

    /// Appends what ends or renews a claim, if it is the one that the item's last record names; nothing,
    /// where it was ended in this way before.
    fn end(
        &self,
        claim: &ClaimRef,
        is_repeated: impl FnOnce(&Word) -> bool,
        events: impl FnOnce(&Word) -> Vec<Event>,
    ) -> Result<Appended, WorkError> {
        self.writer.decide(self.durability, |locked| {
            let Some(last) = locked.last(STREAM, &claim.item)? else {
                locked.check_admitted()?;
                return Err(WorkError::NotFound { item: claim.item.clone() });
            };
            let word = Word::of(&last)?.ok_or_else(|| foreign(&claim.item, &last))?;
            if word.is_of(claim) {
                if word.state == WorkState::Claimed {
                    return first(locked.append(&events(&word))?, &claim.item);
                }
                if is_repeated(&word) {
                    let (seq, event_id) = (last.seq(), last.event_id());
                    let stream_version = last.stream_version();
                    return Ok(Appended { seq, event_id, stream_version, duplicate: true });
                }
            }
            locked.check_admitted()?;
            let ClaimRef { item, owner, attempt } = claim.clone();
            let now = Box::new(WorkItem::new(&item, word));
            Err(WorkError::NotOwner { item, owner, attempt, now })
        })
    }
}

fn foreign(item: &str, record: &Record) -> WorkError {
    let reason = format!("its last record is of the type {:?}", record.event_type());
    WorkError::Foreign { item: item.to_owned(), seq: record.seq(), reason }
}

fn worker(owner: &str) -> Actor {
    Actor::worker(owner)
}

fn checked(ttl: Duration) -> Result<u64, WorkError> {
    if ttl.is_zero() { Err(WorkError::NoTime) } else { Ok(milliseconds(ttl)) }
}

/// What became of the first event of a batch.
fn first(appended: AllAppended, item: &str) -> Result<Appended, WorkError> {
    let none = || JournalError::BadEvent {
        event_type: STREAM.to_owned(),
        reason: format!("nothing was appended for {item:?}"),
    };
    Ok(appended.into_iter().next().ok_or_else(none)?)
}
