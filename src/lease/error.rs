//! What can go wrong with leases.

use crate::clock::Timestamp;
use crate::error::IoError;
use crate::id::{RunId, TaskId};
use crate::journal::{JournalError, LeaseRef};
use crate::workspace::WorkspaceError;

/// A task cannot be claimed, or a lease not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// Somebody else holds the task.
    #[error(
        "the task {task} is claimed already: worker {worker:?} holds it until {expires_at}, longer if it renews; \
         wait for it, or choose another task"
    )]
    LeaseHeld {
        /// The task.
        task: TaskId,
        /// Who holds it.
        worker: String,
        /// When the lease ends unless it is renewed, by the holder's clock.
        expires_at: Timestamp,
    },
    /// A run of the task could not be bound to the claim, so an older worker could still write there. The
    /// claim was given up; from all other runs, and the task, older workers are shut out.
    #[error(
        "the claim {lease} was given up: the run {run} could not be bound to it, so older workers could still \
         write there; mend that, then claim again"
    )]
    NotBound {
        /// The claim.
        lease: LeaseRef,
        /// The run.
        run: RunId,
        /// Why.
        source: Box<JournalError>,
    },
    /// A worker's name, or the time that a lease holds without renewal, cannot be used.
    #[error("the task {task} cannot be claimed: {reason}")]
    BadClaim {
        /// The task.
        task: TaskId,
        /// What is wrong.
        reason: &'static str,
    },
    /// The lease is over, or the task's journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The task cannot be read.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The system refused a thread, or a file.
    #[error(transparent)]
    Io(#[from] IoError),
}
