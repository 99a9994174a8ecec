//! What errors of single calls find out: a sync that fails, a write that is cut short, a rename that cannot be made.

use runjournal::proof::{Call, Verdict};
use runjournal::{Appended, ArtifactError, Durability};

use super::Catch;
use super::scene::{EACCES, EIO, Fails, Scene, artifact, note};
use crate::disk::Trace;
use crate::{Base, Outcome, Rng, Violation, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "sync-retried",
        by: "failed: failed_sync",
        says: "acknowledged though its sync failed",
        tried: || failed_sync(1),
    },
    Catch {
        bug: "failed-sync-forgotten",
        by: "failed: failed_sync",
        says: "acknowledged though a sync before it failed",
        tried: || failed_sync(2),
    },
    Catch {
        bug: "doubt-forgotten",
        by: "failed: behind_a_failed_sync",
        says: "durable and lost",
        tried: behind_a_failed_sync,
    },
    Catch {
        bug: "short-write-taken",
        by: "failed: short_write",
        says: "acknowledged in part",
        tried: short_write,
    },
    Catch {
        bug: "stage-not-compared",
        by: "failed: changed_stage",
        says: "what waited was changed",
        tried: changed_stage,
    },
    Catch {
        bug: "foreign-file-replaced",
        by: "failed: foreign_file",
        says: "somebody else's file",
        tried: foreign_file,
    },
    Catch {
        bug: "superseded-stage-applied",
        by: "failed: superseded",
        says: "an older file came back",
        tried: superseded,
    },
    Catch {
        bug: "stage-loss-not-seen",
        by: "failed: lost_stage",
        says: "committed without its content",
        tried: lost_stage,
    },
    Catch {
        bug: "stages-forgotten",
        by: "failed: behind_a_head",
        says: "a committed file is not there",
        tried: behind_a_head,
    },
];

/// The first sync of the journal fails, and never again: the system tells of it once, whatever is lost.
fn failed_sync(appends: usize) -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let journal = scene.journal_node()?;
    let fails = Fails::times(
        1,
        EIO,
        move |call| matches!(call, Call::SyncFile { file } if *file == journal),
    );
    let _watching = scene.watched_by(&fails);
    let journal = scene.place.ctx()?.journal()?.durability(Durability::Durable);
    let first = journal.append(note("first"));
    ensure(fails.is_over(), || "nothing was synced".into())?;
    if appends == 1 {
        return ensure(first.is_err(), || "acknowledged though its sync failed".into());
    }
    let other = scene.place.ctx()?.journal()?.durability(Durability::Durable);
    let refused = journal.append(note("second")).is_err() && other.append(note("third")).is_err();
    ensure(refused, || "acknowledged though a sync before it failed".into())
}

/// A writer that opened the journal after a sync had failed is told that its record is durable; then the power goes.
fn behind_a_failed_sync() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let journal = scene.journal_node()?;
    let fails = Fails::times(
        1,
        EIO,
        move |call| matches!(call, Call::SyncFile { file } if *file == journal),
    );
    let append = |text| -> Outcome<Appended> {
        let journal = scene.place.ctx()?.journal()?.durability(Durability::Durable);
        Ok(journal.append(note(text))?)
    };
    let work = || (append("first"), append("second"));
    let (trace, (failed, told)) = Trace::record_beside(scene.place.dir(), fails, || 0, work)?;
    let told = told?;
    ensure(failed.is_err(), || "acknowledged though its sync failed".into())?;
    for image in trace.disk_after(trace.len()).states(STATES, &mut Rng::new(0)).0 {
        let scene = Scene::empty()?;
        image.write_to(scene.place.dir())?;
        let (records, _) = scene.place.ctx()?.events()?.read_all()?;
        let is_there = records.iter().any(|record| record.event_id() == told.event_id);
        let lost = || format!("durable and lost: {}", image.lost().join("; "));
        ensure(is_there, lost)?;
    }
    Ok(())
}

/// So many states that a power cut leaves.
const STATES: usize = 200;

fn short_write() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let journal = scene.journal_node()?;
    let fails = Fails::times(
        1,
        Verdict::Short(100),
        move |call| matches!(call, Call::Write { file, .. } if *file == journal),
    );
    let _watching = scene.watched_by(&fails);
    let written = scene.place.ctx()?.append(note("first"));
    ensure(fails.is_over(), || "nothing was written".into())?;
    ensure(written.is_err(), || "acknowledged in part".into())
}

/// Commits `plan.json`, which cannot be put in place.
fn commit(scene: &Scene, error: Verdict, text: &str) -> Outcome {
    let fails = Fails::times(1, error, is_put);
    let _watching = scene.watched_by(&fails);
    let artifacts = scene.place.ctx()?.artifacts();
    match artifacts.write_bytes(artifact(PLAN)?, text.as_bytes()) {
        Err(ArtifactError::CommittedNotApplied { .. }) => Ok(()),
        other => Err(Violation::new(format!("the rename was to fail: {other:?}"))),
    }
}

fn is_put(call: &Call<'_>) -> bool {
    matches!(call, Call::Rename { to, .. } if to.to_bytes() == PLAN.as_bytes())
}

const PLAN: &str = "plan.json";

fn changed_stage() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    commit(&scene, EIO, "the second plan")?;
    std::fs::write(scene.stage()?, "the changed plan")?;
    scene.place.ctx()?.catch_up()?;
    let text = scene.artifact(PLAN)?;
    ensure(text == "the first plan", || format!("what waited was changed, and is there: {text}"))
}

fn foreign_file() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    commit(&scene, EIO, "the second plan")?;
    std::fs::write(scene.place.run_dir().join("artifacts").join(PLAN), "by hand")?;
    scene.place.ctx()?.catch_up()?;
    let text = scene.artifact(PLAN)?;
    ensure(text == "by hand", || format!("somebody else's file was replaced: {text}"))
}

/// What was committed in between can never be put in place, until it is too late.
fn superseded() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    commit(&scene, EACCES, "the second plan")?;
    let fails = Fails::times(usize::MAX, EACCES, is_put);
    let watching = scene.watched_by(&fails);
    let artifacts = scene.place.ctx()?.artifacts();
    artifacts.write_bytes(artifact(PLAN)?, b"the first plan")?;
    drop((watching, artifacts));
    scene.place.ctx()?.catch_up()?;
    let text = scene.artifact(PLAN)?;
    ensure(text == "the first plan", || format!("an older file came back: {text}"))
}

/// What was staged is gone before it is committed.
fn lost_stage() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let ctx = scene.place.ctx()?;
    let mut transaction = ctx.transaction().durability(Durability::Buffered);
    transaction.write_bytes(artifact(PLAN)?, b"the second plan")?;
    std::fs::remove_file(scene.stage()?)?;
    match transaction.commit() {
        Err(ArtifactError::StageLost { .. }) => Ok(()),
        other => Err(Violation::new(format!("committed without its content: {other:?}"))),
    }
}

/// The head that is left covers the record of what waits.
fn behind_a_head() -> Outcome {
    let scene = Scene::with_heads()?;
    commit(&scene, EIO, "the second plan")?;
    scene.place.ctx()?.catch_up()?;
    let text = scene.artifact(PLAN)?;
    ensure(text == "the second plan", || format!("a committed file is not there, but: {text}"))
}
