//! What keeps a lease up while its worker works.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::{Lease, LeaseError};
use crate::error::{IoError, in_one_line};
use crate::journal::JournalError;

/// Renewals in the time of a lease.
const BEATS: u32 = 3;
/// Every so many of them is a record.
const RECORD_EVERY: u64 = 8;

/// Renews a lease on a thread of its own, until it is dropped or the lease is lost.
///
/// A worker need not ask whether the lease is still held: every write is refused once it is not. To ask
/// saves the work.
#[derive(Debug)]
#[must_use = "renewing ends when the guard is dropped"]
pub struct Heartbeat {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    lost: Option<String>,
}

impl Heartbeat {
    pub(super) fn start(lease: Lease, ttl: Duration) -> Result<Self, LeaseError> {
        let shared = Arc::new(Shared::default());
        let path = lease.task().path();
        let theirs = Arc::clone(&shared);
        let thread = Builder::new()
            .name("runjournal-heartbeat".to_owned())
            .spawn(move || theirs.renew(&lease, ttl / BEATS))
            .map_err(|source| IoError::new("start a thread for the lease of", &path, source))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Why the lease is lost, or was not renewed for all its time, once the thread came to know: stop the
    /// work, its writes are refused, or soon may be.
    #[must_use]
    pub fn lost(&self) -> Option<String> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).lost.clone()
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            // What it panicked with was printed; it holds nothing that has to be put in order.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn renew(&self, lease: &Lease, pause: Duration) {
        let (mut beats, mut renewed_at) = (0_u64, Instant::now());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let waited = self.stopped.wait_timeout_while(state, pause, |state| !state.stop);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.stop {
                return;
            }
            // Whoever stops it must not wait for the disk with the state in hand.
            drop(state);
            beats += 1;
            let renewed = match beats.is_multiple_of(RECORD_EVERY) {
                false => lease.beat().or_else(|_| lease.renew()),
                true => lease.renew(),
            };
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match renewed {
                Ok(_) => renewed_at = Instant::now(),
                // Other trouble may pass, as long as the lease lasts.
                Err(error) if is_lost(&error) || renewed_at.elapsed() >= pause * BEATS => {
                    state.lost = Some(in_one_line(&error));
                    return;
                }
                Err(_) => {}
            }
        }
    }
}

fn is_lost(error: &LeaseError) -> bool {
    matches!(
        error,
        LeaseError::Journal(JournalError::LeaseLost { .. } | JournalError::Removed { .. })
    )
}
