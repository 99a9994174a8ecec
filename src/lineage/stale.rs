//! What is stale, and why.

use std::fmt;

use super::{ArtifactVersion, StepAttempt, StepInput};
use crate::id::StepName;

/// Why a step is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Because {
    /// What it read is not what is there now.
    Changed {
        /// What it read.
        input: StepInput,
        /// What is there now, or removed it.
        now: ArtifactVersion,
    },
    /// What it read is there, and by a step that is stale.
    Suspect {
        /// What it read.
        input: StepInput,
        /// What is there now, with the same digest.
        now: ArtifactVersion,
    },
    /// It read what is supposed to change.
    Supposed {
        /// What it read.
        input: StepInput,
    },
}

impl Because {
    /// What it read.
    #[must_use]
    pub fn input(&self) -> &StepInput {
        match self {
            Because::Changed { input, .. }
            | Because::Suspect { input, .. }
            | Because::Supposed { input } => input,
        }
    }

    /// What is there now, where it matters.
    #[must_use]
    pub fn now(&self) -> Option<&ArtifactVersion> {
        match self {
            Because::Changed { now, .. } | Because::Suspect { now, .. } => Some(now),
            Because::Supposed { .. } => None,
        }
    }

    /// The stale step that makes this one stale, if one does.
    #[must_use]
    pub fn through(&self) -> Option<&StepName> {
        match self {
            Because::Suspect { now, .. } => now.by.attempt().map(|attempt| &attempt.step),
            Because::Changed { .. } | Because::Supposed { .. } => None,
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.input().path;
        match self {
            Because::Changed { now, .. } if now.digest.is_none() => {
                write!(f, "{path} was removed (v{})", now.version)?;
            }
            Because::Changed { now, .. } => write!(f, "{path} is now v{}", now.version)?,
            Because::Suspect { now, .. } => {
                return write!(f, "{path} v{} is {}, which is stale", now.version, now.by);
            }
            Because::Supposed { .. } => write!(f, "{path} would change")?,
        }
        match self.input().version {
            Some(version) => write!(f, ", it read v{version}"),
            None => f.write_str(", it read content that the journal does not know"),
        }
    }
}

/// A step that is stale.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaleStep {
    /// Its last completed attempt.
    pub attempt: StepAttempt,
    /// Why: of several reasons, one with the shortest way back to a change.
    pub because: Because,
    /// What it wrote and nobody replaced since.
    pub outputs: Vec<ArtifactVersion>,
}

impl fmt::Display for StaleStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.attempt, self.because)
    }
}

/// What is stale. [`Display`](fmt::Display) gives a line to each step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stale {
    steps: Vec<StaleStep>,
}

impl Stale {
    pub(super) fn new(steps: Vec<StaleStep>) -> Self {
        Self { steps }
    }

    /// The steps, each behind the one through which it is stale.
    #[must_use]
    pub fn steps(&self) -> &[StaleStep] {
        &self.steps
    }

    /// True if nothing is stale.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// From a stale step back to the one whose input changed; nothing for a step that is not stale.
    #[must_use]
    pub fn chain(&self, step: &str) -> Vec<&StaleStep> {
        let mut chain: Vec<&StaleStep> = Vec::new();
        let mut wanted = Some(step);
        // Each stands behind the one through which it is stale.
        for stale in self.steps.iter().rev() {
            if wanted == Some(stale.attempt.step.as_str()) {
                wanted = stale.because.through().map(StepName::as_str);
                chain.push(stale);
            }
        }
        chain
    }
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}
