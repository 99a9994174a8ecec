//! Rows 1, 2 and 4: buffered appends by one kept writer.

use runjournal::Durability;

use super::{FJALL, OURS, REDB, WRITE, bounds};
use crate::Result;
use crate::args::Plan;
use crate::lab::Lab;
use crate::measure::{Contender, Laps, interleave};
use crate::report::{Entry, Goal};
use crate::{floor, ours, python, sqlite, stores};

const LAPS: Laps = Laps { warm: 1, counted: 8 };
const BATCH: usize = 64;

/// The same: 543 bytes a line, one write(2) a line, the same kept `O_APPEND` file. Not the same: ours serializes,
/// hashes, numbers and locks; the floor has its bytes ready.
pub(super) fn one(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let operations = plan.size(2000, 5000);
    let contenders = [
        ours::append(operations, Durability::Buffered),
        bounds::append(operations),
        floor::raw_write(operations),
    ];
    let series = interleave(lab, plan, LAPS, &contenders)?;
    let goal = Goal::AtMost(2.5, 1.5);
    Ok(vec![
        Entry::compare("1", "buffered append, kept writer", &series, OURS, WRITE, goal),
        Entry::compare("1", bounds::LINE, &series, bounds::LINE, WRITE, Goal::Context),
    ])
}

/// The same: 543 bytes a line. Not the same: ours writes 64 lines at once, the floor one.
pub(super) fn batch(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let operations = plan.size(2000, 5000);
    let batches = operations / BATCH as u64;
    let contenders = [
        ours::append_batches(batches, BATCH),
        bounds::batch(batches),
        floor::raw_write(operations),
    ];
    let series = interleave(lab, plan, LAPS, &contenders)?;
    let work = format!("the same in batches of {BATCH}, per event");
    Ok(vec![
        Entry::compare("2", work, &series, OURS, WRITE, Goal::AtMost(1.2, 0.8)),
        Entry::compare("2", bounds::BATCH, &series, bounds::BATCH, WRITE, Goal::Context),
    ])
}

const LINES: &str = "SQLite WAL NORMAL, (id, line)";
const COLUMNS: &str = "SQLite WAL NORMAL, 12 columns + unique index";
const PYTHON: &str = "Python open('a') + dumps + close";

/// The same: the event is serialized by everybody, into 543 bytes (the twelve columns hold the same values),
/// and survives a killed process once the call returned. Not the same: peers get ids, times and hashes for nothing, and
/// only ours chains them; redb keeps what is not durable in its own memory, which a killed process loses.
pub(super) fn peers(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let operations = plan.size(1000, 2000);
    let mut contenders: Vec<Contender<'_>> = vec![
        ours::append(operations, Durability::Buffered),
        sqlite::lines(LINES, operations, sqlite::Sync::Normal),
        sqlite::columns(COLUMNS, operations, sqlite::Sync::Normal),
        Contender::each(FJALL, operations, |dir| stores::fjall(dir, Durability::Buffered))
            .checked(stores::in_fjall),
        Contender::each(REDB, operations, |dir| stores::redb(dir, Durability::Buffered))
            .checked(stores::in_redb),
    ];
    let no_python = python::missing();
    if no_python.is_none() {
        contenders.push(python::append(PYTHON, operations));
    }
    let series = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;
    let work = "buffered append";
    let compare = |theirs, goal| Entry::compare("4", work, &series, OURS, theirs, goal);
    let goal = Goal::Faster(4.0, 8.0);
    Ok(vec![
        compare(LINES, Goal::Faster(5.0, 10.0)),
        compare(COLUMNS, Goal::Faster(12.0, 25.0)),
        match no_python {
            None => compare(PYTHON, goal),
            Some(why) => Entry::skipped("4", work, PYTHON, goal, why),
        },
        compare(FJALL, Goal::Context),
        compare(REDB, Goal::Context),
    ])
}
