//! What can go wrong with a step: in its body, and around it.

use std::error::Error;
use std::fmt;

use crate::artifact::ArtifactError;
use crate::id::{IdError, StepName};
use crate::journal::JournalError;
use crate::name::ArtifactName;

/// What the body of a step may fail with: any error, so that `?` works on all of them.
///
/// It is no `std::error::Error` itself (no type can be that and take all of them);
/// [`StepFailure`], which [`RunContext::step`](crate::RunContext::step) returns, is.
pub struct StepError(Box<dyn Error + Send + Sync>);

impl StepError {
    /// An error that is only a message.
    #[must_use]
    pub fn message(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    #[cfg(feature = "testing")]
    pub(super) fn is_crash(&self) -> bool {
        // A step within the body that crashed takes the outer one along, as a killed process does.
        let mut cause: Option<&(dyn Error + 'static)> = Some(&*self.0);
        while let Some(error) = cause {
            if error.is::<super::crash::Crash>() {
                return true;
            }
            cause = error.source();
        }
        false
    }

    pub(super) fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for StepError {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A step did not complete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepFailure {
    /// Its body returned an error, or its outputs could not be committed. The journal says so;
    /// nothing else of the attempt is committed, and the next call is a new attempt.
    #[error("step {step} failed in attempt {attempt}")]
    Failed {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u64,
        /// What the body failed with.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Its body panicked. The journal says so; nothing else of the attempt is committed.
    #[error("step {step} panicked in attempt {attempt}: {message}")]
    Panicked {
        /// The step.
        step: StepName,
        /// The attempt, from 1.
        attempt: u64,
        /// What it panicked with.
        message: String,
    },
    /// Another process or thread is at it.
    #[error(
        "step {step} is taken: attempt {attempt} is running in {holder}; wait for it, or end it and call again"
    )]
    StepTaken {
        /// The step.
        step: StepName,
        /// The running attempt.
        attempt: u64,
        /// Who runs it.
        holder: String,
    },
    /// A declared input is not there.
    #[error(
        "step {step} cannot run: its input {input} is not there; run the step that writes it first"
    )]
    InputMissing {
        /// The step.
        step: StepName,
        /// The input.
        input: ArtifactName,
    },
    /// The text cannot name a step.
    #[error("the step cannot start")]
    BadName(#[from] IdError),
    /// Its turns are done one after the other, and it is not this one's turn.
    #[error(
        "turn {turn} of step {step} cannot start: the next one to be done is turn {next}, counted from 1; ask for that one"
    )]
    TurnOutOfOrder {
        /// The step.
        step: StepName,
        /// The turn that was asked for.
        turn: u64,
        /// The one that is to be done.
        next: u64,
    },
    /// The turn was begun for another item.
    #[error(
        "turn {turn} of step {step} was begun for another item, or for none; ask with that one, or take the next turn"
    )]
    OtherItem {
        /// The step.
        step: StepName,
        /// The turn.
        turn: u64,
    },
    /// The configuration, or the item of a turn, cannot be written as JSON.
    #[error("the {what} of step {step} is not JSON")]
    BadConfig {
        /// The step.
        step: StepName,
        /// `configuration` or `item`.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The start or the end of the step could not be recorded. If it is the end, the attempt counts
    /// as not ended, and the next call takes over.
    #[error("step {step}: its journal refused")]
    Journal {
        /// The step.
        step: StepName,
        /// Why.
        source: JournalError,
    },
    /// The outputs are committed with the end of the step, and something is left to be done.
    #[error("step {step} is complete, but not finished on the disk")]
    Unfinished {
        /// The step.
        step: StepName,
        /// What is left.
        source: ArtifactError,
    },
}
