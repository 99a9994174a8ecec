//! What can go wrong with prune as a whole; what concerns one run keeps that run.

use crate::error::IoError;
use crate::workspace::WorkspaceError;

/// Nothing can be planned, or nothing may be removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The workspace or the task cannot be read, or newer code made it.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}
