//! Runs as their task's journal knows them.

use serde::Deserialize;

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};
use crate::journal::types;

pub(super) struct RunStarts;

#[derive(Deserialize)]
struct Started {
    run_id: String,
}

impl Projector for RunStarts {
    fn name(&self) -> &'static str {
        "run_starts"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/run_starts.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let (journal, record) = (event.journal(), event.record());
        if journal.run_id().is_some() {
            return Ok(());
        }
        match record.event_type() {
            types::RUN_STARTED => {
                let started: Started = event.payload()?;
                rows.execute(
                    "INSERT INTO t_run_starts (journal, run_id, seq, pruned) VALUES ($1, $2, $3, 0) \
                     ON CONFLICT (journal, run_id) DO NOTHING",
                    [journal.key().into(), started.run_id.into(), record.seq().into()],
                );
            }
            types::RUN_PRUNED | types::HOLD_PLACED | types::RUN_RESTORED => {
                let pruned = i64::from(record.event_type() == types::RUN_PRUNED);
                rows.execute(
                    "UPDATE t_run_starts SET pruned = $1 WHERE journal = $2 AND run_id = $3",
                    [pruned.into(), journal.key().into(), record.stream_id().to_owned().into()],
                );
            }
            _ => {}
        }
        Ok(())
    }
}
