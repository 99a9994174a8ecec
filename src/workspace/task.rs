//! A task: what is to be reached, and the runs that try.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::create::{check_free, prepare};
use super::workspace::{checked, ids_with};
use super::{Run, WorkspaceError};
use crate::artifact::HomeWriter;
use crate::context::RunContext;
use crate::genesis::{self, GenesisError, RunGenesis, TaskGenesis, WorkspaceGenesis};
use crate::id::{IdError, RunId, TaskId};
use crate::io::Dir;
use crate::journal::{
    Appended, Event, Events, Held, Home, JournalError, LeaseRef, LockedLog, Log, Record, Runtime,
    types,
};
use crate::layout::{self, FORMAT_VERSION};
use crate::status::{TaskMoved, TaskStatus};

/// What a new task is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskOptions {
    /// One line for people.
    pub title: String,
    /// What the task is to reach.
    pub objective: String,
}

/// How a new run starts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// Its id; a UUIDv7 unless given.
    pub run_id: Option<RunId>,
    /// The run that started it.
    pub parent: Option<(TaskId, RunId)>,
}

/// A task. A value: nothing is open.
#[derive(Debug, Clone)]
pub struct Task {
    root: Utf8PathBuf,
    genesis: TaskGenesis,
    runtime: Runtime,
    lease: Option<LeaseRef>,
}

/// The state that a `task_status_changed` moved a task to.
fn moved_to(record: &Record) -> Result<TaskStatus, JournalError> {
    record.payload::<TaskMoved>().map(|moved| moved.to)
}

impl Task {
    pub(super) fn open(
        root: &Utf8Path,
        id: TaskId,
        runtime: &Runtime,
    ) -> Result<Self, WorkspaceError> {
        let dir = match Dir::open(&layout::task_dir(root, &id)) {
            Err(error) if error.is_not_found() => {
                return Err(WorkspaceError::TaskNotFound { task: id });
            }
            other => other?,
        };
        match genesis::read::<TaskGenesis>(&dir) {
            Ok(read) => {
                let mut genesis = read.value;
                // Identity is the path: a moved or copied directory is what its name says.
                genesis.task_id = id;
                Ok(Self { root: root.to_owned(), genesis, runtime: runtime.clone(), lease: None })
            }
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                Err(WorkspaceError::TaskNotFound { task: id })
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn create(
        root: &Utf8Path,
        id: TaskId,
        options: TaskOptions,
        runtime: &Runtime,
    ) -> Result<Self, WorkspaceError> {
        let dir = Dir::open_root(root)?;
        genesis::read::<WorkspaceGenesis>(&dir)?.writable(root)?;
        let now = runtime.clock.now();
        let genesis = TaskGenesis::new(id.clone(), options.title, options.objective, now);
        let made = match prepare(&dir, id.as_str(), &[layout::RUNS], &genesis)? {
            Some(prepared) => prepared.publish(runtime.ids.next_id(now))?,
            None => false,
        };
        let task = if made {
            Self { root: root.to_owned(), genesis, runtime: runtime.clone(), lease: None }
        } else {
            Self::open(root, id.clone(), runtime)?
        };
        // Its first record, also where the maker of an existing task died before it.
        let mut log = Log::open(&task.home())?;
        drop(log.lock()?);
        log.unsynced().sync()?;
        if made { Ok(task) } else { Err(WorkspaceError::TaskExists { task: id }) }
    }

    /// The same task, in the name of a lease on it: what it and its runs write is refused once a newer
    /// claim took over.
    #[must_use]
    pub fn with_lease(mut self, lease: LeaseRef) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The lease that this task is written under.
    #[must_use]
    pub fn lease_ref(&self) -> Option<&LeaseRef> {
        self.lease.as_ref()
    }

    pub(crate) fn home(&self) -> Home {
        let mut home = Home::of_task(&self.root, self.id(), &self.runtime);
        home.lease.clone_from(&self.lease);
        home
    }

    pub(crate) fn writer(&self) -> Arc<HomeWriter> {
        HomeWriter::new(self.home())
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn context(&self, run: &RunId) -> RunContext {
        let context = RunContext::new(&self.root, self.id(), run, &self.runtime);
        match &self.lease {
            Some(lease) => context.with_lease(lease.clone()),
            None => context,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &TaskId {
        &self.genesis.task_id
    }

    /// What `task.json` says.
    #[must_use]
    pub fn genesis(&self) -> &TaskGenesis {
        &self.genesis
    }

    /// Its directory, for reading and display.
    #[must_use]
    pub fn path(&self) -> Utf8PathBuf {
        layout::task_dir(&self.root, self.id())
    }

    /// The task's own events: changes, status, runs started.
    ///
    /// # Errors
    /// Where the task's journal cannot be read.
    pub fn events(&self) -> Result<Events, WorkspaceError> {
        Ok(Events::open(&self.home())?)
    }

    /// Its state, from its events.
    ///
    /// # Errors
    /// Where the task's journal cannot be read.
    pub fn status(&self) -> Result<TaskStatus, WorkspaceError> {
        let mut status = TaskStatus::default();
        for record in self.events()? {
            let record = record?;
            if record.event_type() == types::TASK_STATUS_CHANGED {
                status = moved_to(&record)?;
            }
        }
        Ok(status)
    }

    /// Moves the task to another state; durable.
    ///
    /// # Errors
    /// [`WorkspaceError::IllegalTaskMove`] where there is no such move.
    pub fn set_status(&self, to: TaskStatus) -> Result<(), WorkspaceError> {
        let mut log = Log::open(&self.home())?;
        let mut locked = log.lock()?;
        locked.check_admitted()?;
        let from = Self::status_in(&mut locked)?;
        if !from.next().contains(&to) {
            return Err(WorkspaceError::IllegalTaskMove { from, to });
        }
        let event = Event::new(types::TASK_STATUS_CHANGED).payload(&TaskMoved { from, to });
        locked.append(std::slice::from_ref(&event))?;
        Ok(locked.sync()?)
    }

    /// The state that the locked journal's last word moved it to.
    pub(super) fn status_in(locked: &mut LockedLog<'_>) -> Result<TaskStatus, JournalError> {
        let last = locked.last_of_type(types::TASK_STATUS_CHANGED)?;
        last.map_or(Ok(TaskStatus::default()), |record| moved_to(&record))
    }

    /// Its runs, sorted by id. A directory without `run.json` is none.
    ///
    /// # Errors
    /// Where the task's directory cannot be read.
    pub fn runs(&self) -> Result<Vec<RunId>, WorkspaceError> {
        self.runs_like("")
    }

    /// Those of its runs whose ids begin with this text, sorted: it costs one reading of a directory, however many
    /// others there are.
    ///
    /// # Errors
    /// Where the task's directory cannot be read.
    pub fn runs_like(&self, prefix: &str) -> Result<Vec<RunId>, WorkspaceError> {
        ids_with(&Dir::open(&self.path())?, (layout::RUNS, prefix), layout::RUN)
    }

    /// A run.
    ///
    /// # Errors
    /// [`WorkspaceError::RunNotFound`] where there is none.
    pub fn run(
        &self,
        id: impl TryInto<RunId, Error: Into<IdError>>,
    ) -> Result<Run, WorkspaceError> {
        Run::open(self.context(&checked(id)?))
    }

    /// Starts a run with a new id.
    ///
    /// # Errors
    /// As [`start_run_with`](Task::start_run_with).
    pub fn start_run(&self) -> Result<RunContext, WorkspaceError> {
        self.start_run_with(RunOptions::default())
    }

    /// Starts a run with the given id.
    ///
    /// # Errors
    /// As [`start_run_with`](Task::start_run_with).
    pub fn start_run_as(
        &self,
        id: impl TryInto<RunId, Error: Into<IdError>>,
    ) -> Result<RunContext, WorkspaceError> {
        self.start_run_with(RunOptions { run_id: Some(checked(id)?), ..RunOptions::default() })
    }

    /// Goes on with a run, or starts it where there is none: what a pipeline that may be called again
    /// begins with.
    ///
    /// # Errors
    /// As [`run`](Task::run) and [`start_run_with`](Task::start_run_with).
    pub fn open_or_start_run(
        &self,
        id: impl TryInto<RunId, Error: Into<IdError>>,
    ) -> Result<RunContext, WorkspaceError> {
        match self.run(checked::<RunId>(id)?) {
            Ok(run) => {
                // Told of only once it is sure to stay: its maker may have died before this.
                let dir = Dir::open(&self.path())?;
                dir.sync(&format!("{}/{}", layout::RUNS, run.context().run_id()))?;
                dir.sync(layout::RUNS)?;
                dir.sync("")?;
                Ok(run.context().clone())
            }
            Err(WorkspaceError::RunNotFound { run, .. }) => match self.start_run_as(run) {
                Err(WorkspaceError::RunExists { run, .. }) => Ok(self.context(&run)),
                other => other,
            },
            Err(error) => Err(error),
        }
    }

    /// Starts a run: exactly one of many callers with one id wins. Durable; a crash leaves the run or
    /// none, and the same call finishes what it left.
    ///
    /// # Errors
    /// [`WorkspaceError::RunExists`] where there is a run with that id, [`WorkspaceError::RunPruned`] where
    /// there was one, [`WorkspaceError::RunLost`] where one was held or restored, and is gone;
    /// [`WorkspaceError::RunMoved`] where one was moved away, [`WorkspaceError::MoveUnfinished`] where one was to
    /// be moved here.
    /// [`WorkspaceError::TaskArchived`] where the task is put away, also for a run whose start a crash interrupted.
    pub fn start_run_with(&self, options: RunOptions) -> Result<RunContext, WorkspaceError> {
        let now = self.runtime.clock.now();
        let run_id = match options.run_id {
            Some(id) => id,
            None => RunId::from(self.runtime.ids.next_id(now)),
        };
        let parent = options.parent.map(|(task, run)| format!("{task}/{run}"));
        let context = self.context(&run_id);
        let exists = || WorkspaceError::RunExists { task: self.id().clone(), run: run_id.clone() };
        let is_there = || self.run(run_id.clone()).is_ok();
        // Until the run is there, and bound: a claim that came between would not see it.
        let mut log = Log::open(&self.home())?;
        let mut locked = log.lock()?;
        if Self::status_in(&mut locked)? == TaskStatus::Archived {
            let archived =
                || WorkspaceError::TaskArchived { task: self.id().clone(), run: run_id.clone() };
            return Err(if is_there() { exists() } else { archived() });
        }
        let task_dir = Dir::open(&self.path())?;
        check_free(&task_dir, &run_id)?;
        let started = Started { run_id: &run_id, parent: parent.as_deref(), from: None };
        match note_run_started(&mut locked, &started, true) {
            // Another parent, so another start: of a run that is there, or of one that was never made.
            Err(JournalError::KeyConflict { .. }) if is_there() => return Err(exists()),
            Err(error @ JournalError::KeyConflict { .. }) => {
                self.check_not_gone(&mut locked, &run_id)?;
                return Err(error.into());
            }
            // What is finished now, somebody else began: perhaps before the task was claimed.
            Ok(started) if started.duplicate && !is_there() => {
                self.check_not_gone(&mut locked, &run_id)?;
                locked.check_admitted()?;
            }
            other => {
                other?;
            }
        }
        locked.sync()?;
        let genesis = RunGenesis {
            format_version: FORMAT_VERSION,
            task_id: self.id().clone(),
            run_id: run_id.clone(),
            created_at: now,
            trace_id: self.runtime.ids.next_id(now).simple().to_string(),
            parent,
        };
        if task_dir.create_dir(layout::RUNS)? {
            task_dir.sync("")?;
        }
        let runs = task_dir.open_dir(layout::RUNS)?;
        let unique = self.runtime.ids.next_id(now);
        let dirs = [layout::ARTIFACTS, layout::TMP];
        let prepared = prepare(&runs, run_id.as_str(), &dirs, &genesis)?.ok_or_else(exists)?;
        let Some(lease) = &self.lease else {
            return if prepared.publish(unique)? { Ok(context) } else { Err(exists()) };
        };
        // Locked before anybody sees it: its first record binds it to the lease.
        let held = Held::check(&mut locked, lease)?;
        let opened = prepared.opened(&genesis.trace_id)?;
        let mut log = Log::open_in(&context.home().without_caller(), opened)?;
        let mut locked = log.lock()?;
        if !prepared.publish(unique)? {
            return Err(exists());
        }
        locked.bind(&held)?;
        locked.sync()?;
        drop(locked);
        Ok(context)
    }
}

/// The payload of `run_started`.
#[derive(Serialize)]
pub(super) struct Started<'a> {
    pub(super) run_id: &'a RunId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<&'a str>,
    /// Where it was, if it was moved here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<&'a str>,
}

/// Says that a run is there; the first time with the key of its id.
pub(super) fn note_run_started(
    locked: &mut LockedLog<'_>,
    started: &Started<'_>,
    is_new: bool,
) -> Result<Appended, JournalError> {
    let run = started.run_id;
    let mut event = Event::new(types::RUN_STARTED).stream("run", run.as_str()).payload(started);
    if is_new {
        event = event.key(format!("run:{run}"));
    }
    let appended = locked.append(std::slice::from_ref(&event))?;
    appended.into_iter().next().ok_or_else(|| event.bad("it was not appended"))
}

impl RunContext {
    /// The task that this context stands in, under its lease if it has one.
    ///
    /// # Errors
    /// [`WorkspaceError::TaskNotFound`] where there is none.
    pub fn task(&self) -> Result<Task, WorkspaceError> {
        let task = Task::open(self.root(), self.task_id().clone(), self.runtime())?;
        Ok(Task { lease: self.lease_ref().cloned(), ..task })
    }
}
