//! Why a run has no text.

use crate::error::IoError;
use crate::journal::JournalError;

/// A run cannot be rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The journal cannot be read for now.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A redaction's path or selector is no pattern.
    #[error("{pattern:?} cannot be {what} of a redaction: {reason}; {advice}")]
    BadPattern {
        /// `the path` or `the selector`.
        what: &'static str,
        /// The refused text.
        pattern: String,
        /// What is wrong with it.
        reason: String,
        /// What it could be.
        advice: &'static str,
    },
}
