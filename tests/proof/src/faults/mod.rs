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
//!
//! Some operations are tried [once more](operations::with_heads) with a head after every record. Two failures in one
//! operation come by chance, and what a failed sync of a journal left in doubt is taken up by a next writer, whose
//! calls fail as well.

mod again;
mod cell;
mod chance;
mod disk;
mod doubt;
mod fault;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

pub use self::again::Again;
use self::cell::{Bench, Counts, Tried};
pub use self::chance::some_pairs;
pub use self::doubt::in_doubt;
use self::fault::Fault;
use crate::threads::on_threads;
use crate::trial::fast_directory;
use crate::{Budget, Outcome, Rng, Row, Trial, Violation, operations};

/// The row of the table: every cell, then what is in doubt, then two failures at a time, by chance.
pub const TRIAL: Trial = Trial { name: "faults", unit: "failures", run: long };

fn long(budget: &Budget) -> Outcome<Row> {
    let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let mut row = every_cell(&worker, Some(budget))?;
    row.add(in_doubt(&worker, Some(budget))?);
    row.add(chance::pairs(&worker, budget.seed, |_| budget.is_over())?);
    Ok(row)
}

/// With heads, `cargo test` has the time for these alone: each leaves another one, or finds it.
const HEADS_IN_SHORT: &[&str] =
    &["append_with_key", "append_large", "artifact_overwrite", "start_run", "queue_done_with"];

impl Tried {
    fn is_tried_in_short(&self) -> bool {
        !self.heads || HEADS_IN_SHORT.contains(&self.operation.name)
    }
}

/// All that is tried: every operation, and some of them once more with heads.
fn all() -> impl Iterator<Item = Tried> {
    let plain = operations::ALL.iter().copied().flatten();
    let plain = plain.map(|operation| Tried { operation, heads: false });
    plain.chain(operations::with_heads().map(|operation| Tried { operation, heads: true }))
}

/// Every cell of every operation, on both cores, until a budget is over. Where there is none, what is as another is
/// left out, and so are most heads.
///
/// # Errors
/// Where a trial itself cannot be made. What was found is in the row.
pub fn every_cell(worker: &Utf8Path, budget: Option<&Budget>) -> Outcome<Row> {
    let all = all().filter(|tried| budget.is_some() || tried.is_tried_in_short());
    let mut queue: VecDeque<_> = all.collect();
    match budget {
        // At another one each time, where there is no time for all.
        Some(budget) => {
            let first = Rng::of(budget.seed, &["faults"]).below(queue.len());
            queue.rotate_left(first);
        }
        // Those that take longest first, so that both cores are done together.
        None => {
            queue.make_contiguous().sort_by_key(|tried| !tried.operation.name.starts_with("flow"))
        }
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
    let ended = on_threads(2, |_| {
        while let Some(tried) = next() {
            let mut violations = Vec::new();
            let counts = cells_of(tried, worker, budget, &mut violations);
            let mut row = row.lock().unwrap_or_else(PoisonError::into_inner);
            let (row, all) = &mut *row;
            row.violations.extend(violations);
            match counts {
                Ok(counts) => all.add(counts),
                Err(violation) => row.violations.push(violation.at(tried)),
            }
        }
        Ok(())
    });
    let (mut row, all) = row.into_inner().unwrap_or_else(PoisonError::into_inner);
    row.violations.extend(ended.err());
    row.tried = all.tried;
    row.notes.push(format!("{} of {all_operations} operations", all.whole));
    row.notes.push(format!("{} went through, {} states", all.went_through, all.states));
    row.notes.push(format!("{} cells hit nothing", all.hit_nothing));
    Ok(row)
}

/// Each call of one operation with each error, once and for good.
fn cells_of(
    tried: Tried,
    worker: &Utf8Path,
    budget: Option<&Budget>,
    violations: &mut Vec<Violation>,
) -> Outcome<Counts> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let start = std::time::Instant::now();
    let mut bench = Bench::new(tried, worker, dir)?;
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
                    violations.push(
                        violation
                            .at(format!("{tried}, {fault}"))
                            .and(again::command(tried, &[fault])),
                    );
                }
            }
        }
    }
    bench.counts.whole = 1;
    eprintln!(
        "{tried}: {} calls, {} cells, {} went through, {} states, {:.1} s",
        calls.len(),
        bench.counts.tried,
        bench.counts.went_through,
        bench.counts.states,
        start.elapsed().as_secs_f64()
    );
    Ok(bench.counts)
}
