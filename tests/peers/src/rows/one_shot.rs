//! Row 5: open, append, close, on a long journal and on short ones.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use crate::args::Plan;
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::report::{Entry, Goal};
use crate::spot::{Spot, new_key};
use crate::{Result, workers};

const SHORT: u64 = 10;
const LAPS: Laps = Laps { warm: 1, counted: 1 };
/// Appends of a lap, all to one journal. A short one serves one lap only, so that it stays short.
const APPENDS: u64 = 16;
const ON_SHORT: &str = "the same on 10 records";
const ON_LONG: &str = "on a long journal";
const NOTHING: &str = "a process that does nothing";

/// The same: the call, the event, the process. Not the same: how long the journal is. The long one is written
/// once, in batches that have a key and a stream each, and closed; each append has a key that was never used.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let sizes: &[u64] = if plan.quick { &[GOAL] } else { &[GOAL, 10_000_000] };
    let entries =
        sizes.iter().map(|records| of(lab, plan, *records)).collect::<Result<Vec<_>>>()?;
    Ok(entries.into_iter().flatten().collect())
}

/// The length that the goal is about.
const GOAL: u64 = 1_000_000;

fn of(lab: &Lab, plan: &Plan, records: u64) -> Result<Vec<Entry>> {
    let long = Spot::fill(&lab.fresh()?, records)?;
    lab.settle()?;
    let mut entries = Vec::new();
    for (in_child, once) in [(false, Spot::append as Once), (true, append_in_child)] {
        let slowest = RefCell::new(Vec::new());
        let mut contenders = vec![
            Contender::new(ON_LONG, |_| {
                let spot = long.clone();
                let (slowest, mut lap) = (&slowest, 0);
                Ok(Box::new(move || {
                    let (done, longest) = timed(|| once(&spot))?;
                    if lap >= LAPS.warm {
                        slowest.borrow_mut().push(longest.as_nanos() as f64);
                    }
                    lap += 1;
                    Ok(done)
                }) as Work<'_>)
            }),
            Contender::new(ON_SHORT, |dir| short(dir, once)),
        ];
        if in_child {
            contenders.push(Contender::new(NOTHING, |_| {
                let ctx = long.ctx.clone();
                let ask = move || workers::ask(&ctx, &["idle"]).map(drop);
                Ok(Box::new(move || Ok(timed(&ask)?.0)))
            }));
        }
        let series = interleave(lab, plan, LAPS, &contenders)?;
        let how = if in_child { ", as a process of its own" } else { "" };
        let work = format!("open, append, close on {records} records{how}");
        let goal = Goal::AtMost(1.5, 1.1).only_if(!in_child && records == GOAL);
        entries.push(Entry::compare("5", &work, &series, ON_LONG, ON_SHORT, goal));
        entries.push(if in_child {
            Entry::compare("5", work, &series, ON_LONG, NOTHING, Goal::Context)
        } else {
            // The first round is thrown away, here as well.
            let slowest = slowest.take().split_off(LAPS.counted);
            let work = format!("{work}: the slowest call of each lap");
            Entry::alone("5", work, "a time", slowest, Goal::Time)
        });
    }
    Ok(entries)
}

type Once = fn(&Spot) -> Result<()>;

fn append_in_child(spot: &Spot) -> Result<()> {
    workers::ask(&spot.ctx, &["once", &new_key()]).map(|_| ())
}

/// The calls of a lap, fewer where they are slow; and how long the slowest took.
fn timed(operate: impl Fn() -> Result<()>) -> Result<(Lap, Duration)> {
    let (start, mut slowest, mut operations) = (Instant::now(), Duration::ZERO, 0);
    let mut time = Duration::ZERO;
    while operations < APPENDS && time.as_secs_f64() < 0.2 {
        operate()?;
        operations += 1;
        let now = start.elapsed();
        slowest = slowest.max(now - time);
        time = now;
    }
    Ok((Lap { operations, time }, slowest))
}

/// A run a lap.
fn short(dir: &Utf8Path, once: Once) -> Result<Work<'static>> {
    let mut spots = Vec::new();
    for lap in 0..LAPS.warm + LAPS.counted {
        let dir = dir.join(lap.to_string());
        std::fs::create_dir(&dir)?;
        spots.push(Spot::fill(&dir, SHORT)?);
    }
    Ok(Box::new(move || {
        let spot = spots.pop().ok_or("there is no such run")?;
        Ok(timed(|| once(&spot))?.0)
    }))
}
