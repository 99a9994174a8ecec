//! What a kind of trial is, and what it comes to.

use std::time::{Duration, Instant};

use crate::{Outcome, Violation};

/// A kind of trial: a row of the table that the runner prints.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Its name, by which it is asked for.
    pub name: &'static str,
    /// What is counted as tried: "kills", "crash states".
    pub unit: &'static str,
    /// Tries it for as long as the budget lasts, and at least once.
    pub run: fn(&Budget) -> Outcome<Row>,
}

/// How long to try, and from which seed on.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    until: Instant,
    /// Where what is random begins. The same seed tries the same.
    pub seed: u64,
}

impl Budget {
    /// So long from now on.
    #[must_use]
    pub fn new(time: Duration, seed: u64) -> Self {
        Self { until: Instant::now() + time, seed }
    }

    /// True once the time is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// What is left of the time.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

/// What was tried, and what was found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Row {
    /// How many, of the trial's unit.
    pub tried: u64,
    /// What could not be tried here, and why.
    pub skipped: Option<String>,
    /// What does not hold, each with how it is tried again.
    pub violations: Vec<Violation>,
    /// More of what was counted, for people.
    pub notes: Vec<String>,
}

impl Row {
    /// Nothing was tried, for this reason.
    #[must_use]
    pub fn skipped(why: impl Into<String>) -> Self {
        Self { skipped: Some(why.into()), ..Self::default() }
    }

    /// Nothing that was found, and something that was tried; or, said aloud, nothing was for a reason.
    ///
    /// # Errors
    /// With the violations, or where nothing was tried and nothing says why.
    pub fn into_outcome(self) -> Outcome {
        Violation::all(&self.violations)?;
        if let Some(why) = &self.skipped {
            eprintln!("skipped: {why}");
        } else if self.tried == 0 {
            return Err(Violation::new("nothing was tried, so nothing is proved"));
        }
        Ok(())
    }
}
