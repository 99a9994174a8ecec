//! Runjournal's side, through its public API.

use runjournal::{Appended, Durability, JournalWriter, RunContext};

use crate::call::{Call, Fit, LINE, Place, event};
use crate::lab::new_run;
use crate::measure::{Contender, Lap};
use crate::{Result, rows};

/// A kept writer, and what it takes to make lines of 543 bytes.
pub(crate) struct Kept {
    pub(crate) ctx: RunContext,
    pub(crate) writer: JournalWriter,
    pub(crate) fit: Fit,
    pub(crate) last: Appended,
}

impl Kept {
    /// A new run with one event in it.
    pub(crate) fn open(dir: &camino::Utf8Path, durability: Durability) -> Result<Self> {
        let ctx = new_run(dir)?;
        let writer = ctx.journal()?.durability(durability);
        let (fit, last) = Fit::find(&ctx, &writer)?;
        Ok(Self { ctx, writer, fit, last })
    }

    /// The payload that comes next.
    pub(crate) fn next(&self) -> Call {
        self.fit.call(Place::after(&self.last))
    }

    /// Appends one event.
    pub(crate) fn append(&mut self) -> Result<()> {
        self.last = self.writer.append(event(&self.next()))?;
        Ok(())
    }

    /// Appends a batch.
    pub(crate) fn append_batch(&mut self, size: usize) -> Result<()> {
        let first = Place::after(&self.last);
        let events = (0..size).map(|index| {
            let (seq, version) = (first.seq + index as u64, first.version + index as u64);
            event(&self.fit.call(Place { seq, version, extra: 0 }.in_batch(index, size)))
        });
        let appended = self.writer.append_batch(&events.collect::<Vec<_>>())?;
        self.last = appended.last().ok_or("an empty batch")?.clone();
        Ok(())
    }

    fn bytes(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.ctx.journal_path())?.len())
    }

    /// Fails unless so many lines of 543 bytes came behind the first one.
    pub(crate) fn check(&self, grown: u64, lines: u64) -> Result<()> {
        let wanted = lines * LINE as u64;
        if grown == wanted && self.last.seq == lines + 1 {
            return Ok(());
        }
        let seq = self.last.seq;
        Err(format!("{grown} bytes up to seq {seq} instead of {wanted} for {lines} lines").into())
    }
}

/// A kept writer that appends one event at a time.
pub(crate) fn append<'a>(operations: u64, durability: Durability) -> Contender<'a> {
    contender(rows::OURS, operations, 1, durability, Kept::append)
}

/// A kept writer that appends batches; an operation is one event.
pub(crate) fn append_batches(batches: u64, size: usize) -> Contender<'static> {
    contender(rows::OURS, batches, size as u64, Durability::Buffered, move |kept| {
        kept.append_batch(size)
    })
}

fn contender<'a>(
    name: &'static str,
    calls: u64,
    events: u64,
    durability: Durability,
    operate: impl Fn(&mut Kept) -> Result<()> + Clone + 'a,
) -> Contender<'a> {
    Contender::new(name, move |dir| {
        let mut kept = Kept::open(dir, durability)?;
        let (first, mut lines) = (kept.bytes()?, 0);
        let operate = operate.clone();
        Ok(Box::new(move || {
            let start = std::time::Instant::now();
            for _ in 0..calls {
                operate(&mut kept)?;
            }
            let time = start.elapsed();
            lines += calls * events;
            kept.check(kept.bytes()? - first, lines)?;
            Ok(Lap { operations: calls * events, time })
        }))
    })
}

/// Appends so many events, in batches of a thousand, to a run: a long journal.
pub(crate) fn fill(kept: &mut Kept, events: u64) -> Result<()> {
    let mut left = events.saturating_sub(1);
    while left > 0 {
        let size = left.min(1000);
        kept.append_batch(usize::try_from(size)?)?;
        left -= size;
    }
    Ok(())
}
