//! What a trial found to be wrong.

use std::error::Error;
use std::fmt;

/// What a trial found to be wrong, in words. Any error turns into one, so that `?` works on all.
#[derive(Clone, PartialEq, Eq)]
pub struct Violation(String);

const LEFT: &str = "left for the next time: ";

/// What a step of a trial comes to.
pub type Outcome<T = ()> = Result<T, Violation>;

impl Violation {
    /// Something that must not be.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All violations as one, if there are any.
    ///
    /// # Errors
    /// Where there are.
    pub fn all(violations: &[Self]) -> Outcome {
        let mut text = String::new();
        for violation in violations.iter().take(10) {
            text.push_str(&format!("\n  {violation}"));
        }
        match violations.len() {
            0 => Ok(()),
            count => Err(Self::new(format!("{count} violations, the first of them:{text}"))),
        }
    }

    /// The call answered, and says itself that it left something for the next time.
    #[must_use]
    pub fn left(what: impl fmt::Display) -> Self {
        Self(format!("{LEFT}{what}"))
    }

    /// True of [`left`](Violation::left).
    #[must_use]
    pub(crate) fn is_left(&self) -> bool {
        self.0.starts_with(LEFT)
    }

    /// The same, with where it was found before it.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self(format!("{place}: {}", self.0))
    }

    /// The same, with more behind it: how it is tried again.
    #[must_use]
    pub fn and(self, more: impl fmt::Display) -> Self {
        Self(format!("{}; {more}", self.0))
    }
}

impl<E: Error> From<E> for Violation {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fails with the text unless the condition holds.
///
/// # Errors
/// Where it does not hold.
pub fn ensure(condition: bool, text: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(Violation::new(text())) }
}
