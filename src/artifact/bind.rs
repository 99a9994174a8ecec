//! Binding runs to leases: what a claim does to each run, and a holder to one that is not bound yet.

use super::HomeLog;
use crate::journal::{Binding, Held, Home, JournalError, Log, Unsynced};

/// A run that was bound.
pub(crate) struct BoundRun {
    pub(crate) binding: Binding,
    /// To be waited for before anybody acts on it: a binding that a power cut took would let an older
    /// lease in again.
    pub(crate) unsynced: Unsynced,
}

/// Lets only writers with the lease into a run from here on: bind before reading.
pub(crate) fn bind(run: &Home, held: &Held<'_>) -> Result<BoundRun, JournalError> {
    let mut log = HomeLog::open(run)?;
    let binding = log.lock()?.bind(held)?;
    Ok(BoundRun { binding, unsynced: log.unsynced() })
}

/// Binds a run to the lease in whose name it is written, if that is still the newest of the task.
pub(super) fn bind_own(run: &Home) -> Result<(), JournalError> {
    let Some(lease) = &run.lease else { return Ok(()) };
    let mut log = Log::open(&run.of_its_task())?;
    let mut task = log.lock()?;
    let held = Held::check(&mut task, lease)?;
    bind(&run.without_caller(), &held)?.unsynced.sync()
}
