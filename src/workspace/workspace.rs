//! A workspace: a directory of tasks.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Task, TaskOptions, WorkspaceError};
use crate::clock::Clock;
use crate::context::absolute;
use crate::genesis::{self, GenesisError, WorkspaceGenesis};
use crate::id::{IdError, IdSource, TaskId};
use crate::io::{Dir, Kind, make_dirs, sync_above};
use crate::journal::Runtime;
use crate::layout::{self, FORMAT_VERSION};

/// A directory of tasks. A value: nothing is open.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// use runjournal::{Artifact, TaskOptions, Workspace};
///
/// const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
///
/// let workspace = Workspace::create(&root)?;
/// let task = workspace.create_task("TASK-1", TaskOptions::default())?;
/// let ctx = task.start_run()?;
/// ctx.artifacts().write(PLAN, &vec!["fetch".into(), "build".into()])?;
/// assert_eq!(ctx.artifacts().read(PLAN)?.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Workspace {
    root: Utf8PathBuf,
    genesis: WorkspaceGenesis,
    runtime: Runtime,
}

impl Workspace {
    /// Makes a workspace, and the directories above it. Durable: once it returned, a power cut does
    /// not lose it. A crash leaves a workspace or none.
    ///
    /// # Errors
    /// [`WorkspaceError::WorkspaceExists`] where there is one already; [`WorkspaceError::GenesisLost`] where tasks
    /// stand, so that there was one.
    pub fn create(root: impl AsRef<Utf8Path>) -> Result<Self, WorkspaceError> {
        Self::create_with(root.as_ref(), Runtime::default())
    }

    pub(crate) fn create_with(root: &Utf8Path, runtime: Runtime) -> Result<Self, WorkspaceError> {
        let root = absolute(root);
        make_dirs(&root)?;
        let dir = Dir::open_root(&root)?;
        let created_at = runtime.clock.now();
        let genesis = WorkspaceGenesis {
            format_version: FORMAT_VERSION,
            workspace_id: runtime.ids.next_id(created_at),
            created_at,
        };
        let sealed = genesis::seal(&root, &genesis)?;
        // Another maker's tasks come after its workspace.json.
        if let Some(task) = ids_with::<TaskId>(&dir, ("", ""), layout::TASK)?.into_iter().next()
            && dir.stat(layout::WORKSPACE)?.is_none()
        {
            return Err(WorkspaceError::GenesisLost { path: root, task });
        }
        sync_above(&dir)?;
        match genesis::create(&dir, &sealed, runtime.ids.next_id(created_at)) {
            Ok(()) => Ok(Self { root, genesis, runtime }),
            Err(GenesisError::Io(error)) if error.source.kind() == ErrorKind::AlreadyExists => {
                // Told of only once it is sure to stay: its maker may have died before this.
                dir.sync("")?;
                Err(WorkspaceError::WorkspaceExists { path: root })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a workspace. One that newer code made opens for reading only.
    ///
    /// # Errors
    /// [`WorkspaceError::NotAWorkspace`] where there is none.
    pub fn open(root: impl AsRef<Utf8Path>) -> Result<Self, WorkspaceError> {
        let root = absolute(root.as_ref());
        let read = Dir::open_root(&root)
            .map_err(GenesisError::from)
            .and_then(|dir| genesis::read::<WorkspaceGenesis>(&dir));
        match read {
            Ok(read) => Ok(Self { root, genesis: read.value, runtime: Runtime::default() }),
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                Err(WorkspaceError::NotAWorkspace { path: root })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a workspace, and makes it where there is none.
    ///
    /// # Errors
    /// As [`create`](Workspace::create) and [`open`](Workspace::open).
    pub fn open_or_create(root: impl AsRef<Utf8Path>) -> Result<Self, WorkspaceError> {
        let root = root.as_ref();
        match Self::open(root) {
            Err(WorkspaceError::NotAWorkspace { .. }) => match Self::create(root) {
                Err(WorkspaceError::WorkspaceExists { .. }) => Self::open(root),
                other => other,
            },
            Ok(workspace) => {
                // Told of only once it is sure to stay: its maker may have died before this.
                Dir::open_root(&workspace.root)?.sync("")?;
                Ok(workspace)
            }
            other => other,
        }
    }

    /// Opens the workspace that a directory is in: the nearest directory upward that is one, or that
    /// has one named `workspaces`.
    ///
    /// # Errors
    /// [`WorkspaceError::NotAWorkspace`] where there is none up to the root of the file system.
    pub fn find(from: impl AsRef<Utf8Path>) -> Result<Self, WorkspaceError> {
        let from = absolute(from.as_ref());
        for dir in from.ancestors() {
            for root in [dir.to_owned(), dir.join("workspaces")] {
                match Self::open(&root) {
                    Err(WorkspaceError::NotAWorkspace { .. }) => {}
                    other => return other,
                }
            }
        }
        Err(WorkspaceError::NotAWorkspace { path: from })
    }

    /// The same workspace with another clock, for its tasks and runs as well.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.runtime.clock = clock;
        self
    }

    /// The same workspace with another source of ids, for its tasks and runs as well.
    #[must_use]
    pub fn with_ids(mut self, ids: Arc<dyn IdSource>) -> Self {
        self.runtime.ids = ids;
        self
    }

    /// The same workspace that waits this long for a lock, and its tasks and runs as well; 30 seconds
    /// unless said otherwise.
    #[must_use]
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.runtime.lock_timeout = timeout;
        self
    }

    /// The same workspace whose journals get their heads at other times.
    #[cfg(feature = "testing")]
    pub(crate) fn with_heads(mut self, head: crate::journal::HeadPolicy) -> Self {
        self.runtime.head = head;
        self
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// What `workspace.json` says.
    #[must_use]
    pub fn genesis(&self) -> &WorkspaceGenesis {
        &self.genesis
    }

    /// True if newer code made the workspace: every write is refused.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.genesis.format_version > FORMAT_VERSION
    }

    /// Its tasks, sorted by id. A directory without `task.json` is none.
    ///
    /// # Errors
    /// Where the root cannot be read.
    pub fn tasks(&self) -> Result<Vec<TaskId>, WorkspaceError> {
        Self::tasks_in(&self.root)
    }

    pub(super) fn tasks_in(root: &Utf8Path) -> Result<Vec<TaskId>, WorkspaceError> {
        ids_with(&Dir::open_root(root)?, ("", ""), layout::TASK)
    }

    /// A task, by its id or the text of one.
    ///
    /// # Errors
    /// [`WorkspaceError::TaskNotFound`] where there is none.
    pub fn task(
        &self,
        id: impl TryInto<TaskId, Error: Into<IdError>>,
    ) -> Result<Task, WorkspaceError> {
        Task::open(&self.root, checked(id)?, &self.runtime)
    }

    /// Makes a task. Durable; a crash leaves the task or none.
    ///
    /// # Errors
    /// [`WorkspaceError::TaskExists`] where there is one with that id.
    pub fn create_task(
        &self,
        id: impl TryInto<TaskId, Error: Into<IdError>>,
        options: TaskOptions,
    ) -> Result<Task, WorkspaceError> {
        Task::create(&self.root, checked(id)?, options, &self.runtime)
    }

    /// Opens a task, and makes it where there is none; `options` are for a new one only.
    ///
    /// # Errors
    /// As [`task`](Workspace::task) and [`create_task`](Workspace::create_task).
    pub fn open_or_create_task(
        &self,
        id: impl TryInto<TaskId, Error: Into<IdError>>,
        options: TaskOptions,
    ) -> Result<Task, WorkspaceError> {
        match self.task(checked::<TaskId>(id)?) {
            Ok(task) => {
                // Told of only once it is sure to stay: its maker may have died before this.
                let dir = Dir::open_root(&self.root)?;
                dir.sync(task.id().as_str())?;
                dir.sync("")?;
                Ok(task)
            }
            Err(WorkspaceError::TaskNotFound { task }) => match self.create_task(task, options) {
                Err(WorkspaceError::TaskExists { task }) => self.task(task),
                other => other,
            },
            other => other,
        }
    }
}

/// An id, from one or from a text.
pub(super) fn checked<Id>(
    id: impl TryInto<Id, Error: Into<IdError>>,
) -> Result<Id, WorkspaceError> {
    Ok(id.try_into().map_err(Into::into)?)
}

/// The ids of directories that hold a genesis file, and of those that may not be looked into: whoever opens one is told
/// so, and the others are there all the same.
pub(super) fn ids_with<Id: std::str::FromStr>(
    dir: &Dir,
    (below, prefix): (&str, &str),
    genesis: &str,
) -> Result<Vec<Id>, WorkspaceError> {
    let entries = match dir.list(below) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let mut ids = Vec::new();
    for (name, kind) in entries {
        if !name.starts_with(prefix) {
            continue;
        }
        let Ok(id) = name.parse() else { continue };
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if kind != Kind::Dir {
            continue;
        }
        match dir.stat(&format!("{path}/{genesis}")) {
            Ok(None) => {}
            Ok(Some(_)) => ids.push(id),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => ids.push(id),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ids)
}
