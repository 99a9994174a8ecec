//! Prune, and holds that keep runs from it.

use std::time::Duration;

use runjournal::{Event, Prune, PrunePolicy, RunId, WorkspaceError};

use super::{Operation, Seen, plain};
use crate::place::{RUN, TASK};
use crate::{Outcome, Place, Violation, ensure, raw};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "prune_run",
        worded_anew: true,
        reads_much: true,
        prepare: |place, _| {
            let task = place.task()?;
            task.hold_run(&RunId::new(RUN)?, "the trial needs it")?;
            let goes = task.start_run_as(GOES)?;
            goes.append(Event::new("seeded"))?;
            let name = runjournal::ArtifactName::new("seeded.txt")?;
            goes.artifacts().write_bytes(name, b"seeded")?;
            Ok(())
        },
        operate: |place, acks| {
            let all = PrunePolicy { abandoned: Duration::ZERO, ..NEVER };
            let held = RunId::new(RUN)?;
            let plan = Prune::of(&place.workspace()?).policy(all).plan()?;
            place.begin();
            let pruned = plan.apply()?;
            if let Some(kept) = pruned.kept.iter().find(|kept| kept.run != Some(held.clone())) {
                return Err(Violation::left(format_args!("{:?}: {}", kept.run, kept.why)));
            }
            acks.tell("pruned")?;
            place.end();
            empty_trash(place)
        },
        holds: |seen| {
            let gone = !seen.place.root().join(TASK).join("runs").join(GOES).exists();
            let said = in_task(seen, "run_pruned")?;
            ensure(said <= 1, || "it was said twice".into())?;
            ensure(!gone || said == 1, || "it is gone, and nobody said so".into())
        },
        done: |seen| {
            let task = seen.place.task()?;
            ensure(task.runs()?.len() == 1, || "it is not gone".into())?;
            ensure(in_task(seen, "run_pruned")? == 1, || "it was not said once".into())?;
            ensure(left_in(".trash", seen)? == 0, || "it is in the trash".into())?;
            let again = task.start_run_as(GOES);
            ensure(matches!(again, Err(WorkspaceError::RunPruned { .. })), || {
                "its id was given away again".into()
            })
        },
        ..plain()
    },
    Operation {
        name: "prune_leftovers",
        recovery_killed: true,
        reads_much: true,
        prepare: |place, _| {
            place.ctx()?.append(Event::new("seeded").payload(&"x".repeat(70_000)))?;
            for path in LEFT {
                let path = place.run_dir().join(path);
                std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
                std::fs::write(path, "left over")?;
            }
            let trash = place.root().join(".trash/0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0009/journal");
            Ok(std::fs::create_dir_all(trash)?)
        },
        operate: |place, _| {
            let all = PrunePolicy { leftovers: Duration::ZERO, ..NEVER };
            let plan = Prune::of(&place.workspace()?).policy(all).plan()?;
            place.begin();
            let planned = plan.leftovers.len();
            let gone = plan.apply()?.leftovers.len();
            place.end();
            match planned - gone {
                0 => Ok(()),
                left => Err(Violation::left(format_args!("{left} leftovers"))),
            }
        },
        holds: |seen| {
            let events = seen.place.ctx()?.events()?.of_type("seeded");
            for record in events {
                record?.payload::<serde_json::Value>()?;
            }
            Ok(())
        },
        done: |seen| {
            for path in LEFT {
                ensure(!seen.place.run_dir().join(path).exists(), || format!("{path} is there"))?;
            }
            ensure(left_in(".trash", seen)? == 0, || "the trash is full".into())
        },
        ..plain()
    },
    Operation {
        name: "hold_run",
        operate: |place, acks| {
            let task = place.task()?;
            place.begin();
            task.hold_run(&RunId::new(RUN)?, "an audit")?;
            acks.tell("held")?;
            place.end();
            Ok(())
        },
        holds: |seen| {
            let told = seen.place.acknowledged()?.iter().any(|line| line == "held");
            let said = in_task(seen, "hold_placed")?;
            ensure(said <= 1, || "it was placed twice".into())?;
            ensure(!told || said == 1, || "acknowledged and lost: held".into())
        },
        done: |seen| ensure(seen.place.task()?.holds()?.len() == 1, || "it is not held".into()),
        ..plain()
    },
    Operation {
        name: "lift_hold",
        prepare: |place, _| {
            place.task()?.hold_run(&RunId::new(RUN)?, "an audit")?;
            Ok(())
        },
        operate: |place, acks| {
            let task = place.task()?;
            place.begin();
            task.lift_hold(&RunId::new(RUN)?)?;
            acks.tell("lifted")?;
            place.end();
            Ok(())
        },
        holds: |seen| {
            let told = seen.place.acknowledged()?.iter().any(|line| line == "lifted");
            let said = in_task(seen, "hold_lifted")?;
            ensure(said <= 1, || "it was lifted twice".into())?;
            ensure(!told || said == 1, || "acknowledged and lost: lifted".into())
        },
        done: |seen| ensure(seen.place.task()?.holds()?.is_empty(), || "it is held".into()),
        ..plain()
    },
];

/// What is left of a run in the trash goes with the next prune. Of a trash that a dead process made nobody makes sure:
/// all in it may go with it.
fn empty_trash(place: &Place) -> Outcome {
    let trash = place.root().join(".trash");
    match if trash.exists() { trash.read_dir()?.count() } else { 0 } {
        0 => Ok(()),
        left => Err(Violation::left(format_args!("{left} runs in the trash"))),
    }
}

/// The run that goes.
const GOES: &str = "RUN-2";

const NEVER: PrunePolicy = PrunePolicy {
    success: Duration::MAX,
    failed: Duration::MAX,
    abandoned: Duration::MAX,
    leftovers: Duration::MAX,
};

/// What lies in a run and nobody names.
const LEFT: [&str; 2] = [
    "objects/ab/cdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd",
    ".tmp/0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0001",
];

fn in_task(seen: &Seen<'_>, event_type: &str) -> Outcome<usize> {
    let records = raw::records(&seen.place.root().join(TASK), "task.json")?;
    Ok(records.iter().filter(|record| record.text("event_type") == event_type).count())
}

fn left_in(dir: &str, seen: &Seen<'_>) -> Outcome<usize> {
    let dir = seen.place.root().join(dir);
    Ok(if dir.exists() { dir.read_dir()?.count() } else { 0 })
}
