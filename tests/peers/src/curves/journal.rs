//! A journal of more and more records.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal::Durability;

use super::curve::{Chart, Kind};
use super::steps;
use crate::args::Plan;
use crate::call::Place;
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::rows::WRITE;
use crate::rows::replay::{parse, pass, replay};
use crate::spot::{Spot, again};
use crate::{Result, floor};

const KEPT: &str = "append, kept writer";
const ONCE: &str = "ctx.append: open, append, close";
const OPEN: &str = "open: the first ctx.journal()";
const TAIL: &str = "tail: events, last(10)";
const REPLAY: &str = "replay, typed payload, per event";
const PARSE: &str = "serde_json typed with RawValue";

/// Journals up to this length are made anew for each contender and round; longer ones are made once, and a few appends
/// more do not make them longer.
const FRESH: u64 = 100_000;

/// Appends of a lap, the same for all lengths, and few beside the shortest.
const APPENDS: u64 = 100;
const ONCES: u64 = 50;

/// The records have a key and a stream for each 64. Floors: write(2) of ready bytes; parsing without a check.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Chart>> {
    let mut appends = Chart::new("journal-append", "Append to a journal", "records in it");
    let mut opens = Chart::new("journal-open", "Open a writer; read the tail", "records in it");
    let mut replays = Chart::new("journal-replay", "Replay, per event", "records");
    for size in steps(1_000, plan.size(1_000_000, 10_000_000), 10) {
        let laps = Laps { warm: 1, counted: 2 };
        let long = if size > FRESH { Some(Spot::fill(&lab.fresh()?, size)?) } else { None };
        let spot = |dir: &Utf8Path| match &long {
            Some(long) => Ok(long.clone()),
            None => Spot::fill(dir, size),
        };

        // First, while there are as many records as it says.
        let read = spot(&lab.fresh()?)?;
        let path = read.ctx.journal_path();
        let readers = [
            Contender::new(REPLAY, |_| Ok(pass(size, || replay(&read.ctx, true)))),
            Contender::new(PARSE, |_| Ok(pass(size, || parse(&path, true)))),
        ];
        let series = interleave(lab, plan, Laps { warm: 0, counted: 1 }, &readers)?;
        replays.add_series(&series, REPLAY, Kind::Each, size);
        replays.add_series(&series, PARSE, Kind::Floor, size);

        // One after another: a writer that finds that another one wrote looks for more than its own.
        let writers = [Contender::new(KEPT, |dir| kept(&spot(dir)?)), floor::raw_write(APPENDS)];
        let series = interleave(lab, plan, laps, &writers)?;
        appends.add_series(&series, KEPT, Kind::Call, size);
        appends.add_series(&series, WRITE, Kind::Floor, size);

        let once = [Contender::each(ONCE, ONCES, |dir| {
            let spot = spot(dir)?;
            Ok(move |_| spot.append())
        })];
        let series = interleave(lab, plan, laps, &once)?;
        appends.add_series(&series, ONCE, Kind::Call, size);

        let openers = [
            Contender::new(OPEN, |dir| Ok(open(spot(dir)?))),
            Contender::new(TAIL, |dir| Ok(tail(spot(dir)?))),
            // Of other work, to tell when it is the machine that changed.
            floor::raw_write(APPENDS),
        ];
        let series = interleave(lab, plan, laps, &openers)?;
        opens.add_series(&series, OPEN, Kind::Call, size);
        opens.add_series(&series, TAIL, Kind::Call, size);
        opens.add_series(&series, WRITE, Kind::Floor, size);

        if let Some(long) = &long {
            std::fs::remove_file(long.ctx.journal_path())?;
        }
    }
    Ok(vec![appends, opens, replays])
}

fn kept(spot: &Spot) -> Result<Work<'static>> {
    let writer = spot.ctx.journal()?.durability(Durability::Buffered);
    let (spot, mut place) = (spot.clone(), spot.end);
    Ok(Box::new(move || {
        let start = Instant::now();
        for _ in 0..APPENDS {
            place = Place::after(&writer.append(spot.event(place))?);
        }
        Ok(Lap { operations: APPENDS, time: start.elapsed() })
    }))
}

/// Calls of a lap, each with a context that knows nothing.
const CALLS: u64 = 20;

fn open(spot: Spot) -> Work<'static> {
    Box::new(move || {
        let mut time = Duration::ZERO;
        for _ in 0..CALLS {
            let ctx = again(&spot.ctx)?;
            let start = Instant::now();
            let writer = ctx.journal()?;
            time += start.elapsed();
            drop(writer);
        }
        Ok(Lap { operations: CALLS, time })
    })
}

fn tail(spot: Spot) -> Work<'static> {
    const LAST: usize = 10;
    Box::new(move || {
        let mut time = Duration::ZERO;
        for _ in 0..CALLS {
            let ctx = again(&spot.ctx)?;
            let (start, mut found) = (Instant::now(), 0);
            for record in ctx.events()?.last(LAST)? {
                std::hint::black_box(record?);
                found += 1;
            }
            time += start.elapsed();
            if found != LAST {
                return Err(format!("{found} records were read instead of {LAST}").into());
            }
        }
        Ok(Lap { operations: CALLS, time })
    })
}
