//! What has to be refused, asked for.

use std::time::Duration;

use runjournal::{
    Backup, ExpectedVersion, JournalError, Outcome as Ending, Signal, StepFailure, TaskStatus,
    Workspace,
};

use super::Catch;
use super::scene::{Scene, note};
use crate::{Base, Outcome, Violation, ensure};

pub(super) const ALL: &[Catch] = &[
    Catch { bug: "version-not-checked", says: "another version", tried: another_version },
    Catch { bug: "keys-not-compared", says: "another payload", tried: another_payload },
    Catch { bug: "closed-run-written", says: "a complete run", tried: complete },
    Catch { bug: "removed-run-written", says: "a removed run", tried: removed },
    Catch { bug: "expiry-trusted", says: "without the lease", tried: expired },
    Catch { bug: "living-attempt-taken-over", says: "at work", tried: taken_over },
    Catch { bug: "restored-over", says: "workspace.json was replaced", tried: restored_over },
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
        Some(Err(StepFailure::StepTaken { .. })) => Ok(drop(first?)),
        other => Err(Violation::new(format!("somebody is at work on it, and: {other:?}"))),
    }
}

/// Somebody makes a workspace where one is about to be restored.
fn restored_over() -> Outcome {
    let scene = Scene::with(Base::Run)?;
    let backup = Backup::create_at(scene.place.dir().join("backup"))?;
    let snapshot = backup.take(&scene.place.workspace()?)?;
    let root = scene.place.dir().join("restored");
    let plan = snapshot.restore_to(&root).plan()?;
    Workspace::create(&root)?;
    let made = std::fs::read(root.join("workspace.json"))?;
    // Refused or not, what stands there stays.
    let _ = plan.apply();
    let now = std::fs::read(root.join("workspace.json"))?;
    ensure(now == made, || "workspace.json was replaced".into())
}
