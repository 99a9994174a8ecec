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
        if journal.run_id().is_none() && record.event_type() == types::RUN_STARTED {
            let started: Started = event.payload()?;
            rows.execute(
                "INSERT INTO t_run_starts (journal, run_id, seq) VALUES ($1, $2, $3) \
                 ON CONFLICT (journal, run_id) DO NOTHING",
                [journal.key().into(), started.run_id.into(), record.seq().into()],
            );
        }
        Ok(())
    }
}
