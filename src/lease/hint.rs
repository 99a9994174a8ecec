//! The hint: a sign of life between two records, `journal/.lease` in the task's directory.
//!
//! It is derived: without it, or with half of it, a lease ends when its last record says. So it costs no
//! record, and to lose it costs an early takeover and nothing else. It is written and read under the task's
//! lock.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::IoError;
use crate::io::Dir;
use crate::{layout, line};

/// What it says. It belongs to the last record of the lease: one that is older, or of another claim, is
/// passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hint {
    pub(super) token: u64,
    /// The version of the lease's last record.
    pub(super) version: u64,
    /// How often it was written since that record.
    pub(super) beats: u64,
    pub(super) expires_at: Timestamp,
}

/// More bytes than a hint has.
const MAX: u64 = 1024;

impl Hint {
    pub(super) fn read(journal: &Dir) -> Option<Self> {
        let mut bytes = Vec::new();
        journal.open_sealed(layout::LEASE).ok()?.read_at(0, MAX, &mut bytes).ok()?;
        // A longer one may have stood there before.
        let end = memchr::memchr(b'\n', &bytes)?;
        line::read(bytes.get(..=end)?).ok()
    }

    pub(super) fn write(&self, journal: &Dir) -> Result<(), IoError> {
        let fail = |error: serde_json::Error| {
            IoError::new("write", &journal.path().join(layout::LEASE), error.into())
        };
        let json = serde_json::to_string(self).map_err(fail)?;
        let (bytes, _) = line::seal(&json, Digest::of);
        match journal.overwrite(layout::LEASE, 0, &bytes) {
            Err(error) if error.is_not_found() => journal.create_new(layout::LEASE)?.write(&bytes),
            other => other,
        }
    }
}
