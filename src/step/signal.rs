//! What a step returns: a short string that routes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StepError;

/// What the body of a step returns.
pub type StepResult = Result<Signal, StepError>;

/// How long a signal may be.
const MAX_BYTES: usize = 1024;

/// A short string that routes: `planned`, `success`, `verify_failed`. At most 1,024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(String);

impl Signal {
    /// A signal.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Itself, if it is short: flows record it once more where it leads.
    pub(super) fn checked(self) -> Result<Self, StepError> {
        if self.0.len() <= MAX_BYTES {
            return Ok(self);
        }
        let size = self.0.len();
        Err(StepError::message(format!(
            "its signal has {size} bytes, and the limit is {MAX_BYTES}; put what is long into an artifact"
        )))
    }

    /// The signal as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<&str> for Signal {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Signal {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl PartialEq<str> for Signal {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for Signal {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}
