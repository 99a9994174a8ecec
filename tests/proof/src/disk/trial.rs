//! The trial of crash states: all operations, short workloads, and for as long as there is time, long ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::bench::{Bench, Found};
use super::letters;
use super::workload::Workload;
use crate::{Budget, Operation, Outcome, Rng, Row, Trial, Violation, operations, threads};

/// States that a power cut may leave, each recovered and checked.
pub const TRIAL: Trial = Trial { name: "disk", unit: "crash states", run: for_long };

/// So many states of one moment, in `cargo test` and in the long run.
pub(super) const FEW: usize = 24;
const MANY: usize = 96;

/// Of those with heads, the ones that `cargo test` has time for.
const SHORT_WITH_HEADS: &[&str] =
    &["append_with_key", "artifact_overwrite", "head_ahead_of_files", "lease_start_run"];

/// Each operation by itself, each pair of short calls, and these operations once more with heads.
fn short(with_heads: impl Fn(&Operation) -> bool) -> Vec<Workload> {
    let alone = |heads| move |call: &Operation| workload(vec![*call], heads);
    let plain = operations::ALL.iter().copied().flatten().map(alone(false));
    let with_heads = operations::with_heads().filter(|call| with_heads(call)).map(alone(true));
    let pairs = letters::ALL
        .iter()
        .flat_map(|one| letters::ALL.iter().map(|other| workload(vec![*one, *other], false)));
    with_heads.chain(plain).chain(pairs).collect()
}

/// Each three short calls one after the other.
fn triples() -> Vec<Workload> {
    let mut triples = Vec::new();
    for one in letters::ALL {
        for other in letters::ALL {
            let of = |third: &Operation| workload(vec![*one, *other, *third], false);
            triples.extend(letters::ALL.iter().map(of));
        }
    }
    triples
}

fn workload(calls: Vec<Operation>, heads: bool) -> Workload {
    Workload { calls, heads, recovers: false }
}

/// Every operation and every pair of short calls, with so many states of a moment as there is time for in `cargo
/// test`. `worker` is the program that sets stages.
///
/// # Errors
/// Where the trial cannot be made.
pub fn in_short(worker: &Utf8Path, seed: u64) -> Outcome<Row> {
    // Not a limit, but an end where a machine is so slow that it says nothing.
    let budget = Budget::new(Duration::from_secs(600), seed);
    let few = short(|call| SHORT_WITH_HEADS.contains(&call.name));
    let (found, _) = on_all_processors(&few, worker, FEW, &budget)?;
    if budget.is_over() && found.violations.is_empty() {
        return Err(Violation::new("this machine is too slow: there was no time for all of it"));
    }
    Ok(row(found))
}

/// The same with more states, then all triples, then long workloads by chance.
fn for_long(budget: &Budget) -> Outcome<Row> {
    let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let half = Budget::new(budget.left() / 2, budget.seed);
    let short = short(|_| true);
    let (mut found, short_done) = on_all_processors(&short, &worker, MANY, &half)?;
    // At other places each time, where there is no time for all.
    let mut triples = triples();
    let mut rng = Rng::of(budget.seed, &["triples"]);
    for at in (1..triples.len()).rev() {
        triples.swap(at, rng.below(at + 1));
    }
    let most = Budget::new(budget.left() / 2, budget.seed);
    let (of_triples, triples_done) = on_all_processors(&triples, &worker, FEW, &most)?;
    found.add(of_triples);
    found.add(by_chance(&worker, budget)?);
    let mut row = row(found);
    row.notes.push(format!("{short_done} of {} short workloads", short.len()));
    row.notes.push(format!("{triples_done} of {} triples", triples.len()));
    Ok(row)
}

pub(super) fn row(found: Found) -> Row {
    let notes = vec![
        format!("{} moments", found.points),
        format!("{} of them with more states than were tried", found.sampled),
        format!("{} states of recoveries that were cut off as well", found.recoveries),
        format!(
            "{} deaths before a last sync, {} states after them",
            found.deaths, found.after_deaths
        ),
    ];
    let tried = found.states + found.recoveries + found.after_deaths;
    let violations = found.violations;
    Row { tried, violations, notes, ..Row::default() }
}

/// Tries workloads on as many threads as there are processors: the first of them, and more while there is time.
/// Says how many were tried to their end.
fn on_all_processors(
    workloads: &[Workload],
    worker: &Utf8Path,
    most: usize,
    budget: &Budget,
) -> Outcome<(Found, usize)> {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let found = on_threads(worker, budget.seed, most, |bench| {
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            let Some(workload) = workloads.get(at).filter(|_| at == 0 || !budget.is_over()) else {
                return Ok(());
            };
            if let Err(violation) = bench.try_all(workload, budget) {
                bench.found.violations.push(violation.at(workload.name()));
            }
            done.fetch_add(usize::from(!budget.is_over()), Ordering::SeqCst);
        }
    })?;
    Ok((found, done.into_inner()))
}

/// Long workloads, cut off at some moments, until the time is over.
fn by_chance(worker: &Utf8Path, budget: &Budget) -> Outcome<Found> {
    let next = AtomicUsize::new(0);
    on_threads(worker, budget.seed, FEW, |bench| {
        while !budget.is_over() {
            let number = next.fetch_add(1, Ordering::SeqCst).to_string();
            let mut rng = Rng::of(budget.seed, &["workload", &number]);
            let length = 4 + rng.below(9);
            let calls = (0..length).filter_map(|_| rng.pick(letters::ALL).copied()).collect();
            let workload = workload(calls, rng.once_in(3));
            let recorded = bench.record(&workload);
            let tried = recorded.and_then(|recorded| {
                let steps = recorded.trace.len() + 1;
                let points: Vec<_> = (0..12).map(|_| rng.below(steps)).collect();
                bench.try_points(&workload, &recorded, &points, budget)
            });
            if let Err(violation) = tried {
                bench.found.violations.push(violation.at(workload.name()));
            }
        }
        Ok(())
    })
}

fn on_threads(
    worker: &Utf8Path,
    seed: u64,
    most: usize,
    work: impl Fn(&mut Bench) -> Outcome + Sync,
) -> Outcome<Found> {
    let found = Mutex::new(Found::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    threads::on_threads(threads, |_| {
        let mut bench = Bench::new(worker, seed, most)?;
        work(&mut bench)?;
        found.lock().unwrap_or_else(PoisonError::into_inner).add(bench.found);
        Ok(())
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}
