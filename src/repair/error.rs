//! What keeps a repair from being planned, or something from being mended.

use camino::Utf8PathBuf;

use crate::artifact::ArtifactError;
use crate::backup::BackupError;
use crate::checkpoint::CheckpointError;
use crate::error::IoError;
use crate::journal::JournalError;
use crate::manifest::ManifestError;
use crate::verify::VerifyError;
use crate::workspace::WorkspaceError;

/// Why a repair did not do what it was to do. Nothing is lost by it, and the same repair can be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The tree could not be looked at.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The task or the run could not be opened.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A journal could not be read or appended to.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An artifact could not be put in place or adopted.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The checkpoint could not be made again.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The backup could not be read.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The manifest could not be made again.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// Something changed between the plan and its application.
    #[error("{path} is not as it was when the repair was planned: {reason}; plan it again")]
    MovedOn {
        /// What it was about.
        path: Utf8PathBuf,
        /// What is different.
        reason: String,
    },
    /// The task's journal could not be told of the repair, so that nothing of this run or task was touched.
    #[error("the repair of {path} was not begun: {reason}")]
    NotBegun {
        /// What was to be mended.
        path: Utf8PathBuf,
        /// Why the task's journal could not be told.
        reason: String,
    },
}
