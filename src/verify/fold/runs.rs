//! The runs that a task's journal knows.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::clock::Timestamp;
use crate::id::RunId;
use crate::journal::{JournalError, Record, types};
use crate::status::RunStatus;

/// What a task's journal says of its runs.
#[derive(Debug, Default)]
pub(in crate::verify) struct Runs {
    /// True for one that should be there.
    pub(in crate::verify) known: BTreeMap<RunId, bool>,
    /// A run that succeeded was pruned.
    pub(in crate::verify) succeeded: bool,
    /// When the last one was.
    pub(in crate::verify) pruned: Option<Timestamp>,
}

/// Of `run_pruned`.
#[derive(Deserialize)]
struct Pruned {
    #[serde(default)]
    status: Option<RunStatus>,
}

impl Runs {
    pub(in crate::verify) fn take_in(&mut self, record: &Record) -> Result<(), JournalError> {
        let is_there = match record.event_type() {
            types::RUN_STARTED | types::RUN_RESTORED => true,
            types::RUN_PRUNED => false,
            _ => return Ok(()),
        };
        // An id that breaks the rule names no run that could be there.
        if let Ok(run) = record.stream_id().parse() {
            self.known.insert(run, is_there);
        }
        if !is_there {
            self.pruned = self.pruned.max(Some(record.occurred_at()));
            self.succeeded |= record.payload::<Pruned>()?.status == Some(RunStatus::Success);
        }
        Ok(())
    }
}
