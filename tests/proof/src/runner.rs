//! All kinds of trials, for as long as is asked: one table for people, one JSON for programs. Both have each row as
//! soon as its trial ends, so that whatever ends a long run takes nothing away that it found.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::line::{self, Line};
use crate::{
    Budget, Outcome, Row, Trial, Violation, catches, damage, disk, faults, fuzz, kills, power,
    simulation, soak,
};

pub use crate::line::Verdict;

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

/// What a run is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// How long, for all trials together.
    pub time: Duration,
    /// Where what is random begins.
    pub seed: u64,
    /// Only the trials of these names; all of them where there are none.
    pub only: Vec<String>,
    /// Where to write what was found as JSON as well.
    pub json: Option<PathBuf>,
}

/// Runs the chosen ones of these trials, each for its share of the time.
///
/// # Errors
/// Where a name is none of a trial's, or the JSON cannot be written.
pub fn run(trials: &[Trial], asked: &Asked) -> Outcome<Verdict> {
    if let Some(unknown) =
        asked.only.iter().find(|name| trials.iter().all(|t| t.name != name.as_str()))
    {
        let names: Vec<_> = trials.iter().map(|trial| trial.name).collect();
        let names = names.join(", ");
        return Err(Violation::new(format!("there is no trial {unknown}; there are {names}")));
    }
    let is_chosen =
        |trial: &Trial| asked.only.is_empty() || asked.only.iter().any(|n| n == trial.name);
    let chosen: Vec<_> = trials.iter().copied().filter(is_chosen).collect();
    let mut lines = Vec::new();
    // A file that cannot be written is told of before hours go by.
    write(asked, &lines, None)?;
    println!("{}", line::head());
    let whole = Budget::new(asked.time, asked.seed);
    for (at, trial) in chosen.iter().copied().enumerate() {
        // What one does not need, those after it have.
        let share = whole.left() / u32::try_from(chosen.len() - at).unwrap_or(1);
        let start = Instant::now();
        eprintln!("{} for {} s", trial.name, share.as_secs());
        let row = attempt(&trial, &Budget::new(share, asked.seed));
        let seconds = start.elapsed().as_secs_f64();
        let line = Line { trial, seed: asked.seed, row, seconds };
        println!("{line}");
        lines.push(line);
        // The others go on: there may be room again when they end.
        if let Err(violation) = write(asked, &lines, None) {
            eprintln!("{violation}");
        }
    }
    let verdict = lines.iter().map(Line::verdict).max().unwrap_or(Verdict::Failed);
    write(asked, &lines, Some(verdict))?;
    println!("{}", summary(&lines, verdict));
    Ok(verdict)
}

/// The row of a trial, whatever becomes of it.
fn attempt(trial: &Trial, budget: &Budget) -> Row {
    // The threads of a trial are scoped: they have ended when it has.
    let ended = catch_unwind(AssertUnwindSafe(|| (trial.run)(budget)))
        .unwrap_or_else(|panic| Err(Violation::new(said(&*panic)).at("it panicked")));
    let row = ended.unwrap_or_else(|violation| Row {
        violations: vec![violation.at("the trial broke off")],
        ..Row::default()
    });
    row.judged()
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

fn summary(lines: &[Line], verdict: Verdict) -> String {
    let of = |verdict| {
        let of = lines.iter().filter(|line| line.verdict() == verdict).map(|line| line.trial.name);
        of.collect::<Vec<_>>().join(", ")
    };
    match verdict {
        Verdict::Failed => format!("FAILED: {}", of(Verdict::Failed)),
        Verdict::NoTime => format!("NO PASS: there was too little time for {}", of(verdict)),
        Verdict::Passed | Verdict::Skipped => {
            let part = lines.iter().filter(|line| line.row.all_skipped().next().is_some());
            match part.map(|line| line.trial.name).collect::<Vec<_>>().join(", ") {
                skipped if skipped.is_empty() => "passed".to_owned(),
                skipped => format!("nothing failed; skipped, all of it or a part: {skipped}"),
            }
        }
    }
}

/// Writes what was found so far; `verdict` is there once all trials have ended.
fn write(asked: &Asked, lines: &[Line], verdict: Option<Verdict>) -> Outcome {
    let Some(file) = &asked.json else { return Ok(()) };
    let found: Value = json!({
        "minutes": asked.time.as_secs_f64() / 60.0,
        "seed": asked.seed,
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "planted": catches::planted(),
        "only": asked.only,
        "result": verdict.map_or_else(|| "not finished".to_owned(), |verdict| verdict.to_string()),
        "trials": lines.iter().map(Line::json).collect::<Vec<_>>(),
    });
    replace(file, &format!("{found:#}\n"))
        .map_err(|error| Violation::from(error).at(file.display()))
}

/// What stood there stays until all that takes its place is written.
fn replace(file: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, file)
}
