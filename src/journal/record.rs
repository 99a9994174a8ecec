//! A record: one line of a journal.

pub(crate) mod compose;
pub(crate) mod decode;
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed;
pub(crate) mod lenient;
pub(crate) mod parse;
pub(crate) mod value;

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use camino::Utf8Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::EventId;
use crate::journal::JournalError;
use crate::journal::log::objects;
use crate::line;

/// A counted record of a journal. It holds its line as it stands on disk, and where in it things are.
///
/// As [`Serialize`] it is the line's own JSON, member for member.
#[derive(Clone)]
pub struct Record {
    /// The line without its line break. Behind it stands what its members say, if that could not be
    /// read off in place, as where there are escapes.
    text: Box<str>,
    line: u32,
    offset: u64,
    hash: Digest,
    members: Members,
    /// The directory of its run or task, if it needs that to find its payload.
    dir: Option<Box<Utf8Path>>,
}

/// What the members of a line say; texts as places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) seq: u64,
    pub(crate) event_id: EventId,
    pub(crate) event_type: Span,
    pub(crate) occurred_at: Timestamp,
    pub(crate) aggregate_kind: Span,
    pub(crate) stream_id: Span,
    pub(crate) stream_version: u64,
    pub(crate) actor_kind: Span,
    pub(crate) actor_id: Option<Span>,
    pub(crate) command_id: Option<Span>,
    pub(crate) causation_event_id: Option<EventId>,
    pub(crate) correlation_id: Option<Span>,
    pub(crate) idempotency_key: Option<Span>,
    /// Index and size.
    pub(crate) batch: Option<(u32, u32)>,
    pub(crate) payload: Option<Span>,
    // These two are rare, and large.
    pub(crate) payload_ref: Option<Box<PayloadRef>>,
    pub(crate) metadata: Option<Span>,
    pub(crate) garbage: Option<Box<Garbage>>,
}

/// A place in a record's text, never at its start, where the brace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: NonZeroU32,
    end: u32,
}

impl Span {
    pub(crate) fn new(start: usize, end: usize) -> Option<Self> {
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

    /// The payload as a type; `null` where the event has none. It is in the line, or in an object, which
    /// is read and checked each time.
    ///
    /// # Errors
    /// [`JournalError::Payload`] where the payload does not have that shape;
    /// [`JournalError::ObjectMissing`] and [`JournalError::ObjectChanged`] where its object is gone or
    /// is not what the record names.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, JournalError> {
        let payload = match self.object()? {
            None => serde_json::from_str(self.payload_in_line().unwrap_or("null")),
            Some(content) => serde_json::from_slice(&content),
        };
        payload.map_err(|source| self.unreadable(source))
    }

    /// The payload as JSON; `None` where the event has none. It is in the line, or in an object, which is
    /// read and checked each time.
    ///
    /// # Errors
    /// As [`payload`](Record::payload).
    pub fn payload_json(&self) -> Result<Option<Cow<'_, str>>, JournalError> {
        let Some(content) = self.object()? else {
            return Ok(self.payload_in_line().map(Cow::Borrowed));
        };
        // Only a forged record can name an object that is no JSON.
        let json: Box<RawValue> =
            serde_json::from_slice(&content).map_err(|source| self.unreadable(source))?;
        Ok(Some(Cow::Owned(Box::<str>::from(json).into_string())))
    }

    fn payload_in_line(&self) -> Option<&str> {
        self.members.payload.map(|span| self.text(span))
    }

    fn object(&self) -> Result<Option<Vec<u8>>, JournalError> {
        let Some(named) = self.payload_ref() else { return Ok(None) };
        // Every journal's records are told their directory; without one, nothing opens.
        let dir = self.dir.as_deref().unwrap_or(Utf8Path::new(""));
        objects::read(dir, self.seq(), named).map(Some)
    }

    /// The record, as one of the run or the task in this directory.
    pub(crate) fn in_dir(mut self, dir: &Utf8Path) -> Self {
        if self.members.payload_ref.is_some() {
            self.dir = Some(dir.into());
        }
        self
    }

    /// The object that holds the payload, if that is too large for a line: it is in the directory of the
    /// run, or of the task, under `objects/` and the digits of its digest, the first two a directory.
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

    /// Bytes before what stands behind its line.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.line().len() as u64 + 1
    }

    /// The line as it stands in the journal, without its line break.
    #[must_use]
    pub fn line(&self) -> &str {
        self.text.get(..self.line as usize).unwrap_or_default()
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            seq: self.seq(),
            event_id: self.event_id(),
            event_type: self.event_type(),
            stream_version: self.stream_version(),
            idempotency_key: self.idempotency_key(),
            batch_index: self.batch_index(),
        }
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
        let body = line.get(..line.len().checked_sub(line::END - 1)?)?;
        let (text, members) = match parse::members(body) {
            Some(members) => (line.into(), members),
            None => lenient::members(line)?,
        };
        let line = u32::try_from(line.len()).ok()?;
        Some(Self { text, line, offset, hash, members, dir: None })
    }
}

/// What the ledger wants to know of a record, be it read or just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts<'a> {
    pub(crate) seq: u64,
    pub(crate) event_id: EventId,
    pub(crate) event_type: &'a str,
    pub(crate) stream_version: u64,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) batch_index: Option<u32>,
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

/// Lines as serde_json alone writes and reads them are the oracle of `compose`, `parse` and `lenient`.
#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::journal::MAX_BATCH_RECORDS;
    use crate::journal::record::compose::Draft;
    use crate::journal::record::parse;

    #[derive(Debug, Clone, Serialize, Deserialize)]
    struct Oracle {
        seq: u64,
        event_id: EventId,
        event_type: String,
        occurred_at: Timestamp,
        aggregate_kind: String,
        stream_id: String,
        stream_version: u64,
        actor_kind: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        causation_event_id: Option<EventId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        correlation_id: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        idempotency_key: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch_index: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        batch_size: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<Box<RawValue>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload_ref: Option<PayloadRef>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        metadata: Option<Box<RawValue>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        garbage: Option<Garbage>,
    }

    impl Oracle {
        fn parse(line: &[u8]) -> Option<Self> {
            let record: Self = serde_json::from_str(std::str::from_utf8(line).ok()?).ok()?;
            let sound = match (record.batch_index, record.batch_size) {
                (None, None) => true,
                (Some(index), Some(size)) => {
                    index < size && (2..=MAX_BATCH_RECORDS).contains(&(size as usize))
                }
                _ => false,
            };
            (sound && record.seq > 0).then_some(record)
        }

        fn of(record: &Record) -> Self {
            let raw =
                |json: Option<&str>| json.map(|json| RawValue::from_string(json.into()).unwrap());
            let text = |text: Option<&str>| text.map(str::to_owned);
            Self {
                seq: record.seq(),
                event_id: record.event_id(),
                event_type: record.event_type().to_owned(),
                occurred_at: record.occurred_at(),
                aggregate_kind: record.aggregate_kind().to_owned(),
                stream_id: record.stream_id().to_owned(),
                stream_version: record.stream_version(),
                actor_kind: record.actor_kind().to_owned(),
                actor_id: text(record.actor_id()),
                command_id: text(record.command_id()),
                causation_event_id: record.causation_event_id(),
                correlation_id: text(record.correlation_id()),
                idempotency_key: text(record.idempotency_key()),
                batch_index: record.batch_index(),
                batch_size: record.batch_size(),
                payload: raw(record.payload_in_line()),
                payload_ref: record.payload_ref(),
                metadata: raw(record.metadata_json()),
                garbage: record.garbage(),
            }
        }

        fn draft(&self) -> Draft<'_> {
            Draft {
                seq: self.seq,
                event_id: self.event_id,
                event_type: &self.event_type,
                occurred_at: self.occurred_at,
                aggregate_kind: &self.aggregate_kind,
                stream_id: &self.stream_id,
                stream_version: self.stream_version,
                actor_kind: &self.actor_kind,
                actor_id: self.actor_id.as_deref(),
                command_id: self.command_id.as_deref(),
                causation_event_id: self.causation_event_id,
                correlation_id: self.correlation_id.as_deref(),
                idempotency_key: self.idempotency_key.as_deref(),
                batch: self.batch_index.zip(self.batch_size),
                payload: self.payload.as_deref().map(RawValue::get),
                payload_ref: self.payload_ref,
                metadata: self.metadata.as_deref().map(RawValue::get),
                garbage: self.garbage,
            }
        }

        fn facts(&self) -> Facts<'_> {
            Facts {
                seq: self.seq,
                event_id: self.event_id,
                event_type: &self.event_type,
                stream_version: self.stream_version,
                idempotency_key: self.idempotency_key.as_deref(),
                batch_index: self.batch_index,
            }
        }

        /// The body of its line, with the escapes that the format asks for.
        fn body(&self) -> String {
            let json = serde_json::to_string(self).unwrap();
            let escaped = json.chars().map(|c| match c {
                '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => format!("\\u{:04x}", u32::from(c)),
                c => c.to_string(),
            });
            let mut body: String = escaped.collect();
            body.pop();
            body
        }
    }

    fn sealed(body: &[u8]) -> (Vec<u8>, Digest) {
        let hash = Digest::of(body);
        let mut line = body.to_vec();
        line.extend_from_slice(format!(",\"hash\":\"{}\"}}\n", hash.to_hex()).as_bytes());
        (line, hash)
    }

    /// Reads a body as a line both ways; true if it is a record.
    fn check(body: &[u8]) -> bool {
        let (line, hash) = sealed(body);
        assert_eq!(line::open(&line).unwrap().body, body);
        let expected = Oracle::parse(&line);
        let found = Record::parse(&line, hash, 17);
        let show = String::from_utf8_lossy(body);
        assert_eq!(
            format!("{:?}", found.as_ref().map(Oracle::of)),
            format!("{expected:?}"),
            "{show}"
        );
        if let Some(found) = &found {
            assert_eq!(found.line().as_bytes(), &line[..line.len() - 1], "{show}");
            assert_eq!((found.hash(), found.offset()), (hash, 17));
            assert_eq!(serde_json::to_string(found).unwrap(), found.line().trim());
        }
        found.is_some()
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z_]{1,12}",
            "[ -~]{0,20}",
            prop::collection::vec(
                prop_oneof![
                    any::<char>(),
                    select(vec![
                        '"', '\\', '\n', '\0', '\u{7f}', '\u{85}', '\u{2028}', '\u{2029}', 'ü'
                    ]),
                ],
                0..12
            )
            .prop_map(String::from_iter),
        ]
    }

    fn json() -> impl Strategy<Value = Box<RawValue>> {
        let leaf = prop_oneof![
            text().prop_map(|text| serde_json::to_string(&text).unwrap()),
            select(vec![
                "true",
                "[]",
                "{}",
                "-0.5e-7",
                "123456789012345678901234567890",
                "\"\\ud800\""
            ])
            .prop_map(str::to_owned),
        ];
        let nested = leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec((text(), inner), 0..4).prop_map(|members| {
                    let members = members.iter().map(|(key, value)| {
                        format!("{}:{value}", serde_json::to_string(key).unwrap())
                    });
                    format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
                }),
            ]
        });
        nested.prop_map(|json| RawValue::from_string(json).unwrap())
    }

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![1..1000_u64, 1..=u64::MAX, Just(u64::MAX)]
    }

    fn id() -> impl Strategy<Value = EventId> {
        any::<u128>().prop_map(|bits| uuid::Uuid::from_u128(bits).into())
    }

    fn records() -> impl Strategy<Value = Oracle> {
        let digest = || any::<u64>().prop_map(|n| Digest::of(&n.to_le_bytes()));
        let batch = (0_u32..1024, 2_u32..=1024).prop_map(|(index, size)| (index % size, size));
        let some = prop::option::of::<BoxedStrategy<String>>;
        let time = prop_oneof![
            1_600_000_000_000_000..2_000_000_000_000_000_i64,
            any::<i64>(),
            -70_000_000_000_000_000..260_000_000_000_000_000_i64,
        ];
        let envelope = (
            (number(), id(), text(), time.prop_map(Timestamp::from_microseconds)),
            (text(), text(), 0..=u64::MAX, text()),
            (some(text().boxed()), some(text().boxed()), prop::option::of(id())),
            (some(text().boxed()), some(text().boxed()), prop::option::of(batch)),
        );
        let rest = (
            prop::option::of(json()),
            prop::option::weighted(0.1, (digest(), number())),
            prop::option::of(json()),
            prop::option::weighted(0.1, (digest(), number())),
        );
        (envelope, rest).prop_map(|((a, b, c, d), (payload, object, metadata, garbage))| Oracle {
            seq: a.0,
            event_id: a.1,
            event_type: a.2,
            occurred_at: a.3,
            aggregate_kind: b.0,
            stream_id: b.1,
            stream_version: b.2,
            actor_kind: b.3,
            actor_id: c.0,
            command_id: c.1,
            causation_event_id: c.2,
            correlation_id: d.0,
            idempotency_key: d.1,
            batch_index: d.2.map(|batch| batch.0),
            batch_size: d.2.map(|batch| batch.1),
            payload,
            payload_ref: object.map(|(digest, size)| PayloadRef { digest, size }),
            metadata,
            garbage: garbage.map(|(digest, bytes)| Garbage { bytes, digest }),
        })
    }

    /// Values that are odd somewhere.
    const ODD: &[&str] = &[
        "null",
        "0",
        "1",
        "-1",
        "-0",
        "01",
        "1.0",
        "1e0",
        "true",
        "\"\"",
        "\"1\"",
        "[]",
        "{}",
        "",
        "18446744073709551615",
        "18446744073709551616",
        "4294967295",
        "4294967296",
        "1024",
        "1025",
        "\"0197A1B2-7C3D-7E4F-8A5B-6C7D8E9F0A1B\"",
        "\"0197a1b27c3d7e4f8a5b6c7d8e9f0a1b\"",
        "\"{0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b}\"",
        "\"0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1g\"",
        "\"0197a1b2-7c3d-7e4f-8a5b6-c7d8e9f0a1b\"",
        "\"urn:uuid:0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b\"",
        "\"2026-02-29T00:00:00.000000Z\"",
        "\"2024-02-29T23:59:59.999999Z\"",
        "\"1900-02-29T00:00:00.000000Z\"",
        "\"2000-02-29T00:00:00.000000Z\"",
        "\"2026-04-31T00:00:00.000000Z\"",
        "\"2026-12-31T24:00:00.000000Z\"",
        "\"2026-13-01T00:00:00.000000Z\"",
        "\"2026-00-01T00:00:00.000000Z\"",
        "\"2026-01-00T00:00:00.000000Z\"",
        "\"2016-12-31T23:59:60.000000Z\"",
        "\"2026-01-01T00:60:00.000000Z\"",
        "\"0000-01-01T00:00:00.000000Z\"",
        "\"0001-01-01T00:00:00.000000Z\"",
        "\"9999-12-31T23:59:59.999999Z\"",
        "\"9998-12-31T23:59:59.999999Z\"",
        "\"1969-12-31T23:59:59.999999Z\"",
        "\"2026-01-01 00:00:00.000000Z\"",
        "\"2026-01-01T00:00:00.000000z\"",
        "\"2026-01-01T00:00:00.0000001Z\"",
        "\"2026-01-01T00:00:00Z\"",
        "\"2026-01-01T00:00:00,000000Z\"",
        "\"2026-01-01T01:00:00.0+01:00\"",
        "\"-009999-01-02T02:00:00Z\"",
        "\"2026-01-01T00:00:00.00000aZ\"",
        "{\"bytes\":1,\"digest\":\"x\"}",
        "[1,\"x\"]",
        "\"a\\u0062\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\u{2028}\u{7f}\"",
        " 1",
        "1 ",
        "{\"a\" : [ ] }",
        "\"\\",
        "nul",
        "1e999",
        "\"\t\"",
    ];

    fn members(record: &Oracle) -> Vec<String> {
        // No text of these records holds this sequence, for a line escapes it.
        let marked = serde_json::to_string(record).unwrap();
        let keys = [
            "event_id",
            "event_type",
            "occurred_at",
            "aggregate_kind",
            "stream_id",
            "stream_version",
            "actor_kind",
            "actor_id",
            "command_id",
            "causation_event_id",
            "correlation_id",
            "idempotency_key",
            "batch_index",
            "batch_size",
            "payload",
            "payload_ref",
            "metadata",
            "garbage",
        ];
        let (mut members, mut rest) = (Vec::new(), &marked[1..marked.len() - 1]);
        for key in keys {
            if let Some((member, behind)) = rest.split_once(&format!(",\"{key}\":")) {
                members.push(member.to_owned());
                rest = &rest[rest.len() - behind.len() - key.len() - 3..];
            }
        }
        members.push(rest.to_owned());
        members
    }

    #[derive(Debug, Clone)]
    enum Change {
        Value(Index, usize),
        Swap(Index, Index),
        Twice(Index, Index),
        Remove(Index),
        Unknown(Index, usize),
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let odd = || 0..ODD.len();
        let change = prop_oneof![
            4 => (any::<Index>(), odd()).prop_map(|(at, odd)| Change::Value(at, odd)),
            1 => any::<(Index, Index)>().prop_map(|(a, b)| Change::Swap(a, b)),
            1 => any::<(Index, Index)>().prop_map(|(a, b)| Change::Twice(a, b)),
            1 => any::<Index>().prop_map(Change::Remove),
            1 => (any::<Index>(), odd()).prop_map(|(at, odd)| Change::Unknown(at, odd)),
        ];
        prop::collection::vec(change, 1..3)
    }

    fn changed(record: &Oracle, changes: Vec<Change>) -> String {
        let mut members = members(record);
        for change in changes {
            let count = members.len().max(1);
            match change {
                Change::Value(at, odd) => {
                    if let Some(member) = members.get_mut(at.index(count)) {
                        let key = member.split_once(':').map_or("", |(key, _)| key).to_owned();
                        *member = format!("{key}:{}", ODD[odd]);
                    }
                }
                Change::Swap(a, b) => members.swap(a.index(count), b.index(count)),
                Change::Twice(from, to) => {
                    let again = members[from.index(count)].clone();
                    members.insert(to.index(count), again);
                }
                Change::Remove(at) => drop(members.remove(at.index(count))),
                Change::Unknown(at, odd) => {
                    members.insert(at.index(count), format!("\"other\":{}", ODD[odd]));
                }
            }
        }
        format!("{{{}", members.join(","))
    }

    #[derive(Debug, Clone)]
    enum Flip {
        Bit(Index, u8),
        Insert(Index, Vec<u8>),
        Remove(Index, usize),
    }

    fn flips() -> impl Strategy<Value = Vec<Flip>> {
        let bytes = prop_oneof![
            prop::collection::vec(any::<u8>(), 1..3),
            select(vec![
                "\"", "\\", ",", ":", "{", "}", "[", "]", "0", "\\u0061", "\\ud800", " ", "\n",
                "null", "e1"
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
        ];
        let flip = prop_oneof![
            (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| Flip::Bit(at, bit)),
            (any::<Index>(), bytes).prop_map(|(at, bytes)| Flip::Insert(at, bytes)),
            (any::<Index>(), 1_usize..4).prop_map(|(at, count)| Flip::Remove(at, count)),
        ];
        prop::collection::vec(flip, 1..3)
    }

    fn flipped(mut body: Vec<u8>, flips: Vec<Flip>) -> Vec<u8> {
        for flip in flips {
            match flip {
                Flip::Bit(at, bit) => {
                    let at = at.index(body.len());
                    body[at] ^= 1 << bit;
                }
                Flip::Insert(at, bytes) => {
                    let at = at.index(body.len());
                    body.splice(at..at, bytes);
                }
                Flip::Remove(at, count) => {
                    let at = at.index(body.len());
                    let end = (at + count).min(body.len() - 1);
                    body.drain(at.min(end)..end);
                }
            }
        }
        body
    }

    /// True for a line of which nothing in the envelope had to be escaped, and of a year that the
    /// strict reader knows: it must not leave it to serde_json.
    fn is_ours(record: &Oracle) -> bool {
        let mut envelope = record.clone();
        (envelope.payload, envelope.metadata) = (None, None);
        !envelope.body().contains('\\')
            && (1..9999).contains(&record.occurred_at.to_string()[..4].parse().unwrap_or(-1))
    }

    #[test]
    fn every_odd_value_of_every_member_is_judged_as_serde_json_judges_it() {
        let id = "0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b".parse::<EventId>().unwrap();
        let raw = || RawValue::from_string("{\"a\":[1]}".to_owned()).ok();
        let digest = Digest::of(b"a");
        let record = Oracle {
            seq: 10,
            event_id: id,
            event_type: "a".into(),
            occurred_at: Timestamp::from_microseconds(1_795_253_400_123_456),
            aggregate_kind: "run".into(),
            stream_id: "RUN-1".into(),
            stream_version: 9,
            actor_kind: "node".into(),
            actor_id: Some("b".into()),
            command_id: Some("c".into()),
            causation_event_id: Some(id),
            correlation_id: Some("d".into()),
            idempotency_key: Some("e".into()),
            batch_index: Some(1),
            batch_size: Some(1024),
            payload: raw(),
            payload_ref: Some(PayloadRef { digest, size: 1 }),
            metadata: raw(),
            garbage: Some(Garbage { bytes: 1, digest }),
        };
        assert!(parse::members(&record.body()).is_some(), "nothing is odd so far");
        let members = members(&record);
        for at in 0..members.len() {
            for odd in ODD {
                let mut members = members.clone();
                let key = members[at].split_once(':').unwrap().0.to_owned();
                members[at] = format!("{key}:{odd}");
                check(format!("{{{}", members.join(",")).as_bytes());
            }
        }
    }

    #[test]
    fn payloads_of_any_depth_are_read() {
        let envelope = "{\"seq\":1,\"event_id\":\"0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b\",\"event_type\":\"a\",\
                        \"occurred_at\":\"2026-03-01T09:00:00.000000Z\",\"aggregate_kind\":\"run\",\
                        \"stream_id\":\"R\",\"stream_version\":0,\"actor_kind\":\"node\",\"payload\":";
        for depth in [1, 126, 127, 128, 129, 5000] {
            let body = format!("{envelope}{}1{}", "[".repeat(depth), "]".repeat(depth));
            assert!(check(body.as_bytes()), "{depth}");
            assert_eq!(parse::members(&body).is_some(), depth <= 127, "{depth}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn lines_are_written_as_serde_json_writes_them_and_read_back(record in records()) {
            let mut out = b"before".to_vec();
            let parent = Digest::of(b"parent");
            let hash = record.draft().write(parent, &mut out);
            let body = record.body();
            prop_assert_eq!(hash, Digest::chained(parent, body.as_bytes()));
            let end = format!(",\"hash\":\"{}\"}}\n", hash.to_hex());
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("before{body}{end}"));

            prop_assert!(check(body.as_bytes()));
            if is_ours(&record) {
                prop_assert!(parse::members(&body).is_some(), "left to serde_json: {}", body);
            }
            let line = sealed(body.as_bytes());
            let read = Record::parse(&line.0, line.1, 0).unwrap();
            prop_assert_eq!(read.facts(), record.facts());
        }

        #[test]
        fn lines_with_other_members_are_judged_as_serde_json_judges_them(
            record in records(),
            changes in changes(),
        ) {
            check(changed(&record, changes).as_bytes());
        }

        #[test]
        fn damaged_lines_are_judged_as_serde_json_judges_them(
            record in records(),
            flips in flips(),
        ) {
            check(&flipped(record.body().into_bytes(), flips));
        }
    }
}
