//! Writing a line: an event, what its context fills in, and its place in the journal.

use serde::Serialize;
use serde_json::value::RawValue;

use super::record::{Garbage, PayloadRef};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::EventId;
use crate::line;

/// The members of a record, in the order in which they stand in its line.
#[derive(Debug, Serialize)]
pub(super) struct Draft {
    pub(super) seq: u64,
    pub(super) event_id: EventId,
    pub(super) event_type: String,
    pub(super) occurred_at: Timestamp,
    pub(super) aggregate_kind: String,
    pub(super) stream_id: String,
    pub(super) stream_version: u64,
    pub(super) actor_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) actor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) causation_event_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) correlation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idempotency_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_size: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload_ref: Option<PayloadRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) garbage: Option<Garbage>,
}

impl Draft {
    /// The line of this record behind its parent, and its hash.
    pub(super) fn to_line(&self, parent: Digest) -> Result<(Vec<u8>, Digest), serde_json::Error> {
        let json = serde_json::to_string(self)?;
        Ok(line::seal(json, |body| Digest::chained(parent, body)))
    }
}
