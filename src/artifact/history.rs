//! All that the journal says of one artifact.

use serde::Serialize;

use super::catalog::{ArtifactPayload, STREAM};
use super::{ArtifactError, Artifacts};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finding::Finding;
use crate::id::StepName;
use crate::journal::{Events, Record, types};
use crate::name::ArtifactName;

/// What one record of the journal says of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ArtifactRecord {
    /// The version: 0 for the first record of this name.
    pub version: u64,
    /// The seq of the record.
    pub seq: u64,
    /// When it was appended; for people.
    pub at: Timestamp,
    /// What was done.
    pub change: ArtifactAct,
    /// Bytes; `None` where it was removed.
    pub size: Option<u64>,
    /// The digest of its content; `None` where it was removed.
    pub digest: Option<Digest>,
    /// The step that did it, if one did.
    pub step: Option<StepName>,
}

/// What was done with an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ArtifactAct {
    /// It was written.
    Written,
    /// It was removed.
    Removed,
    /// Something else had put the file there, and the journal took it in.
    Adopted,
}

impl ArtifactRecord {
    fn of(record: &Record) -> Result<Option<Self>, ArtifactError> {
        let change = match record.event_type() {
            types::ARTIFACT_WRITTEN => ArtifactAct::Written,
            types::ARTIFACT_REMOVED => ArtifactAct::Removed,
            types::ARTIFACT_ADOPTED => ArtifactAct::Adopted,
            _ => return Ok(None),
        };
        let ArtifactPayload { digest, size, step, .. } = record.payload()?;
        let (version, seq, at) = (record.stream_version(), record.seq(), record.occurred_at());
        Ok(Some(Self { version, seq, at, change, size, digest, step }))
    }
}

/// All that was done with one artifact, the oldest first.
#[derive(Debug)]
pub struct ArtifactHistory {
    events: Events,
}

impl ArtifactHistory {
    /// What of the journal does not count, with its place: all of it once the iterator ended. Where there is any, the
    /// history may lack something.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.events.findings()
    }
}

impl Iterator for ArtifactHistory {
    type Item = Result<ArtifactRecord, ArtifactError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.events.find_map(|record| {
            record
                .map_err(ArtifactError::from)
                .and_then(|record| ArtifactRecord::of(&record))
                .transpose()
        })
    }
}

impl Artifacts {
    /// All that was done with an artifact, the oldest first: from the journal alone, in flat memory, without a lock.
    /// Nothing for a name that the journal does not know. What older versions held is kept only in
    /// [checkpoints](crate::Checkpoint). Of a damaged journal it is what counts; [`ArtifactHistory::findings`] tells
    /// the rest.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn history(&self, name: &ArtifactName) -> Result<ArtifactHistory, ArtifactError> {
        let events = Events::open(self.writer().home())?.in_stream(STREAM, name.as_str());
        Ok(ArtifactHistory { events })
    }
}
