//! Why a run stays that is old enough to go.

use std::fmt;

use serde::Serialize;

use crate::error::{IoError, in_one_line};
use crate::genesis::GenesisError;
use crate::id::{RunId, TaskId};
use crate::journal::JournalError;
use crate::lease::LeaseError;
use crate::manifest::ManifestError;
use crate::workspace::WorkspaceError;

/// A run that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeptRun {
    /// Its task.
    pub task: TaskId,
    /// The run; `None` where it is all runs of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Why it stays.
    #[serde(flatten)]
    pub why: Keep,
}

/// Why a run stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "why")]
#[non_exhaustive]
pub enum Keep {
    /// Somebody placed a hold on it.
    Held {
        /// Why.
        reason: String,
    },
    /// It did not end, and a worker holds its task.
    Leased {
        /// The worker.
        worker: String,
    },
    /// A step of it runs now, or a flow in its task.
    Running {
        /// Who runs it.
        holder: String,
    },
    /// Something was appended to it since the plan was made.
    Grew,
    /// By the clock of now it is not old enough: the clock was put back since the plan was made.
    Young,
    /// It is damaged: what it holds may be needed to mend it.
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// It cannot be looked at or removed now.
    Failed {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { reason } => write!(f, "held: {reason}"),
            Self::Leased { worker } => write!(f, "leased: worker {worker:?} holds its task"),
            Self::Running { holder } => write!(f, "running: {holder}"),
            Self::Grew => f.write_str("it was appended to since the plan was made"),
            Self::Young => f.write_str("the clock was put back since the plan was made"),
            Self::Damaged { reason } => write!(f, "damaged: {reason}"),
            Self::Failed { reason } => f.write_str(reason),
        }
    }
}

impl Keep {
    /// That something about the run went wrong.
    pub(super) fn because(error: &Trouble) -> Self {
        let reason = in_one_line(error);
        match error {
            // The disk, and not what is on it.
            Trouble::Workspace(WorkspaceError::Genesis(GenesisError::Io(_)))
            | Trouble::Journal(JournalError::Genesis(GenesisError::Io(_))) => {
                Self::Failed { reason }
            }
            Trouble::Genesis(GenesisError::Damaged { .. } | GenesisError::TooLong { .. })
            | Trouble::Workspace(WorkspaceError::Genesis(_))
            | Trouble::Journal(
                JournalError::Genesis(_)
                | JournalError::MissingJournal { .. }
                | JournalError::DamagedTail { .. }
                | JournalError::ObjectMissing { .. }
                | JournalError::ObjectChanged { .. },
            ) => Self::Damaged { reason },
            _ => Self::Failed { reason },
        }
    }
}

/// What went wrong with one run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Io(#[from] IoError),
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl Trouble {
    /// True if the disk refused something that was there.
    pub(super) fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Io(error) if !error.is_not_found())
    }

    /// True if what it is about is not there any more: somebody moved or removed it.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Io(error)
            | Self::Genesis(GenesisError::Io(error))
            | Self::Journal(
                JournalError::Io(error) | JournalError::Genesis(GenesisError::Io(error)),
            ) => error.is_not_found(),
            Self::Journal(JournalError::Removed { .. }) => true,
            _ => false,
        }
    }
}
