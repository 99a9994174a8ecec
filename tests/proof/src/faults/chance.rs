//! Two failures in one operation, by chance.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::cell::{Bench, Tried};
use super::fault::{Fault, Kind};
use super::{again, all};
use crate::threads::on_threads;
use crate::trial::fast_directory;
use crate::{Outcome, Rng, Row};

/// How many pairs are tried with one operation before another one is drawn.
const ROUND: usize = 40;

/// So many rounds of pairs, each of an operation that is drawn.
///
/// # Errors
/// Where a trial itself cannot be made. What was found is in the row.
pub fn some_pairs(worker: &Utf8Path, seed: u64, rounds: usize) -> Outcome<Row> {
    pairs(worker, seed, |round| round >= rounds)
}

/// Rounds of pairs on both cores, until it is over before one.
pub(super) fn pairs(
    worker: &Utf8Path,
    seed: u64,
    is_over: impl Fn(usize) -> bool + Sync,
) -> Outcome<Row> {
    let all: Vec<_> = all().collect();
    let next = AtomicUsize::new(0);
    let row = Mutex::new(Row::default());
    let ended = on_threads(2, |_| {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            // What a round tries does not depend on who makes it.
            let mut chance = Rng::of(seed, &["faults", &number.to_string()]);
            let (Some(drawn), false) = (chance.pick(&all), is_over(number)) else { return Ok(()) };
            let made = round(*drawn, worker, &mut chance, || is_over(number));
            let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
            match made {
                Ok(made) => {
                    row.tried += made.tried;
                    row.violations.extend(made.violations);
                }
                Err(violation) => row.violations.push(violation.at(drawn)),
            }
        }
    });
    let mut row = row.into_inner().unwrap_or_else(PoisonError::into_inner);
    row.violations.extend(ended.err());
    row.notes.push(format!("{} by chance", row.tried));
    Ok(row)
}

/// Some pairs of one operation.
fn round(
    tried: Tried,
    worker: &Utf8Path,
    chance: &mut Rng,
    is_over: impl Fn() -> bool,
) -> Outcome<Row> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let mut bench = Bench::new(tried, worker, dir)?;
    let calls = bench.calls()?.len();
    let mut row = Row::default();
    for _ in 0..ROUND {
        if is_over() {
            break;
        }
        let faults = [(); 2].map(|()| {
            let kind = chance.pick(&Kind::ALL).copied().unwrap_or(Kind::Eio);
            Fault { kind, at: chance.below(calls), lasting: chance.once_in(2) }
        });
        if let Err(violation) = bench.attempt(&faults) {
            let both = faults.map(|fault| fault.to_string()).join(" and ");
            let again = again::command(tried, &faults);
            row.violations.push(violation.at(format!("{tried}, {both}")).and(again));
        }
    }
    row.tried = bench.counts.tried;
    Ok(row)
}
