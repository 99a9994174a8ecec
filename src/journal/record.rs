//! A record: one line of a journal.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{JournalError, MAX_BATCH_RECORDS};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::EventId;
use crate::line;

/// A counted record of a journal. The members stand in the line in this order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// 1, 2, 3, ... in this journal, without gaps.
    pub seq: u64,
    /// The event's own id.
    pub event_id: EventId,
    /// What kind of event it is.
    pub event_type: String,
    /// When it was appended, by the writer's clock; for people, never for order.
    pub occurred_at: Timestamp,
    /// The kind of its stream.
    pub aggregate_kind: String,
    /// Which stream of that kind.
    pub stream_id: String,
    /// 0, 1, 2, ... within the stream, without gaps.
    pub stream_version: u64,
    /// Who: the kind.
    pub actor_kind: String,
    /// Who: which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<String>,
    /// The command that this event answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// The event that led to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_event_id: Option<EventId>,
    /// What joins events across runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The key under which the event was appended once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Its place in its batch, from 0, where several events were appended as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_index: Option<u32>,
    /// How many records its batch has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
    /// The event's data. [`Record::payload`] reads it as a type.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "payload")]
    pub payload_json: Option<Box<RawValue>>,
    /// Where the event's data is, if it is too large for a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_ref: Option<PayloadRef>,
    /// Anything else: `traceparent`, versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Box<RawValue>>,
    /// What lies between the previous counted record and this one, where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub garbage: Option<Garbage>,
}

/// The object that holds a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayloadRef {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// Bytes of a journal that do not count, vouched for by the record behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Garbage {
    /// How many.
    pub bytes: u64,
    /// Their digest.
    pub digest: Digest,
}

impl Garbage {
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self { bytes: bytes.len() as u64, digest: Digest::of(bytes) })
    }
}

impl Record {
    /// The payload as a type; `null` where the event has none.
    ///
    /// # Errors
    /// [`JournalError::Payload`] where the payload does not have that shape.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, JournalError> {
        if self.payload_ref.is_some() {
            let error = "it is kept as an object, which this version does not read";
            return Err(JournalError::Payload {
                seq: self.seq,
                event_type: self.event_type.clone(),
                source: serde::de::Error::custom(error),
            });
        }
        let json = self.payload_json.as_ref().map_or("null", |raw| raw.get());
        serde_json::from_str(json).map_err(|source| JournalError::Payload {
            seq: self.seq,
            event_type: self.event_type.clone(),
            source,
        })
    }

    /// The stream as `kind/id`.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("{}/{}", self.aggregate_kind, self.stream_id)
    }

    /// Reads a line whose hash was checked; `None` if it is not a record all the same.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        // As text, for serde_json does not look at the UTF-8 of what it skips.
        let record: Self = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
        let batch_is_sound = match (record.batch_index, record.batch_size) {
            (None, None) => true,
            (Some(index), Some(size)) => {
                index < size && (2..=MAX_BATCH_RECORDS).contains(&(size as usize))
            }
            _ => false,
        };
        (batch_is_sound && record.seq > 0).then_some(record)
    }

    /// The line of this record behind its parent, and its hash.
    pub(crate) fn to_line(&self, parent: Digest) -> Result<(Vec<u8>, Digest), serde_json::Error> {
        let json = serde_json::to_string(self)?;
        Ok(line::seal(json, |body| Digest::chained(parent, body)))
    }
}
