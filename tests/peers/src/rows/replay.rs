//! Row 11: reading a journal.

use std::fs::File;
use std::io::Read;
use std::time::Instant;

use camino::Utf8Path;
use runjournal::{Durability, RunContext};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::OURS;
use crate::Result;
use crate::args::Plan;
use crate::call::Call;
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::ours::Kept;
use crate::report::{Entry, Goal};

const FLOOR: &str = "serde_json typed with RawValue, payload too";
const OURS_BARE: &str = "runjournal, payload left as it is";
const FLOOR_BARE: &str = "serde_json typed with RawValue, payload left as it is";

/// The same: the file, the types of payloads, and that every line is parsed whole. Not the same: ours verifies the
/// chain of hashes, the numbers and the versions, and its records own their text; the floor borrows, checks UTF-8
/// once, and believes everything.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let records = plan.size(100_000, 1_000_000);
    let mut kept = Kept::open(&lab.fresh()?, Durability::Buffered)?;
    while kept.last.seq < records {
        kept.append()?;
    }
    let (ctx, path) = (&kept.ctx, &kept.ctx.journal_path());
    let contenders = [
        Contender::new(OURS, |_| Ok(pass(records, || replay(ctx, true)))),
        Contender::new(FLOOR, |_| Ok(pass(records, || parse(path, true)))),
        Contender::new(OURS_BARE, |_| Ok(pass(records, || replay(ctx, false)))),
        Contender::new(FLOOR_BARE, |_| Ok(pass(records, || parse(path, false)))),
    ];
    let series = interleave(lab, plan, Laps { warm: 0, counted: 1 }, &contenders)?;
    let goal = Goal::AtMost(2.0, 1.0);
    let work = format!("replay of {records} events, typed payload");
    let bare = format!("replay of {records} events, payload left as it is");
    Ok(vec![
        Entry::compare("11", work, &series, OURS, FLOOR, goal),
        Entry::compare("11", bare, &series, OURS_BARE, FLOOR_BARE, goal),
    ])
}

/// A lap reads all records, and checks the sum of what it read.
pub(crate) fn pass<'a>(records: u64, read: impl Fn() -> Result<u64> + 'a) -> Work<'a> {
    Box::new(move || {
        let start = Instant::now();
        let sum = read()?;
        let time = start.elapsed();
        let wanted = records * (records + 1) / 2;
        if sum != wanted {
            return Err(format!("the sum is {sum} and should be {wanted}").into());
        }
        Ok(Lap { operations: records, time })
    })
}

/// The sum of the numbers of calls, or of the records'.
pub(crate) fn replay(ctx: &RunContext, payload: bool) -> Result<u64> {
    let mut sum = 0;
    for record in ctx.events()? {
        let record = record?;
        sum += if payload { record.payload::<Call>()?.call } else { record.seq() };
    }
    Ok(sum)
}

/// A line, typed by hand; it borrows all text.
#[derive(Deserialize)]
#[expect(dead_code, reason = "read to be parsed")]
struct Line<'a> {
    seq: u64,
    event_id: &'a str,
    event_type: &'a str,
    occurred_at: &'a str,
    aggregate_kind: &'a str,
    stream_id: &'a str,
    stream_version: u64,
    actor_kind: &'a str,
    correlation_id: Option<&'a str>,
    #[serde(borrow)]
    payload: &'a RawValue,
    hash: &'a str,
}

/// The same sum, in pieces of 1 MiB.
pub(crate) fn parse(path: &Utf8Path, payload: bool) -> Result<u64> {
    let mut file = File::open(path)?;
    let (mut buffer, mut sum) = (Vec::with_capacity(2 << 20), 0);
    loop {
        let read = (&mut file).take(1 << 20).read_to_end(&mut buffer)?;
        let whole = buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text = std::str::from_utf8(buffer.get(..whole).unwrap_or(&[]))?;
        for line in text.lines() {
            let line: Line<'_> = std::hint::black_box(serde_json::from_str(line)?);
            sum += if payload {
                serde_json::from_str::<Call>(line.payload.get())?.call
            } else {
                line.seq
            };
        }
        buffer.drain(..whole);
        if read == 0 {
            return Ok(sum);
        }
    }
}
