//! A batch on its way to the file: events become lines, lines one write.

use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::id::EventId;
use crate::journal::Cursor;
use crate::journal::head::entry::{Name, Names, Place};
use crate::journal::record::compose::Draft;
use crate::journal::record::{Facts, Garbage};
use crate::journal::scan::Rest;
use crate::journal::{Event, Home, JournalError, LockedLog, MAX_BATCH_BYTES, MAX_LINE, TooLarge};
use crate::json;
use crate::planted::Bug;

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

/// Those of a batch, which mostly is of one and then costs no allocation.
pub(crate) type AllAppended = SmallVec<[Appended; 1]>;

impl LockedLog<'_> {
    /// Writes a batch that every check let through.
    pub(crate) fn write(
        &mut self,
        events: &[Event],
        mut staged: Vec<Staged>,
    ) -> Result<AllAppended, JournalError> {
        if events.is_empty() {
            return Ok(AllAppended::new());
        }
        let events = &*self.spill(events)?;
        let torn = !self.tail.is_empty() && !self.tail.ends_with(b"\n");
        let seal: &[u8] = match torn {
            true if Bug::TailUnchecked.is_planted() => b"",
            true if Bug::SealedPlainly.is_planted() => b"\n",
            true => b"#\n",
            false => b"",
        };
        self.tail.extend_from_slice(seal);
        let garbage = Garbage::of(&self.tail).filter(|_| !Bug::GarbageUntold.is_planted());
        let mut cursor = self.log.cursor;
        cursor.offset += self.tail.len() as u64;
        self.tail.truncate(self.tail.len() - seal.len());

        let log = &mut *self.log;
        log.lines.clear();
        log.lines.shrink_to(MAX_LINE);
        log.lines.extend_from_slice(seal);
        let defaults = Defaults::new(&log.home, log.correlation.as_deref());
        let appended = defaults.lines(events, &mut staged, garbage, &mut cursor, &mut log.lines)?;

        self.stale = true;
        log.file.append(&log.lines)?;
        self.stale = false;
        let numbers = batch_numbers(events);
        for (((batch, event), staged), appended) in numbers.zip(events).zip(&staged).zip(&appended)
        {
            let facts = Facts {
                seq: appended.seq,
                event_id: appended.event_id,
                event_type: &event.event_type,
                stream_version: appended.stream_version,
                idempotency_key: event.key.as_deref(),
                batch_index: batch.map(|(index, _)| index),
            };
            log.ledger.apply(&facts, staged.stream, staged.place);
        }
        log.cursor = cursor;
        log.staged = staged;
        self.rest = Rest::default();
        self.tail.clear();
        Ok(appended)
    }

    /// The stream of each event, and the version that its record will have.
    pub(crate) fn stage(&mut self, events: &[Event]) -> Result<Vec<Staged>, JournalError> {
        let mut staged = std::mem::take(&mut self.log.staged);
        staged.clear();
        let mut versions = Names::default();
        for event in events {
            let stream = match &event.stream {
                None => self.log.default_stream,
                Some((kind, id)) => self.log.stream_names.name(kind, id),
            };
            let last = match versions.get(&stream) {
                Some(version) => Some(*version),
                None => self.version_of(stream)?,
            };
            let version = last.map_or(Ok(0), |last| next(last, event))?;
            if events.len() > 1 {
                versions.insert(stream, version);
            }
            staged.push(Staged { stream, version, place: Place::new(0, 0) });
        }
        Ok(staged)
    }
}

/// Only a forged record can have used the numbers up.
fn next(number: u64, event: &Event) -> Result<u64, JournalError> {
    number.checked_add(1).ok_or_else(|| event.bad("there is no number left for it"))
}

/// Index and size of each event, where there are several.
fn batch_numbers(events: &[Event]) -> impl Iterator<Item = Option<(u32, u32)>> + use<> {
    let size = u32::try_from(events.len()).ok().filter(|size| *size > 1);
    (0_u32..).map(move |index| size.map(|size| (index, size)))
}

/// An event on its way: its stream, its version there, and where its line stands once that is composed.
#[derive(Debug)]
pub(crate) struct Staged {
    stream: Name,
    version: u64,
    place: Place,
}

/// What is filled into events that do not say it themselves.
struct Defaults<'a> {
    home: &'a Home,
    correlation: Option<&'a str>,
    occurred_at: Timestamp,
    metadata: Option<String>,
}

impl<'a> Defaults<'a> {
    fn new(home: &'a Home, correlation: Option<&'a str>) -> Self {
        let occurred_at = home.runtime.clock.now();
        let traceparent = home.traceparent.as_ref();
        let metadata = traceparent
            .and_then(|text| json::on_one_line(&serde_json::json!({ "traceparent": text })).ok());
        Self { home, correlation, occurred_at, metadata }
    }

    /// Appends the lines of a batch to `out`, and moves the cursor behind them.
    fn lines(
        &'a self,
        events: &'a [Event],
        staged: &mut [Staged],
        mut garbage: Option<Garbage>,
        cursor: &mut Cursor,
        out: &mut Vec<u8>,
    ) -> Result<AllAppended, JournalError> {
        let mut appended = AllAppended::with_capacity(events.len());
        for ((batch, event), staged) in batch_numbers(events).zip(events).zip(staged) {
            let mut draft = self.draft(event);
            draft.stream_version = staged.version;
            draft.seq = next(cursor.seq, event)?;
            draft.batch = batch;
            draft.garbage = garbage.take();
            let start = out.len();
            let hash = draft.write(cursor.hash, out);
            let length = out.len() - start;
            check_size(TooLarge::Line, length, MAX_LINE)?;
            check_size(TooLarge::BatchBytes, out.len(), MAX_BATCH_BYTES)?;
            staged.place = Place::new(cursor.offset, length as u64);
            *cursor = Cursor { offset: cursor.offset + length as u64, seq: draft.seq, hash };
            appended.push(Appended {
                seq: draft.seq,
                event_id: draft.event_id,
                stream_version: draft.stream_version,
                duplicate: false,
            });
        }
        Ok(appended)
    }

    /// The event as a record without its numbers.
    fn draft(&'a self, event: &'a Event) -> Draft<'a> {
        let home = self.home;
        let stream = event.stream.as_ref().map(|(kind, id)| (kind.as_str(), id.as_str()));
        let (aggregate_kind, stream_id) = stream.unwrap_or_else(|| home.default_stream());
        let actor = event.actor.as_ref().unwrap_or(&home.actor);
        let step = home.step.as_ref().map(|step| step.started);
        let metadata = event.metadata.as_deref().or(self.metadata.as_deref());
        let payload = event.payload.as_deref().filter(|_| event.payload_ref.is_none());
        Draft {
            seq: 0,
            event_id: event.event_id.unwrap_or_else(|| home.runtime.next_event_id()),
            event_type: &event.event_type,
            occurred_at: self.occurred_at,
            aggregate_kind,
            stream_id,
            stream_version: 0,
            actor_kind: &actor.kind,
            actor_id: actor.id.as_deref(),
            command_id: event.command_id.as_deref(),
            causation_event_id: event.causation.or(step),
            correlation_id: event.correlation.as_deref().or(self.correlation),
            idempotency_key: event.key.as_deref(),
            batch: None,
            payload,
            payload_ref: event.payload_ref,
            metadata,
            garbage: None,
        }
    }
}

fn check_size(what: TooLarge, size: usize, limit: usize) -> Result<(), JournalError> {
    if size > limit && !Bug::LimitsIgnored.is_planted() {
        Err(JournalError::TooLarge { what, size, limit })
    } else {
        Ok(())
    }
}
