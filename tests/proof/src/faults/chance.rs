//! Two failures in one operation, by chance; and failures of the system's own calls, of which the library's `io`
//! sees nothing beforehand.

use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::cell::Bench;
use super::fault::{Fault, Kind};
use super::real;
use crate::trial::fast_directory;
use crate::{Budget, Operation, Outcome, Rng, Row, operations, strace};

/// How many trials are made with one operation before another one is drawn.
const ROUND: usize = 40;

/// Until the budget is over, on both cores.
pub(super) fn run(worker: &Utf8Path, budget: &Budget) -> Outcome<Row> {
    let row = Mutex::new(Row::default());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let row = &row;
            scope.spawn(move || {
                let mut chance = Rng::new(budget.seed.wrapping_mul(2).wrapping_add(thread));
                while !budget.is_over() {
                    let tried = round(worker, budget, &mut chance);
                    let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
                    match tried {
                        Ok(tried) => {
                            row.tried += tried.tried;
                            row.violations.extend(tried.violations);
                        }
                        Err(violation) => row.violations.push(violation),
                    }
                }
            });
        }
    });
    let mut row = row.into_inner().unwrap_or_else(PoisonError::into_inner);
    row.notes.push(format!("{} by chance", row.tried));
    row.skipped.extend(strace::missing().map(|why| format!("errors of real calls: {why}")));
    Ok(row)
}

/// Some trials of an operation that is drawn.
fn round(worker: &Utf8Path, budget: &Budget, chance: &mut Rng) -> Outcome<Row> {
    let all: Vec<&'static Operation> = operations::ALL.iter().copied().flatten().collect();
    let mut row = Row::default();
    let Some(operation) = all.get(chance.below(all.len())).copied() else { return Ok(row) };
    let at = |what: &str| format!("{}, seed {}, {what}", operation.name, budget.seed);
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let mut bench = Bench::new(operation, worker, dir)?;
    if chance.below(3) == 0 && strace::missing().is_none() {
        let (tried, found) = real::some(&bench, worker, budget, |most| chance.below(most))?;
        row.tried = tried;
        row.violations.extend(found.into_iter().map(|found| found.at(at("a real call"))));
        return Ok(row);
    }
    let calls = bench.calls()?.len();
    for _ in 0..ROUND {
        if budget.is_over() {
            break;
        }
        let faults = [(); 2].map(|()| {
            let kind = Kind::ALL.get(chance.below(Kind::ALL.len())).copied().unwrap_or(Kind::Eio);
            Fault { kind, at: chance.below(calls), lasting: chance.below(2) == 0 }
        });
        if let Err(violation) = bench.attempt(&faults) {
            let both = faults.map(|fault| fault.to_string()).join(" and ");
            row.violations.push(violation.at(at(&both)));
        }
    }
    row.tried = bench.counts.tried;
    Ok(row)
}
