//! Plans, done and told of.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use runjournal::proof::{Watch, watch};

use super::act::What;
use super::check;
use super::plan::Plan;
use super::shrink::shrink;
use super::tally::Tally;
use super::world::World;
use crate::disk::Trace;
use crate::threads::on_threads;
use crate::trial::fast_directory;
use crate::{Budget, Outcome, Rng, Row, Trial, Violation};

/// The whole library, by seed.
pub const TRIAL: Trial = Trial { name: "simulation", unit: "seeds", run: run_long };

/// Acts of a plan in the long run.
pub const LONG: usize = 60;
/// How long a plan that fails may be shortened.
const SHRINKING: Duration = Duration::from_secs(20);
/// So many plans that fail are told of; then it is enough.
const ENOUGH: usize = 5;

fn run_long(budget: &Budget) -> Outcome<Row> {
    let budget = *budget;
    let first = budget.seed.wrapping_mul(1_000_000_000);
    try_seeds(first, u64::MAX - first, LONG, 2, move || budget.is_over())
}

/// Tries so many seeds from one on, on so many threads, until it is over.
///
/// # Errors
/// Where no plan can be tried.
pub fn try_seeds(
    first: u64,
    count: u64,
    length: usize,
    threads: usize,
    is_over: impl Fn() -> bool + Sync,
) -> Outcome<Row> {
    let (next, tried) = (AtomicU64::new(0), AtomicU64::new(0));
    let (found, tally) = (Mutex::new(Vec::new()), Mutex::new(Tally::default()));
    let lock = || found.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count || (at > 0 && is_over()) || lock().len() >= ENOUGH {
                return;
            }
            let plan = Plan::of(first + at, length);
            match attempt(&plan) {
                Ok(done) => tally.lock().unwrap_or_else(PoisonError::into_inner).add(done),
                Err(violation) => {
                    let short = shrink(&plan, SHRINKING, |plan| attempt(plan).is_err());
                    lock().push(report(&plan, &short, length, &violation));
                }
            }
            tried.fetch_add(1, Ordering::Relaxed);
        }
    };
    let ended = on_threads(threads, |_| {
        work();
        Ok(())
    });
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let notes = vec![
        format!("{} acts", tally.acts),
        format!("{} deaths", tally.deaths),
        format!("{} acts with errors", tally.faults),
        format!("{} with somebody in between", tally.races),
        format!("{} power cuts", tally.cuts),
    ];
    let mut violations = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    violations.extend(ended.err());
    Ok(Row { tried: tried.into_inner(), notes, violations, ..Row::default() })
}

/// The first of so many plans that fails, as it is.
#[must_use]
pub fn first_failure(first: u64, count: u64, length: usize) -> Option<Violation> {
    (first..first.saturating_add(count)).find_map(|seed| attempt(&Plan::of(seed, length)).err())
}

fn report(plan: &Plan, short: &Plan, length: usize, violation: &Violation) -> Violation {
    let now = attempt(short).err();
    let now = now.map_or_else(|| "not seen again".to_owned(), |found| found.to_string());
    Violation::new(format!(
        "seed {}: {violation}\n  {} of {} acts are enough: {now}\n  {short}\n  again: {}",
        plan.seed,
        short.len(),
        plan.len(),
        short.command(length),
    ))
}

/// Does a plan again, or a part of it, and tells of each act.
///
/// # Errors
/// What does not hold.
pub fn replay(plan: &Plan) -> Outcome {
    println!("{plan}");
    attempt(plan).map(|_| ())
}

/// Does a plan.
pub(super) fn attempt(plan: &Plan) -> Outcome<Tally> {
    catch_unwind(AssertUnwindSafe(|| run(plan)))
        .unwrap_or_else(|_| Err(Violation::new("it panicked")))
}

fn run(plan: &Plan) -> Outcome<Tally> {
    let temporary = tempfile::Builder::new().prefix("simulation-").tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let mut world = World::new(&dir, plan)?;
    let epochs: Vec<_> = plan.acts.split(|act| matches!(act.what, What::PowerCut)).collect();
    let last = epochs.len() - 1;
    for (at, acts) in epochs.into_iter().enumerate() {
        let watcher = Arc::clone(&world.saboteur) as Arc<dyn Watch>;
        let root = world.root().to_owned();
        let mut work =
            || acts.iter().try_for_each(|act| world.act(act).map_err(|found| found.at(act)));
        if at == last {
            let watching = watch(root.as_std_path(), watcher);
            work()?;
            drop(watching);
            break;
        }
        let (trace, done) = Trace::record_beside(&root, watcher, || 0, work)?;
        done?;
        // The cut is known by what comes before it, so that it stays the same in a shorter plan.
        let number = acts.last().map_or(0, |act| act.number + 1);
        let mut rng = Rng::of(plan.seed, &["cut", &number.to_string()]);
        let image = trace.disk_after(trace.len()).state(&mut rng);
        let lost = || {
            let lost: Vec<_> = image.lost().iter().take(8).cloned().collect();
            format!("the power cut {} (lost: {})", at + 1, lost.join("; "))
        };
        world.power_cut(&image).map_err(|found| found.at(lost()))?;
    }
    let index = plan.seed.is_multiple_of(8)
        || plan.acts.iter().any(|act| matches!(act.what, What::Refresh));
    check::at_the_end(&mut world, index).map_err(|found| found.at("at the end"))?;
    Ok(world.tally)
}
