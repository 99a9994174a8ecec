//! A run that goes to another task.

use camino::Utf8PathBuf;
use runjournal::{Event, Run, Task, TaskOptions, WorkspaceError};

use super::lease::HOUR;
use super::{Operation, Seen, plain};
use crate::place::TASK;
use crate::{Acks, Outcome, Place, Violation, ensure, raw};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "run_move",
        prepare: |place, _| {
            seeded(place)?.complete(runjournal::Outcome::Success, None)?;
            place.workspace()?.create_task(OTHER, TaskOptions::default())?;
            Ok(())
        },
        operate: |place, acks| go(place, acks, &place.workspace()?.task(OTHER)?, |_| Ok(())),
        ..moves()
    },
    // What was appended to it buffered goes along, to a task that never had a run.
    Operation {
        name: "run_move_unsynced",
        prepare: |place, _| {
            seeded(place)?;
            let other = place.workspace()?.create_task(OTHER, TaskOptions::default())?;
            Ok(std::fs::remove_dir(other.path().join("runs"))?)
        },
        operate: |place, acks| {
            go(place, acks, &place.workspace()?.task(OTHER)?, |run| {
                run.context().append(Event::new("noted").key("note"))?;
                Ok(())
            })
        },
        done: |seen| {
            moved(seen)?;
            has(seen, "noted")
        },
        ..moves()
    },
    // Who holds the task that it comes to may write to it, once that is told, and nobody else.
    Operation {
        name: "run_move_under_a_lease",
        prepare: |place, _| {
            seeded(place)?;
            let other = place.workspace()?.create_task(OTHER, TaskOptions::default())?;
            other.claim("worker-1", HOUR)?;
            Ok(())
        },
        operate: |place, acks| {
            let other = place.workspace()?.task(OTHER)?;
            let lease = other.lease()?.ok_or_else(|| Violation::new("nobody claimed the task"))?;
            go(place, acks, &other.with_lease(lease.lease), |_| Ok(()))
        },
        holds: |seen| {
            whole(seen)?;
            if told(seen, "bound")? { has(seen, "lease_bound") } else { Ok(()) }
        },
        ..moves()
    },
];

const fn moves() -> Operation {
    Operation { reads_much: true, holds: whole, done: moved, ..plain() }
}

/// The run that goes, and where to.
const GOES: &str = "RUN-2";
const OTHER: &str = "TASK-2";

fn seeded(place: &Place) -> Outcome<Run> {
    let goes = place.task()?.start_run_as(GOES)?;
    goes.append(Event::new("seeded"))?;
    goes.artifacts().write_bytes(runjournal::ArtifactName::new("seeded.txt")?, b"seeded")?;
    Ok(goes.run()?)
}

/// Moves it, once this was done to it where it is.
fn go(place: &Place, acks: &mut Acks, to: &Task, before: fn(&Run) -> Outcome) -> Outcome {
    let from = place.task()?;
    place.begin();
    match from.run(GOES) {
        Ok(run) => {
            before(&run)?;
            run.move_to(to)?;
            if to.lease_ref().is_some() {
                acks.tell("bound")?;
            }
            acks.tell("moved")?;
        }
        // That it is not here promises nothing.
        Err(WorkspaceError::RunNotFound { .. }) if place.again() => {}
        Err(error) => return Err(error.into()),
    }
    place.end();
    Ok(())
}

fn whole(seen: &Seen<'_>) -> Outcome {
    let (here, there) = (dir(seen, TASK), dir(seen, OTHER));
    ensure(here.exists() != there.exists(), || "it is not in one place".into())?;
    let told = told(seen, "moved")?;
    ensure(!told || there.exists(), || "acknowledged and lost: moved".into())?;
    has(seen, "seeded")?;
    let is = if there.exists() { there } else { here };
    let content = std::fs::read_to_string(is.join("artifacts/seeded.txt"))?;
    ensure(content == "seeded", || "its artifact is another".into())?;
    let (gone, came) = (said(seen, TASK, "run_pruned")?, said(seen, OTHER, "run_started")?);
    ensure(gone <= came && came <= 1, || format!("it was said {gone} and {came} times"))
}

fn moved(seen: &Seen<'_>) -> Outcome {
    ensure(dir(seen, OTHER).exists(), || "it was not moved".into())?;
    ensure(said(seen, TASK, "run_pruned")? == 1, || "nobody said that it went".into())?;
    let again = seen.place.task()?.start_run_as(GOES);
    ensure(matches!(again, Err(WorkspaceError::RunMoved { .. })), || {
        "its id was given away again".into()
    })
}

fn told(seen: &Seen<'_>, what: &str) -> Outcome<bool> {
    Ok(seen.place.acknowledged()?.iter().any(|line| line == what))
}

/// Wherever it is, it has one such record.
fn has(seen: &Seen<'_>, event_type: &str) -> Outcome {
    let (here, there) = (dir(seen, TASK), dir(seen, OTHER));
    let records = raw::records(if there.exists() { &there } else { &here }, "run.json")?;
    let types: Vec<_> = records.iter().map(|record| record.text("event_type")).collect();
    let count = types.iter().filter(|found| **found == event_type).count();
    ensure(count == 1, || format!("{count} of its records are {event_type}: {types:?}"))
}

fn dir(seen: &Seen<'_>, task: &str) -> Utf8PathBuf {
    seen.place.root().join(task).join("runs").join(GOES)
}

/// How often a task's journal says something of the run.
fn said(seen: &Seen<'_>, task: &str, event_type: &str) -> Outcome<usize> {
    let records = raw::records(&seen.place.root().join(task), "task.json")?;
    let of_run = |record: &&crate::RawRecord| {
        record.text("event_type") == event_type && record.text("stream_id") == GOES
    };
    Ok(records.iter().filter(of_run).count())
}
