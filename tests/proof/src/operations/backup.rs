//! Snapshots: taken, restored, pruned.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    ArtifactName, Backup, Event, Retention, RunId, Scope, Snapshot, TaskId, TaskOptions, Workspace,
};

use super::{Base, Operation, Seen, plain};
use crate::place::{RUN, TASK};
use crate::{Acks, Outcome, Place, Violation, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "backup_first",
        base: Base::Task,
        reads_much: true,
        operate: take,
        holds: all_is_there,
        done: |seen| ensure(taken(seen)? >= 1, || "there is no snapshot".into()),
        ..plain()
    },
    Operation {
        name: "backup_incremental",
        reads_much: true,
        prepare: |place, _| {
            backup(place)?.take(&place.workspace()?)?;
            place.ctx()?.append(Event::new("changed"))?;
            Ok(())
        },
        operate: take,
        holds: all_is_there,
        done: |seen| ensure(taken(seen)? >= 2, || "there is no second snapshot".into()),
        ..plain()
    },
    Operation {
        name: "restore_run",
        recovery_killed: true,
        base: Base::Task,
        prepare: |place, _| lost(place, &place.run_dir()),
        operate: |place, acks| restore(place, acks, the_run()?),
        done: |seen| {
            let said = seen.place.task()?.events()?.of_type("run_restored").count();
            ensure(said == 1, || format!("the task says {said} times that the run was restored"))?;
            restored(seen)
        },
        ..restores()
    },
    Operation {
        name: "restore_task",
        base: Base::Workspace,
        prepare: |place, _| {
            place.workspace()?.create_task(TASK, TaskOptions::default())?;
            lost(place, &place.root().join(TASK))
        },
        operate: |place, acks| restore(place, acks, the_run()?),
        done: restored,
        ..restores()
    },
    Operation {
        name: "restore_workspace",
        base: Base::Nothing,
        prepare: |place, _| {
            let workspace = Workspace::create(place.root())?;
            workspace.create_task(TASK, TaskOptions::default())?;
            lost(place, &place.root())
        },
        operate: |place, acks| restore(place, acks, Scope::workspace()),
        done: |seen| {
            // It is the workspace that it was, not only one.
            let (now, before) = (seen.place.root(), seen.place.dir().join("before"));
            let same = fs::read(now.join(ID))? == fs::read(before.join(ID))?;
            ensure(same, || "workspace.json is another one".into())?;
            restored(seen)
        },
        ..restores()
    },
    Operation {
        name: "backup_hold",
        reads_much: true,
        prepare: |place, _| Ok(backup(place)?.take(&place.workspace()?).map(|_| ())?),
        operate: |place, acks| {
            let mut snapshot = newest(place)?;
            place.begin();
            snapshot.hold(AUDIT)?;
            acks.tell("held")?;
            place.end();
            Ok(())
        },
        holds: |seen| {
            all_is_there(seen)?;
            let snapshot = newest(seen.place)?;
            let (told, reason) = (told(seen, "held")?, snapshot.hold_reason());
            ensure(reason == Some(AUDIT) || (!told && reason.is_none()), || {
                format!("it is held for {reason:?}")
            })
        },
        done: |seen| {
            let held = newest(seen.place)?.hold_reason().is_some();
            ensure(held, || "it is not held".into())
        },
        ..plain()
    },
    Operation {
        name: "backup_lift",
        reads_much: true,
        prepare: |place, _| {
            backup(place)?.take(&place.workspace()?)?.hold(AUDIT)?;
            Ok(())
        },
        operate: |place, acks| {
            let mut snapshot = newest(place)?;
            place.begin();
            snapshot.lift()?;
            acks.tell("lifted")?;
            place.end();
            Ok(())
        },
        holds: |seen| {
            all_is_there(seen)?;
            let snapshot = newest(seen.place)?;
            let (told, reason) = (told(seen, "lifted")?, snapshot.hold_reason());
            ensure(reason.is_none() || (!told && reason == Some(AUDIT)), || {
                format!("it is held for {reason:?}")
            })
        },
        done: |seen| {
            let held = newest(seen.place)?.hold_reason().is_some();
            ensure(!held, || "it is held".into())
        },
        ..plain()
    },
    Operation {
        name: "backup_prune",
        reads_much: true,
        prepare: |place, _| {
            for text in ["old", "new"] {
                let name = ArtifactName::new("changing.txt")?;
                place.ctx()?.artifacts().write_bytes(name, text.as_bytes())?;
                backup(place)?.take(&place.workspace()?)?;
            }
            Ok(())
        },
        operate: |place, _| {
            let backup = backup(place)?;
            let plan = backup.prune(Retention::default()).plan()?;
            let planned = u64::try_from(plan.remove().len())?;
            place.begin();
            let pruned = plan.apply()?;
            place.end();
            match planned - pruned.snapshots {
                0 => Ok(()),
                left => Err(Violation::left(format_args!("{left} snapshots"))),
            }
        },
        holds: all_is_there,
        done: |seen| {
            let left = taken(seen)?;
            ensure(left == 1, || format!("{left} snapshots are left"))?;
            let objects = backup(seen.place)?.prune(Retention::default()).plan()?.objects();
            ensure(objects == 0, || format!("{objects} objects that nobody names are left"))
        },
        ..plain()
    },
];

const fn restores() -> Operation {
    Operation { reads_much: true, holds: whole_or_not_there, ..plain() }
}

const ID: &str = "workspace.json";
/// Why a snapshot is held.
const AUDIT: &str = "an audit";

fn backup(place: &Place) -> Outcome<Backup> {
    Ok(Backup::create_at(place.dir().join("backup"))?)
}

fn newest(place: &Place) -> Outcome<Snapshot> {
    let snapshots = backup(place)?.snapshots()?;
    snapshots.into_iter().next_back().ok_or_else(|| Violation::new("there is no snapshot"))
}

fn take(place: &Place, _: &mut Acks) -> Outcome {
    let workspace = place.workspace()?;
    place.begin();
    backup(place)?.take(&workspace)?;
    place.end();
    Ok(())
}

/// Every snapshot has all that it names, to the bit.
fn all_is_there(seen: &Seen<'_>) -> Outcome {
    if !seen.place.dir().join("backup/backup.json").exists() {
        return Ok(());
    }
    let findings = backup(seen.place)?.verify(true)?.findings;
    ensure(findings.is_empty(), || format!("{findings:?}"))
}

fn taken(seen: &Seen<'_>) -> Outcome<usize> {
    Ok(backup(seen.place)?.snapshots()?.len())
}

/// A run with a file, a snapshot of it, and then the loss.
fn lost(place: &Place, what: &Utf8Path) -> Outcome {
    let ctx = place.task()?.start_run_as(RUN)?;
    ctx.append(Event::new("seeded"))?;
    ctx.artifacts().write_bytes(ArtifactName::new("plan.json")?, b"the plan")?;
    backup(place)?.take(&place.workspace()?)?;
    for (from, to) in kept(place) {
        fs::create_dir_all(to.parent().unwrap_or(&to))?;
        fs::copy(from, to)?;
    }
    fs::copy(place.root().join(ID), place.dir().join("before").join(ID))?;
    Ok(fs::remove_dir_all(what)?)
}

/// The files of the run, and where they were copied to before the loss.
fn kept(place: &Place) -> impl Iterator<Item = (Utf8PathBuf, Utf8PathBuf)> {
    let (run, before) = (place.run_dir(), place.dir().join("before"));
    ["run.json", "journal/events.jsonl", "artifacts/plan.json"]
        .into_iter()
        .map(move |path| (run.join(path), before.join(path)))
}

fn the_run() -> Outcome<Scope> {
    Ok(Scope::run(TaskId::new(TASK)?, RunId::new(RUN)?))
}

fn restore(place: &Place, acks: &mut Acks, scope: Scope) -> Outcome {
    let plan = newest(place)?.restore_to(place.root()).scope(scope).plan()?;
    place.begin();
    plan.apply()?;
    acks.tell("restored")?;
    place.end();
    Ok(())
}

fn whole_or_not_there(seen: &Seen<'_>) -> Outcome {
    if seen.place.run_dir().exists() {
        return same(seen);
    }
    ensure(!told(seen, "restored")?, || "acknowledged and lost: restored".into())
}

fn told(seen: &Seen<'_>, what: &str) -> Outcome<bool> {
    Ok(seen.place.acknowledged()?.iter().any(|line| line == what))
}

fn same(seen: &Seen<'_>) -> Outcome {
    for (restored, before) in kept(seen.place) {
        let found = fs::read(&restored)?;
        // Somebody may have gone on with it.
        ensure(found.starts_with(&fs::read(before)?), || format!("{restored} differs"))?;
    }
    Ok(())
}

fn restored(seen: &Seen<'_>) -> Outcome {
    let left = seen.place.root().join(".restoring");
    ensure(!left.exists(), || "what was staged is left".into())?;
    same(seen)
}
