//! Checkpoints: a turn each.

use serde::Deserialize;

use crate::digest::Digest;
use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};
use crate::journal::types;

pub(super) struct Checkpoints;

#[derive(Deserialize)]
struct Created {
    turn: u64,
    digest: Option<Digest>,
    artifacts_root: Option<String>,
}

impl Projector for Checkpoints {
    fn name(&self) -> &'static str {
        "checkpoints"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/checkpoints.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        if record.event_type() != types::CHECKPOINT_CREATED {
            return Ok(());
        }
        let created: Created = event.payload()?;
        rows.execute(
            "INSERT INTO t_checkpoints (journal, turn, digest, artifacts_root, seq, created_at, times) \
             VALUES ($1, $2, $3, $4, $5, $6, 1) \
             ON CONFLICT (journal, turn) DO UPDATE SET times = t_checkpoints.times + 1",
            [
                event.journal().key().into(),
                created.turn.into(),
                created.digest.into(),
                created.artifacts_root.into(),
                record.seq().into(),
                record.occurred_at().into(),
            ],
        );
        Ok(())
    }
}
