//! Receipts: what became of each command.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};
use crate::journal::types;
use crate::receipt::command_type;

pub(super) struct Receipts;

#[derive(Deserialize)]
struct Rejected {
    command_type: Option<String>,
    error: Option<Json>,
}

impl Projector for Receipts {
    fn name(&self) -> &'static str {
        "receipts"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/receipts.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        let Some(command) = record.command_id() else { return Ok(()) };
        let (state, rejected) = if record.event_type() == types::COMMAND_REJECTED {
            ("rejected", event.payload()?)
        } else {
            ("accepted", Rejected { command_type: command_type(record)?, error: None })
        };
        // The first answer stands, with its seq. A rejection behind events of the same command is odd, and
        // leaves its reason beside the state.
        rows.execute(
            "INSERT INTO t_receipts (journal, command_id, command_type, state, kind, stream, first_seq, \
             last_seq, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8) \
             ON CONFLICT (journal, command_id) DO UPDATE SET last_seq = excluded.last_seq, \
             command_type = COALESCE(t_receipts.command_type, excluded.command_type), \
             error = COALESCE(t_receipts.error, excluded.error)",
            [
                event.journal().key().into(),
                command.into(),
                rejected.command_type.into(),
                state.into(),
                record.aggregate_kind().into(),
                record.stream_id().into(),
                record.seq().into(),
                rejected.error.map(text).into(),
            ],
        );
        Ok(())
    }
}

/// A string as it is, anything else as JSON.
pub(super) fn text(json: Json) -> String {
    match json {
        Json::String(text) => text,
        other => other.to_string(),
    }
}
