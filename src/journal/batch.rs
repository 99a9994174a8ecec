//! A batch on its way to the file: events become records, records become lines, lines one write.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::compose::Draft;
use super::record::{Garbage, Record};
use super::scan::{Cursor, Rest};
use super::table::Place;
use super::{
    Event, Home, JournalError, LockedLog, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_LINE, TooLarge,
};
use crate::clock::Timestamp;
use crate::id::EventId;
use crate::json;

/// An appended event, or the first one with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Appended {
    /// Its place in the journal.
    pub seq: u64,
    /// Its id.
    pub event_id: EventId,
    /// Its place in its stream.
    pub stream_version: u64,
    /// True if it was there before: the key had been used for the same event.
    pub duplicate: bool,
}

impl LockedLog<'_> {
    /// Writes a batch that every check let through.
    pub(super) fn write(&mut self, events: &[Event]) -> Result<Vec<Appended>, JournalError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        if events.len() > MAX_BATCH_RECORDS {
            let (size, limit) = (events.len(), MAX_BATCH_RECORDS);
            return Err(JournalError::TooLarge { what: TooLarge::BatchRecords, size, limit });
        }
        let torn = !self.tail.is_empty() && !self.tail.ends_with(b"\n");
        let seal: &[u8] = if torn { b"#\n" } else { b"" };
        self.tail.extend_from_slice(seal);
        let garbage = Garbage::of(&self.tail);
        let mut bytes = seal.to_vec();
        let built = self.build(events, garbage, &mut bytes);
        self.tail.truncate(self.tail.len() - seal.len());
        let (records, cursor) = built?;

        self.stale = true;
        self.log.file.append(&bytes)?;
        self.stale = false;
        let appended = records.iter().map(|(record, offset, length)| {
            self.log.ledger.apply(&record.facts(), Place::new(*offset, *length));
            Appended {
                seq: record.seq(),
                event_id: record.event_id(),
                stream_version: record.stream_version(),
                duplicate: false,
            }
        });
        let appended = appended.collect();
        self.log.cursor = cursor;
        self.rest = Rest::default();
        self.tail.clear();
        Ok(appended)
    }

    /// The records of a batch with their places, their lines in `bytes`, and the cursor behind them.
    #[expect(clippy::type_complexity, reason = "used once, one line below its meaning")]
    fn build(
        &mut self,
        events: &[Event],
        mut garbage: Option<Garbage>,
        bytes: &mut Vec<u8>,
    ) -> Result<(Vec<(Record, u64, u64)>, Cursor), JournalError> {
        let occurred_at = self.log.home.runtime.clock.now();
        let batch_size = u32::try_from(events.len()).ok().filter(|size| *size > 1);
        let mut cursor = self.log.cursor;
        cursor.offset += self.tail.len() as u64;
        let mut versions = HashMap::<(String, String), u64>::new();
        let mut records = Vec::with_capacity(events.len());
        for (index, event) in (0_u32..).zip(events) {
            let (kind, id) = event.stream_or(self.log.home.default_stream());
            let stream = (kind.to_owned(), id.to_owned());
            // Only a forged record can have used the numbers up.
            let next = |number: u64| {
                number.checked_add(1).ok_or_else(|| event.bad("there is no number left for it"))
            };
            let last = match versions.get(&stream) {
                Some(staged) => Some(*staged),
                None => self.version(&stream.0, &stream.1)?,
            };
            let stream_version = last.map_or(Ok(0), next)?;
            versions.insert(stream, stream_version);
            let mut draft = self.draft(event, occurred_at);
            let seq = next(cursor.seq)?;
            draft.seq = seq;
            draft.stream_version = stream_version;
            draft.batch_index = batch_size.map(|_| index);
            draft.batch_size = batch_size;
            draft.garbage = garbage.take();
            if index == 0 {
                draft.idempotency_key.clone_from(&event.key);
            }
            let (line, hash) = draft
                .to_line(cursor.hash)
                .map_err(|error| event.bad(format!("it is not JSON: {error}")))?;
            let size = line.len();
            check_size(TooLarge::Line, size, MAX_LINE)?;
            bytes.extend_from_slice(&line);
            check_size(TooLarge::BatchBytes, bytes.len(), MAX_BATCH_BYTES)?;
            let record = Record::parse(&line, hash, cursor.offset)
                .ok_or_else(|| event.bad("it makes no line that could be read again"))?;
            records.push((record, cursor.offset, size as u64));
            cursor = Cursor { offset: cursor.offset + size as u64, seq, hash };
        }
        Ok((records, cursor))
    }

    fn draft(&self, event: &Event, occurred_at: Timestamp) -> Draft {
        let home = &self.log.home;
        let (kind, id) = home.default_stream();
        let (aggregate_kind, stream_id) =
            event.stream.clone().unwrap_or_else(|| (kind.to_owned(), id.to_owned()));
        let actor = event.actor.as_ref().unwrap_or(&home.actor).clone();
        let step = home.step.as_ref().map(|step| step.started);
        Draft {
            seq: 0,
            event_id: event.event_id.unwrap_or_else(|| home.runtime.next_event_id()),
            event_type: event.event_type.clone(),
            occurred_at,
            aggregate_kind,
            stream_id,
            stream_version: 0,
            actor_kind: actor.kind,
            actor_id: actor.id,
            command_id: event.command_id.clone(),
            causation_event_id: event.causation.or(step),
            correlation_id: event.correlation.clone().or_else(|| self.log.correlation.clone()),
            idempotency_key: None,
            batch_index: None,
            batch_size: None,
            payload: event.payload.clone(),
            payload_ref: None,
            metadata: event.metadata.clone().or_else(|| traceparent(home)),
            garbage: None,
        }
    }
}

fn traceparent(home: &Home) -> Option<Box<RawValue>> {
    json::to_raw(&serde_json::json!({ "traceparent": home.traceparent.as_ref()? })).ok()
}

fn check_size(what: TooLarge, size: usize, limit: usize) -> Result<(), JournalError> {
    if size > limit { Err(JournalError::TooLarge { what, size, limit }) } else { Ok(()) }
}
