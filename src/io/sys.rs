//! The system calls that read or change what is below a workspace, in one place: whatever stands in for the
//! disk stands here. In every build but that of the proof they are the system's own; there `sys_watched.rs`
//! takes the place of this file.

pub(super) use std::fs::{File, symlink_metadata};
#[cfg(all(unix, not(runjournal_portable)))]
pub(super) use std::os::fd::{AsFd as At, OwnedFd as Fd};

#[cfg(unix)]
pub(super) use rustix::fs::fstat;
#[cfg(all(feature = "sqlite", any(target_os = "linux", target_os = "android")))]
pub(super) use rustix::fs::statfs;
#[cfg(all(unix, not(runjournal_portable)))]
pub(super) use rustix::fs::{
    Dir as Names, fstatvfs, fsync, linkat, mkdirat, openat, renameat, statat, unlinkat,
};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use rustix::fs::{ioctl_ficlone, statx};
#[cfg(all(any(target_os = "linux", target_os = "android"), not(runjournal_portable)))]
pub(super) use rustix::fs::{renameat_with, syncfs};

/// What reads the names in a directory.
#[cfg(all(unix, not(runjournal_portable)))]
pub(super) fn list(dir: Fd) -> Result<Names, rustix::io::Errno> {
    Names::new(dir)
}

/// A file that the user named, wherever it is.
pub(super) fn unwatched(file: File) -> File {
    file
}

pub(super) fn try_lock_exclusive(file: &File) -> std::io::Result<()> {
    fs2::FileExt::try_lock_exclusive(file)
}

pub(super) fn try_lock_shared(file: &File) -> std::io::Result<()> {
    fs2::FileExt::try_lock_shared(file)
}

pub(super) fn unlock(file: &File) -> std::io::Result<()> {
    fs2::FileExt::unlock(file)
}

/// True if a lock was not granted since somebody else holds it.
pub(super) fn is_contended(error: &std::io::Error) -> bool {
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}
