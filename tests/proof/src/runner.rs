//! All kinds of trials, for as long as is asked: one table for people, one JSON for programs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    Budget, Outcome, Row, Trial, Violation, catches, damage, disk, faults, fuzz, kills, power,
    simulation, soak,
};

/// Every kind of trial, in the order of the table.
pub const TRIALS: &[Trial] = &[
    kills::TRIAL,
    disk::trial::TRIAL,
    simulation::TRIAL,
    faults::TRIAL,
    power::TRIAL,
    damage::TRIAL,
    soak::TRIAL,
    fuzz::TRIAL,
    catches::TRIAL,
];

/// What one kind of trial came to, in how long.
#[derive(Debug)]
struct Line {
    trial: &'static Trial,
    seed: u64,
    row: Row,
    seconds: f64,
}

/// Runs the trials of these names, or all of them, each for its share of the time; prints the table, and
/// returns the same as JSON.
///
/// # Errors
/// Where a name is none of a trial's, or a trial cannot be made.
pub fn run(time: Duration, seed: u64, only: &[String]) -> Outcome<Value> {
    if let Some(unknown) = only.iter().find(|name| TRIALS.iter().all(|t| t.name != name.as_str())) {
        let names: Vec<_> = TRIALS.iter().map(|trial| trial.name).collect();
        return Err(Violation::new(format!("there is no trial {unknown}: {}", names.join(", "))));
    }
    let chosen: Vec<_> = TRIALS
        .iter()
        .filter(|trial| only.is_empty() || only.iter().any(|name| name == trial.name))
        .collect();
    let mut lines = Vec::new();
    let whole = Budget::new(time, seed);
    for (at, trial) in chosen.iter().copied().enumerate() {
        // What one does not need, those after it have.
        let share = whole.left() / u32::try_from(chosen.len() - at).unwrap_or(1);
        let start = Instant::now();
        eprintln!("{} for {} s", trial.name, share.as_secs());
        let row = (trial.run)(&Budget::new(share, seed)).unwrap_or_else(|violation| Row {
            violations: vec![violation.at("the trial could not be made")],
            ..Row::default()
        });
        lines.push(Line { trial, seed, row, seconds: start.elapsed().as_secs_f64() });
    }
    println!("{}", table(&lines));
    Ok(lines.iter().map(Line::json).collect())
}

impl Line {
    fn failed(&self) -> usize {
        self.row.violations.len()
    }

    fn json(&self) -> Value {
        json!({
            "trial": self.trial.name,
            "unit": self.trial.unit,
            "tried": self.row.tried,
            "failed": self.failed(),
            "skipped": self.row.skipped,
            "seed": self.seed,
            "seconds": self.seconds,
            "notes": self.row.notes,
            "violations": self.row.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    }
}

/// True if something that was tried failed.
#[must_use]
pub fn has_failed(lines: &Value) -> bool {
    lines.as_array().into_iter().flatten().any(|line| line["failed"] != 0)
}

fn table(lines: &[Line]) -> String {
    let mut text = format!(
        "{:<14} {:>12} {:<14} {:>7} {:>9} {:>6}  NOTES\n",
        "TRIAL", "TRIED", "", "FAILED", "SECONDS", "SEED"
    );
    for line in lines {
        let skipped = line.row.skipped.iter().map(|why| format!("skipped: {why}"));
        let notes: Vec<_> = skipped.chain(line.row.notes.iter().cloned()).collect();
        text.push_str(&format!(
            "{:<14} {:>12} {:<14} {:>7} {:>9.1} {:>6}  {}\n",
            line.trial.name,
            line.row.tried,
            line.trial.unit,
            line.failed(),
            line.seconds,
            line.seed,
            notes.join(", "),
        ));
        for violation in &line.row.violations {
            text.push_str(&format!("    {violation}\n"));
        }
    }
    text
}
