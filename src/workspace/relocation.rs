//! A run that goes to another task.

use serde::Serialize;

use super::at_work::{home_of, running};
use super::run_words::{JournalReach, RunWord, RunWords};
use super::task::{Started, note_run_started};
use super::{Run, Task, WorkspaceError};
use crate::artifact::HomeLog;
use crate::error::IoError;
use crate::genesis::{self, WorkspaceGenesis};
use crate::id::{RunId, TaskId};
use crate::io::Dir;
use crate::journal::{Event, Held, LockedLog, Log, types};
use crate::layout;
use crate::status::TaskStatus;

/// The payload of the `run_pruned` of a run that was moved.
#[derive(Serialize)]
struct Payload<'a> {
    reason: &'static str,
    to: &'a str,
    journal: JournalReach,
}

impl Run {
    /// Moves the run to another task of the workspace, with all that it holds, under the id that it has; it is at
    /// its new place afterwards, and nothing of it was copied or changed. Its task's journal says where it went, and
    /// the other's where it came from. A run that is bound to a lease is open to the holder of its new task from then
    /// on; of one that nobody holds it has to be claimed first.
    ///
    /// Durable. One rename moves it, behind both records, so a crash leaves the run whole at the one place or at the
    /// other; where it is still at the first, the same call finishes it. Whoever waited for the run's lock appends
    /// to it where it is then. A backup that is taken at the same time may not have the run; the next one has it.
    ///
    /// # Errors
    /// [`WorkspaceError::RunHeld`] while somebody holds it with [`hold_run`](Task::hold_run);
    /// [`WorkspaceError::RunBusy`] while a step of it runs; [`JournalError`](crate::JournalError) as of an append
    /// where another worker than the caller holds one of the tasks, or a lock;
    /// [`WorkspaceError::RunExists`] where the task has a run of that id, [`WorkspaceError::RunPruned`] where it had
    /// one; [`WorkspaceError::CannotMove`] for a task that cannot take it; [`WorkspaceError::RunMoved`] where it
    /// went away before.
    pub fn move_to(&self, to: &Task) -> Result<Self, WorkspaceError> {
        let (from, run) = (self.context().task()?, self.context().run_id());
        let relocation = Relocation { run, from: &from, to, names: Names::new(&from, to, run) };
        relocation.check_tasks()?;
        // Others write while they are read; under the locks it is only what they added.
        let (mut left, mut joined) = (from.run_words()?, to.run_words()?);
        let (mut here, mut there) = (Log::open(&from.home())?, Log::open(&to.home())?);
        // By id, whichever way it goes: two that cross do not wait for each other.
        let (mut here, mut there) = if from.id() < to.id() {
            let here = here.lock()?;
            (here, there.lock()?)
        } else {
            let there = there.lock()?;
            (here.lock()?, there)
        };
        left.bring_up(&mut here)?;
        joined.bring_up(&mut there)?;
        relocation.check_leaves(&mut here, &left)?;
        relocation.check_joins(&mut there, &joined)?;
        relocation.carry_out((&mut here, &left), (&mut there, &joined), self)?;
        relocation.settle(&mut there)?;
        to.run(run.clone())
    }
}

/// The run by its path, before and after.
struct Names {
    from: String,
    to: String,
}

impl Names {
    fn new(from: &Task, to: &Task, run: &RunId) -> Self {
        let name = |task: &TaskId| format!("{task}/{run}");
        Self { from: name(from.id()), to: name(to.id()) }
    }
}

struct Relocation<'a> {
    run: &'a RunId,
    from: &'a Task,
    to: &'a Task,
    names: Names,
}

impl Relocation<'_> {
    fn refused(&self, reason: &'static str) -> WorkspaceError {
        WorkspaceError::CannotMove {
            task: self.from.id().clone(),
            run: self.run.clone(),
            to: self.to.id().clone(),
            reason,
        }
    }

    /// What no lock is needed for.
    fn check_tasks(&self) -> Result<(), WorkspaceError> {
        let Self { from, to, .. } = self;
        if from.root() != to.root() {
            return Err(self.refused("that is a task of another workspace"));
        }
        if from.id() == to.id() {
            return Err(self.refused("it is there"));
        }
        let root = Dir::open_root(from.root())?;
        Ok(genesis::read::<WorkspaceGenesis>(&root)?.writable(from.root())?)
    }

    /// That the run is there, and that nobody keeps it.
    fn check_leaves(
        &self,
        here: &mut LockedLog<'_>,
        left: &RunWords,
    ) -> Result<(), WorkspaceError> {
        let Self { run, from, .. } = self;
        from.check_is_there(run, left)?;
        if let Some(hold) = left.hold(run) {
            return Err(WorkspaceError::RunHeld {
                task: from.id().clone(),
                run: (*run).clone(),
                reason: hold.reason.clone(),
            });
        }
        here.check_not_damaged()?;
        Ok(here.check_admitted()?)
    }

    /// That the other task can take it.
    fn check_joins(
        &self,
        there: &mut LockedLog<'_>,
        joined: &RunWords,
    ) -> Result<(), WorkspaceError> {
        let Self { run, to, .. } = self;
        there.check_not_damaged()?;
        there.check_admitted()?;
        if Task::status_in(there)? == TaskStatus::Archived {
            return Err(self.refused("that task is archived"));
        }
        let place = format!("{}/{run}", layout::RUNS);
        if Dir::open(&to.path())?.stat(&place)?.is_some() {
            return Err(WorkspaceError::RunExists { task: to.id().clone(), run: (*run).clone() });
        }
        match joined.word(run) {
            None => Ok(()),
            Some(RunWord::Started(from)) if from.as_ref() == Some(&self.names.from) => Ok(()),
            Some(RunWord::Pruned(pruned)) if pruned.to.is_some() => Ok(()),
            Some(RunWord::Pruned(pruned)) => Err(to.was_pruned(run, pruned)),
            Some(_) => Err(self.refused("that task knows another run of this id")),
        }
    }

    /// Both records, then the rename, under the run's lock as well.
    fn carry_out(
        &self,
        (here, left): (&mut LockedLog<'_>, &RunWords),
        (there, joined): (&mut LockedLog<'_>, &RunWords),
        moved: &Run,
    ) -> Result<(), WorkspaceError> {
        let Self { run, from, to, names } = self;
        let mut log = Log::open(&home_of(from, run))?;
        let locked = log.lock()?;
        if let Some(holder) = running(locked.dir())? {
            return Err(WorkspaceError::RunBusy {
                task: from.id().clone(),
                run: (*run).clone(),
                holder,
            });
        }
        let (from_dir, to_dir) = (Dir::open(&from.path())?, Dir::open(&to.path())?);
        to_dir.create_dir(layout::RUNS)?;
        // Also where it is there: who made it may have died before this.
        to_dir.sync("")?;
        let (runs, into) = (from_dir.open_dir(layout::RUNS)?, to_dir.open_dir(layout::RUNS)?);
        if !runs.shares_disk_with(&into)? {
            return Err(self.refused("that task lies on another file system"));
        }
        if !joined.word(run).is_some_and(RunWord::is_there) {
            let started = Started {
                run_id: run,
                parent: moved.genesis().parent.as_deref(),
                from: Some(&names.from),
            };
            note_run_started(there, &started, joined.word(run).is_none())?;
        }
        // Also what a killed call appended.
        there.sync()?;
        let was_said = left.pruned(run).is_some_and(|known| known.to.as_ref() == Some(&names.to));
        if !was_said {
            let journal = JournalReach::from(locked.log.cursor);
            let payload = Payload { reason: "moved", to: &names.to, journal };
            let event = Event::new(types::RUN_PRUNED).stream("run", run.as_str()).payload(&payload);
            here.append(std::slice::from_ref(&event))?;
        }
        here.sync()?;
        // What was acknowledged of it is to be on the disk under its new name, too.
        locked.sync()?;
        runs.rename_new(run.as_str(), &into, run.as_str())?;
        into.sync("")?;
        Ok(runs.sync("")?)
    }

    /// What belongs to a run in its task, and is made good by others where a crash comes before: it is bound to the
    /// lease that the task is written under, and the page of a run that ended has its new name.
    fn settle(&self, there: &mut LockedLog<'_>) -> Result<(), WorkspaceError> {
        let context = self.to.context(self.run);
        if let Some(lease) = self.to.lease_ref() {
            let held = Held::check(there, lease)?;
            let mut log = HomeLog::open(&context.home().without_caller())?;
            let mut locked = log.lock()?;
            locked.bind(&held)?;
            locked.sync()?;
        }
        let has_page = |dir: &Dir| Ok::<_, IoError>(dir.stat(layout::MANIFEST)?.is_some());
        if has_page(&Dir::open(&context.run_path())?)?
            && let Ok(page) = context.manifest()
        {
            // Derived: the run is where it is, whatever becomes of it.
            let _ = page.write(&context);
        }
        Ok(())
    }
}
