//! Runs: their states and ends.

use crate::index::projector::IndexedGenesis;
use crate::index::{IndexedEvent, IndexedJournal, ProjectionError, Projector, Rows};
use crate::journal::types;
use crate::status::{Completed, Moved, RunStatus};

pub(super) struct Runs;

impl Projector for Runs {
    fn name(&self) -> &'static str {
        "runs"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/runs.sql")
    }

    fn begin(&self, journal: &IndexedJournal, rows: &mut Rows) {
        if let IndexedGenesis::Run(genesis) = &journal.genesis {
            rows.execute(
                "INSERT INTO t_runs (journal, task_id, status, created_at, parent, format_version) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    journal.key().into(),
                    journal.task_id().into(),
                    RunStatus::default().to_string().into(),
                    genesis.created_at.into(),
                    genesis.parent.as_deref().into(),
                    genesis.format_version.into(),
                ],
            );
        }
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let (journal, record) = (event.journal(), event.record());
        if journal.run_id().is_none() {
            return Ok(());
        }
        let (status, reason, completed_at) = match record.event_type() {
            types::RUN_STATUS_CHANGED => {
                let moved: Moved = event.payload()?;
                (moved.to, moved.reason, None)
            }
            types::EXECUTION_COMPLETE => {
                let completed: Completed = event.payload()?;
                (completed.status.into(), completed.reason, Some(record.occurred_at()))
            }
            _ => return Ok(()),
        };
        rows.execute(
            "UPDATE t_runs SET status = $1, reason = $2, completed_at = $3 WHERE journal = $4",
            [status.to_string().into(), reason.into(), completed_at.into(), journal.key().into()],
        );
        Ok(())
    }
}
