//! What a journal says of steps, and the payloads in which it says it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Signal;
use crate::digest::Digest;
use crate::id::{EventId, StepName};
use crate::journal::{JournalError, LockedLog, Record, types};
use crate::name::ArtifactName;

/// The kind of the streams of steps; their ids are the names.
pub(super) const STREAM: &str = "step";

/// An artifact that a step read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) path: ArtifactName,
    pub(crate) digest: Digest,
    /// Its version in the journal; `None` for a file that the journal does not know with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
}

/// An artifact that a step wrote or, without a digest, removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Output {
    pub(super) path: ArtifactName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<Digest>,
}

/// The payload of `step_started`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Started {
    pub(super) attempt: u64,
    #[serde(default)]
    pub(super) inputs: Vec<Input>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<Box<RawValue>>,
}

/// The payload of `step_completed`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Completed {
    pub(super) attempt: u64,
    pub(super) signal: Signal,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<Output>,
    pub(super) duration_ms: u64,
}

/// The payload of `step_failed`: the error and its causes, outermost first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) attempt: u64,
    pub(super) error: Vec<String>,
    pub(super) duration_ms: u64,
}

/// How far a step has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// The attempt that this `step_started` began has not ended.
    Open(EventId),
    Completed(Signal),
    Failed,
}

/// The last attempt of a step, and how that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LastAttempt {
    pub(super) number: u64,
    pub(super) progress: Progress,
    /// Where the record that says so stands.
    pub(super) offset: u64,
}

impl LastAttempt {
    /// What a record says of a step's last attempt, if it says something.
    pub(super) fn of(record: &Record) -> Result<Option<Self>, JournalError> {
        let (number, progress) = match record.event_type() {
            types::STEP_STARTED => {
                (record.payload::<Started>()?.attempt, Progress::Open(record.event_id()))
            }
            types::STEP_COMPLETED => {
                let completed: Completed = record.payload()?;
                (completed.attempt, Progress::Completed(completed.signal))
            }
            types::STEP_FAILED => (record.payload::<Failed>()?.attempt, Progress::Failed),
            _ => return Ok(None),
        };
        Ok(Some(Self { number, progress, offset: record.offset() }))
    }

    /// That of this step, if it was ever started.
    pub(super) fn read(
        locked: &mut LockedLog<'_>,
        step: &StepName,
    ) -> Result<Option<Self>, JournalError> {
        let last = locked.last(STREAM, step.as_str())?;
        last.map_or(Ok(None), |record| Self::of(&record))
    }
}
