//! Writing a line: the members of a record in their order, then its end.

use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::EventId;
use crate::journal::record::{Garbage, PayloadRef};
use crate::{json, line};

/// What the members of a record are to say; JSON where a member is JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) seq: u64,
    pub(crate) event_id: EventId,
    pub(crate) event_type: &'a str,
    pub(crate) occurred_at: Timestamp,
    pub(crate) aggregate_kind: &'a str,
    pub(crate) stream_id: &'a str,
    pub(crate) stream_version: u64,
    pub(crate) actor_kind: &'a str,
    pub(crate) actor_id: Option<&'a str>,
    pub(crate) command_id: Option<&'a str>,
    pub(crate) causation_event_id: Option<EventId>,
    pub(crate) correlation_id: Option<&'a str>,
    pub(crate) idempotency_key: Option<&'a str>,
    /// Index and size.
    pub(crate) batch: Option<(u32, u32)>,
    pub(crate) payload: Option<&'a str>,
    pub(crate) payload_ref: Option<PayloadRef>,
    pub(crate) metadata: Option<&'a str>,
    pub(crate) garbage: Option<Garbage>,
}

impl<'a> Draft<'a> {
    /// Appends the line of this record behind its parent to `out`, and returns its hash.
    pub(crate) fn write(&self, parent: Digest, out: &mut Vec<u8>) -> Digest {
        let start = out.len();
        self.write_body(&mut Body { out });
        line::finish(out, start, |body| Digest::chained(parent, body))
    }

    fn write_body(&self, body: &mut Body<'_>) {
        body.number("{\"seq\":", self.seq);
        body.id(",\"event_id\":\"", self.event_id);
        body.text(",\"event_type\":", self.event_type);
        body.raw(",\"occurred_at\":\"");
        self.occurred_at.write_to(body.out);
        body.text("\",\"aggregate_kind\":", self.aggregate_kind);
        body.text(",\"stream_id\":", self.stream_id);
        body.number(",\"stream_version\":", self.stream_version);
        body.text(",\"actor_kind\":", self.actor_kind);
        body.some_text(",\"actor_id\":", self.actor_id);
        body.some_text(",\"command_id\":", self.command_id);
        if let Some(causation) = self.causation_event_id {
            body.id(",\"causation_event_id\":\"", causation);
        }
        body.some_text(",\"correlation_id\":", self.correlation_id);
        body.some_text(",\"idempotency_key\":", self.idempotency_key);
        if let Some((index, size)) = self.batch {
            body.number(",\"batch_index\":", index.into());
            body.number(",\"batch_size\":", size.into());
        }
        body.some_json(",\"payload\":", self.payload);
        if let Some(PayloadRef { digest, size }) = self.payload_ref {
            body.digest(",\"payload_ref\":{\"digest\":\"", digest);
            body.number(",\"size\":", size);
            body.raw("}");
        }
        body.some_json(",\"metadata\":", self.metadata);
        if let Some(Garbage { bytes, digest }) = self.garbage {
            body.number(",\"garbage\":{\"bytes\":", bytes);
            body.digest(",\"digest\":\"", digest);
            body.raw("}");
        }
    }
}

/// The body of a line that is being written. What is handed in as `key` stands as it is; of a text in
/// quotes that hold nothing to escape, the key brings the opening one.
struct Body<'a> {
    out: &'a mut Vec<u8>,
}

impl Body<'_> {
    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, key: &str, mut number: u64) {
        self.raw(key);
        // The digits of the largest number.
        let mut digits = [0; 20];
        let mut written = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            written += 1;
            if number == 0 {
                break;
            }
        }
        self.out.extend_from_slice(digits.get(digits.len() - written..).unwrap_or_default());
    }

    fn id(&mut self, key: &str, id: EventId) {
        self.raw(key);
        id.write_to(self.out);
        self.raw("\"");
    }

    fn digest(&mut self, key: &str, digest: Digest) {
        self.raw(key);
        self.raw("blake3:");
        digest.write_hex_to(self.out);
        self.raw("\"");
    }

    fn text(&mut self, key: &str, text: &str) {
        self.raw(key);
        json::write_string(self.out, text);
    }

    fn some_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn some_json(&mut self, key: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.raw(key);
            json::write_on_line(self.out, json);
        }
    }
}
