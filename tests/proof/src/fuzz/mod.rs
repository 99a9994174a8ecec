//! Bytes, whatever they are: the library's parsers under libFuzzer, and under cheap mutations where that is not
//! there.
//!
//! What is called is [`runjournal::proof::fuzz::TARGETS`]; `tests/fuzz` holds the program that libFuzzer drives, the
//! corpus of each target, and the dictionary.

mod build;
mod corpus;
mod engine;
mod harvest;
mod mutations;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runjournal::proof::fuzz::{TARGETS, Target};

pub use build::Unbuilt;
pub use corpus::{Corpus, add_seeds, minimize};
pub use engine::Engine;
pub use mutations::{mutate, replay};

use crate::threads::on_threads;
use crate::{Budget, Outcome, Row, Trial, Violation};

/// The row of the table.
pub const TRIAL: Trial = Trial { name: "fuzz", unit: "executions", run };

/// What libFuzzer, or else our own mutations, make of the time.
fn run(budget: &Budget) -> Outcome<Row> {
    let mut row = replayed()?;
    // What is left where it is not built in time is for the mutations.
    let to_build = Budget::new(budget.left() * 3 / 4, budget.seed);
    match Engine::build(&to_build) {
        Ok(engine) => row.add(fuzz(&engine, budget.left(), budget.seed, &[])?),
        Err(unbuilt) => {
            row.add(unbuilt.into_row());
            row.add(mutated(budget.left(), budget.seed, &[])?);
            row.notes.push("mutations by seed instead of libFuzzer".to_owned());
        }
    }
    Ok(row)
}

/// Runs the targets of these names, or all of them, under libFuzzer: as many at a time as there are processors,
/// each as long as the others.
///
/// # Errors
/// Where a name is none of a target's, or libFuzzer cannot be started.
pub fn fuzz(engine: &Engine, time: Duration, seed: u64, only: &[String]) -> Outcome<Row> {
    share_out(time, only, &|name, _, share| engine.run(name, share, seed))
}

/// The same without libFuzzer: mutations of the corpora by seed.
///
/// # Errors
/// Where a name is none of a target's, or a corpus cannot be read.
pub fn mutated(time: Duration, seed: u64, only: &[String]) -> Outcome<Row> {
    share_out(time, only, &|name, target, share| {
        let mut row = mutate(name, target, u64::MAX, &Budget::new(share, seed))?;
        row.notes.push(format!("{name} {}", row.tried));
        Ok(row)
    })
}

/// Tries each chosen target for its share of the time.
fn share_out(
    time: Duration,
    only: &[String],
    attempt: &(dyn Fn(&str, Target, Duration) -> Outcome<Row> + Sync),
) -> Outcome<Row> {
    only.iter().try_for_each(|name| target(name).map(|_| ()))?;
    let is_chosen = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
    let chosen: Vec<_> = TARGETS.iter().filter(|(name, _)| is_chosen(name)).collect();
    let at_once = std::thread::available_parallelism()?.get().min(chosen.len());
    let share = time / u32::try_from(chosen.len().div_ceil(at_once)).unwrap_or(1);
    let (row, next) = (Mutex::new(Ok(Row::default())), AtomicUsize::new(0));
    on_threads(at_once, |_| {
        while let Some((name, target)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = attempt(name, *target, share);
            let Ok(mut row) = row.lock() else { break };
            match (&mut *row, found) {
                (Ok(row), Ok(found)) => row.add(found),
                (row, Err(violation)) => *row = Err(violation),
                (Err(_), _) => {}
            }
        }
        Ok(())
    })?;
    row.into_inner().unwrap_or_else(|_| Err(Violation::new("a thread of the trial panicked")))
}

/// Every file of every corpus, once.
///
/// # Errors
/// Where a corpus cannot be read.
pub fn replayed() -> Outcome<Row> {
    let mut row = Row::default();
    for (name, target) in TARGETS {
        row.add(replay(name, *target, &Corpus::of(name)?)?);
    }
    Ok(row)
}

/// The names of all targets.
#[must_use]
pub fn names() -> Vec<&'static str> {
    TARGETS.iter().map(|(name, _)| *name).collect()
}

/// The target of this name.
///
/// # Errors
/// With the names that there are, where it is none of them.
pub fn target(name: &str) -> Outcome<Target> {
    let found = TARGETS.iter().find(|(of, _)| *of == name).map(|(_, target)| *target);
    let unknown = || format!("there is no target {name}; there are {}", names().join(", "));
    found.ok_or_else(|| Violation::new(unknown()))
}
