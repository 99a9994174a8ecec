//! How far a long work on a backup is, told now and then while other threads do it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How far a backup, a look at one, or a restore is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupProgress {
    /// How many are done so far: tasks and runs, of a snapshot that is taken and of a restore; pages and objects, of
    /// a verify.
    pub done: u64,
    /// How many of them are known of so far.
    pub known: u64,
    /// How many bytes of content were read so far.
    pub bytes: u64,
    /// How many findings there are so far.
    pub findings: u64,
}

/// How often whoever waits is told how far it is.
const TICK: Duration = Duration::from_millis(100);

/// What those who work count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    done: AtomicU64,
    known: AtomicU64,
    bytes: AtomicU64,
    findings: AtomicU64,
}

impl Counts {
    pub(super) fn add_known(&self, more: usize) {
        self.known.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(super) fn add_done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_bytes(&self, more: u64) {
        self.bytes.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn add_findings(&self, more: usize) {
        self.findings.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn now(&self) -> BackupProgress {
        BackupProgress {
            done: self.done.load(Ordering::Relaxed),
            known: self.known.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            findings: self.findings.load(Ordering::Relaxed),
        }
    }

    /// Has another thread do the work, and tells how far it is meanwhile, and at the end. The work does not wait for
    /// who is told.
    pub(super) fn told<T: Send>(
        &self,
        progress: &mut dyn FnMut(&BackupProgress),
        work: impl Fn() -> T + Sync,
    ) -> T {
        let (working, over) = mpsc::channel::<()>();
        let work = &work;
        let done = thread::scope(|scope| {
            let worker = thread::Builder::new().spawn_scoped(scope, move || {
                // Goes when the work is over, also where it panicked.
                let _working = working;
                work()
            });
            // Where there is no other thread, it is done here, and told at the end.
            let Ok(worker) = worker else { return work() };
            while over.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                progress(&self.now());
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        progress(&self.now());
        done
    }
}
