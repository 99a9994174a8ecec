//! States of runs and tasks, and repair.

use std::io::Write;

use runjournal::{
    ArtifactName, Completion, Manifest, Outcome as Ending, Repair, RunStatus, TaskStatus,
    WorkspaceError,
};

use super::{Operation, Seen, plain};
use crate::{Acks, Outcome, Place, Violation, ensure};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "set_run_status",
        operate: run_status,
        done: |seen| {
            let status = seen.place.run()?.state()?.status;
            ensure(status == RunStatus::Executing, || format!("the run is {status}"))
        },
        ..plain()
    },
    Operation {
        name: "set_task_status",
        operate: task_status,
        done: |seen| {
            let status = seen.place.task()?.status()?;
            ensure(status == TaskStatus::InProgress, || format!("the task is {status}"))
        },
        ..plain()
    },
    Operation {
        name: "complete",
        heads: true,
        recovery_killed: true,
        operate: complete,
        holds: completed_whole,
        done: completed,
        ..plain()
    },
    Operation {
        name: "complete_with_a_gate",
        prepare: |place, acks| {
            let report = ArtifactName::new("gate_report.json")?;
            let passed = br#"{"status": "passed"}"#;
            acks.stored(&place.ctx()?.artifacts().write_bytes(report, passed)?)
        },
        operate: |place, acks| {
            let run = place.run()?;
            let report = ArtifactName::new("gate_report.json")?;
            place.begin();
            let ending = Completion::success().because("all done").require(report);
            acks.appended(&run.complete_with(&ending)?)?;
            acks.tell("closed")?;
            place.end();
            Ok(())
        },
        holds: completed_whole,
        done: completed,
        ..plain()
    },
    Operation {
        name: "manifest_write",
        reads_much: true,
        operate: |place, _| {
            let ctx = place.ctx()?;
            let page = ctx.manifest()?;
            place.begin();
            page.write(&ctx)?;
            place.end();
            Ok(())
        },
        // The run went on, maybe.
        holds: |seen| Ok(Manifest::read(&seen.place.ctx()?).map(|_| ())?),
        done: |seen| ensure(page(seen)?, || "there is no manifest".into()),
        ..plain()
    },
    Operation {
        name: "task_archive",
        reads_much: true,
        prepare: |place, acks| {
            place.run()?.complete(Ending::Success, None)?;
            acks.tell("closed")
        },
        operate: |place, acks| {
            let task = place.task()?;
            place.begin();
            let archived = task.archive()?;
            acks.tell("archived")?;
            place.end();
            ensure(archived || place.again(), || "it was archived before".into())
        },
        holds: |seen| {
            let told = seen.place.acknowledged()?.iter().any(|line| line == "archived");
            let task = seen.place.task()?;
            let is = task.status()? == TaskStatus::Archived;
            ensure(is || !told, || "acknowledged and lost: archived".into())?;
            let said = task.events()?.of_type("task_status_changed").count();
            ensure(said == usize::from(is), || format!("it was moved {said} times"))
        },
        done: |seen| {
            let status = seen.place.task()?.status()?;
            ensure(status == TaskStatus::Archived, || format!("the task is {status}"))?;
            let started = seen.place.task()?.start_run_as("RUN-9");
            ensure(started.is_err(), || "a run of it starts".into())
        },
        ..plain()
    },
    Operation {
        name: "repair",
        prepare: damage,
        operate: repair,
        holds: |seen| ensure(seen.count("run_repaired") <= 1, || "it was repaired twice".into()),
        done: |seen| ensure(seen.count("run_repaired") == 1, || "it was not repaired once".into()),
        ..plain()
    },
];

fn run_status(place: &Place, acks: &mut Acks) -> Outcome {
    let run = place.run()?;
    place.begin();
    match run.set_status(RunStatus::Executing, Some("it is time")) {
        Ok(()) => acks.tell("status EXECUTING")?,
        Err(WorkspaceError::IllegalRunMove { .. }) if place.again() => {}
        Err(error) => return Err(error.into()),
    }
    place.end();
    Ok(())
}

fn task_status(place: &Place, acks: &mut Acks) -> Outcome {
    let task = place.task()?;
    place.begin();
    match task.set_status(TaskStatus::InProgress) {
        Ok(()) => acks.tell("task")?,
        Err(WorkspaceError::IllegalTaskMove { .. }) if place.again() => {}
        Err(error) => return Err(error.into()),
    }
    place.end();
    Ok(())
}

fn complete(place: &Place, acks: &mut Acks) -> Outcome {
    let run = place.run()?;
    place.begin();
    acks.appended(&run.complete(Ending::Success, Some("all done"))?)?;
    acks.tell("closed")?;
    place.end();
    Ok(())
}

fn completed_whole(seen: &Seen<'_>) -> Outcome {
    ensure(seen.count("execution_complete") <= 1, || "it completed twice".into())?;
    page(seen).map(|_| ())
}

fn completed(seen: &Seen<'_>) -> Outcome {
    ensure(page(seen)?, || "there is no manifest".into())?;
    let new = seen.place.run_dir().join(".manifest.json.new");
    ensure(!new.exists(), || "what became the manifest lies there still".into())?;
    ensure(seen.count("execution_complete") == 1, || "it did not complete once".into())?;
    let last = seen.records.last().map(|record| record.text("event_type"));
    ensure(last == Some("execution_complete"), || format!("{last:?} is last"))?;
    let status = seen.place.run()?.state()?.status;
    ensure(status == RunStatus::Success, || format!("the run is {status}"))
}

/// True if there is a manifest; it is whole, and says what the run is.
fn page(seen: &Seen<'_>) -> Outcome<bool> {
    let ctx = seen.place.ctx()?;
    let Some(page) = Manifest::read(&ctx)? else { return Ok(false) };
    ensure(page == ctx.manifest()?, || format!("the manifest says {page:?}"))?;
    let findings = page.compare(&ctx)?;
    ensure(findings.is_empty(), || format!("the manifest differs from the disk: {findings:?}"))?;
    Ok(true)
}

/// A line that no killed writer leaves.
fn damage(place: &Place, acks: &mut Acks) -> Outcome {
    let journal = place.run_dir().join("journal/events.jsonl");
    let mut file = std::fs::OpenOptions::new().append(true).open(journal)?;
    file.write_all(b"{\"written\":\"by an editor\"}\n")?;
    acks.tell("damaged")
}

fn repair(place: &Place, acks: &mut Acks) -> Outcome {
    let ctx = place.ctx()?;
    place.begin();
    let repaired = Repair::of(&ctx).plan()?.apply();
    if let Some(failed) = repaired.failed.into_iter().next() {
        return Err(failed.error.into());
    }
    if !repaired.done.is_empty() {
        acks.tell("repaired")?;
    }
    place.end();
    match repaired.left.into_iter().next() {
        Some(left) => Err(Violation::left(format_args!("{}: {}", left.finding, left.why))),
        None => Ok(()),
    }
}
