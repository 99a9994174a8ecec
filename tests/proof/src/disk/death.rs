//! A process that dies before its last syncs, another one that finds its work standing, and then a power cut.
//!
//! A power cut alone never tries this: what is left by it is on the disk. What a dead process left is there for all to
//! see, and may be nowhere but in memory; who says that it stands has to see to it that it stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use camino::Utf8Path;
use runjournal::proof::{Call, Verdict, Watch};

use super::NEVER_MADE;
use super::workload::Recorded;
use crate::{Acks, Operation, Outcome, Place};

/// So often the call is made again where it says that something is left to do.
const TRIES: usize = 3;

/// Lets nothing be done any more from one sync on, until somebody else comes.
#[derive(Debug)]
struct Death {
    /// The number of the sync.
    at: usize,
    syncs: AtomicUsize,
    is_dead: AtomicBool,
    is_over: AtomicBool,
}

impl Watch for Death {
    fn before(&self, call: &Call<'_>) -> Verdict {
        if self.is_over.load(Ordering::SeqCst) {
            return Verdict::Go;
        }
        let is_sync = matches!(call, Call::SyncFile { .. } | Call::SyncDir { .. } | Call::SyncAll);
        if is_sync && self.syncs.fetch_add(1, Ordering::SeqCst) == self.at {
            self.is_dead.store(true, Ordering::SeqCst);
        }
        match self.is_dead.load(Ordering::SeqCst) {
            true => Verdict::Fail(NEVER_MADE),
            false => Verdict::Go,
        }
    }
}

/// Makes a call that dies before its sync of this number, and makes it again.
pub(super) fn record(operation: &Operation, sync: usize, dir: &Utf8Path) -> Outcome<Recorded> {
    let death = Arc::new(Death {
        at: sync,
        syncs: AtomicUsize::new(0),
        is_dead: AtomicBool::new(false),
        is_over: AtomicBool::new(false),
    });
    let beside: Arc<dyn Watch> = Arc::<Death>::clone(&death);
    Recorded::of(dir, beside, 2, |at, place| {
        if at == 0 {
            // Who died says nothing of it.
            let _ = (operation.operate)(place, &mut Acks::open(place)?);
            death.is_over.store(true, Ordering::SeqCst);
            return Ok(());
        }
        again(operation, &place.clone().once_more())
            .map_err(|found| found.at("called again by another process"))
    })
}

fn again(operation: &Operation, place: &Place) -> Outcome {
    let mut acks = Acks::open(place)?;
    for _ in 1..TRIES {
        match (operation.operate)(place, &mut acks) {
            Err(violation) if violation.is_left() => {}
            other => return other,
        }
    }
    (operation.operate)(place, &mut acks)
}

impl Recorded {
    /// The moments in the last call at which more was told than at the one before, and the end.
    pub(super) fn told_again(&self) -> Vec<usize> {
        let told = |point: usize| self.trace.acknowledged_after(point);
        let again = (1..=self.trace.len()).filter(|point| self.calls_after(*point) > 0);
        let end = self.trace.len();
        again.filter(|point| *point == end || told(*point) > told(point - 1)).collect()
    }
}
