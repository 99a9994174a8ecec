//! What a kind of trial is, and what it comes to.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::{Outcome, Violation};

/// A kind of trial: a row of the table that the runner prints.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// Its name, by which it is asked for.
    pub name: &'static str,
    /// What is counted as tried: "kills", "crash states".
    pub unit: &'static str,
    /// Tries it for as long as the budget lasts, and at least one thing however little that is.
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
    /// What could not be tried here, all of it or a part, and why.
    pub skipped: Vec<String>,
    /// What there was no time for. Nothing is wrong, and it is not a pass.
    pub no_time: Vec<String>,
    /// What does not hold, each with how it is tried again.
    pub violations: Vec<Violation>,
    /// How many more of those there are, which are not told.
    pub untold: u64,
    /// More of what was counted, for people.
    pub notes: Vec<String>,
}

impl Row {
    /// Nothing was tried, for this reason.
    #[must_use]
    pub fn skipped(why: impl Into<String>) -> Self {
        Self { skipped: vec![why.into()], ..Self::default() }
    }

    /// The same row, which says that it is wrong where nothing was tried and nothing says why.
    #[must_use]
    pub fn judged(mut self) -> Self {
        let is_told = !(self.violations.is_empty() && self.all_skipped().next().is_none());
        if self.tried == 0 && !is_told {
            self.violations.push(Violation::new("nothing was tried, so nothing is proved"));
        }
        self
    }

    /// Adds what another row came to.
    pub fn add(&mut self, other: Self) {
        self.tried += other.tried;
        self.skipped.extend(other.skipped);
        self.no_time.extend(other.no_time);
        self.violations.extend(other.violations);
        self.untold += other.untold;
        self.notes.extend(other.notes);
    }

    /// How much does not hold.
    pub(crate) fn failed(&self) -> u64 {
        self.violations.len() as u64 + self.untold
    }

    /// What was not tried, whyever.
    pub(crate) fn all_skipped(&self) -> impl Iterator<Item = &String> {
        self.skipped.iter().chain(&self.no_time)
    }

    /// Nothing that was found, and something that was tried; or, said aloud, nothing was for a reason.
    ///
    /// # Errors
    /// With the violations, where nothing was tried and nothing says why, or where there was no time.
    pub fn into_outcome(self) -> Outcome {
        let row = self.judged();
        Violation::all(&row.violations)?;
        for why in row.all_skipped() {
            // Not by a macro: what those print, the harness of the tests keeps to itself where a test passes.
            std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes())?;
        }
        match row.no_time.first() {
            Some(what) => Err(Violation::new(format!("this is no pass: {what}"))),
            None => Ok(()),
        }
    }
}
