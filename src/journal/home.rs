//! Where a journal is, who writes to it, and what the writer was given.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Actor, Event, HeadPolicy, LeaseRef, types};
use crate::clock::{Clock, SystemClock};
use crate::digest::Digest;
use crate::genesis::{self, Genesis, GenesisError, RunGenesis, TaskGenesis};
use crate::id::{EventId, IdError, IdSource, RandomIds, RunId, StepName, TaskId};
use crate::io::{Dir, ReadFile};
use crate::layout::HomeId;

/// What is injected: the clock, the source of ids, and how long to wait for a lock.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) lock_timeout: Duration,
    pub(crate) head: HeadPolicy,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
            lock_timeout: Duration::from_secs(30),
            head: HeadPolicy::default(),
        }
    }
}

impl Runtime {
    pub(crate) fn next_event_id(&self) -> EventId {
        EventId::from(self.ids.next_id(self.clock.now()))
    }
}

/// The attempt of a step that a context writes for: `NAME/EVENT`, where EVENT is the id of its
/// `step_started`. It crosses processes as `RUNJOURNAL_STEP`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct StepRef {
    /// The step.
    pub name: StepName,
    /// The `step_started` of this attempt.
    pub started: EventId,
}

impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.started)
    }
}

impl FromStr for StepRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError {
            what: "step attempt",
            text: text.to_owned(),
            reason: "it must be a step name, a slash and the id of its step_started",
        };
        let (name, started) = text.split_once('/').ok_or_else(bad)?;
        Ok(Self { name: name.parse()?, started: started.parse()? })
    }
}

/// A journal's place, and in whose name it is written. A value: nothing is open.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: Utf8PathBuf,
    dir: Utf8PathBuf,
    id: HomeId,
    pub(crate) runtime: Runtime,
    pub(crate) actor: Actor,
    pub(crate) step: Option<StepRef>,
    pub(crate) lease: Option<LeaseRef>,
    pub(crate) traceparent: Option<String>,
}

/// What opening a home yields: its directory, and what its genesis file says.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) dir: Arc<Dir>,
    /// Where the chain begins.
    pub(crate) genesis: Digest,
    pub(crate) correlation: Option<String>,
    /// What a journal that is empty begins with.
    pub(crate) first: Option<Event>,
}

impl Home {
    pub(crate) fn of_task(root: &Utf8Path, task: &TaskId, runtime: &Runtime) -> Self {
        Self::of(root, HomeId::task(task.clone()), runtime)
    }

    pub(crate) fn of_run(root: &Utf8Path, task: &TaskId, run: &RunId, runtime: &Runtime) -> Self {
        Self::of(root, HomeId::run(task.clone(), run.clone()), runtime)
    }

    pub(crate) fn of(root: &Utf8Path, id: HomeId, runtime: &Runtime) -> Self {
        let actor = if id.run.is_some() { Actor::default() } else { Actor::new("system", None) };
        let (root, dir, runtime) = (root.to_owned(), id.dir(root), runtime.clone());
        Self { root, dir, id, runtime, actor, step: None, lease: None, traceparent: None }
    }

    /// The task or the run whose journal this is.
    pub(crate) fn id(&self) -> &HomeId {
        &self.id
    }

    /// The task whose journal this is, or whose run's.
    pub(crate) fn task_id(&self) -> &TaskId {
        &self.id.task
    }

    /// The journal of the task, in the name of the same lease.
    pub(crate) fn of_its_task(&self) -> Self {
        let lease = self.lease.clone();
        Self { lease, ..Self::of_task(&self.root, self.task_id(), &self.runtime) }
    }

    /// The same place in nobody's name.
    pub(crate) fn without_caller(&self) -> Self {
        Self { step: None, lease: None, ..self.clone() }
    }

    /// The run's or the task's directory.
    pub(crate) fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// The stream of events that name none.
    pub(crate) fn default_stream(&self) -> (&'static str, &str) {
        match &self.id.run {
            None => ("task", self.id.task.as_str()),
            Some(run) => ("run", run.as_str()),
        }
    }

    /// The run whose journal this is.
    pub(crate) fn run_id(&self) -> Option<&RunId> {
        self.id.run.as_ref()
    }

    /// True for a run's journal.
    pub(crate) fn is_run(&self) -> bool {
        self.id.run.is_some()
    }

    /// Opens the directory for reading.
    pub(crate) fn open(&self) -> Result<Opened, GenesisError> {
        self.opened(false, None)
    }

    /// Opens the directory for writing: refused where the workspace or the genesis file is newer
    /// than this code.
    pub(crate) fn open_writable(&self) -> Result<Opened, GenesisError> {
        self.check_workspace()?;
        self.opened(true, None)
    }

    /// The same where the genesis file is lost, with a copy of it.
    pub(crate) fn open_writable_with(&self, copy: &mut ReadFile) -> Result<Opened, GenesisError> {
        self.check_workspace()?;
        self.opened(true, Some(copy))
    }

    fn check_workspace(&self) -> Result<(), GenesisError> {
        genesis::read_of_workspace(&self.root)?.writable(&self.root)
    }

    fn opened(&self, writable: bool, copy: Option<&mut ReadFile>) -> Result<Opened, GenesisError> {
        match self.id.run {
            None => self.opened_as(writable, copy, |genesis: &TaskGenesis| {
                let TaskGenesis { title, objective, .. } = genesis;
                let event = Event::new(types::TASK_CREATED).key("task:create");
                Some(event.payload(&serde_json::json!({ "title": title, "objective": objective })))
            }),
            Some(_) => self.opened_as(writable, copy, |_: &RunGenesis| None),
        }
    }

    fn opened_as<G: Genesis>(
        &self,
        writable: bool,
        copy: Option<&mut ReadFile>,
        first: impl FnOnce(&G) -> Option<Event>,
    ) -> Result<Opened, GenesisError> {
        let dir = Arc::new(Dir::open(&self.dir)?);
        let read = match copy {
            Some(copy) => genesis::read_from::<G>(copy)?,
            None => genesis::read::<G>(&dir)?,
        };
        if writable {
            read.writable(&self.dir)?;
        }
        let correlation = read.value.correlation().map(str::to_owned);
        let first = first(&read.value).filter(|_| writable);
        Ok(Opened { dir, genesis: read.digest, correlation, first })
    }
}
