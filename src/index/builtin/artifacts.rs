//! Artifacts as the journal knows them: its last word about each path.

use serde::Deserialize;

use crate::digest::Digest;
use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};
use crate::journal::types;

pub(super) struct Artifacts;

#[derive(Deserialize)]
struct Said {
    path: String,
    digest: Option<Digest>,
    size: Option<u64>,
    media_type: Option<String>,
    step: Option<String>,
}

impl Projector for Artifacts {
    fn name(&self) -> &'static str {
        "artifacts"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/artifacts.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        let kinds = [types::ARTIFACT_WRITTEN, types::ARTIFACT_REMOVED, types::ARTIFACT_ADOPTED];
        // Only runs have artifacts, whatever a forged journal says.
        if event.journal().run_id().is_none() || !kinds.contains(&record.event_type()) {
            return Ok(());
        }
        let said: Said = event.payload()?;
        rows.execute(
            "INSERT INTO t_artifacts (journal, path, seq, version, digest, size, media_type, step, \
             event_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (journal, path) DO UPDATE SET event_id = excluded.event_id, \
             seq = excluded.seq, version = excluded.version, digest = excluded.digest, \
             size = excluded.size, media_type = excluded.media_type, step = excluded.step",
            [
                event.journal().key().into(),
                said.path.into(),
                record.seq().into(),
                record.stream_version().into(),
                said.digest.into(),
                said.size.into(),
                said.media_type.into(),
                said.step.into(),
                record.event_id().into(),
            ],
        );
        Ok(())
    }
}
