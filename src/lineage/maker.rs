//! Who made a version of an artifact.

use std::fmt;

use super::StepAttempt;
use crate::id::StepName;
use crate::journal::Actor;

/// Who made a version of an artifact, or removed it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Maker {
    /// An attempt of a step; with its end, or while it ran.
    Step(StepAttempt),
    /// Somebody outside of all steps.
    Outside(Actor),
    /// A step of this name, in an attempt of which nothing else is left in the journal.
    Unknown(StepName),
}

impl Maker {
    /// The attempt, if it was one that the journal knows.
    #[must_use]
    pub fn attempt(&self) -> Option<&StepAttempt> {
        match self {
            Maker::Step(attempt) => Some(attempt),
            Maker::Outside(_) | Maker::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Maker::Step(attempt) => write!(f, "by {attempt}"),
            Maker::Outside(Actor { kind, id: Some(id) }) => {
                write!(f, "outside of a step by {}:{}", kind.escape_debug(), id.escape_debug())
            }
            Maker::Outside(Actor { kind, id: None }) => {
                write!(f, "outside of a step by {}", kind.escape_debug())
            }
            Maker::Unknown(step) => {
                write!(f, "by step {step}, in an attempt that is not in the journal")
            }
        }
    }
}
