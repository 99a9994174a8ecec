//! Row 3: four processes, one file.

use std::time::Instant;

use camino::Utf8Path;
use runjournal::Durability;

use super::{OURS, WRITE};
use crate::args::Plan;
use crate::call::{Fit, PlainRecord};
use crate::lab::{Lab, new_run};
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::report::{Entry, Goal};
use crate::workers::{self, Child, command};
use crate::{Result, floor};

const PROCESSES: u64 = 4;

/// The same: four processes, one file, one write(2) of 543 bytes an event (a digit more or less: nobody
/// knows the next number). Not the same: ours serializes, hashes, numbers and locks. The time is from the word that starts
/// the four to the word of the last that it is done, through pipes.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    // Long enough that the four run at once, and not one after another.
    let each = plan.size(8000, 20_000);
    let contenders = [
        Contender::new(OURS, move |dir| journal(dir, PROCESSES, each, Durability::Buffered)),
        Contender::new(WRITE, move |dir| raw(dir, PROCESSES, each, Durability::Buffered))
            .checked(floor::written),
        Contender::new(BOUND, move |dir| bound(dir, PROCESSES, each)),
    ];
    let series = interleave(lab, plan, Laps { warm: 1, counted: 2 }, &contenders)?;
    let goal = Goal::AtMost(3.0, 1.5);
    let work = format!("{PROCESSES} processes on one journal, per event");
    Ok(vec![
        Entry::compare("3", work, &series, OURS, WRITE, goal),
        Entry::compare("3", BOUND, &series, BOUND, WRITE, Goal::Context),
    ])
}

const BOUND: &str = "bound: as of row 1, by 4 processes; nobody reads what the others wrote";

fn bound(dir: &Utf8Path, processes: u64, each: u64) -> Result<Work<'static>> {
    std::fs::write(dir.join("events"), PlainRecord::new(0).line()?)?;
    let start = || Child::start(&mut command(&["bound", dir.as_str()])?);
    let mut children = (0..processes).map(|_| start()).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move || all(&mut children, each)))
}

/// So many processes that append to one journal.
pub(crate) fn journal(
    dir: &Utf8Path,
    processes: u64,
    each: u64,
    durability: Durability,
) -> Result<Work<'static>> {
    let ctx = new_run(dir)?;
    let (fit, mut last) = Fit::find(&ctx, &ctx.journal()?)?;
    let arguments = ["append", &fit.to_argument(), workers::durability(durability)];
    let start = || Child::start(command(&arguments)?.envs(ctx.env()));
    let mut children = (0..processes).map(|_| start()).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move || {
        let lap = all(&mut children, each)?;
        // One more, to see that none was lost or numbered twice.
        let seq = last.seq + lap.operations + 1;
        last = ctx.append(runjournal::Event::new("lap_ended"))?;
        if last.seq != seq {
            return Err(format!("seq is {} and should be {seq}", last.seq).into());
        }
        Ok(lap)
    }))
}

/// So many processes that write to one file.
pub(crate) fn raw(
    dir: &Utf8Path,
    processes: u64,
    each: u64,
    durability: Durability,
) -> Result<Work<'static>> {
    let path = dir.join("file");
    let arguments = ["write", path.as_str(), workers::durability(durability)];
    let start = || Child::start(&mut command(&arguments)?);
    let mut children = (0..processes).map(|_| start()).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move || all(&mut children, each)))
}

/// Lets all children do so many operations at once.
fn all(children: &mut [Child], each: u64) -> Result<Lap> {
    let start = Instant::now();
    for child in children.iter_mut() {
        child.say(&each.to_string())?;
    }
    for child in children.iter_mut() {
        child.hear()?;
    }
    Ok(Lap { operations: each * children.len() as u64, time: start.elapsed() })
}
