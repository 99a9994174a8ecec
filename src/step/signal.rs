//! What a step returns: a short string that routes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::StepError;

/// What the body of a step returns.
pub type StepResult = Result<Signal, StepError>;

/// A short string that routes: `planned`, `success`, `verify_failed`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signal(String);

impl Signal {
    /// A signal.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
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
