//! An attempt of a step, as lineage names it.

use std::fmt;

use crate::id::StepName;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttemptState {
    /// It has not ended, or died before it could.
    Open,
    /// It completed.
    Completed,
    /// It failed.
    Failed,
}

/// An attempt of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StepAttempt {
    /// The step.
    pub step: StepName,
    /// Its turn in a loop, from 1.
    pub turn: u64,
    /// The attempt, from 1.
    pub attempt: u64,
    /// How it ended, if it did.
    pub state: AttemptState,
    /// The seq of its end; of its start, while it is open.
    pub seq: u64,
}

impl fmt::Display for StepAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.step)?;
        if self.turn > 1 {
            write!(f, ", turn {}", self.turn)?;
        }
        write!(f, ", attempt {}", self.attempt)?;
        match self.state {
            AttemptState::Completed => Ok(()),
            AttemptState::Open => f.write_str(" (not ended)"),
            AttemptState::Failed => f.write_str(" (failed)"),
        }
    }
}
