//! What a copy of whole trees needs of the system: directories renamed without replacing, everything
//! written brought to the disk at once, and where a path leads.

use camino::{Utf8Path, Utf8PathBuf};

#[cfg(unix)]
use super::sys;
use super::{Dir, LockFile};
use crate::error::IoError;
use crate::planted::Bug;

/// True where [`Dir::sync_file_system`] brings all that was written to the disk; elsewhere each file has to
/// be synced when it is written, and each directory.
pub(crate) const SYNCS_FILE_SYSTEM: bool =
    cfg!(all(any(target_os = "linux", target_os = "android"), not(runjournal_portable)));

impl Dir {
    /// Waits until all that was written to the file system of this directory is on the disk, names too.
    pub(crate) fn sync_file_system(&self) -> Result<(), IoError> {
        #[cfg(all(any(target_os = "linux", target_os = "android"), not(runjournal_portable)))]
        sys::syncfs(&self.fd)
            .map_err(|errno| IoError::new("sync the disk of", self.path(), errno.into()))?;
        Ok(())
    }

    /// Renames what is in this directory to a name in another, which must not be taken.
    pub(crate) fn rename_new(&self, from: &str, into: &Self, to: &str) -> Result<(), IoError> {
        if Bug::RestoredOver.is_planted() {
            return self.rename(from, into, to);
        }
        #[cfg(all(any(target_os = "linux", target_os = "android"), not(runjournal_portable)))]
        {
            use rustix::fs::RenameFlags;
            use rustix::io::Errno;
            let renamed = into.on(to, "rename a directory to", |at, name| {
                sys::renameat_with(&self.fd, from, at, name, RenameFlags::NOREPLACE)
            });
            let unknown = |errno: &Errno| matches!(*errno, Errno::INVAL | Errno::NOSYS);
            match renamed {
                // A file system that knows no such rename.
                Err(error) if Errno::from_io_error(&error.source).as_ref().is_some_and(unknown) => {
                }
                other => return other,
            }
        }
        if into.stat(to)?.is_some() {
            let path = into.path().join(to);
            let source = std::io::ErrorKind::AlreadyExists.into();
            return Err(IoError::new("rename a directory to", &path, source));
        }
        self.rename(from, into, to)
    }
}

impl LockFile {
    /// True if this file stands at its path still. A lock that is removed when it is over is taken by
    /// who made sure of that.
    pub(crate) fn is_at_path(&self) -> Result<bool, IoError> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let this = self.file.metadata().map_err(IoError::at("look at", self.path()))?;
            let at_path = sys::symlink_metadata(self.path());
            Ok(at_path.is_ok_and(|other| (this.dev(), this.ino()) == (other.dev(), other.ino())))
        }
        #[cfg(not(unix))]
        Ok(true)
    }
}

/// Where a path leads once its links are followed. Of a path that is not there, that is said of as much of it
/// as is.
pub(crate) fn real_path(path: &Utf8Path) -> Result<Utf8PathBuf, IoError> {
    match path.canonicalize_utf8() {
        Ok(real) => Ok(real),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) => Ok(real_path(parent)?.join(name)),
                _ => Err(IoError::new("look at", path, error)),
            }
        }
        Err(error) => Err(IoError::new("look at", path, error)),
    }
}
