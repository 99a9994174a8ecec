//! The trial of crash states: all operations, short workloads, and for as long as there is time, long ones.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::bench::{Bench, Found};
use super::letters;
use super::workload::Workload;
use crate::{Budget, Operation, Outcome, Rng, Row, Trial, Violation, ensure, operations};

/// States that a power cut may leave, each recovered and checked.
pub const TRIAL: Trial = Trial { name: "disk", unit: "crash states", run: for_long };

/// So many states of one moment, in `cargo test` and in the long run.
const FEW: usize = 24;
const MANY: usize = 96;

/// Each operation by itself, once more with heads, and each pair of short calls.
fn short() -> Vec<Workload> {
    let alone = |heads| move |call: &Operation| workload(vec![*call], heads);
    let plain = operations::ALL.iter().copied().flatten().map(alone(false));
    let pairs = letters::ALL
        .iter()
        .flat_map(|one| letters::ALL.iter().map(|other| workload(vec![*one, *other], false)));
    plain.chain(pairs).collect()
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
    Ok(row(on_all_processors(&short(), worker, FEW, &budget)?.0))
}

/// The same with more states, then all triples, then long workloads by chance.
fn for_long(budget: &Budget) -> Outcome<Row> {
    let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let half = Budget::new(budget.left() / 2, budget.seed);
    let short = short();
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

fn row(found: Found) -> Row {
    let notes = vec![
        format!("{} moments", found.points),
        format!("{} of them with more states than were tried", found.sampled),
        format!("{} states of recoveries that were cut off as well", found.recoveries),
    ];
    let (tried, violations) = (found.states + found.recoveries, found.violations);
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
    let one = || -> Outcome {
        let mut bench = Bench::new(worker, seed, most)?;
        work(&mut bench)?;
        found.lock().unwrap_or_else(PoisonError::into_inner).add(bench.found);
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let started: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        started.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Violation::new("a thread of the trial panicked")))
        })
    })?;
    Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// What is tried again.
#[derive(Debug, Clone, clap::Args)]
pub struct Again {
    /// The operation, or calls that are joined by `+`
    #[arg(long)]
    operation: String,
    /// After how many steps the power is cut; at each, unless given
    #[arg(long)]
    point: Option<usize>,
    /// The name of the state; each, unless given
    #[arg(long)]
    state: Option<String>,
    /// The seed that it was found with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many states of a moment, where there are more
    #[arg(long, default_value_t = FEW)]
    most: usize,
    /// A directory to write the state to, as it was left; it must not be there
    #[arg(long)]
    keep: Option<Utf8PathBuf>,
}

impl Again {
    /// Tries an operation again, or one state of it.
    ///
    /// # Errors
    /// With what does not hold, or where there is no such operation or state.
    pub fn run(&self) -> Outcome<Row> {
        let worker = Utf8PathBuf::try_from(std::env::current_exe()?)?;
        let workload = Workload::find(&self.operation)
            .ok_or_else(|| Violation::new(format!("nothing is called {}", self.operation)))?;
        let mut bench = Bench::new(&worker, self.seed, self.most)?;
        let (Some(point), Some(name)) = (self.point, &self.state) else {
            let budget = Budget::new(Duration::from_secs(86_400), self.seed);
            bench.try_all(&workload, &budget)?;
            return Ok(row(std::mem::take(&mut bench.found)));
        };
        let recorded = bench.record(&workload)?;
        let states = bench.states(&workload, &recorded, point).0;
        let state = states.iter().find(|state| state.name() == *name);
        let state = state.ok_or_else(|| Violation::new("no state of that moment has this name"))?;
        println!("after step {point}: {}", recorded.trace.step(point));
        state.lost().iter().for_each(|lost| println!("lost: {lost}"));
        if let Some(keep) = &self.keep {
            ensure(!keep.exists(), || format!("{keep} is there already"))?;
            std::fs::create_dir_all(keep)?;
            state.write_to(keep)?;
        }
        let mut row = Row { tried: 1, ..Row::default() };
        row.violations.extend(bench.try_state(&workload, &recorded, point, state).err());
        Ok(row)
    }
}
