//! What has to be refused, asked for.

use std::time::Duration;

use runjournal::{
    Digest, ExpectedVersion, JournalError, Outcome as Ending, Prune, PrunePolicy, Signal,
    StepFailure, TaskStatus,
};

use super::Catch;
use super::scene::{Scene, note};
use crate::place::RUN;
use crate::{Base, Outcome, Violation, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch {
        bug: "version-not-checked",
        by: "refused: another_version",
        says: "another version",
        tried: another_version,
    },
    Catch {
        bug: "keys-not-compared",
        by: "refused: another_payload",
        says: "another payload",
        tried: another_payload,
    },
    Catch {
        bug: "closed-run-written",
        by: "refused: complete",
        says: "a complete run",
        tried: complete,
    },
    Catch {
        bug: "removed-run-written",
        by: "refused: removed",
        says: "a removed run",
        tried: removed,
    },
    Catch {
        bug: "expiry-trusted",
        by: "refused: expired",
        says: "without the lease",
        tried: expired,
    },
    Catch {
        bug: "living-attempt-taken-over",
        by: "refused: taken_over",
        says: "at work",
        tried: taken_over,
    },
    Catch {
        bug: "hold-ignored",
        by: "refused: held_meanwhile",
        says: "pruned though it is held",
        tried: held_meanwhile,
    },
    Catch {
        bug: "grown-run-pruned",
        by: "refused: grown_meanwhile",
        says: "pruned though it grew",
        tried: grown_meanwhile,
    },
    Catch {
        bug: "newer-format-written",
        by: "refused: newer_format",
        says: "a newer format",
        tried: newer_format,
    },
    Catch {
        bug: "limits-ignored",
        by: "refused: long_line",
        says: "a line of 2 MiB",
        tried: long_line,
    },
    Catch {
        bug: "any-token-held",
        by: "refused: former_worker",
        says: "the former worker was let in: renew, release",
        tried: former_worker,
    },
];

fn another_version() -> Outcome {
    let ctx = Scene::with(Base::Run)?;
    let event = note("some text").stream("talk", "1").expect(ExpectedVersion::Exact(7));
    match ctx.place.ctx()?.append(event) {
        Err(JournalError::VersionConflict { .. }) => Ok(()),
        other => Err(Violation::new(format!("though it has another version: {other:?}"))),
    }
}

fn another_payload() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let ctx = scene.place.ctx()?;
    ctx.append(note("this").key("once"))?;
    match ctx.append(note("that").key("once")) {
        Err(JournalError::KeyConflict { .. }) => Ok(()),
        other => Err(Violation::new(format!("the key was used for another payload: {other:?}"))),
    }
}

fn complete() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    scene.place.run()?.complete(Ending::Failed, None)?;
    match scene.place.ctx()?.append(note("late")) {
        Err(JournalError::Closed { .. }) => Ok(()),
        other => Err(Violation::new(format!("written to a complete run: {other:?}"))),
    }
}

fn removed() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let journal = scene.place.ctx()?.journal()?;
    journal.append(note("first"))?;
    std::fs::remove_dir_all(scene.place.run_dir())?;
    match journal.append(note("second")) {
        Err(JournalError::Removed { .. }) => Ok(()),
        other => Err(Violation::new(format!("written to a removed run: {other:?}"))),
    }
}

/// That a lease is over by some clock lets others claim it, and nobody write without one.
fn expired() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let task = scene.place.task()?;
    let lease = task.claim("worker-1", Duration::from_millis(1))?;
    std::thread::sleep(Duration::from_millis(5));
    lease.task().set_status(TaskStatus::InProgress)?;
    let other = task.set_status(TaskStatus::Todo);
    ensure(other.is_err(), || format!("written without the lease: {other:?}"))
}

fn taken_over() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let (one, other) = (scene.place.ctx()?, scene.place.ctx()?);
    let mut second = None;
    let first = one.step("work", |_| {
        second = Some(other.step("work", |_| Ok(Signal::new("second"))));
        Ok(Signal::new("first"))
    });
    match second {
        Some(Err(StepFailure::StepTaken { .. })) => {
            first?;
            Ok(())
        }
        other => Err(Violation::new(format!("somebody is at work on it, and: {other:?}"))),
    }
}

/// A run that is to be pruned, and what happens to it before it is.
fn pruned_after(meanwhile: impl FnOnce(&Scene) -> Outcome) -> Outcome<bool> {
    let scene = Scene::with(Base::Run)?;
    let never = Duration::MAX;
    let policy =
        PrunePolicy { success: never, failed: never, abandoned: Duration::ZERO, leftovers: never };
    let plan = Prune::of(&scene.place.workspace()?).policy(policy).plan()?;
    ensure(plan.runs.len() == 1, || "the run was not to be pruned".into())?;
    meanwhile(&scene)?;
    plan.apply()?;
    Ok(!scene.place.run_dir().exists())
}

fn held_meanwhile() -> Outcome {
    let is_gone = pruned_after(|scene| {
        let ctx = scene.place.ctx()?;
        scene.place.task()?.hold_run(ctx.run_id(), "somebody needs it")?;
        Ok(())
    })?;
    ensure(!is_gone, || "a run was pruned though it is held".into())
}

fn grown_meanwhile() -> Outcome {
    let is_gone = pruned_after(|scene| {
        scene.place.ctx()?.append(note("still at it"))?;
        Ok(())
    })?;
    ensure(!is_gone, || "a run was pruned though it grew".into())
}

fn newer_format() -> Outcome {
    let scene = Scene::with(Base::Task)?;
    let ctx = scene.place.task()?.start_run_as("RUN-2")?;
    let (genesis, journal) = (ctx.run_path().join("run.json"), ctx.journal_path());
    let text = std::fs::read_to_string(&genesis)?;
    let newer = text.replace("\"format_version\":1,", "\"format_version\":2,");
    let body = newer.get(..newer.len().saturating_sub(END)).unwrap_or_default();
    let hash = Digest::of(body.as_bytes()).to_hex();
    std::fs::write(genesis, format!("{body},\"hash\":\"{hash}\"}}\n"))?;
    let written = scene.place.task()?.run("RUN-2")?.context().append(note("some text"));
    let len = std::fs::metadata(journal)?.len();
    ensure(written.is_err() && len == 0, || format!("written in a newer format: {written:?}"))
}

/// Bytes of a line from its hash on.
const END: usize = 76;

fn long_line() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let much = serde_json::json!({ "much": "x".repeat(2 << 20) });
    match scene.place.ctx()?.append(note("some text").metadata(&much)) {
        Err(JournalError::TooLarge { .. }) => Ok(()),
        other => Err(Violation::new(format!("appended a line of 2 MiB: {other:?}"))),
    }
}

/// Whoever had the task before somebody else claimed it is out of it.
fn former_worker() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let task = scene.place.task()?;
    let former = task.claim("worker-1", Duration::from_millis(1))?;
    std::thread::sleep(Duration::from_millis(5));
    let holder = task.claim("worker-2", Duration::from_secs(3600))?;
    let appended = former.task().run(RUN)?.context().append(note("late"));
    let let_in: Vec<_> = [
        ("append", appended.is_ok()),
        ("renew", former.renew().is_ok()),
        ("release", former.release().is_ok()),
    ]
    .into_iter()
    .filter_map(|(what, is_ok)| is_ok.then_some(what))
    .collect();
    ensure(let_in.is_empty(), || format!("the former worker was let in: {}", let_in.join(", ")))?;
    holder.task().run(RUN)?.context().append(note("still at it"))?;
    Ok(())
}
