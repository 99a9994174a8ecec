//! Workspaces, tasks and runs.

use runjournal::{TaskOptions, Workspace, WorkspaceError};

use super::{Base, Operation, plain};
use crate::place::{RUN, TASK};
use crate::{Acks, Outcome, Place};

pub(super) const ALL: &[Operation] = &[
    Operation {
        name: "create_workspace",
        base: Base::Nothing,
        operate: workspace,
        done: |seen| seen.place.workspace().map(|_| ()),
        ..plain()
    },
    Operation {
        name: "create_task",
        base: Base::Workspace,
        operate: task,
        done: |seen| seen.place.task()?.status().map(|_| ()).map_err(Into::into),
        ..plain()
    },
    Operation {
        name: "start_run",
        heads: true,
        recovery_killed: true,
        base: Base::Task,
        operate: run,
        done: |seen| seen.place.run().map(|_| ()),
        ..plain()
    },
];

fn workspace(place: &Place, acks: &mut Acks) -> Outcome {
    place.begin();
    match Workspace::create(place.root()) {
        Ok(_) => {}
        Err(WorkspaceError::WorkspaceExists { .. }) if place.again() => {}
        Err(error) => return Err(error.into()),
    }
    acks.tell("workspace")?;
    place.end();
    Ok(())
}

fn task(place: &Place, acks: &mut Acks) -> Outcome {
    let workspace = place.workspace()?;
    place.begin();
    let options = TaskOptions { title: "A task".into(), objective: "To be made".into() };
    match workspace.create_task(TASK, options) {
        Ok(_) => {}
        Err(WorkspaceError::TaskExists { .. }) if place.again() => {}
        Err(error) => return Err(error.into()),
    }
    acks.tell("task")?;
    place.end();
    Ok(())
}

fn run(place: &Place, acks: &mut Acks) -> Outcome {
    let task = place.task()?;
    place.begin();
    match task.start_run_as(RUN) {
        Ok(_) => {}
        Err(WorkspaceError::RunExists { .. }) if place.again() => {}
        Err(error) => return Err(error.into()),
    }
    acks.tell("run")?;
    place.end();
    Ok(())
}
