//! Sessions with providers.

use serde::Deserialize;
use serde_json::Value as Json;

use super::receipts::text;
use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};

pub(super) struct Sessions;

#[derive(Deserialize)]
struct Said {
    provider: Option<String>,
    status: Option<String>,
    resume_cursor: Option<Json>,
    last_seen: Option<String>,
}

impl Projector for Sessions {
    fn name(&self) -> &'static str {
        "sessions"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/sessions.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        if !["session_started", "session_updated", "session_stopped"].contains(&record.event_type())
        {
            return Ok(());
        }
        let said: Said = event.payload()?;
        rows.execute(
            "INSERT INTO t_sessions (journal, session, provider, status, resume_cursor, last_seen, seq) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (journal, session) DO UPDATE SET \
             provider = COALESCE(excluded.provider, t_sessions.provider), \
             status = COALESCE(excluded.status, t_sessions.status), \
             resume_cursor = COALESCE(excluded.resume_cursor, t_sessions.resume_cursor), \
             last_seen = COALESCE(excluded.last_seen, t_sessions.last_seen), seq = excluded.seq",
            [
                event.journal().key().into(),
                record.stream_id().into(),
                said.provider.into(),
                said.status.into(),
                said.resume_cursor.map(text).into(),
                said.last_seen.into(),
                record.seq().into(),
            ],
        );
        Ok(())
    }
}
