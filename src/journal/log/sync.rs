//! One `fdatasync` for all who want durability at the same time.
//!
//! Whoever wants it takes a ticket once its bytes are written. The first becomes the leader and syncs
//! for every ticket taken before that sync began; the others wait. No lock on the journal is held
//! meanwhile, so appends go on and gather for the next sync.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::IoError;
use crate::io::{AppendFile, Dir};
use crate::journal::JournalError;
use crate::journal::log::note::Identity;
use crate::journal::log::{doubt, sync_between};
use crate::planted::Bug;

/// What the writers of one journal in this process share.
#[derive(Debug, Default)]
pub(crate) struct SharedSync {
    /// Which journal, where the system can tell.
    journal: Option<Identity>,
    /// True once a sync failed; why, the state says.
    has_failed: AtomicBool,
    /// Syncs that are still to be shared with other processes.
    others: AtomicU32,
    /// The last ticket, for who looks without the lock.
    taken: AtomicU64,
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The last ticket that was taken.
    taken: u64,
    /// The last ticket that a sync covered.
    covered: u64,
    /// How long the journal was, as far as those knew who took a ticket,
    written: u64,
    /// and how much of that is on the disk.
    synced: u64,
    /// True while somebody syncs, or is about to.
    led: bool,
    /// Tickets that the last sync covered or that were taken while it ran, and how long it took.
    last_active: u64,
    last_took: Duration,
    /// The first failure: from then on no sync can be believed.
    failed: Option<String>,
}

/// What somebody wants on the disk, by its number: who comes later wants more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// Of who has nothing to wait for.
    pub(crate) const NONE: Self = Self(0);
}

/// How long a file is new: a note is there by then.
const NEW: Duration = Duration::from_secs(2);
/// Syncs that are shared with other processes since one of them was seen to append.
const SHARED_WITH_OTHERS: u32 = 64;

static ALL: Mutex<Option<HashMap<Identity, Weak<SharedSync>>>> = Mutex::new(None);

impl SharedSync {
    /// That of this journal.
    pub(crate) fn of(file: &AppendFile) -> Result<Arc<Self>, IoError> {
        let Some(journal) = file.identity()? else { return Ok(Arc::default()) };
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        let all = all.get_or_insert_default();
        if let Some(shared) = all.get(&journal).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        all.retain(|_, shared| shared.strong_count() > 0);
        let shared = Arc::new(Self { journal: Some(journal), ..Self::default() });
        all.insert(journal, Arc::downgrade(&shared));
        Ok(shared)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment, so a panic leaves it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no sync can be believed any more, if one failed.
    pub(crate) fn failed(&self) -> Option<String> {
        if self.has_failed.load(Ordering::Acquire) { self.state().failed.clone() } else { None }
    }

    /// Poisons every writer of the journal in this process.
    pub(crate) fn fail(&self, source: &IoError) {
        self.fail_in(&mut self.state(), source);
    }

    fn fail_in(&self, state: &mut State, source: &IoError) {
        if Bug::FailedSyncForgotten.is_planted() {
            return;
        }
        state.failed.get_or_insert_with(|| source.source.to_string());
        self.has_failed.store(true, Ordering::Release);
    }

    /// Notes that other processes append as well, so that for a while syncs are shared with them.
    pub(crate) fn saw_others(&self) {
        self.others.store(SHARED_WITH_OTHERS, Ordering::Relaxed);
    }

    /// One `fdatasync`, of this process or of another that does one at the same time.
    fn sync_file(&self, file: &AppendFile, dir: &Dir) -> Result<(), IoError> {
        let others = self.others.load(Ordering::Relaxed);
        if Bug::SyncRetried.is_planted() && file.sync().is_ok() {
            return Ok(());
        }
        match self.journal {
            Some(journal) if others > 0 => {
                self.others.store(others - 1, Ordering::Relaxed);
                sync_between::sync(file, dir, journal)
            }
            _ => file.sync(),
        }
    }

    /// Brings to the disk what a sync that failed left in doubt; true if one had.
    pub(crate) fn settle(&self, file: &AppendFile, dir: &Dir) -> Result<bool, JournalError> {
        let Some(journal) = self.journal else { return Ok(false) };
        let Some(end) = doubt::settle(dir, file, journal)? else { return Ok(false) };
        let mut state = self.state();
        state.written = state.written.max(end);
        state.synced = state.synced.max(end);
        Ok(true)
    }

    /// The journal is shorter than it was: what is known of its length says nothing.
    pub(crate) fn saw_cut(&self) {
        let mut state = self.state();
        (state.written, state.synced) = (0, 0);
    }

    /// The system tells nothing of a failed write to who opened the file after somebody else was told. So for a
    /// while, his note is looked for.
    fn ask_others(&self, file: &AppendFile, dir: &Dir) -> Result<(), IoError> {
        match self.journal {
            Some(journal) if file.age() < NEW => doubt::check(dir, file, journal),
            _ => Ok(()),
        }
    }

    /// A ticket for all that was written to the file before this call: its first `written` bytes.
    pub(crate) fn take(&self, written: u64) -> Ticket {
        let mut state = self.state();
        state.taken += 1;
        state.written = state.written.max(written);
        self.taken.store(state.taken, Ordering::Relaxed);
        Ticket(state.taken)
    }

    /// Lets all who wait look for their tickets again.
    pub(crate) fn wake(&self) {
        // Who looked before and saw nothing, sleeps by the time that the lock is ours.
        drop(self.state());
        self.done.notify_all();
    }

    /// Waits until all that a ticket was taken for is on the disk. As long as there is `None`, somebody else is about to
    /// take it; he syncs afterwards, or wakes us.
    pub(crate) fn wait(
        &self,
        file: &AppendFile,
        dir: &Dir,
        ticket: impl Fn() -> Option<Ticket>,
    ) -> Result<(), JournalError> {
        let mut state = self.state();
        loop {
            let ticket = ticket();
            if ticket.is_some_and(|Ticket(ticket)| state.covered >= ticket) {
                return Ok(());
            }
            if ticket.is_none() || (state.led && state.failed.is_none()) {
                state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            if let Some(reason) = &state.failed {
                let error = std::io::Error::other(reason.clone());
                // Those whose tickets were taken since are told by nobody else.
                self.done.notify_all();
                return Err(not_durable(file, IoError::new("sync", file.path(), error)));
            }
            state.led = true;
            state = self.gather(state);
            let (covers, written) = (state.taken, state.written);
            drop(state);
            let start = Instant::now();
            let synced = self.sync_file(file, dir).and_then(|()| self.ask_others(file, dir));
            state = self.state();
            state.led = false;
            match synced {
                Ok(()) => {
                    state.synced = written;
                    state.last_active = state.taken - state.covered;
                    state.last_took = start.elapsed();
                    state.covered =
                        if Bug::LaterCovered.is_planted() { state.taken } else { covers };
                }
                Err(error) => {
                    // Before the state is let go: whoever came in between would lead the next sync, which
                    // may say OK though the data is gone, and tell so to all who wait.
                    self.fail_in(&mut state, &error);
                    let synced = state.synced;
                    drop(state);
                    // Before anybody is told: who is told may drop all writers, and open a new one.
                    if let Some(journal) = self.journal {
                        doubt::leave(dir, journal, synced);
                    }
                    self.done.notify_all();
                    return Err(not_durable(file, error));
                }
            }
            // Without the lock, which those who are woken want.
            drop(state);
            self.done.notify_all();
            state = self.state();
        }
    }

    /// Gives those whom the sync before let go the time to come again, so that they join those who wait
    /// already and the two do not take turns for ever: a part of the time that a sync takes, and none
    /// where the caller is alone.
    fn gather<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let patience = (state.last_took / 2).min(Duration::from_micros(500));
        let enough = state.covered + state.last_active;
        if state.taken >= enough {
            return state;
        }
        drop(state);
        let start = Instant::now();
        while self.taken.load(Ordering::Relaxed) < enough && start.elapsed() < patience {
            std::thread::yield_now();
        }
        self.state()
    }
}

pub(crate) fn not_durable(file: &AppendFile, source: IoError) -> JournalError {
    JournalError::NotDurable { path: file.path().to_owned(), source }
}
