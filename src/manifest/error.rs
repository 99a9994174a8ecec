//! What can go wrong with a manifest.

use camino::Utf8PathBuf;

use crate::error::IoError;
use crate::genesis::GenesisError;
use crate::id::{RunId, TaskId};
use crate::journal::JournalError;

/// A manifest cannot be made, read, written or compared. Nothing depends on it: the run is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The journal cannot be read or locked, or the run may not be written to.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The file is there, and is not what was written.
    #[error(
        "{path} is damaged: {reason}; make a run's own again from the journal with `runjournal repair --apply`, and \
         use another witness in place of a copy that was to be one"
    )]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The page would be too long to be read. Nothing was written.
    #[error("{path} would be {length} bytes long, and at most {most} are read")]
    TooLong {
        /// The file.
        path: Utf8PathBuf,
        /// How long it would be.
        length: u64,
        /// How long it may be.
        most: u64,
    },
    /// The file was written by newer code.
    #[error(
        "{path} has format version {found}, and this runjournal reads up to version {supported}; use a \
         newer runjournal"
    )]
    NewerFormat {
        /// The file.
        path: Utf8PathBuf,
        /// The version that the file has.
        found: u32,
        /// The newest version that this code reads.
        supported: u32,
    },
    /// A page that the run's journal does not bear out is not written into its directory.
    #[error(
        "the manifest of {task}/{run} up to seq {seq} does not describe the run in {path}; make it anew from \
         that run with `RunContext::manifest`"
    )]
    NotThisRun {
        /// The directory of the run that it was to be written to.
        path: Utf8PathBuf,
        /// The task that the page names.
        task: TaskId,
        /// The run that the page names.
        run: RunId,
        /// The last record that the page knows.
        seq: u64,
    },
}

impl From<GenesisError> for ManifestError {
    fn from(error: GenesisError) -> Self {
        Self::Journal(error.into())
    }
}
