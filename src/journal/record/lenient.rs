//! Reading a line that is JSON, but not laid out as this library does it: somebody else wrote it, or
//! texts of its envelope hold escapes.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::id::EventId;
use crate::journal::record::parse::is_sound;
use crate::journal::record::{Garbage, Members, PayloadRef, Span};

/// The text that a record keeps, which is its line and behind it what the members say, and where they
/// are in it; `None` if the line is not a record.
pub(crate) fn members(line: &str) -> Option<(Box<str>, Members)> {
    let parsed: Parsed<'_> = serde_json::from_str(line).ok()?;
    parsed.members(line)
}

/// A line in the eyes of serde_json.
#[derive(Deserialize)]
struct Parsed<'a> {
    seq: u64,
    event_id: EventId,
    #[serde(borrow)]
    event_type: Text<'a>,
    occurred_at: Timestamp,
    aggregate_kind: Text<'a>,
    stream_id: Text<'a>,
    stream_version: u64,
    actor_kind: Text<'a>,
    actor_id: Option<Text<'a>>,
    command_id: Option<Text<'a>>,
    causation_event_id: Option<EventId>,
    correlation_id: Option<Text<'a>>,
    idempotency_key: Option<Text<'a>>,
    batch_index: Option<u32>,
    batch_size: Option<u32>,
    payload: Option<&'a RawValue>,
    payload_ref: Option<PayloadRef>,
    metadata: Option<&'a RawValue>,
    garbage: Option<Garbage>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Parsed<'_> {
    fn members(self, line: &str) -> Option<(Box<str>, Members)> {
        let batch = match (self.batch_index, self.batch_size) {
            (None, None) => None,
            (Some(index), Some(size)) => Some((index, size)),
            _ => return None,
        };
        if self.seq == 0 || !batch.is_none_or(is_sound) {
            return None;
        }
        let mut text = line.to_owned();
        let mut keep = |member: &str| {
            let start = text.len();
            text.push_str(member);
            Span::new(start, text.len())
        };
        // `Some(None)` would be a text behind 4 GiB.
        let mut keep_some = |member: Option<&str>| match member {
            None => Some(None),
            Some(member) => keep(member).map(Some),
        };
        let members = Members {
            seq: self.seq,
            event_id: self.event_id,
            event_type: keep_some(Some(&self.event_type.0))??,
            occurred_at: self.occurred_at,
            aggregate_kind: keep_some(Some(&self.aggregate_kind.0))??,
            stream_id: keep_some(Some(&self.stream_id.0))??,
            stream_version: self.stream_version,
            actor_kind: keep_some(Some(&self.actor_kind.0))??,
            actor_id: keep_some(self.actor_id.as_ref().map(|text| &*text.0))?,
            command_id: keep_some(self.command_id.as_ref().map(|text| &*text.0))?,
            causation_event_id: self.causation_event_id,
            correlation_id: keep_some(self.correlation_id.as_ref().map(|text| &*text.0))?,
            idempotency_key: keep_some(self.idempotency_key.as_ref().map(|text| &*text.0))?,
            batch,
            payload: keep_some(self.payload.map(RawValue::get))?,
            payload_ref: self.payload_ref.map(Box::new),
            metadata: keep_some(self.metadata.map(RawValue::get))?,
            garbage: self.garbage.map(Box::new),
        };
        Some((text.into(), members))
    }
}
