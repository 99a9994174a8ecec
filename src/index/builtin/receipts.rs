//! Receipts: what became of each command.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};
use crate::journal::types;
use crate::receipt::{answered, command_type};

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
        let answered = answered(record);
        if let Some(command) = answered {
            // What only named the command before says nothing any more.
            rows.execute(
                "DELETE FROM t_receipts WHERE journal = $1 AND command_id = $2 AND answered = 0",
                [event.journal().key().into(), command.into()],
            );
            say(event, command, true, rows)?;
        }
        match record.command_id() {
            Some(command) if answered != Some(command) => say(event, command, false, rows),
            _ => Ok(()),
        }
    }
}

/// That an event answers a command, or only names it. The first of a kind stands, with its seq.
fn say(
    event: &IndexedEvent<'_>,
    command: &str,
    answers: bool,
    rows: &mut Rows,
) -> Result<(), ProjectionError> {
    let record = event.record();
    let (state, said) = if record.event_type() == types::COMMAND_REJECTED {
        ("rejected", event.payload()?)
    } else {
        let command_type = if answers { command_type(record)? } else { None };
        ("accepted", Rejected { command_type, error: None })
    };
    rows.execute(
        "INSERT INTO t_receipts (journal, command_id, command_type, state, kind, stream, first_seq, \
         last_seq, error, answered) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9) \
         ON CONFLICT (journal, command_id) DO UPDATE SET last_seq = excluded.last_seq",
        [
            event.journal().key().into(),
            command.into(),
            said.command_type.into(),
            state.into(),
            record.aggregate_kind().into(),
            record.stream_id().into(),
            record.seq().into(),
            said.error.map(text).into(),
            u32::from(answers).into(),
        ],
    );
    Ok(())
}

/// A string as it is, anything else as JSON.
pub(super) fn text(json: Json) -> String {
    match json {
        Json::String(text) => text,
        other => other.to_string(),
    }
}
