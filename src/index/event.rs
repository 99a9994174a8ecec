//! Rows of events on their way to the index: what a row holds of a record, and no more of it.

use super::projector::IndexedJournal;
use super::writer::integer;
use crate::clock::Timestamp;
use crate::id::EventId;
use crate::journal::Record;

/// Rows that there is room for from the beginning: about those of a run.
const USUAL: usize = 64;
/// Bytes that the texts of a row take.
const TEXTS: usize = 32;

/// Rows, and their texts one after another: nothing is to be freed row by row where they are written.
#[derive(Debug, Default)]
pub(super) struct EventRows {
    pub(super) rows: Vec<NewEvent>,
    pub(super) texts: String,
    /// Texts that occur again and again, each once, in the order in which they came.
    pub(super) words: Vec<Text>,
}

/// A row of `t_events` to be.
#[derive(Debug)]
pub(super) struct NewEvent {
    pub(super) event: i64,
    pub(super) event_id: EventId,
    /// Its type, the kind of its stream and that of its actor, by their places among the words.
    pub(super) words: [usize; 3],
    pub(super) occurred_at: Timestamp,
    /// `None` if it is the journal's own.
    pub(super) stream: Option<Text>,
    pub(super) version: i64,
    pub(super) actor_id: Option<Text>,
    pub(super) command_id: Option<Text>,
    pub(super) causation: Option<EventId>,
    pub(super) own_trace: bool,
    /// `None` also if it is the journal's own.
    pub(super) correlation: Option<Text>,
    pub(super) idempotency_key: Option<Text>,
    pub(super) batch: Option<(u32, u32)>,
    pub(super) first_byte: i64,
    pub(super) bytes: i64,
}

/// A place among the texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    start: usize,
    end: usize,
}

impl Text {
    pub(super) fn of(self, texts: &str) -> &str {
        texts.get(self.start..self.end).unwrap_or_default()
    }
}

impl EventRows {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn push(&mut self, journal: &IndexedJournal, record: &Record) {
        if self.rows.is_empty() {
            self.rows.reserve(USUAL);
            self.texts.reserve(USUAL * TEXTS);
        }
        let stream = (record.aggregate_kind(), record.stream_id());
        let correlation = record.correlation_id();
        let own_trace = correlation.is_some() && correlation == journal.trace_id();
        let words = [record.event_type(), stream.0, record.actor_kind()];
        let words = words.map(|word| self.word(word));
        let texts = &mut self.texts;
        let mut text = |text: &str| {
            let start = texts.len();
            texts.push_str(text);
            Text { start, end: texts.len() }
        };
        let row = NewEvent {
            event: (journal.key() << 32) | integer(record.seq()),
            event_id: record.event_id(),
            words,
            occurred_at: record.occurred_at(),
            stream: Some(stream.1).filter(|_| stream != journal.own_stream()).map(&mut text),
            version: integer(record.stream_version()),
            actor_id: record.actor_id().map(&mut text),
            command_id: record.command_id().map(&mut text),
            causation: record.causation_event_id(),
            own_trace,
            correlation: correlation.filter(|_| !own_trace).map(&mut text),
            idempotency_key: record.idempotency_key().map(&mut text),
            batch: record.batch_index().zip(record.batch_size()),
            first_byte: integer(record.offset()),
            bytes: integer(record.end() - record.offset()),
        };
        self.rows.push(row);
    }

    /// The place of a word. There are few, for a piece has few events.
    fn word(&mut self, word: &str) -> usize {
        let known = self.words.iter().position(|known| known.of(&self.texts) == word);
        known.unwrap_or_else(|| {
            let start = self.texts.len();
            self.texts.push_str(word);
            self.words.push(Text { start, end: self.texts.len() });
            self.words.len() - 1
        })
    }
}
