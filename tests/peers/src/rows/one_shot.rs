//! Row 5: open, append, close, on a long journal and on short ones.

use std::time::Instant;

use camino::Utf8Path;
use runjournal::{Clock, Durability, IdSource, RandomIds, RunContext, SystemClock, Workspace};

use crate::args::Plan;
use crate::call::{Fit, Place, event};
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::ours::Kept;
use crate::report::{Entry, Goal};
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
    let long = long_journal(lab, records)?;
    let laps = Laps { warm: 1, counted: 1 };
    let mut entries = Vec::new();
    for (how, once) in [("", append as Once), (", as a process of its own", append_in_child)] {
        let contenders = [
            Contender::new(ON_LONG, |_| {
                let spot = long.clone();
                Ok(Box::new(move || timed(|_| spot.append(once))) as Work<'_>)
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

type Once = fn(&Spot, &str) -> Result<()>;

/// A journal, and where its end is.
#[derive(Clone)]
struct Spot {
    ctx: RunContext,
    fit: Fit,
    end: Place,
}

impl Spot {
    /// Appends one event under a key that was never used, in one call.
    fn append(&self, once: Once) -> Result<()> {
        once(self, &RandomIds.next_id(SystemClock.now()).to_string())
    }
}

fn append(spot: &Spot, key: &str) -> Result<()> {
    let place = spot.end.with_key(key);
    spot.ctx.append(event(&spot.fit.call(place)).key(key))?;
    Ok(())
}

fn append_in_child(spot: &Spot, key: &str) -> Result<()> {
    workers::ask(&spot.ctx, &["once", key]).map(|_| ())
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
        spots.push(spot(Kept::open(&dir, Durability::Buffered)?, SHORT)?);
    }
    Ok(Box::new(move || {
        timed(|number| {
            let spot = spots.get(number as usize % SHORT_RUNS).ok_or("there is no such run")?;
            spot.append(once)
        })
    }))
}

fn long_journal(lab: &Lab, records: u64) -> Result<Spot> {
    let kept = Kept::open(&lab.fresh()?, Durability::Buffered)?;
    let spot = spot(kept, records)?;
    lab.settle()?;
    Ok(spot)
}

/// Fills a journal up, in batches with a key and a stream each (which makes lines a little longer), and
/// closes it.
fn spot(kept: Kept, records: u64) -> Result<Spot> {
    let mut seq = kept.last.seq;
    while seq < records {
        let size = (records - seq).min(64);
        let (key, mut events) = (format!("batch-{seq}"), Vec::new());
        for version in 0..size {
            let place = Place { seq: seq + version + 1, version, extra: 0 }
                .in_batch(version as usize, size as usize);
            events.push(event(&kept.fit.call(place)).stream("call_group", &key));
        }
        let first = events.first_mut().ok_or("an empty batch")?;
        *first = first.clone().key(&key);
        kept.writer.append_batch(&events)?;
        seq += size;
    }
    let end = Place { seq: seq + 1, version: 1, extra: 0 };
    // Another value of the same context: nothing that was learnt while filling is kept.
    let ctx = Workspace::open(kept.ctx.root())?
        .task(kept.ctx.task_id().as_str())?
        .run(kept.ctx.run_id().as_str())?
        .context()
        .clone();
    Ok(Spot { ctx, fit: kept.fit, end })
}
