//! Who is shown the system calls that are made on a tree. Only the proof's build has this.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::Stat;
use rustix::io::Errno;

/// The number of a file or directory on its disk. It may be given again to another once the first is gone.
pub type Node = u64;

/// A system call on something below a watched tree, as it is about to be made, or was.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names of the fields say what they are")]
#[non_exhaustive]
pub enum Call<'a> {
    /// What is there is opened.
    Open { dir: Node, name: &'a CStr },
    /// A file is opened, and made where it is not there; `only_new` is refused where it is.
    Create { dir: Node, name: &'a CStr, only_new: bool },
    /// A directory is made.
    MakeDir { dir: Node, name: &'a CStr },
    /// Something gets another name; what had that is gone.
    Rename { from: Node, name: &'a CStr, into: Node, to: &'a CStr },
    /// A file gets one name more.
    Link { from: Node, name: &'a CStr, into: Node, to: &'a CStr },
    /// A file loses a name.
    Unlink { dir: Node, name: &'a CStr },
    /// An empty directory is removed.
    RemoveDir { dir: Node, name: &'a CStr },
    /// The names in a directory are read.
    List { dir: Node },
    /// What is open is looked at.
    Look { node: Node },
    /// What stands at a name is looked at.
    LookAt { dir: Node, name: &'a CStr },
    /// Bytes are read.
    Read { file: Node, len: usize },
    /// Bytes are written; the offset is known once they were.
    Write { file: Node, offset: Option<u64>, bytes: &'a [u8] },
    /// A file is cut, or made longer by zeros.
    Truncate { file: Node, len: u64 },
    /// A file becomes what another one is.
    Clone { file: Node, source: Node },
    /// A file's content is brought to the disk.
    SyncFile { file: Node },
    /// The names in a directory are brought to the disk.
    SyncDir { dir: Node },
    /// All that was written is brought to the disk.
    SyncAll,
    /// A lock is tried.
    Lock { file: Node },
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is made.
    Go,
    /// It is not made, and fails with this error of the system.
    Fail(i32),
    /// No more than so many bytes of it are read or written.
    Short(usize),
}

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
