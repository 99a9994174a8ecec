//! How a context crosses from one process to the next.

use camino::{Utf8Path, Utf8PathBuf};

use super::RunContext;
use crate::genesis::{self, GenesisError, WorkspaceGenesis};
use crate::id::{IdError, RunId, TaskId};
use crate::io::Dir;
use crate::journal::{Home, LeaseRef, Runtime};

const ROOT: &str = "RUNJOURNAL_ROOT";
const RUN: &str = "RUNJOURNAL_RUN";
const STEP: &str = "RUNJOURNAL_STEP";
const LEASE: &str = "RUNJOURNAL_LEASE";
const TRACEPARENT: &str = "TRACEPARENT";

/// The environment names no run, or one that is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// A variable is not set.
    #[error(
        "{variable} is not set, so there is no run to join; start this program by `runjournal step run`, \
         or set RUNJOURNAL_ROOT to the workspace and RUNJOURNAL_RUN to TASK/RUN"
    )]
    NotSet {
        /// Which one.
        variable: &'static str,
    },
    /// A variable does not hold what it should.
    #[error("{variable} is {value:?}; set it to {wanted}")]
    Malformed {
        /// Which one.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// An id in a variable breaks the rule of ids.
    #[error("{variable} cannot be used")]
    Id {
        /// Which one.
        variable: &'static str,
        /// The rule.
        source: IdError,
    },
    /// There is no workspace where the variable says.
    #[error("{ROOT} names no workspace: there is none at {path}; set it to a workspace's root")]
    NoWorkspace {
        /// Where it was looked for.
        path: Utf8PathBuf,
        /// What is missing.
        source: GenesisError,
    },
    /// The workspace is there, and has no such run.
    #[error(
        "{RUN} names no run: there is no {run} in {root}; set it to TASK/RUN of one that is there"
    )]
    NoRun {
        /// The workspace.
        root: Utf8PathBuf,
        /// `TASK/RUN`.
        run: String,
        /// What is missing.
        source: GenesisError,
    },
    /// The run cannot be read.
    #[error("the run that {RUN} names cannot be opened")]
    Run {
        /// Why.
        source: GenesisError,
    },
}

/// Which of the two variables leads nowhere, where one does.
fn not_opened(root: Utf8PathBuf, run: String, source: GenesisError) -> ContextError {
    if !is_missing(&source) {
        return ContextError::Run { source };
    }
    let workspace = Dir::open_root(&root)
        .map_err(GenesisError::from)
        .and_then(|dir| genesis::read::<WorkspaceGenesis>(&dir));
    match workspace {
        Ok(_) => ContextError::NoRun { root, run, source },
        Err(source) if is_missing(&source) => ContextError::NoWorkspace { path: root, source },
        Err(source) => ContextError::Run { source },
    }
}

fn is_missing(error: &GenesisError) -> bool {
    matches!(error, GenesisError::Io(error) if error.is_not_found())
}

fn variable(name: &'static str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

impl LeaseRef {
    /// The lease that the parent process works under: `RUNJOURNAL_LEASE` (`TASK/TOKEN`).
    ///
    /// # Errors
    /// [`ContextError::Id`] where the variable holds something else.
    pub fn from_env() -> Result<Option<Self>, ContextError> {
        let lease = variable(LEASE).filter(|lease| !lease.is_empty());
        let lease = lease.map(|lease| lease.parse()).transpose();
        lease.map_err(|source| ContextError::Id { variable: LEASE, source })
    }

    /// The same, if it is on this task: a lease on another one is passed over.
    ///
    /// # Errors
    /// As [`from_env`](LeaseRef::from_env).
    pub fn from_env_on(task: &TaskId) -> Result<Option<Self>, ContextError> {
        Ok(Self::from_env()?.filter(|lease| lease.task == *task))
    }
}

impl RunContext {
    /// The context that the parent process handed over: `RUNJOURNAL_ROOT` (the workspace),
    /// `RUNJOURNAL_RUN` (`TASK/RUN`), and where set `RUNJOURNAL_STEP`, `RUNJOURNAL_LEASE` (`TASK/TOKEN`; of
    /// another task it is passed over) and `TRACEPARENT`.
    ///
    /// # Errors
    /// [`ContextError`] names the variable that is missing or wrong, or says why the run cannot be
    /// opened.
    pub fn from_env() -> Result<Self, ContextError> {
        let root = variable(ROOT).ok_or(ContextError::NotSet { variable: ROOT })?;
        let run = variable(RUN).ok_or(ContextError::NotSet { variable: RUN })?;
        let (task, id) = run.split_once('/').ok_or_else(|| ContextError::Malformed {
            variable: RUN,
            value: run.clone(),
            wanted: "TASK/RUN",
        })?;
        let refused = |source| ContextError::Id { variable: RUN, source };
        let (task, id) = (TaskId::new(task).map_err(refused)?, RunId::new(id).map_err(refused)?);
        let root = absolute(Utf8Path::new(&root));
        let mut context = Self::new(&root, &task, &id, &Runtime::default());
        if let Some(step) = variable(STEP).filter(|step| !step.is_empty()) {
            let step =
                step.parse().map_err(|source| ContextError::Id { variable: STEP, source })?;
            context = context.with_step(step);
        }
        if let Some(lease) = LeaseRef::from_env_on(&task)? {
            context = context.with_lease(lease);
        }
        if let Some(traceparent) = variable(TRACEPARENT).filter(|value| !value.is_empty()) {
            context = context.with_traceparent(traceparent);
        }
        Home::of_run(&root, &task, &id, context.runtime())
            .open()
            .map_err(|source| not_opened(root, run, source))?;
        Ok(context)
    }

    /// The variables that hand this context to a child process:
    /// `Command::new("node").envs(ctx.env())`.
    #[must_use]
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            (ROOT, self.root().to_string()),
            (RUN, format!("{}/{}", self.task_id(), self.run_id())),
        ];
        // An outer step's and lease's variables must not reach a child that is not part of it.
        variables.push((STEP, self.step_ref().map(ToString::to_string).unwrap_or_default()));
        variables.push((LEASE, self.lease_ref().map(ToString::to_string).unwrap_or_default()));
        variables.extend(self.traceparent().map(|value| (TRACEPARENT, value.to_owned())));
        variables
    }
}

/// The path from the root of the file system, so that it holds in another working directory.
pub(crate) fn absolute(path: &Utf8Path) -> Utf8PathBuf {
    std::path::absolute(path)
        .ok()
        .and_then(|path| Utf8PathBuf::from_path_buf(path).ok())
        .unwrap_or_else(|| path.to_owned())
}
