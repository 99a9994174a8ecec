//! An attempt of a step that is alive as long as its process is.

use serde_json::value::RawValue;

use super::history::Started;
use crate::clock::Timestamp;
use crate::error::IoError;
use crate::id::{EventId, StepName};
use crate::io::{Dir, LockFile};
use crate::journal::StepRef;
use crate::layout;

/// A running attempt. While it lives, it holds the lock on its liveness file, which the kernel frees
/// when the process dies.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) step: StepName,
    pub(super) started: EventId,
    pub(super) started_at: Timestamp,
    pub(super) payload: Started,
    pub(super) item: Option<Box<RawValue>>,
    pub(super) dir: Dir,
    pub(super) alive: LockFile,
    /// Its end leaves the disk as a killed process would.
    #[cfg(feature = "testing")]
    pub(super) crashed: bool,
}

impl Attempt {
    pub(super) fn number(&self) -> u64 {
        self.payload.attempt
    }

    pub(super) fn step_ref(&self) -> StepRef {
        StepRef { name: self.step.clone(), started: self.started }
    }

    /// A directory for this attempt alone, removed when the attempt ends. It is reached from the run's
    /// directory, whatever that one's path leads to by now.
    pub(super) fn work_dir(&self) -> Result<Dir, IoError> {
        let path = layout::work(self.started);
        self.dir.create_dir(&path)?;
        self.dir.open_dir(&path)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        #[cfg(feature = "testing")]
        if self.crashed {
            return self.alive.unlock();
        }
        let _ = self.dir.remove_tree(&layout::work(self.started));
        // The journal has the end, or will have a new start: the file has done its work. What stays
        // is unlocked when this process ends, and prune takes it.
        let _ = self.dir.remove_file(&layout::liveness(self.started));
        self.alive.unlock();
    }
}
