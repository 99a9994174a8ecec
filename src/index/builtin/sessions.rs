//! Sessions with providers.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};

pub(super) struct Sessions;

#[derive(Deserialize)]
struct Said {
    provider: Option<String>,
    status: Option<String>,
    resume_cursor: Option<Box<RawValue>>,
    last_seen: Option<String>,
    reason: Option<String>,
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
        // Each record says all of the state.
        let said: Said = event.payload()?;
        rows.execute(
            "INSERT INTO t_sessions \
             (journal, session, provider, status, resume_cursor, last_seen, reason, seq) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (journal, session) DO UPDATE SET \
             provider = excluded.provider, status = excluded.status, \
             resume_cursor = excluded.resume_cursor, last_seen = excluded.last_seen, \
             reason = excluded.reason, seq = excluded.seq",
            [
                event.journal().key().into(),
                record.stream_id().into(),
                said.provider.into(),
                said.status.into(),
                said.resume_cursor.as_deref().map(text).into(),
                said.last_seen.into(),
                said.reason.into(),
                record.seq().into(),
            ],
        );
        Ok(())
    }
}

/// A text as it is, anything else as the JSON that was written, with every digit.
fn text(json: &RawValue) -> String {
    serde_json::from_str(json.get()).unwrap_or_else(|_| json.get().to_owned())
}
