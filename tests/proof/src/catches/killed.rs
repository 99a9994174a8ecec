//! What a process finds out that comes after one that died: at each of its calls, or within a write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runjournal::proof::{Call, Verdict, Watch};

use super::Catch;
use super::scene::{EIO, Scene, operation};
use crate::{Acks, Operation, Outcome, check, tree};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "rename-before-record",
        by: "killed: dies_anywhere artifact_overwrite",
        says: "as it was left: plan.json: the file has",
        tried: || dies_anywhere("artifact_overwrite"),
    },
    Catch {
        bug: "no-tail-check",
        by: "killed: torn append",
        says: "broken_chain",
        tried: || torn("append"),
    },
    Catch {
        bug: "seal-without-mark",
        by: "killed: torn append",
        says: "1 byte not written: made again: broken_chain",
        tried: || torn("append"),
    },
    Catch {
        bug: "garbage-not-told",
        by: "killed: torn append",
        says: "bytes that the next record does not vouch for",
        tried: || torn("append"),
    },
    Catch {
        bug: "void-batch-counted",
        by: "killed: torn append_batch",
        says: "the library reads",
        tried: || torn("append_batch"),
    },
    Catch {
        bug: "token-not-checked",
        by: "killed: goes_well lease_claim_over_an_expired_one",
        says: "without a lease that is in force",
        tried: || goes_well("lease_claim_over_an_expired_one"),
    },
    Catch {
        bug: "any-token-held",
        by: "killed: goes_well lease_claim_over_an_expired_one",
        says: "without a lease that is in force",
        tried: || goes_well("lease_claim_over_an_expired_one"),
    },
    Catch {
        bug: "claim-not-bound",
        by: "killed: goes_well lease_claim_over_an_expired_one",
        says: "is not bound to it",
        tried: || goes_well("lease_claim_over_an_expired_one"),
    },
    Catch {
        bug: "repaired-by-deleting",
        by: "killed: goes_well repair_artifact",
        says: "what stood there is lost",
        tried: || goes_well("repair_artifact"),
    },
];

/// The process dies before one of its calls that change something: none of those after it is made either.
#[derive(Debug)]
struct Death {
    before: usize,
    changes: AtomicUsize,
}

impl Death {
    fn came(&self) -> bool {
        self.changes.load(Ordering::SeqCst) > self.before
    }
}

impl Watch for Death {
    fn before(&self, call: &Call<'_>) -> Verdict {
        if call.changes() {
            self.changes.fetch_add(1, Ordering::SeqCst);
        }
        if self.came() { EIO } else { Verdict::Go }
    }
}

/// Whatever call an operation dies before, all that must hold after a crash does.
fn dies_anywhere(name: &str) -> Outcome {
    let operation = operation(name)?;
    let prepared = Scene::before(operation)?;
    for before in 0.. {
        let scene = prepared.copy()?;
        let death = Arc::new(Death { before, changes: AtomicUsize::new(0) });
        let watching = scene.watched_by(&death);
        let done = (operation.operate)(&scene.place, &mut Acks::open(&scene.place)?);
        drop(watching);
        checked(operation, &scene)
            .map_err(|found| found.at(format_args!("died before change {before}")))?;
        if !death.came() {
            return done;
        }
    }
    Ok(())
}

/// An operation that nothing happens to.
fn goes_well(name: &str) -> Outcome {
    let operation = operation(name)?;
    let scene = Scene::before(operation)?;
    (operation.operate)(&scene.place, &mut Acks::open(&scene.place)?)?;
    checked(operation, &scene)
}

/// An operation, which writes to the run's journal once, dies within that write.
fn torn(name: &str) -> Outcome {
    let operation = operation(name)?;
    let prepared = Scene::before(operation)?;
    let done = prepared.copy()?;
    // Nobody is told of what is torn.
    let told = done.place.acknowledged()?;
    (operation.operate)(&done.place, &mut Acks::open(&done.place)?)?;
    let (before, after) = (prepared.journal_len()?, done.journal_len()?);
    let written = after - before;
    for missing in [1, 2, 76, 77, written / 4, written / 2, written / 4 * 3, written - 1] {
        let scene = done.copy()?;
        let acknowledged = told.iter().map(|line| format!("{line}\n")).collect::<String>();
        std::fs::write(scene.place.dir().join("acks"), acknowledged)?;
        scene.cut_journal(after - missing)?;
        let bytes = if missing == 1 { "byte" } else { "bytes" };
        checked(operation, &scene).map_err(|found| {
            found.at(format_args!("died within its write, {missing} {bytes} not written"))
        })?;
    }
    Ok(())
}

fn checked(operation: &Operation, scene: &Scene) -> Outcome {
    tree::settle(scene.place.dir())?;
    check::after_a_crash(operation, &scene.place)
}
