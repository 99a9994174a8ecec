//! What a snapshot is of, and the homes that it holds.

use std::fmt;
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::context::RunContext;
use crate::id::{RunId, TaskId};
use crate::journal::{Home, Runtime};
use crate::layout;
use crate::workspace::{Task, Workspace};

/// A workspace as a whole, a task with its runs, or a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupScope {
    /// The task; all of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The run of that task; all of them where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

impl BackupScope {
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

    /// True if this run, or the task itself where there is none, belongs to it.
    pub(super) fn has(&self, home: &HomeId) -> bool {
        self.task.as_ref().is_none_or(|task| *task == home.task)
            && (home.run.is_none() || self.run.is_none() || self.run == home.run)
    }
}

/// `workspace`, `TASK-1` or `TASK-1/RUN-1`.
impl fmt::Display for BackupScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.task, &self.run) {
            (None, _) => f.pad("workspace"),
            (Some(task), None) => f.pad(task.as_str()),
            (Some(task), Some(run)) => f.pad(&format!("{task}/{run}")),
        }
    }
}

/// What [`Backup::take`](super::Backup::take) copies: from a workspace, a task or a run, and not by hand.
#[derive(Debug, Clone)]
pub struct BackupSource {
    pub(super) root: Utf8PathBuf,
    pub(super) scope: BackupScope,
    pub(super) runtime: Runtime,
}

impl From<&Workspace> for BackupSource {
    fn from(workspace: &Workspace) -> Self {
        let (root, runtime) = (workspace.root().to_owned(), workspace.runtime().clone());
        Self { root, scope: BackupScope::workspace(), runtime }
    }
}

impl From<&Task> for BackupSource {
    fn from(task: &Task) -> Self {
        let path = task.path();
        let root = path.parent().unwrap_or(&path).to_owned();
        let scope = BackupScope::task(task.id().clone());
        Self { root, scope, runtime: task.runtime().clone() }
    }
}

impl From<&RunContext> for BackupSource {
    fn from(ctx: &RunContext) -> Self {
        let scope = BackupScope::run(ctx.task_id().clone(), ctx.run_id().clone());
        Self { root: ctx.root().to_owned(), scope, runtime: ctx.runtime().clone() }
    }
}

/// A directory with a journal: a task's, or a run's. Its text is its path from the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct HomeId {
    pub(super) task: TaskId,
    pub(super) run: Option<RunId>,
}

impl HomeId {
    pub(super) fn task(task: TaskId) -> Self {
        Self { task, run: None }
    }

    pub(super) fn run(task: TaskId, run: RunId) -> Self {
        Self { task, run: Some(run) }
    }

    pub(super) fn home(&self, root: &Utf8Path, runtime: &Runtime) -> Home {
        match &self.run {
            Some(run) => Home::of_run(root, &self.task, run, runtime),
            None => Home::of_task(root, &self.task, runtime),
        }
    }

    pub(super) fn scope(&self) -> BackupScope {
        BackupScope { task: Some(self.task.clone()), run: self.run.clone() }
    }

    /// The file that makes it exist.
    pub(super) fn genesis(&self) -> &'static str {
        if self.run.is_some() { layout::RUN } else { layout::TASK }
    }
}

impl fmt::Display for HomeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run {
            Some(run) => write!(f, "{}/{}/{run}", self.task, layout::RUNS),
            None => write!(f, "{}", self.task),
        }
    }
}

impl FromStr for HomeId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is no place of a task or a run");
        let parts: Vec<_> = text.split('/').collect();
        let task = |task: &str| task.parse().map_err(|_| bad());
        match parts.as_slice() {
            [id] => Ok(Self::task(task(id)?)),
            [id, runs, run] if *runs == layout::RUNS => {
                Ok(Self::run(task(id)?, run.parse().map_err(|_| bad())?))
            }
            _ => Err(bad()),
        }
    }
}

impl Serialize for HomeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HomeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
