//! The nearest crates that do our job, where they do the same work: task-journal-core and yoagent-state.

use std::time::Instant;

use runjournal::index::Index;
use runjournal::{Durability, Workspace};

use super::{OURS, replay};
use crate::args::Plan;
use crate::call::{Place, event};
use crate::lab::Lab;
use crate::measure::{Contender, Lap, Laps, interleave};
use crate::ours::{self, Kept};
use crate::report::{Entry, Goal};
use crate::{Result, apart};

const APPEND: &str = "task-journal-core append";
const SYNCED: &str = "task-journal-core append + flush_durable";
const REBUILD: &str = "task-journal-core rebuild_state";
const REWRITE: &str = "yoagent-state append";
const LEASED: &str = "yoagent-state append, git store";
const SCAN: &str = "yoagent-state scan + payload_as";

const DURABLE: &str = "durable append, one thread";

/// Records of the journal that yoagent-state appends to.
const SHORT: u64 = 1000;

/// One comparison: what ours is called, the contender, and how many of its laps count.
struct Pair<'a> {
    work: String,
    theirs: &'static str,
    ours: Contender<'a>,
    operations: u64,
    parts: u64,
    arguments: Vec<&'a str>,
    laps: Laps,
}

impl Pair<'_> {
    /// So many appends by a kept writer.
    fn append(work: &str, durability: Durability, theirs: &'static str, operations: u64) -> Self {
        let (ours, work) = (ours::append(operations, durability), work.to_owned());
        let laps = Laps { warm: 1, counted: 5 };
        let worker = match theirs {
            APPEND => "task-journal-append",
            SYNCED => "task-journal-append-synced",
            _ => "yoagent-append-to-git",
        };
        Self { work, theirs, ours, operations, parts: 1, arguments: vec![worker], laps }
    }
}

/// The same: lines of 543 bytes that are JSON, made and written by everybody's public API. Not the same: only ours has
/// numbers, a chain and keys. task-journal-core locks its file as ours does, and looks at its last byte; its state has a
/// full-text index, ours all members of an event. yoagent-state writes the file anew for each event, without a rename; its
/// store for a git repository appends, syncs, and renews a lease each time, by a file and a rename. It is async, and used
/// from one thread.
pub(super) fn measure(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let (many, few) = (plan.size(2000, 5000), plan.size(60, 150));
    let events = plan.size(10_000, 100_000);
    let (count, short) = (events.to_string(), SHORT.to_string());
    let mut kept = Kept::open(&lab.fresh()?, Durability::Buffered)?;
    ours::fill(&mut kept, events)?;
    let kept = &kept;
    let one = Laps { warm: 0, counted: 1 };
    let pairs = [
        Pair::append("buffered append, kept writer", Durability::Buffered, APPEND, many),
        Pair::append(DURABLE, Durability::Durable, SYNCED, few),
        Pair::append(DURABLE, Durability::Durable, LEASED, few),
        Pair {
            work: format!("rebuild of the index of one journal of {events} events, per event"),
            theirs: REBUILD,
            ours: Contender::new(OURS, move |_| {
                let index = Index::of(&Workspace::open(kept.ctx.root())?);
                Ok(Box::new(move || {
                    let start = Instant::now();
                    index.rebuild()?;
                    Ok(Lap { operations: events, time: start.elapsed() })
                }))
            }),
            operations: 1,
            parts: events,
            arguments: vec!["task-journal-rebuild", &count],
            laps: one,
        },
        Pair {
            work: format!("open, append, close on {SHORT} records"),
            theirs: REWRITE,
            ours: Contender::each(OURS, few, |dir| {
                let mut kept = Kept::open(dir, Durability::Buffered)?;
                ours::fill(&mut kept, SHORT)?;
                let (ctx, fit, last) = (kept.ctx, kept.fit, kept.last);
                let mut place = Place::after(&last);
                Ok(move |_| {
                    place = Place::after(&ctx.append(event(&fit.call(place)))?);
                    Ok(())
                })
            }),
            operations: few,
            parts: 1,
            arguments: vec!["yoagent-append", &short],
            laps: Laps { warm: 1, counted: 3 },
        },
        Pair {
            work: format!("replay of {events} events, typed payload"),
            theirs: SCAN,
            ours: Contender::new(OURS, move |_| {
                Ok(replay::pass(events, || replay::replay(&kept.ctx, true)))
            }),
            operations: 1,
            parts: events,
            arguments: vec!["yoagent-scan", &count],
            laps: one,
        },
    ];
    pairs.into_iter().map(|pair| compare(lab, plan, pair)).collect()
}

fn compare(lab: &Lab, plan: &Plan, pair: Pair<'_>) -> Result<Entry> {
    let Pair { work, theirs, ours, operations, parts, arguments, laps } = pair;
    if let Some(why) = apart::missing() {
        return Ok(Entry::skipped("near", work, theirs, Goal::Context, why));
    }
    let peer = apart::each(theirs, operations, &arguments, apart::nothing).per(parts);
    let series = interleave(lab, plan, laps, &[ours, peer])?;
    Ok(Entry::compare("near", work, &series, OURS, theirs, Goal::Context))
}
