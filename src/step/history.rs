//! What a journal says of steps, and the payloads in which it says it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Signal;
use crate::digest::Digest;
use crate::id::EventId;
use crate::journal::{Fold, Record, types};
use crate::name::ArtifactName;

/// An artifact that a step read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) path: ArtifactName,
    pub(super) digest: Digest,
    /// Its version in the journal; `None` for a file that the journal does not know with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u64>,
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

/// Every step of a run: its last attempt, and how that went.
#[derive(Debug, Default)]
pub(super) struct History {
    steps: HashMap<String, (u64, Progress)>,
}

impl History {
    pub(super) fn of(&self, step: &str) -> Option<&(u64, Progress)> {
        self.steps.get(step)
    }
}

impl Fold for History {
    fn apply(&mut self, record: &Record) {
        let (attempt, progress) = match record.event_type() {
            types::STEP_STARTED => {
                let Ok(started) = record.payload::<Started>() else { return };
                (started.attempt, Progress::Open(record.event_id()))
            }
            types::STEP_COMPLETED => {
                let Ok(completed) = record.payload::<Completed>() else { return };
                (completed.attempt, Progress::Completed(completed.signal))
            }
            types::STEP_FAILED => {
                let Ok(failed) = record.payload::<Failed>() else { return };
                (failed.attempt, Progress::Failed)
            }
            _ => return,
        };
        self.steps.insert(record.stream_id().to_owned(), (attempt, progress));
    }
}
