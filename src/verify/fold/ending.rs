//! The state of a run or a task, and that nothing follows its end.

use crate::finding::Code;
use crate::journal::{JournalError, Record, types};
use crate::status::{Completed, Moved, RunStatus, TaskMoved, TaskStatus};

/// Where a run or a task stands.
#[derive(Debug, Default)]
pub(in crate::verify) struct Ending {
    pub(in crate::verify) run: RunStatus,
    pub(in crate::verify) task: TaskStatus,
    /// The seq of the first end.
    ended: Option<u64>,
    told: bool,
}

impl Ending {
    pub(in crate::verify) fn take_in(
        &mut self,
        record: &Record,
        tell: &mut dyn FnMut(Code, String),
    ) -> Result<(), JournalError> {
        let is_end = record.event_type() == types::EXECUTION_COMPLETE;
        if let Some(ended) = self.ended
            && !std::mem::replace(&mut self.told, true)
        {
            let what = if is_end { "it ends the run again" } else { "it follows the run's end" };
            tell(Code::TerminalTwice, format!("{what}, which is seq {ended}"));
        }
        match record.event_type() {
            types::EXECUTION_COMPLETE => {
                self.ended.get_or_insert(record.seq());
                self.run = record.payload::<Completed>()?.status.into();
            }
            types::RUN_STATUS_CHANGED => self.run = record.payload::<Moved>()?.to,
            types::TASK_STATUS_CHANGED => self.task = record.payload::<TaskMoved>()?.to,
            _ => {}
        }
        Ok(())
    }
}
