//! Runs as their task's journal knows them.

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};
use crate::journal::types;
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
                "INSERT INTO t_run_starts (journal, run_id, seq, there, succeeded, proven) \
                 VALUES ($1, $2, $3, $4, $5, NULL) \
                 ON CONFLICT (journal, run_id) DO UPDATE SET \
                 seq = excluded.seq, there = excluded.there, succeeded = excluded.succeeded, \
                 proven = CASE WHEN excluded.there = 1 THEN proven END",
                [
                    journal.key().into(),
                    run.to_string().into(),
                    record.seq().into(),
                    i64::from(word.is_there()).into(),
                    i64::from(word.has_succeeded()).into(),
                ],
            );
        }
        if let Some((run, done)) = RunWord::proves(record) {
            rows.execute(
                "UPDATE t_run_starts SET proven = $1 WHERE journal = $2 AND run_id = $3",
                [done.into(), journal.key().into(), run.to_string().into()],
            );
        }
        if record.event_type() == types::HOLD_LIFTED {
            rows.execute(
                "UPDATE t_run_starts SET proven = NULL WHERE journal = $1 AND run_id = $2",
                [journal.key().into(), record.stream_id().into()],
            );
        }
        Ok(())
    }
}
