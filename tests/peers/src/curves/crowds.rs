//! More and more threads on one writer, and processes on one journal.

use runjournal::Durability;

use super::curve::{Chart, Kind};
use super::steps;
use crate::args::Plan;
use crate::call::PlainRecord;
use crate::crowd::{Shared, appended, together};
use crate::lab::Lab;
use crate::measure::{Contender, Laps, interleave};
use crate::rows::{FDATASYNC, OURS, WRITE, processes as workers};
use crate::{Result, floor};

const LAPS: Laps = Laps { warm: 1, counted: 1 };

/// Appends of a lap, of each worker, however many there are: so many that they run at once, and not one after another.
fn appends(durability: Durability) -> u64 {
    if durability == Durability::Durable { 32 } else { 4_000 }
}

fn floor_of(durability: Durability) -> &'static str {
    if durability == Durability::Durable { FDATASYNC } else { WRITE }
}

/// Threads share one writer; those of the floor share one descriptor, and each syncs what it wrote.
pub(super) fn threads(lab: &Lab, plan: &Plan) -> Result<Vec<Chart>> {
    let buffered =
        Chart::new("threads-buffered", "Threads on one writer, buffered, per event", "threads");
    let durable =
        Chart::new("threads-durable", "Threads on one writer, durable, per event", "threads");
    let mut charts = Vec::new();
    for (mut chart, durability) in
        [(buffered, Durability::Buffered), (durable, Durability::Durable)]
    {
        let floor = floor_of(durability);
        for threads in steps(1, 64, 2) {
            let each = appends(durability);
            let threads_of = threads as usize;
            let contenders = [
                Contender::new(OURS, move |dir| {
                    let shared = Shared::open(dir, durability)?;
                    Ok(together(threads_of, each, move |_, number| shared.append(number)))
                })
                .checked(appended),
                Contender::new(floor, move |dir| {
                    let file = floor::open_append(&dir.join("file"))?;
                    let (line, write) = (PlainRecord::new(0).line()?, floor::writer(durability));
                    Ok(together(threads_of, each, move |_, _| write(&file, line.as_bytes())))
                })
                .checked(floor::written),
            ];
            let series = interleave(lab, plan, LAPS, &contenders)?;
            chart.add_series(&series, OURS, Kind::Call, threads);
            chart.add_series(&series, floor, Kind::Floor, threads);
        }
        charts.push(chart);
    }
    Ok(charts)
}

/// Processes share one journal; those of the floor one file, and each syncs what it wrote.
pub(super) fn processes(lab: &Lab, plan: &Plan) -> Result<Vec<Chart>> {
    let buffered = Chart::new(
        "processes-buffered",
        "Processes on one journal, buffered, per event",
        "processes",
    );
    let durable = Chart::new(
        "processes-durable",
        "Processes on one journal, durable, per event",
        "processes",
    );
    let mut charts = Vec::new();
    for (mut chart, durability) in
        [(buffered, Durability::Buffered), (durable, Durability::Durable)]
    {
        let floor = floor_of(durability);
        for processes in steps(1, 16, 2) {
            let each = appends(durability);
            let contenders = [
                Contender::new(OURS, move |dir| workers::journal(dir, processes, each, durability)),
                Contender::new(floor, move |dir| workers::raw(dir, processes, each, durability))
                    .checked(floor::written),
            ];
            let series = interleave(lab, plan, LAPS, &contenders)?;
            chart.add_series(&series, OURS, Kind::Call, processes);
            chart.add_series(&series, floor, Kind::Floor, processes);
        }
        charts.push(chart);
    }
    Ok(charts)
}
