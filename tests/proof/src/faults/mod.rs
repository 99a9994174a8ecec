//! Failing calls: each call of each operation, with each error that the system can answer it with, once and
//! for good.
//!
//! An operation is made in this process on a disk that lets its calls fail, from its nth call on. Then:
//!
//! - it ends, and does not panic;
//! - what ended well has done what it promises; what failed says which path, and what the system said;
//! - nothing is acknowledged behind a sync that failed;
//! - once the disk works again, all that [`check::after_a_crash`](crate::check::after_a_crash) asks for holds.
//!   That is looked at once for each tree that differs, with what was acknowledged in it, but for ids and times.

mod cell;
mod chance;
mod disk;
mod fault;
mod real;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use self::cell::{Bench, Counts};
use self::fault::Fault;
use crate::trial::fast_directory;
use crate::{Budget, Operation, Outcome, Rng, Row, Trial, Violation, operations};

/// The row of the table: every cell, then two failures at a time, by chance, and real errors of the system's calls.
pub const TRIAL: Trial = Trial { name: "faults", unit: "failures", run: long };

fn long(budget: &Budget) -> Outcome<Row> {
    let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let mut row = every_cell(&worker, "", Some(budget))?;
    let more = chance::run(&worker, budget)?;
    row.add(more);
    Ok(row)
}

/// Every cell of every operation whose name contains this, on both cores, until a budget is over.
///
/// # Errors
/// Where a trial itself cannot be made. What was found is in the row.
pub fn every_cell(worker: &Utf8Path, named: &str, budget: Option<&Budget>) -> Outcome<Row> {
    let operations = operations::ALL.iter().copied().flatten();
    let mut queue: VecDeque<_> = operations.filter(|tried| tried.name.contains(named)).collect();
    match budget {
        // At another one each time, where there is no time for all.
        Some(budget) => {
            let first = Rng::of(budget.seed, &["faults"]).below(queue.len());
            queue.rotate_left(first);
        }
        // Those that take longest first, so that both cores are done together.
        None => queue.make_contiguous().sort_by_key(|tried| !tried.name.starts_with("flow")),
    }
    let all_operations = queue.len();
    let queue = Mutex::new(queue);
    let row = Mutex::new((Row::default(), Counts::default()));
    let next = || {
        let over = budget.is_some_and(Budget::is_over);
        let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
        // One at least, however little time there is.
        let is_first = queue.len() == all_operations;
        queue.pop_front().filter(|_| is_first || !over)
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(operation) = next() {
                    let mut violations = Vec::new();
                    let counts = cells_of(operation, worker, budget, &mut violations)
                        .unwrap_or_else(|violation| {
                            violations.push(violation.at(operation.name));
                            Counts::default()
                        });
                    let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
                    let (row, all) = &mut *row;
                    row.violations.extend(violations);
                    all.add(counts);
                }
            });
        }
    });
    let (mut row, all) = row.into_inner().unwrap_or_else(PoisonError::into_inner);
    row.tried = all.tried;
    row.notes.push(format!("{} of {all_operations} operations", all.whole));
    row.notes.push(format!("{} went through, {} states", all.went_through, all.states));
    row.notes.push(format!("{} cells hit nothing", all.hit_nothing));
    Ok(row)
}

/// Each call of one operation with each error, once and for good.
fn cells_of(
    operation: &'static Operation,
    worker: &Utf8Path,
    budget: Option<&Budget>,
    violations: &mut Vec<Violation>,
) -> Outcome<Counts> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let start = std::time::Instant::now();
    let mut bench = Bench::new(operation, worker, dir)?;
    let calls = bench.calls()?;
    for (at, kinds) in calls.iter().enumerate() {
        if bench.counts.tried > 0 && budget.is_some_and(Budget::is_over) {
            return Ok(bench.counts);
        }
        for kind in kinds {
            for lasting in [false, true] {
                if budget.is_none() && lasting && kind.is_as_another() {
                    continue;
                }
                let fault = Fault { kind: *kind, at, lasting };
                if let Err(violation) = bench.attempt(&[fault]) {
                    let place = format!("{}, {fault}", operation.name);
                    violations.push(violation.at(place));
                }
            }
        }
    }
    bench.counts.whole = 1;
    eprintln!(
        "{}: {} calls, {} cells, {} went through, {} states, {:.1} s",
        operation.name,
        calls.len(),
        bench.counts.tried,
        bench.counts.went_through,
        bench.counts.states,
        start.elapsed().as_secs_f64()
    );
    Ok(bench.counts)
}
