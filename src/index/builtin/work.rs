//! Work items of queues.

use serde::Deserialize;
use serde_json::Value as Json;

use super::receipts::text;
use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};

pub(super) struct Work;

#[derive(Deserialize)]
struct Said {
    priority: Option<i64>,
    not_before: Option<String>,
    attempt: Option<u64>,
    max_attempts: Option<u64>,
    owner: Option<String>,
    expires_at: Option<String>,
    error: Option<Json>,
}

impl Projector for Work {
    fn name(&self) -> &'static str {
        "work"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/work.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        let state = match record.event_type() {
            "work_enqueued" => "waiting",
            "work_claimed" => "claimed",
            "work_completed" => "completed",
            "work_failed" => "failed",
            "work_dead" => "dead",
            _ => return Ok(()),
        };
        let said: Said = event.payload()?;
        rows.execute(
            "INSERT INTO t_work (journal, item, state, priority, not_before, attempt, owner, error, seq, \
             max_attempts, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (journal, item) DO UPDATE SET \
             state = excluded.state, priority = COALESCE(excluded.priority, t_work.priority), \
             not_before = excluded.not_before, attempt = COALESCE(excluded.attempt, t_work.attempt), \
             owner = excluded.owner, error = excluded.error, seq = excluded.seq, \
             max_attempts = COALESCE(excluded.max_attempts, t_work.max_attempts), \
             expires_at = excluded.expires_at",
            [
                event.journal().key().into(),
                record.stream_id().into(),
                state.into(),
                said.priority.into(),
                said.not_before.into(),
                said.attempt.into(),
                said.owner.into(),
                said.error.map(text).into(),
                record.seq().into(),
                said.max_attempts.into(),
                said.expires_at.into(),
            ],
        );
        Ok(())
    }
}
