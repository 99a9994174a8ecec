//! A run that goes to another task.

use runjournal::{Event, TaskOptions, WorkspaceError};

use super::{Operation, Seen, plain};
use crate::place::TASK;
use crate::{Outcome, ensure, raw};

pub(super) const ALL: &[Operation] = &[Operation {
    name: "run_move",
    reads_much: true,
    prepare: |place, _| {
        let goes = place.task()?.start_run_as(GOES)?;
        goes.append(Event::new("seeded"))?;
        goes.artifacts().write_bytes(runjournal::ArtifactName::new("seeded.txt")?, b"seeded")?;
        goes.run()?.complete(runjournal::Outcome::Success, None)?;
        place.workspace()?.create_task(OTHER, TaskOptions::default())?;
        Ok(())
    },
    operate: |place, acks| {
        let (from, to) = (place.task()?, place.workspace()?.task(OTHER)?);
        place.begin();
        match from.run(GOES) {
            Ok(run) => {
                run.move_to(&to)?;
                acks.tell("moved")?;
            }
            // That it is not here promises nothing.
            Err(WorkspaceError::RunNotFound { .. }) if place.again() => {}
            Err(error) => return Err(error.into()),
        }
        place.end();
        Ok(())
    },
    holds: |seen| {
        let (here, there) = (dir(seen, TASK), dir(seen, OTHER));
        ensure(here.exists() != there.exists(), || "it is not in one place".into())?;
        let told = seen.place.acknowledged()?.iter().any(|line| line == "moved");
        ensure(!told || there.exists(), || "acknowledged and lost: moved".into())?;
        let is = if there.exists() { there } else { here };
        let types = raw::records(&is, "run.json")?;
        let types: Vec<_> = types.iter().map(|record| record.text("event_type")).collect();
        let seeded = types.iter().filter(|seen| **seen == "seeded").count();
        ensure(seeded == 1, || format!("its records are {types:?}"))?;
        let content = std::fs::read_to_string(is.join("artifacts/seeded.txt"))?;
        ensure(content == "seeded", || "its artifact is another".into())?;
        let (gone, came) = (said(seen, TASK, "run_pruned")?, said(seen, OTHER, "run_started")?);
        ensure(gone <= came && came <= 1, || format!("it was said {gone} and {came} times"))
    },
    done: |seen| {
        ensure(dir(seen, OTHER).exists(), || "it was not moved".into())?;
        ensure(said(seen, TASK, "run_pruned")? == 1, || "nobody said that it went".into())?;
        let again = seen.place.task()?.start_run_as(GOES);
        ensure(matches!(again, Err(WorkspaceError::RunMoved { .. })), || {
            "its id was given away again".into()
        })
    },
    ..plain()
}];

/// The run that goes, and where to.
const GOES: &str = "RUN-2";
const OTHER: &str = "TASK-2";

fn dir(seen: &Seen<'_>, task: &str) -> camino::Utf8PathBuf {
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
