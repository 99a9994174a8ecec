//! Which part of a workspace is meant: all of it, a task with its runs, or a run.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{Task, Workspace, WorkspaceError};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::id::{RunId, TaskId};
use crate::journal::{LeaseRef, Runtime};
use crate::layout::HomeId;

/// A workspace as a whole, a task with its runs, or a run: by name, wherever it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Scope {
    /// The task; all of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The run of that task; all of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl Scope {
    /// All tasks and their runs.
    #[must_use]
    pub fn workspace() -> Self {
        Self::default()
    }

    /// A task and its runs.
    #[must_use]
    pub fn task(task: TaskId) -> Self {
        Self { task: Some(task), run: None }
    }

    /// A run.
    #[must_use]
    pub fn run(task: TaskId, run: RunId) -> Self {
        Self { task: Some(task), run: Some(run) }
    }

    /// True if this task, or this run, belongs to it; of a run's scope its task does not.
    #[must_use]
    pub fn covers(&self, task: &TaskId, run: Option<&RunId>) -> bool {
        self.task.as_ref().is_none_or(|only| only == task)
            && (self.run.is_none() || self.run.as_ref() == run)
    }
}

impl From<&HomeId> for Scope {
    fn from(home: &HomeId) -> Self {
        Self { task: Some(home.task.clone()), run: home.run.clone() }
    }
}

/// `workspace`, `TASK-1` or `TASK-1/RUN-1`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.task, &self.run) {
            (None, _) => f.pad("workspace"),
            (Some(task), None) => f.pad(task.as_str()),
            (Some(task), Some(run)) => f.pad(&format!("{task}/{run}")),
        }
    }
}

/// What is to be [verified](crate::Verify::of), [repaired](crate::Repair::of), [pruned](crate::Prune::of) or
/// [copied](crate::Backup::take): a workspace, a task or a run, or whatever a workspace has under a name. What
/// is written for it, is in the name of the lease that the task or the run was given.
#[derive(Debug, Clone)]
pub struct Subject {
    root: Utf8PathBuf,
    scope: Scope,
    runtime: Runtime,
    lease: Option<LeaseRef>,
}

impl Subject {
    /// What has this name in a workspace, for a task or a run that cannot be opened: its genesis file may be
    /// what is damaged.
    #[must_use]
    pub fn named(workspace: &Workspace, scope: Scope) -> Self {
        Self { scope, ..Self::from(workspace) }
    }

    /// The same in the name of a lease.
    #[must_use]
    pub fn with_lease(self, lease: LeaseRef) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// Which part of the workspace it is.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.runtime.clock.now()
    }

    /// The tasks that belong to it, sorted.
    pub(crate) fn tasks(&self) -> Result<Vec<TaskId>, WorkspaceError> {
        match &self.scope.task {
            Some(task) => Ok(vec![task.clone()]),
            None => Workspace::tasks_in(&self.root),
        }
    }

    /// One of them, in nobody's name.
    pub(crate) fn task(&self, id: &TaskId) -> Result<Task, WorkspaceError> {
        Task::open(&self.root, id.clone(), &self.runtime)
    }

    pub(crate) fn lease(&self) -> Option<&LeaseRef> {
        self.lease.as_ref()
    }
}

impl From<&Workspace> for Subject {
    fn from(workspace: &Workspace) -> Self {
        Self {
            root: workspace.root().to_owned(),
            scope: Scope::workspace(),
            runtime: workspace.runtime().clone(),
            lease: None,
        }
    }
}

impl From<&Task> for Subject {
    fn from(task: &Task) -> Self {
        Self {
            root: task.root().to_owned(),
            scope: Scope::task(task.id().clone()),
            runtime: task.runtime().clone(),
            lease: task.lease_ref().cloned(),
        }
    }
}

impl From<&RunContext> for Subject {
    fn from(ctx: &RunContext) -> Self {
        Self {
            root: ctx.root().to_owned(),
            scope: Scope::run(ctx.task_id().clone(), ctx.run_id().clone()),
            runtime: ctx.runtime().clone(),
            lease: ctx.lease_ref().cloned(),
        }
    }
}
