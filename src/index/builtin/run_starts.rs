//! Runs as their task's journal knows them.

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};
use crate::workspace::RunWord;

pub(super) struct RunStarts;

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
        if let Some((run, word)) = RunWord::of(record).map_err(ProjectionError::of_payload)? {
            rows.execute(
                "INSERT INTO t_run_starts (journal, run_id, seq, there, succeeded) \
                 VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (journal, run_id) DO UPDATE SET \
                 seq = excluded.seq, there = excluded.there, succeeded = excluded.succeeded",
                [
                    journal.key().into(),
                    run.to_string().into(),
                    record.seq().into(),
                    i64::from(word.is_there()).into(),
                    i64::from(word.has_succeeded()).into(),
                ],
            );
        }
        Ok(())
    }
}
