//! Many threads that do the same at once.

use std::sync::Barrier;
use std::time::Instant;

use camino::Utf8Path;
use runjournal::{Durability, JournalWriter, Workspace};

use crate::Result;
use crate::call::{Fit, Place, event};
use crate::lab::new_run;
use crate::measure::{Lap, Work, expect};

/// Work of all threads at once: a lap is `each` operations of each, from the first start to the last end.
/// An operation is told its thread and a number that no other has.
pub(crate) fn together<'a>(
    threads: usize,
    each: u64,
    operate: impl Fn(usize, u64) -> Result<()> + Sync + 'a,
) -> Work<'a> {
    let mut lap = 0;
    Box::new(move || {
        let barrier = Barrier::new(threads);
        let first = lap * each * threads as u64;
        let run = |thread: usize| {
            barrier.wait();
            let start = Instant::now();
            for round in 0..each {
                operate(thread, first + round * threads as u64 + thread as u64)?;
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
            let threads = (0..threads).map(spawn).collect::<Vec<_>>();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().map_err(|_| "a thread panicked")?
            };
            threads.into_iter().map(join).collect::<Result<Vec<(Instant, Instant)>>>()
        })?;
        lap += 1;
        let start = spans.iter().map(|(start, _)| *start).min().ok_or("there are no threads")?;
        let end = spans.iter().map(|(_, end)| *end).max().ok_or("there are no threads")?;
        Ok(Lap { operations: each * threads as u64, time: end - start })
    })
}

/// Looks whether the journal that threads shared has their appends, each numbered once.
pub(crate) fn appended(dir: &Utf8Path, operations: u64) -> Result<()> {
    let workspace = Workspace::open(dir.join("workspaces"))?;
    let (mut records, mut last) = (0, 0);
    for record in workspace.task("TASK-1")?.run("RUN-1")?.context().events()? {
        (records, last) = (records + 1, record?.seq());
    }
    // One more, by which the length of a line was found.
    expect("records", records, operations + 1)?;
    expect("for the last seq", last, records)
}

/// A writer for all threads.
pub(crate) struct Shared {
    writer: JournalWriter,
    fit: Fit,
}

impl Shared {
    pub(crate) fn open(dir: &Utf8Path, durability: Durability) -> Result<Self> {
        let ctx = new_run(dir)?;
        let writer = ctx.journal()?.durability(durability);
        let (fit, _) = Fit::find(&ctx, &writer)?;
        Ok(Self { writer, fit })
    }

    /// Its number is a guess that may miss the line's 543 bytes by a digit.
    pub(crate) fn append(&self, number: u64) -> Result<()> {
        let place = Place { seq: number + 2, version: number + 1, extra: 0 };
        self.writer.clone().append(event(&self.fit.call(place)))?;
        Ok(())
    }
}
