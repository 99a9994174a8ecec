//! Reading a line as this library writes it: members in their order, no white space, no escapes in
//! the envelope.
//!
//! What it does not recognise, serde_json reads: see `lenient`. The two together accept what
//! serde_json alone accepts, and read the same from it.

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::EventId;
use crate::journal::MAX_BATCH_RECORDS;
use crate::journal::record::value;
use crate::journal::record::{Garbage, Members, PayloadRef, Span};

/// The members of a body: a line up to its fixed end. `None` if it is not laid out as ours are.
pub(crate) fn members(body: &str) -> Option<Members> {
    let mut reader = Reader { bytes: body.as_bytes(), at: 0 };
    let members = reader.members()?;
    (reader.at == body.len()).then_some(members)
}

/// True for the index and the size of a batch that can be.
pub(crate) fn is_sound((index, size): (u32, u32)) -> bool {
    index < size && (2..=MAX_BATCH_RECORDS).contains(&(size as usize))
}

/// Bytes, and how many of them were read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn members(&mut self) -> Option<Members> {
        self.expect(b"{\"seq\":")?;
        let seq = self.number().filter(|seq| *seq > 0)?;
        self.expect(b",\"event_id\":\"")?;
        let event_id = self.event_id()?;
        self.expect(b",\"event_type\":\"")?;
        let event_type = self.text()?;
        self.expect(b",\"occurred_at\":\"")?;
        let occurred_at = self.time()?;
        self.expect(b",\"aggregate_kind\":\"")?;
        let aggregate_kind = self.text()?;
        self.expect(b",\"stream_id\":\"")?;
        let stream_id = self.text()?;
        self.expect(b",\"stream_version\":")?;
        let stream_version = self.number()?;
        self.expect(b",\"actor_kind\":\"")?;
        Some(Members {
            seq,
            event_id,
            event_type,
            occurred_at,
            aggregate_kind,
            stream_id,
            stream_version,
            actor_kind: self.text()?,
            actor_id: self.after(b",\"actor_id\":\"", Self::text)?,
            command_id: self.after(b",\"command_id\":\"", Self::text)?,
            causation_event_id: self.after(b",\"causation_event_id\":\"", Self::event_id)?,
            correlation_id: self.after(b",\"correlation_id\":\"", Self::text)?,
            idempotency_key: self.after(b",\"idempotency_key\":\"", Self::text)?,
            batch: self.after(b",\"batch_index\":", Self::batch)?,
            payload: self.after(b",\"payload\":", Self::value)?,
            payload_ref: self.after(b",\"payload_ref\":{\"digest\":\"", Self::payload_ref)?,
            metadata: self.after(b",\"metadata\":", Self::value)?,
            garbage: self.after(b",\"garbage\":{\"bytes\":", Self::garbage)?,
        })
    }

    /// What follows `key`, if `key` is next: `Some(None)` if it is not, `None` if it cannot be read.
    fn after<const N: usize, T>(
        &mut self,
        key: &[u8; N],
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        if self.expect(key).is_none() { Some(None) } else { read(self).map(Some) }
    }

    fn expect<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        let next = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        (next == literal).then(|| self.at += N)
    }

    fn take<const N: usize>(&mut self) -> Option<&[u8; N]> {
        let taken = self.bytes.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(taken)
    }

    /// A number without a leading zero.
    fn number(&mut self) -> Option<u64> {
        let start = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.bytes.get(self.at) {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let length = self.at - start;
        (length == 1 || (length > 1 && self.bytes.get(start) != Some(&b'0'))).then_some(number)
    }

    /// A text without escapes, and its closing quote.
    fn text(&mut self) -> Option<Span> {
        let start = self.at;
        let end = value::plain_end(self.bytes, start);
        self.at = end;
        self.expect(b"\"")?;
        Span::new(start, end)
    }

    /// A value that is not `null`, which would mean that there is none.
    fn value(&mut self) -> Option<Span> {
        let start = self.at;
        self.at = value::end(self.bytes, start)?;
        (self.bytes.get(start) != Some(&b'n')).then(|| Span::new(start, self.at))?
    }

    fn event_id(&mut self) -> Option<EventId> {
        let id = EventId::from_hyphenated(self.take::<36>()?)?;
        self.expect(b"\"")?;
        Some(id)
    }

    fn time(&mut self) -> Option<Timestamp> {
        let time = Timestamp::from_canonical(self.take::<27>()?)?;
        self.expect(b"\"")?;
        Some(time)
    }

    fn digest(&mut self) -> Option<Digest> {
        self.expect(b"blake3:")?;
        Digest::from_hex(self.take::<64>()?)
    }

    fn batch(&mut self) -> Option<(u32, u32)> {
        let index = u32::try_from(self.number()?).ok()?;
        self.expect(b",\"batch_size\":")?;
        let size = u32::try_from(self.number()?).ok()?;
        Some((index, size)).filter(|batch| is_sound(*batch))
    }

    fn payload_ref(&mut self) -> Option<Box<PayloadRef>> {
        let digest = self.digest()?;
        self.expect(b"\",\"size\":")?;
        let size = self.number()?;
        self.expect(b"}")?;
        Some(Box::new(PayloadRef { digest, size }))
    }

    fn garbage(&mut self) -> Option<Box<Garbage>> {
        let bytes = self.number()?;
        self.expect(b",\"digest\":\"")?;
        let digest = self.digest()?;
        self.expect(b"\"}")?;
        Some(Box::new(Garbage { bytes, digest }))
    }
}
