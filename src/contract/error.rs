//! What can go wrong with a plan or a report.

use camino::Utf8PathBuf;

use crate::artifact::ArtifactError;

/// A plan or a report cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContractError {
    /// It is not there, cannot be read, or is no JSON of that shape.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Newer code wrote it, and what it means is not known here.
    #[error(
        "{path} has schema version {found}, and this runjournal reads version {supported}; use a newer \
         runjournal"
    )]
    NewerSchema {
        /// The file.
        path: Utf8PathBuf,
        /// The version that it has.
        found: u32,
        /// The newest version that this code reads.
        supported: u32,
    },
}
