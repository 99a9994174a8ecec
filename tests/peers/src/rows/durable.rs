//! Rows 6 and 7: appends that survive a power cut.

use std::fs::File;
use std::sync::Barrier;
use std::time::Instant;

use camino::Utf8Path;
use runjournal::{Durability, JournalWriter};

use super::{FDATASYNC, OURS};
use crate::Result;
use crate::args::Plan;
use crate::call::{Fit, Place, PlainRecord, event};
use crate::lab::{Lab, new_run};
use crate::measure::{Contender, Lap, Laps, Work, interleave};
use crate::report::{Entry, Goal};
use crate::{floor, ours, sqlite};

const FULL: &str = "SQLite WAL FULL, (id, line)";

/// The same: 543 bytes a line, and each is on the disk when the call returns: one fdatasync a line. Not the same: the floor has its bytes
/// ready; the peers get ids, times and hashes for nothing.
pub(super) fn one_thread(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let operations = plan.size(60, 150);
    let contenders = [
        ours::append(operations, Durability::Durable),
        floor::write_and_sync(operations),
        sqlite::lines(FULL, operations, sqlite::Sync::Full),
    ];
    let series = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;
    let compare = |theirs, goal| {
        Entry::compare("6", "durable append, one thread", &series, OURS, theirs, goal)
    };
    Ok(vec![compare(FDATASYNC, Goal::AtMost(1.05, 0.95)), compare(FULL, Goal::AtMost(1.2, 1.0))])
}

const THREADS: usize = 16;
const ONE_FILE: &str = "write(2) + fdatasync each, one file";
const OWN_FILES: &str = "write(2) + fdatasync each, a file a thread";
const MUTEX: &str = "SQLite WAL FULL behind a mutex, (id, line)";

/// The same: sixteen threads, 543 bytes a line, each on the disk when its call returns. Ours is one writer that all
/// share. The floor syncs for each line by itself: into one file, as ours is one journal (this is the one that the goal
/// is about), and into a file a thread for comparison.
pub(super) fn threads(lab: &Lab, plan: &Plan) -> Result<Vec<Entry>> {
    let each = plan.size(12, 30);
    let contenders = [
        Contender::new(OURS, |dir| {
            let shared = Shared::open(dir)?;
            Ok(together(each, move |_, number| shared.append(number)))
        }),
        Contender::new(ONE_FILE, |dir| {
            let (file, line) = raw(dir, 0)?;
            Ok(together(each, move |_, _| write_and_sync(&file, &line)))
        }),
        Contender::new(OWN_FILES, |dir| {
            let files = (0..THREADS).map(|thread| raw(dir, thread)).collect::<Result<Vec<_>>>()?;
            Ok(together(each, move |thread, _| {
                let (file, line) = files.get(thread).ok_or("there is no such file")?;
                write_and_sync(file, line)
            }))
        }),
        Contender::new(MUTEX, |dir| {
            let shared = sqlite::Shared::open(dir)?;
            Ok(together(each, move |_, number| shared.insert(number)))
        }),
    ];
    let series = interleave(lab, plan, Laps { warm: 1, counted: 5 }, &contenders)?;
    let work = format!("durable append, {THREADS} threads, per event");
    let compare = |theirs, goal| Entry::compare("7", &work, &series, OURS, theirs, goal);
    Ok(vec![
        compare(ONE_FILE, Goal::AtMost(0.55, 0.35)),
        compare(OWN_FILES, Goal::Context),
        compare(MUTEX, Goal::Faster(4.0, 7.0)),
    ])
}

/// A writer for all threads.
struct Shared {
    writer: JournalWriter,
    fit: Fit,
}

impl Shared {
    fn open(dir: &Utf8Path) -> Result<Self> {
        let ctx = new_run(dir)?;
        let writer = ctx.journal()?.durability(Durability::Durable);
        let (fit, _) = Fit::find(&ctx, &writer)?;
        Ok(Self { writer, fit })
    }

    /// Its number is a guess that may miss the line's 543 bytes by a digit.
    fn append(&self, number: u64) -> Result<()> {
        let place = Place { seq: number + 2, version: number + 1, extra: 0 };
        self.writer.clone().append(event(&self.fit.call(place)))?;
        Ok(())
    }
}

fn raw(dir: &Utf8Path, number: usize) -> Result<(File, String)> {
    let file = floor::open_append(&dir.join(format!("file-{number}")))?;
    Ok((file, PlainRecord::new(0).line()?))
}

fn write_and_sync(file: &File, line: &str) -> Result<()> {
    floor::write_whole(file, line.as_bytes())?;
    Ok(file.sync_data()?)
}

/// Work of all threads at once: a lap is `each` operations of each, from the first start to the last end.
/// An operation is told its thread and a number that no other has.
fn together<'a>(each: u64, operate: impl Fn(usize, u64) -> Result<()> + Sync + 'a) -> Work<'a> {
    let mut lap = 0;
    Box::new(move || {
        let barrier = Barrier::new(THREADS);
        let first = lap * each * THREADS as u64;
        let run = |thread: usize| {
            barrier.wait();
            let start = Instant::now();
            for round in 0..each {
                operate(thread, first + round * THREADS as u64 + thread as u64)?;
            }
            Ok((start, Instant::now()))
        };
        let spans = std::thread::scope(|scope| {
            let spawn = |thread| {
                scope.spawn({
                    let run = &run;
                    move || run(thread)
                })
            };
            let threads = (0..THREADS).map(spawn).collect::<Vec<_>>();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().map_err(|_| "a thread panicked")?
            };
            threads.into_iter().map(join).collect::<Result<Vec<(Instant, Instant)>>>()
        })?;
        lap += 1;
        let start = spans.iter().map(|(start, _)| *start).min().ok_or("there are no threads")?;
        let end = spans.iter().map(|(_, end)| *end).max().ok_or("there are no threads")?;
        Ok(Lap { operations: each * THREADS as u64, time: end - start })
    })
}
