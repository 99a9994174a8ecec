//! Who is shown the system calls that are made on a tree. Only the proof's build has this.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::Stat;
use rustix::io::Errno;

pub use super::call::{Call, Node, Verdict};

/// Who is shown each call.
pub trait Watch: std::fmt::Debug + Send + Sync {
    /// Before it is made.
    fn before(&self, call: &Call<'_>) -> Verdict {
        let _ = call;
        Verdict::Go
    }

    /// What the system tells of the times of a file that changed at this time, in seconds, where that is not
    /// exactly it: file systems round.
    fn time_told(&self, changed: i64) -> Option<i64> {
        let _ = changed;
        None
    }

    /// After it went well, with what it opened or made; of a write, with the bytes that were written.
    fn after(&self, call: &Call<'_>, made: Option<Node>) {
        let _ = (call, made);
    }
}

/// Stands for the directory of what is named by a whole path.
pub(super) const WHOLE_PATH: Node = 0;

/// The trees that are watched.
static WATCHED: RwLock<Vec<(PathBuf, Arc<dyn Watch>)>> = RwLock::new(Vec::new());

/// Ends the watch when it is dropped. What was opened meanwhile stays watched.
#[derive(Debug)]
pub struct Watching(Arc<dyn Watch>);

impl Drop for Watching {
    fn drop(&mut self) {
        let mut watched = WATCHED.write().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|(_, watch)| !Arc::ptr_eq(watch, &self.0));
    }
}

/// Shows each call on what is opened from now on, at this path or below it, to somebody.
#[must_use]
pub fn watch(root: &Path, by: Arc<dyn Watch>) -> Watching {
    let mut watched = WATCHED.write().unwrap_or_else(PoisonError::into_inner);
    watched.push((root.to_owned(), Arc::clone(&by)));
    Watching(by)
}

pub(super) fn watch_of(path: &CStr) -> Option<Arc<dyn Watch>> {
    let path = Path::new(path.to_str().ok()?);
    let watched = WATCHED.read().unwrap_or_else(PoisonError::into_inner);
    watched.iter().find(|(root, _)| path.starts_with(root)).map(|(_, watch)| Arc::clone(watch))
}

/// Something open, and who watches it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(super) watch: Arc<dyn Watch>,
    pub(super) node: Node,
}

impl Seen {
    pub(super) fn before(&self, call: &Call<'_>) -> Result<Option<usize>, Errno> {
        match self.watch.before(call) {
            Verdict::Go => Ok(None),
            Verdict::Fail(errno) => Err(Errno::from_raw_os_error(errno)),
            Verdict::Short(most) => Ok(Some(most)),
        }
    }
}

/// Makes a call on what may be watched.
pub(super) fn make<'a, T>(
    seen: Option<&Seen>,
    call: impl Fn(Node) -> Call<'a>,
    make: impl FnOnce() -> Result<T, Errno>,
) -> Result<T, Errno> {
    let Some(seen) = seen else { return make() };
    let call = call(seen.node);
    seen.before(&call)?;
    let made = make()?;
    seen.watch.after(&call, None);
    Ok(made)
}

/// What is told of a file to who is watched.
pub(super) fn told(mut stat: Stat, seen: Option<&Seen>) -> Stat {
    let time = |changed| seen.and_then(|seen| seen.watch.time_told(changed));
    if let Some(told) = time(stat.st_mtime) {
        (stat.st_mtime, stat.st_mtime_nsec) = (told, 0);
    }
    if let Some(told) = time(stat.st_ctime) {
        (stat.st_ctime, stat.st_ctime_nsec) = (told, 0);
    }
    stat
}
