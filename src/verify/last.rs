//! What the last verify of a whole workspace came to, for who wants to know whether there was one.

use serde::{Deserialize, Serialize};

use super::{ReadData, Verified};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::Severity;
use crate::io::Dir;
use crate::workspace::Workspace;
use crate::{layout, line};

/// What the last verify of the whole workspace found: derived, and left in its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastVerify {
    /// When it ended.
    pub at: Timestamp,
    /// Which files it read: `none`, `all`, `N/T` or `P%`.
    pub read_data: String,
    /// How many findings are errors,
    pub errors: u64,
    /// how many are warnings,
    pub warnings: u64,
    /// and how many are notes.
    pub notes: u64,
}

/// No page is longer.
const MAX_BYTES: u64 = 4096;

impl LastVerify {
    /// That of a workspace. `None` where there was none, or where what it left does not read: then verify.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn read(workspace: &Workspace) -> Result<Option<Self>, IoError> {
        let dir = Dir::open_root(workspace.root())?;
        let mut file = match dir.open_read(layout::LAST_VERIFY) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let bytes = file.read_little(MAX_BYTES)?;
        Ok(bytes.and_then(|bytes| line::read(&bytes).ok()))
    }

    pub(super) fn new(at: Timestamp, read_data: ReadData, verified: &Verified) -> Self {
        let count = |severity| verified.count(severity) as u64;
        Self {
            at,
            read_data: read_data.to_string(),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
        }
    }

    /// Replaces what was left before. Nothing is synced: a crash may take it, and then there was none.
    pub(super) fn leave(&self, dir: &Dir, unique: uuid::Uuid) -> Result<(), IoError> {
        let path = || dir.path().join(layout::LAST_VERIFY);
        let json = serde_json::to_string(self)
            .map_err(|error| IoError::new("write", &path(), error.into()))?;
        let (bytes, _) = line::seal(&json, Digest::of);
        let temporary = format!("{}.{unique}", layout::LAST_VERIFY);
        let mut file = dir.create_new(&temporary)?;
        let left =
            file.write(&bytes).and_then(|()| dir.rename(&temporary, dir, layout::LAST_VERIFY));
        if left.is_err() {
            let _ = dir.remove_file(&temporary);
        }
        left
    }
}
