//! A record: one line of a journal.

use std::fmt;
use std::num::NonZeroU32;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{JournalError, parse};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::EventId;

/// A counted record of a journal. It holds its line as it stands on disk, and where in it things are.
///
/// As [`Serialize`] it is the line's own JSON, member for member.
#[derive(Clone)]
pub struct Record {
    /// The line without its line break, and behind it what members say whose text in the line is not
    /// what they mean, because it holds escapes.
    text: Box<str>,
    line: u32,
    offset: u64,
    hash: Digest,
    members: Members,
}

/// What the members of a line say; texts as places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    pub(super) seq: u64,
    pub(super) event_id: EventId,
    pub(super) event_type: Span,
    pub(super) occurred_at: Timestamp,
    pub(super) aggregate_kind: Span,
    pub(super) stream_id: Span,
    pub(super) stream_version: u64,
    pub(super) actor_kind: Span,
    pub(super) actor_id: Option<Span>,
    pub(super) command_id: Option<Span>,
    pub(super) causation_event_id: Option<EventId>,
    pub(super) correlation_id: Option<Span>,
    pub(super) idempotency_key: Option<Span>,
    /// Index and size.
    pub(super) batch: Option<(u32, u32)>,
    pub(super) payload: Option<Span>,
    // These two are rare, and large.
    pub(super) payload_ref: Option<Box<PayloadRef>>,
    pub(super) metadata: Option<Span>,
    pub(super) garbage: Option<Box<Garbage>>,
}

/// A place in a record's text, never at its start, where the brace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    start: NonZeroU32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        let start = NonZeroU32::new(u32::try_from(start).ok()?)?;
        Some(Self { start, end: u32::try_from(end).ok()? })
    }
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
    /// 1, 2, 3, ... in this journal, without gaps.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.members.seq
    }

    /// The event's own id.
    #[must_use]
    pub fn event_id(&self) -> EventId {
        self.members.event_id
    }

    /// What kind of event it is.
    #[must_use]
    pub fn event_type(&self) -> &str {
        self.text(self.members.event_type)
    }

    /// When it was appended, by the writer's clock; for people, never for order.
    #[must_use]
    pub fn occurred_at(&self) -> Timestamp {
        self.members.occurred_at
    }

    /// The kind of its stream.
    #[must_use]
    pub fn aggregate_kind(&self) -> &str {
        self.text(self.members.aggregate_kind)
    }

    /// Which stream of that kind.
    #[must_use]
    pub fn stream_id(&self) -> &str {
        self.text(self.members.stream_id)
    }

    /// The stream as `kind/id`.
    #[must_use]
    pub fn stream(&self) -> String {
        format!("{}/{}", self.aggregate_kind(), self.stream_id())
    }

    /// 0, 1, 2, ... within the stream, without gaps.
    #[must_use]
    pub fn stream_version(&self) -> u64 {
        self.members.stream_version
    }

    /// Who: the kind.
    #[must_use]
    pub fn actor_kind(&self) -> &str {
        self.text(self.members.actor_kind)
    }

    /// Who: which one.
    #[must_use]
    pub fn actor_id(&self) -> Option<&str> {
        self.members.actor_id.map(|span| self.text(span))
    }

    /// The command that this event answers.
    #[must_use]
    pub fn command_id(&self) -> Option<&str> {
        self.members.command_id.map(|span| self.text(span))
    }

    /// The event that led to this one.
    #[must_use]
    pub fn causation_event_id(&self) -> Option<EventId> {
        self.members.causation_event_id
    }

    /// What joins events across runs.
    #[must_use]
    pub fn correlation_id(&self) -> Option<&str> {
        self.members.correlation_id.map(|span| self.text(span))
    }

    /// The key under which the event was appended once; in a batch, on its first record alone.
    #[must_use]
    pub fn idempotency_key(&self) -> Option<&str> {
        self.members.idempotency_key.map(|span| self.text(span))
    }

    /// Its place in its batch, from 0, where several events were appended as one.
    #[must_use]
    pub fn batch_index(&self) -> Option<u32> {
        self.members.batch.map(|(index, _)| index)
    }

    /// How many records its batch has.
    #[must_use]
    pub fn batch_size(&self) -> Option<u32> {
        self.members.batch.map(|(_, size)| size)
    }

    /// The payload as a type; `null` where the event has none.
    ///
    /// # Errors
    /// [`JournalError::Payload`] where the payload does not have that shape.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, JournalError> {
        let payload = match self.payload_ref() {
            None => serde_json::from_str(self.payload_json().unwrap_or("null")),
            Some(_) => Err(serde::de::Error::custom(
                "it is kept as an object, which this version does not read",
            )),
        };
        payload.map_err(|source| self.unreadable(source))
    }

    /// The event's data as JSON, as it stands in the line.
    #[must_use]
    pub fn payload_json(&self) -> Option<&str> {
        self.members.payload.map(|span| self.text(span))
    }

    /// Where the event's data is, if it is too large for a line.
    #[must_use]
    pub fn payload_ref(&self) -> Option<PayloadRef> {
        self.members.payload_ref.as_deref().copied()
    }

    /// The metadata as a type; `null` where the event has none.
    ///
    /// # Errors
    /// [`JournalError::Payload`] where the metadata does not have that shape.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<T, JournalError> {
        serde_json::from_str(self.metadata_json().unwrap_or("null"))
            .map_err(|source| self.unreadable(source))
    }

    /// Anything else, such as `traceparent`, as JSON.
    #[must_use]
    pub fn metadata_json(&self) -> Option<&str> {
        self.members.metadata.map(|span| self.text(span))
    }

    /// What lies between the previous counted record and this one, where something does.
    #[must_use]
    pub fn garbage(&self) -> Option<Garbage> {
        self.members.garbage.as_deref().copied()
    }

    /// Its hash, which vouches for it and for all counted records before it.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// Bytes before its line in the journal.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The line as it stands in the journal, without its line break.
    #[must_use]
    pub fn line(&self) -> &str {
        self.text.get(..self.line as usize).unwrap_or_default()
    }

    fn text(&self, span: Span) -> &str {
        self.text.get(span.start.get() as usize..span.end as usize).unwrap_or_default()
    }

    fn unreadable(&self, source: serde_json::Error) -> JournalError {
        JournalError::Payload { seq: self.seq(), event_type: self.event_type().to_owned(), source }
    }

    /// Reads a line whose hash was checked; `None` if it is not a record all the same. `offset` is
    /// that of the line in its journal.
    pub(crate) fn parse(line: &[u8], hash: Digest, offset: u64) -> Option<Self> {
        let line = std::str::from_utf8(line.strip_suffix(b"\n").unwrap_or(line)).ok()?;
        let (text, members) = parse::members(line)?;
        Some(Self { text, line: u32::try_from(line.len()).ok()?, offset, hash, members })
    }
}

/// What the ledger wants to know of a record, written or read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) event_id: EventId,
    pub(crate) event_type: &'a str,
    pub(crate) aggregate_kind: &'a str,
    pub(crate) stream_id: &'a str,
    pub(crate) stream_version: u64,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) batch_index: Option<u32>,
}

impl Record {
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            event_id: self.event_id(),
            event_type: self.event_type(),
            aggregate_kind: self.aggregate_kind(),
            stream_id: self.stream_id(),
            stream_version: self.stream_version(),
            idempotency_key: self.idempotency_key(),
            batch_index: self.batch_index(),
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offset, line) = (&self.offset, self.line());
        f.debug_struct("Record").field("offset", offset).field("line", &line).finish()
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue =
            serde_json::from_str(self.line()).map_err(serde::ser::Error::custom)?;
        json.serialize(serializer)
    }
}
