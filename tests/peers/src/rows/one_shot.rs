//! Row 5: open, append, close, on a long journal and on short ones.

use std::time::Instant;

use camino::Utf8Path;

use crate::args::Plan;
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::report::{Entry, Goal};
use crate::spot::{Spot, new_key};
use crate::{Result, workers};

const SHORT: u64 = 10;
/// Short journals in a round: each is appended to a few times only, so that it stays short.
const SHORT_RUNS: usize = 16;
/// Appends of a lap.
const APPENDS: u64 = 16;
const ON_SHORT: &str = "the same on 10 records";
const ON_LONG: &str = "on a long journal";

/// The same: the call, the event, the process. Not the same: how long the journal is. The long one is written
/// once, in batches that have a key and a stream each, and closed; each append has a key that was never used.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let records = plan.size(1_000_000, 10_000_000);
    let long = Spot::fill(&lab.fresh()?, records)?;
    lab.settle()?;
    let laps = Laps { warm: 1, counted: 1 };
    let mut entries = Vec::new();
    for (how, once) in [("", Spot::append as Once), (", as a process of its own", append_in_child)]
    {
        let contenders = [
            Contender::new(ON_LONG, |_| {
                let spot = long.clone();
                Ok(Box::new(move || timed(|_| once(&spot))) as Work<'_>)
            }),
            Contender::new(ON_SHORT, |dir| short(dir, once)),
        ];
        let series = interleave(lab, plan, laps, &contenders)?;
        let work = format!("open, append, close on {records} records{how}");
        let goal = if how.is_empty() { Goal::AtMost(1.5, 1.1) } else { Goal::Context };
        entries.push(Entry::compare("5", work, &series, ON_LONG, ON_SHORT, goal));
    }
    Ok(entries)
}

type Once = fn(&Spot) -> Result<()>;

fn append_in_child(spot: &Spot) -> Result<()> {
    workers::ask(&spot.ctx, &["once", &new_key()]).map(|_| ())
}

/// The calls of a lap; fewer where they are slow.
fn timed(mut operate: impl FnMut(u64) -> Result<()>) -> Result<Lap> {
    let start = Instant::now();
    let mut operations = 0;
    while operations < APPENDS && start.elapsed().as_secs_f64() < 0.2 {
        operate(operations)?;
        operations += 1;
    }
    Ok(Lap { operations, time: start.elapsed() })
}

fn short(dir: &Utf8Path, once: Once) -> Result<Work<'static>> {
    let mut spots = Vec::new();
    for number in 0..SHORT_RUNS {
        let dir = dir.join(number.to_string());
        std::fs::create_dir(&dir)?;
        spots.push(Spot::fill(&dir, SHORT)?);
    }
    Ok(Box::new(move || {
        timed(|number| {
            let spot = spots.get(number as usize % SHORT_RUNS).ok_or("there is no such run")?;
            once(spot)
        })
    }))
}
