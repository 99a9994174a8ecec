//! What is wrong with a workspace as a whole.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

use crate::clock::Timestamp;

/// Something that somebody should see to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "trouble")]
#[non_exhaustive]
pub enum HealthTrouble {
    /// The disk is nearly full: below 1 % or 1 GiB.
    DiskNearlyFull {
        /// Bytes that can still be written.
        free_bytes: u64,
        /// Bytes of the disk.
        total_bytes: u64,
    },
    /// A task or a run cannot be read.
    Unreadable {
        /// Where it is, relative to the root.
        path: Utf8PathBuf,
        /// Why.
        reason: String,
    },
    /// The last verify of the whole workspace found errors. The next one that finds none ends it.
    VerifiedWithErrors {
        /// When it ended.
        at: Timestamp,
        /// How many.
        errors: u64,
    },
    /// The index is damaged.
    IndexDamaged {
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for HealthTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DiskNearlyFull { free_bytes, total_bytes } => write!(
                f,
                "the disk is nearly full: {free_bytes} of {total_bytes} bytes are free; make room \
                 (`runjournal prune` shows what is old)"
            ),
            Self::Unreadable { path, reason } => {
                write!(f, "{path} cannot be read: {reason}; `runjournal verify` tells more")
            }
            Self::VerifiedWithErrors { at, errors } => write!(
                f,
                "the last verify, at {at}, found errors: {errors}; `runjournal repair` shows what can be done, \
                 `runjournal verify` what is left"
            ),
            Self::IndexDamaged { reason } => {
                write!(f, "{reason}; `runjournal index rebuild` makes it anew from the tree")
            }
        }
    }
}
