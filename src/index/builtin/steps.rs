//! Steps: every attempt, and how it went.

use serde::Deserialize;

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows, Value};
use crate::journal::types;

pub(super) struct Steps;

#[derive(Deserialize)]
struct Started {
    attempt: u64,
    #[serde(default = "first")]
    turn: u64,
}

#[derive(Deserialize)]
struct Ended {
    attempt: u64,
    #[serde(default = "first")]
    turn: u64,
    signal: Option<String>,
    error: Option<Vec<String>>,
    duration_ms: Option<u64>,
}

fn first() -> u64 {
    1
}

impl Projector for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/steps.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        // Only runs have steps, whatever a forged journal says.
        if event.journal().run_id().is_none() {
            return Ok(());
        }
        let key = |attempt: u64, turn: u64| -> [Value; 6] {
            [
                event.journal().key().into(),
                record.stream_id().into(),
                attempt.into(),
                turn.into(),
                record.seq().into(),
                record.occurred_at().into(),
            ]
        };
        let state = match record.event_type() {
            types::STEP_STARTED => {
                let started: Started = event.payload()?;
                rows.execute(
                    "INSERT INTO t_steps (journal, step, attempt, turn, started_seq, started_at, state, starts, \
                     ends) VALUES ($1, $2, $3, $4, $5, $6, 'started', 1, 0) \
                     ON CONFLICT (journal, step, attempt) DO UPDATE SET starts = t_steps.starts + 1",
                    key(started.attempt, started.turn),
                );
                return Ok(());
            }
            types::STEP_COMPLETED => "completed",
            types::STEP_FAILED => "failed",
            _ => return Ok(()),
        };
        // The last end stands, as the last word on it, and a finding counts them.
        let ended: Ended = event.payload()?;
        let error = ended.error.map(|chain| chain.join(": "));
        rows.execute(
            "INSERT INTO t_steps (journal, step, attempt, turn, ended_seq, ended_at, state, signal, error, \
             duration_ms, starts, ends) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 1) \
             ON CONFLICT (journal, step, attempt) DO UPDATE SET ended_seq = excluded.ended_seq, \
             ended_at = excluded.ended_at, state = excluded.state, signal = excluded.signal, \
             error = excluded.error, duration_ms = excluded.duration_ms, ends = t_steps.ends + 1",
            key(ended.attempt, ended.turn).into_iter().chain([
                state.into(),
                ended.signal.into(),
                error.into(),
                ended.duration_ms.into(),
            ]),
        );
        Ok(())
    }
}
