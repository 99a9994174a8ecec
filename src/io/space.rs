//! How much room a disk has.

use super::Dir;
use crate::error::IoError;

/// The disk that a directory is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    /// Bytes that this user may still write.
    pub(crate) free: u64,
    /// Bytes in all.
    pub(crate) total: u64,
    /// True if nothing can be written to it.
    pub(crate) read_only: bool,
}

impl Dir {
    /// The disk that it is on.
    #[cfg(all(unix, not(runjournal_portable)))]
    pub(crate) fn space(&self) -> Result<Option<Space>, IoError> {
        let stat = super::sys::fstatvfs(&self.fd)
            .map_err(|errno| IoError::new("look at the disk of", self.path(), errno.into()))?;
        Ok(Some(Space {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            read_only: stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        }))
    }

    /// Where the system is not asked, nothing is known.
    #[cfg(not(all(unix, not(runjournal_portable))))]
    pub(crate) fn space(&self) -> Result<Option<Space>, IoError> {
        Ok(None)
    }
}
