//! Who works on a run now.

use std::time::Duration;

use super::Task;
use crate::error::IoError;
use crate::id::RunId;
use crate::io::Dir;
use crate::journal::Home;
use crate::layout;

/// For how long a run's lock is waited for: who has it longer works on the run.
const PATIENCE: Duration = Duration::from_millis(500);

/// A run's journal, to be locked in nobody's name, and soon or not at all.
pub(crate) fn home_of(task: &Task, run: &RunId) -> Home {
    let mut home = task.context(run).home().without_caller();
    home.runtime.lock_timeout = home.runtime.lock_timeout.min(PATIENCE);
    home
}

/// Who runs a step in a run now: its liveness file is locked.
pub(crate) fn running(run: &Dir) -> Result<Option<String>, IoError> {
    let names = match run.list(layout::TMP) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    for (name, _) in names {
        if name.ends_with(".live")
            && let Some(holder) = holder(run, &format!("{}/{name}", layout::TMP))?
        {
            return Ok(Some(holder));
        }
    }
    Ok(None)
}

/// Who holds a lock, if anybody does and the file is there.
pub(crate) fn holder(dir: &Dir, lock: &str) -> Result<Option<String>, IoError> {
    let lock = match dir.open_lock_shared(lock) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    if lock.try_shared()? {
        lock.unlock();
        return Ok(None);
    }
    Ok(Some(lock.holder()))
}
