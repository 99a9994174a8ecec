//! Leases, as the journals of tasks say; a claim's seq is its token.

use serde::Deserialize;

use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};

pub(super) struct Leases;

#[derive(Deserialize)]
struct Said {
    worker_id: Option<String>,
    ttl_ms: Option<u64>,
    expires_at: Option<String>,
}

impl Projector for Leases {
    fn name(&self) -> &'static str {
        "leases"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/leases.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        let (journal, resource) = (event.journal().key(), record.stream_id());
        let sql = match record.event_type() {
            "lease_claimed" => {
                let said: Said = event.payload()?;
                let worker =
                    said.worker_id.ok_or_else(|| ProjectionError::new("it names no worker_id"))?;
                rows.execute(
                    "INSERT INTO t_leases (journal, resource, token, worker_id, ttl_ms, expires_at, state, \
                     seq) VALUES ($1, $2, $3, $4, $5, $6, 'held', $3) \
                     ON CONFLICT (journal, resource) DO UPDATE SET token = excluded.token, \
                     worker_id = excluded.worker_id, ttl_ms = excluded.ttl_ms, \
                     expires_at = excluded.expires_at, state = excluded.state, seq = excluded.seq",
                    [
                        journal.into(),
                        resource.into(),
                        record.seq().into(),
                        worker.into(),
                        said.ttl_ms.into(),
                        said.expires_at.into(),
                    ],
                );
                return Ok(());
            }
            "lease_renewed" => {
                "UPDATE t_leases SET ttl_ms = COALESCE($1, ttl_ms), expires_at = $2, seq = $3 \
                 WHERE journal = $4 AND resource = $5"
            }
            "lease_released" => {
                "UPDATE t_leases SET ttl_ms = COALESCE($1, ttl_ms), expires_at = $2, seq = $3, \
                 state = 'released' WHERE journal = $4 AND resource = $5"
            }
            _ => return Ok(()),
        };
        let said: Said = event.payload()?;
        rows.execute(
            sql,
            [
                said.ttl_ms.into(),
                said.expires_at.into(),
                record.seq().into(),
                journal.into(),
                resource.into(),
            ],
        );
        Ok(())
    }
}
