//! A long journal that is closed, with keys and streams in it, to be opened again.

use camino::Utf8Path;
use runjournal::{
    Clock, Durability, Event, IdSource, RandomIds, RunContext, SystemClock, Workspace,
};

use crate::Result;
use crate::call::{Fit, Place, event};
use crate::ours::Kept;

/// A journal, and where its end is.
#[derive(Clone)]
pub(crate) struct Spot {
    pub(crate) ctx: RunContext,
    fit: Fit,
    pub(crate) end: Place,
}

impl Spot {
    /// Fills a journal in an empty directory up, in batches with a key and a stream each (which makes lines a little longer), and
    /// closes it.
    pub(crate) fn fill(dir: &Utf8Path, records: u64) -> Result<Self> {
        let kept = Kept::open(dir, Durability::Buffered)?;
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
        Ok(Self { ctx: again(&kept.ctx)?, fit: kept.fit, end })
    }

    /// The event for a place.
    pub(crate) fn event(&self, place: Place) -> Event {
        event(&self.fit.call(place))
    }

    /// Opens, appends one event under a key that was never used, and closes.
    pub(crate) fn append(&self) -> Result<()> {
        let key = new_key();
        self.ctx.append(self.event(self.end.with_key(&key)).key(&key))?;
        Ok(())
    }
}

/// A key that was never used.
pub(crate) fn new_key() -> String {
    RandomIds.next_id(SystemClock.now()).to_string()
}

/// Another value of the same context: nothing that was learnt so far is kept.
pub(crate) fn again(ctx: &RunContext) -> Result<RunContext> {
    let task = Workspace::open(ctx.root())?.task(ctx.task_id().as_str())?;
    Ok(task.run(ctx.run_id().as_str())?.context().clone())
}
