//! A line of the runner's table: what one kind of trial came to, for people and for programs.

use std::fmt;

use serde_json::{Value, json};

use crate::{Row, Trial};

/// What one kind of trial came to, in how long.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) trial: Trial,
    pub(crate) seed: u64,
    pub(crate) row: Row,
    pub(crate) seconds: f64,
}

/// What a row, or all of a run, came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing could be tried here, and nothing failed.
    Skipped,
    /// What was tried holds.
    Passed,
    /// There was too little time; nothing failed so far.
    NoTime,
    /// Something does not hold.
    Failed,
}

impl Verdict {
    /// True unless something failed, or there was no time for it.
    #[must_use]
    pub fn is_good(self) -> bool {
        matches!(self, Self::Skipped | Self::Passed)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Skipped => "skipped",
            Self::Passed => "passed",
            Self::NoTime => "no time",
            Self::Failed => "failed",
        })
    }
}

/// The names of the columns.
pub(crate) fn head() -> String {
    let names = ["TRIAL", "TRIED", "", "FAILED", "SKIPPED", "SECONDS", "SEED", "NOTES"];
    columns(names.map(str::to_owned))
}

fn columns([trial, tried, unit, failed, skipped, seconds, seed, notes]: [String; 8]) -> String {
    let left = format!("{trial:<12} {tried:>12} {unit:<14} {failed:>7} {skipped:>8}");
    format!("{left} {seconds:>9} {seed:>6}  {notes}")
}

impl Line {
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.row {
            row if !row.violations.is_empty() => Verdict::Failed,
            row if !row.no_time.is_empty() => Verdict::NoTime,
            row if row.tried == 0 => Verdict::Skipped,
            _ => Verdict::Passed,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "trial": self.trial.name,
            "unit": self.trial.unit,
            "result": self.verdict().to_string(),
            "tried": self.row.tried,
            "failed": self.row.failed(),
            "skipped": self.row.all_skipped().collect::<Vec<_>>(),
            "seed": self.seed,
            "seconds": self.seconds,
            "notes": self.row.notes,
            "violations": self.row.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let skipped = match self.row.all_skipped().count() {
            0 => "-".to_owned(),
            _ if self.row.tried == 0 => "all".to_owned(),
            _ => "in part".to_owned(),
        };
        let line = columns([
            self.trial.name.to_owned(),
            self.row.tried.to_string(),
            self.trial.unit.to_owned(),
            self.row.failed().to_string(),
            skipped,
            format!("{:.1}", self.seconds),
            self.seed.to_string(),
            self.row.notes.join(", "),
        ]);
        f.write_str(line.trim_end())?;
        self.row.all_skipped().try_for_each(|why| write!(f, "\n    skipped: {why}"))?;
        self.row.violations.iter().try_for_each(|violation| write!(f, "\n    {violation}"))
    }
}
