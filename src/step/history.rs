//! What a journal says of steps, and the payloads in which it says it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Signal;
use crate::artifact::Last;
use crate::digest::Digest;
use crate::id::{EventId, StepName};
use crate::journal::{JournalError, LockedLog, Record, types};
use crate::json;
use crate::name::ArtifactName;

/// The kind of the streams of steps; their ids are the names.
pub(crate) const STREAM: &str = "step";

/// An artifact that a step read or, without a digest, wanted to read and that was not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) path: ArtifactName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
    /// Its version in the journal; `None` for a file that the journal does not know with this digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
}

impl Input {
    /// With the version that the journal has of it, if its last word has this digest.
    pub(super) fn versioned(mut self, locked: &mut LockedLog<'_>) -> Result<Self, JournalError> {
        self.version = match self.digest {
            Some(digest) => Last::version(locked, &self.path, digest)?,
            None => None,
        };
        Ok(self)
    }
}

/// An artifact that a step wrote or, without a digest, removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) path: ArtifactName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Digest>,
}

/// The payload of `loop_iteration`, with which a turn of a step begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Iteration {
    /// The turn, from 1.
    pub(crate) index: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) item: Option<Box<RawValue>>,
}

/// The payload of `step_started`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) attempt: u64,
    #[serde(default = "first_turn", skip_serializing_if = "is_first_turn")]
    pub(crate) turn: u64,
    #[serde(default)]
    pub(crate) inputs: Vec<Input>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Box<RawValue>>,
}

impl Started {
    /// The digest of its canonical form: equal values have one.
    pub(super) fn config_digest(&self) -> Option<Digest> {
        let config = self.config.as_deref()?;
        let canonical = json::canonical(config).unwrap_or_else(|_| config.get().to_owned());
        Some(Digest::of(canonical.as_bytes()))
    }
}

/// The payload of `step_completed`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Completed {
    pub(crate) attempt: u64,
    #[serde(default = "first_turn", skip_serializing_if = "is_first_turn")]
    pub(crate) turn: u64,
    pub(crate) signal: Signal,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Vec<Output>,
    /// The digest of the configuration, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) config: Option<Digest>,
    /// The attempt that was not done again, since nothing had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) same_as: Option<u64>,
    pub(crate) duration_ms: u64,
}

/// The payload of `step_failed`: the error and its causes, outermost first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) attempt: u64,
    #[serde(default = "first_turn", skip_serializing_if = "is_first_turn")]
    pub(crate) turn: u64,
    pub(crate) error: Vec<String>,
    /// True if the body had been told that it should end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) cancelled: bool,
    pub(crate) duration_ms: u64,
}

fn first_turn() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_first_turn(turn: &u64) -> bool {
    *turn == 1
}

/// How far a step has come.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    /// The attempt has not ended.
    Open,
    Completed(Box<Completed>),
    Failed(Failed),
}

/// The last attempt of a step, and how that went.
#[derive(Debug, Clone)]
pub(crate) struct LastAttempt {
    pub(crate) number: u64,
    pub(crate) turn: u64,
    pub(crate) progress: Progress,
    /// The record that says so: the start of an open attempt, the end of another.
    pub(crate) record: EventId,
    /// Where that stands.
    pub(crate) offset: u64,
}

impl LastAttempt {
    /// What a record says of a step's last attempt, if it says something.
    pub(crate) fn of(record: &Record) -> Result<Option<Self>, JournalError> {
        let (number, turn, progress) = match record.event_type() {
            types::STEP_STARTED => {
                let started: Started = record.payload()?;
                (started.attempt, started.turn, Progress::Open)
            }
            types::STEP_COMPLETED => {
                let completed: Completed = record.payload()?;
                (completed.attempt, completed.turn, Progress::Completed(Box::new(completed)))
            }
            types::STEP_FAILED => {
                let failed: Failed = record.payload()?;
                (failed.attempt, failed.turn, Progress::Failed(failed))
            }
            _ => return Ok(None),
        };
        let (record, offset) = (record.event_id(), record.offset());
        Ok(Some(Self { number, turn, progress, record, offset }))
    }

    /// That of this step, if it was ever started.
    pub(super) fn read(
        locked: &mut LockedLog<'_>,
        step: &StepName,
    ) -> Result<Option<Self>, JournalError> {
        let last = locked.last(STREAM, step.as_str())?;
        last.map_or(Ok(None), |record| Self::of(&record))
    }

    /// What the step signalled, and the record that says so, if it completed.
    pub(super) fn completed(self) -> Option<Ended> {
        match self.progress {
            Progress::Completed(completed) => {
                Some(Ended { signal: completed.signal, record: self.record })
            }
            Progress::Open | Progress::Failed(_) => None,
        }
    }
}

/// The end of a step that completed.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) signal: Signal,
    /// The `step_completed`.
    pub(crate) record: EventId,
}

/// The key of the end of an attempt.
pub(super) fn end_key(step: &StepName, attempt: u64) -> String {
    format!("step-end:{step}:{attempt}")
}

/// The key of the record with which a turn begins.
pub(super) fn turn_key(step: &StepName, turn: u64) -> String {
    format!("loop:{step}:{turn}")
}
