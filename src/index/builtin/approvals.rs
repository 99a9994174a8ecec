//! Approvals: what was asked, and what was decided.

use serde::Deserialize;
use serde_json::Value as Json;

use super::receipts::text;
use crate::index::{IndexedEvent, ProjectionError, Projector, Rows, Value};

pub(super) struct Approvals;

#[derive(Deserialize)]
struct Requested {
    question: Option<Json>,
    options: Option<Json>,
}

#[derive(Deserialize)]
struct Resolved {
    decision: Option<Json>,
    by: Option<String>,
}

impl Projector for Approvals {
    fn name(&self) -> &'static str {
        "approvals"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/approvals.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        let key = || -> [Value; 2] { [event.journal().key().into(), record.stream_id().into()] };
        match record.event_type() {
            "approval_requested" => {
                let requested: Requested = event.payload()?;
                rows.execute(
                    "INSERT INTO t_approvals (journal, approval, question, options, requested_seq) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (journal, approval) DO NOTHING",
                    key().into_iter().chain([
                        requested.question.map(text).into(),
                        requested.options.map(text).into(),
                        record.seq().into(),
                    ]),
                );
            }
            "approval_resolved" => {
                let resolved: Resolved = event.payload()?;
                rows.execute(
                    "INSERT INTO t_approvals (journal, approval, decision, decided_by, resolved_seq) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (journal, approval) DO UPDATE SET \
                     decision = excluded.decision, decided_by = excluded.decided_by, \
                     resolved_seq = excluded.resolved_seq",
                    key().into_iter().chain([
                        resolved.decision.map(text).into(),
                        resolved.by.into(),
                        record.seq().into(),
                    ]),
                );
            }
            _ => {}
        }
        Ok(())
    }
}
