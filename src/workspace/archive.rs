//! Putting a task away.

use std::collections::BTreeSet;

use super::{Task, WorkspaceError};
use crate::id::RunId;
use crate::journal::{Event, JournalError, Log, types};
use crate::planted::Bug;
use crate::status::{TaskMoved, TaskStatus};

impl Task {
    /// Puts the task away: its state is `ARCHIVED`, which is final. False where it was before. Durable; a crash
    /// leaves the one state or the other.
    ///
    /// # Errors
    /// [`WorkspaceError::RunsOpen`] while a run of it did not end; where the journal of one cannot be read, that error.
    pub fn archive(&self) -> Result<bool, WorkspaceError> {
        // Others write while the runs are looked at. One that ended stays so, and one that starts needs the lock.
        let ended: BTreeSet<_> = self.ended(&BTreeSet::new())?;
        let mut log = Log::open(&self.home())?;
        let mut locked = log.lock()?;
        let from = Self::status_in(&mut locked)?;
        if from == TaskStatus::Archived {
            // Told of only once it is sure to stay: who archived it may have died before this.
            if !Bug::ArchivedUnsynced.is_planted() {
                locked.sync()?;
            }
            return Ok(false);
        }
        locked.check_admitted()?;
        let ended: BTreeSet<_> = ended.union(&self.ended(&ended)?).cloned().collect();
        let open: Vec<_> = self.runs()?.into_iter().filter(|run| !ended.contains(run)).collect();
        if !open.is_empty() {
            return Err(WorkspaceError::RunsOpen { task: self.id().clone(), runs: open });
        }
        let moved = TaskMoved { from, to: TaskStatus::Archived };
        let event = Event::new(types::TASK_STATUS_CHANGED).payload(&moved);
        locked.append(std::slice::from_ref(&event))?;
        locked.sync()?;
        Ok(true)
    }

    /// The runs that ended, but for those that are known to.
    fn ended(&self, known: &BTreeSet<RunId>) -> Result<BTreeSet<RunId>, WorkspaceError> {
        let has_ended = |run: &RunId| {
            let last = self.context(run).events()?.last(1)?.next().transpose()?;
            let is_end = last.is_some_and(|last| last.event_type() == types::EXECUTION_COMPLETE);
            Ok::<_, JournalError>(is_end)
        };
        let mut ended = BTreeSet::new();
        for run in self.runs()?.into_iter().filter(|run| !known.contains(run)) {
            if has_ended(&run)? {
                ended.insert(run);
            }
        }
        Ok(ended)
    }
}
