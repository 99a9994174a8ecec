//! A lock between processes and threads, freed by the kernel when its holder dies.

use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::sys::{self, File};
use crate::error::IoError;
use crate::planted::Bug;

/// An open lock file. It holds nothing and is never removed while its run stands: a lock file that
/// is removed and made again would grant the lock twice.
#[derive(Debug)]
pub(crate) struct LockFile {
    pub(super) file: File,
    path: Utf8PathBuf,
}

/// How long a waiter yields before it sleeps: a sleep is never shorter than several appends of others.
const YIELDING: Duration = Duration::from_micros(200);

impl LockFile {
    pub(crate) fn new(file: File, path: Utf8PathBuf) -> Self {
        Self { file, path }
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Takes the lock for this descriptor alone; false while somebody else holds it.
    pub(crate) fn try_exclusive(&self) -> Result<bool, IoError> {
        if Bug::Unlocked.is_planted() {
            return Ok(true);
        }
        self.granted(sys::try_lock_exclusive)
    }

    /// Takes the lock together with other readers; false while a writer holds it.
    pub(crate) fn try_shared(&self) -> Result<bool, IoError> {
        self.granted(sys::try_lock_shared)
    }

    fn granted(&self, lock: impl Fn(&File) -> std::io::Result<()>) -> Result<bool, IoError> {
        loop {
            return match lock(&self.file) {
                Ok(()) => Ok(true),
                // A signal says nothing of whether somebody holds it.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock || sys::is_contended(&error) =>
                {
                    Ok(false)
                }
                Err(error) => Err(IoError::new("lock", &self.path, error)),
            };
        }
    }

    /// Tries until `timeout` is over: at first at once, for the usual holder is done within
    /// microseconds, then letting others run, then with pauses that grow to half a millisecond.
    pub(crate) fn wait(
        &self,
        timeout: Duration,
        mut attempt: impl FnMut(&Self) -> Result<bool, IoError>,
    ) -> Result<bool, IoError> {
        if attempt(self)? {
            return Ok(true);
        }
        let start = Instant::now();
        let mut pause = Duration::from_micros(50);
        while start.elapsed() < timeout {
            if start.elapsed() < YIELDING {
                std::thread::yield_now();
            } else {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_micros(500));
            }
            if attempt(self)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What stands in the file, as far as `note` has room; the number of bytes.
    pub(crate) fn read_note(&self, note: &mut [u8]) -> Result<usize, IoError> {
        let fail = IoError::at("read", &self.path);
        (&self.file).rewind().map_err(&fail)?;
        (&self.file).read(note).map_err(&fail)
    }

    /// Leaves something in the file for others who take the lock, or wait for it.
    pub(crate) fn write_note(&self, note: &[u8]) -> Result<(), IoError> {
        let fail = IoError::at("write", &self.path);
        (&self.file).rewind().map_err(&fail)?;
        (&self.file).write_all(note).map_err(&fail)
    }

    pub(crate) fn unlock(&self) {
        // Closing the descriptor frees the lock as well, so there is nothing to do on failure.
        let _ = sys::unlock(&self.file);
    }

    /// Who holds the lock, in words for an error message.
    pub(crate) fn holder(&self) -> String {
        self.holder_pid().map_or_else(
            || "another process".to_owned(),
            |pid| {
                let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
                let name = if name.is_empty() { "?" } else { name.trim() };
                if pid == std::process::id() {
                    format!("process {pid} ({name}), which is this one")
                } else {
                    format!("process {pid} ({name})")
                }
            },
        )
    }

    /// From `/proc/locks`, whose lines read `1: FLOCK ADVISORY WRITE <pid> <major>:<minor>:<inode> 0 EOF`.
    #[cfg(unix)]
    fn holder_pid(&self) -> Option<u32> {
        let inode = std::os::unix::fs::MetadataExt::ino(&self.file.metadata().ok()?).to_string();
        let look = || {
            let locks = std::fs::read_to_string("/proc/locks").ok()?;
            locks.lines().find_map(|line| {
                let mut words = line.split_ascii_whitespace().skip(1);
                if words.next()? != "FLOCK" {
                    return None;
                }
                let pid = words.nth(2)?;
                (words.next()?.rsplit(':').next()? == inode).then(|| pid.parse().ok())?
            })
        };
        // What is read is not the list of one moment: while others lock and unlock, a line can be missing.
        (0..3).find_map(|_| look())
    }

    #[cfg(not(unix))]
    fn holder_pid(&self) -> Option<u32> {
        None
    }
}
