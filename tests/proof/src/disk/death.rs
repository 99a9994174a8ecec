//! A process that dies before its last syncs, another one that finds its work standing, and then a power cut.
//!
//! A power cut alone never tries this: what is left by it is on the disk. What a dead process left is there for all to
//! see, and may be nowhere but in memory; who says that it stands has to see to it that it stays.

use camino::Utf8Path;

use super::check;
use super::workload::Recorded;
use crate::{Acks, Operation, Outcome, Place};

/// So often the call is made again where it says that something is left to do.
const TRIES: usize = 3;

/// The process that made this call died when it had taken so many steps, and another one makes it again.
pub(super) fn record(
    operation: &Operation,
    dead: &Recorded,
    steps: usize,
    dir: &Utf8Path,
) -> Outcome<Recorded> {
    dead.trace.disk_after(steps).now().write_to(dir)?;
    check::tell(&Place::new(dir), &dead.acknowledged_after(steps, |_| true))?;
    dead.go_on(steps, dir, |place| again(operation, &place.clone().once_more()))
        .map_err(|found| found.at("called again by another process"))
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
