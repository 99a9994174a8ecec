//! Why nothing could be verified.

use camino::Utf8PathBuf;

use super::ReadDataError;
use crate::error::IoError;
use crate::genesis::GenesisError;

/// Verify could not look at all. What it could not look at in part is a finding.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// There is nothing to look at, or not any more.
    #[error("there is no workspace, task or run at {path} to verify; name one that is there")]
    NotThere {
        /// Where it was looked for.
        path: Utf8PathBuf,
    },
    /// A witness knows something that would not be looked at, so that its word would go unheard.
    #[error(
        "{by} is of {of}, which is no part of what is verified ({scope}); verify {of} or the whole \
         workspace, or leave it away"
    )]
    WitnessOutside {
        /// What the witness is.
        by: String,
        /// The task or the run that it knows.
        of: String,
        /// What was to be verified.
        scope: String,
    },
    /// There is no such part of the files.
    #[error(transparent)]
    ReadData(#[from] ReadDataError),
}

impl From<GenesisError> for VerifyError {
    fn from(error: GenesisError) -> Self {
        match error {
            GenesisError::Io(error) => Self::Io(error),
            GenesisError::Damaged { path, .. }
            | GenesisError::NewerFormat { path, .. }
            | GenesisError::TooLong { path, .. } => Self::NotThere { path },
        }
    }
}
