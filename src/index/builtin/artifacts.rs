//! Artifacts as the journal knows them: its last word about each path.

use crate::artifact::ArtifactPayload;
use crate::id::StepName;
use crate::index::{IndexedEvent, ProjectionError, Projector, Rows};

pub(super) struct Artifacts;

impl Projector for Artifacts {
    fn name(&self) -> &'static str {
        "artifacts"
    }

    fn schema(&self) -> &'static str {
        include_str!("../schema/artifacts.sql")
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let record = event.record();
        // Only runs have artifacts, whatever a forged journal says.
        if event.journal().run_id().is_none() || !ArtifactPayload::is_told_by(record) {
            return Ok(());
        }
        let said: ArtifactPayload = event.payload()?;
        rows.execute(
            "INSERT INTO t_artifacts (journal, path, seq, version, digest, size, media_type, step, \
             event_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (journal, path) DO UPDATE SET event_id = excluded.event_id, \
             seq = excluded.seq, version = excluded.version, digest = excluded.digest, \
             size = excluded.size, media_type = excluded.media_type, step = excluded.step",
            [
                event.journal().key().into(),
                said.path.as_str().into(),
                record.seq().into(),
                record.stream_version().into(),
                said.digest.into(),
                said.size.into(),
                said.media_type.into(),
                said.step.as_ref().map(StepName::as_str).into(),
                record.event_id().into(),
            ],
        );
        Ok(())
    }
}
