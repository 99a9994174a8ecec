//! What a process finds out that comes after one that died: at each of its calls, or within a write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runjournal::proof::{Call, Verdict, Watch};
use runjournal::{JournalError, Prune, PrunePolicy};

use super::Catch;
use super::scene::{EIO, Fails, Scene, note, operation};
use crate::place::RUN;
use crate::{Acks, Base, Operation, Outcome, Violation, check, ensure, tree};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "rename-before-record",
        by: "killed: dies_anywhere artifact_overwrite",
        says: "as it was left: plan.json: the file has",
        tried: || dies_anywhere("artifact_overwrite"),
    },
    Catch {
        bug: "no-tail-check",
        by: "killed: on_a_torn_line",
        says: "two records stand on one line",
        tried: on_a_torn_line,
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
        says: "moved the task without a lease that is in force",
        tried: || goes_well("lease_claim_over_an_expired_one"),
    },
    Catch {
        bug: "claim-not-bound",
        by: "killed: goes_well lease_claim_over_an_expired_one",
        says: "is not bound to it",
        tried: || goes_well("lease_claim_over_an_expired_one"),
    },
    Catch {
        bug: "pruned-without-end",
        by: "killed: waited_for_a_pruned_run",
        says: "appended to a run that goes",
        tried: waited_for_a_pruned_run,
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

/// Who prunes dies before the run goes, of which the task says by then that it went; who waited for the run's lock
/// comes to have it, and is told nothing that would go with the run.
fn waited_for_a_pruned_run() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let waits = scene.place.ctx()?.journal()?;
    let never = Duration::MAX;
    let policy =
        PrunePolicy { success: never, failed: never, abandoned: Duration::ZERO, leftovers: never };
    let dies = Fails::times(
        1,
        EIO,
        |call| matches!(call, Call::Rename { name, .. } if name.to_bytes() == RUN.as_bytes()),
    );
    let watching = scene.watched_by(&dies);
    let pruned = Prune::of(&scene.place.workspace()?).policy(policy).plan()?.apply()?;
    drop(watching);
    ensure(dies.is_over() && pruned.runs.is_empty(), || "it did not die".into())?;
    let said = scene.place.task()?.events()?.of_type("run_pruned").count();
    ensure(said == 1, || format!("the task says {said} times that the run goes"))?;
    match waits.append(note("late")) {
        Err(JournalError::Closed { .. }) => Ok(()),
        other => Err(Violation::new(format!("appended to a run that goes: {other:?}"))),
    }
}

/// What is appended behind a torn line begins a line of its own.
fn on_a_torn_line() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let ctx = scene.place.ctx()?;
    ctx.append(note("torn"))?;
    scene.cut_journal(scene.journal_len()? - 1)?;
    let appended = ctx.append(note("behind it"))?;
    for line in std::fs::read_to_string(scene.journal())?.lines() {
        let begin = line.matches("{\"seq\":").count();
        ensure(begin <= 1, || format!("two records stand on one line: {line}"))?;
    }
    scene.has(&[appended])
}

fn checked(operation: &Operation, scene: &Scene) -> Outcome {
    tree::settle(scene.place.dir())?;
    check::after_a_crash(operation, &scene.place)
}
