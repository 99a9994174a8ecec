//! What the counted records of a journal add up to, as far as every append needs it.

use std::collections::HashMap;

use super::record::Facts;
use super::{Record, types};
use crate::id::EventId;

/// Something that counted records add up to. Folds of other rooms ride along with the ledger, and
/// two of them ride as a pair.
pub(crate) trait Fold: Default {
    /// Takes in the next counted record.
    fn apply(&mut self, record: &Record);
}

impl Fold for () {
    fn apply(&mut self, _: &Record) {}
}

impl<A: Fold, B: Fold> Fold for (A, B) {
    fn apply(&mut self, record: &Record) {
        self.0.apply(record);
        self.1.apply(record);
    }
}

/// `kind/id`; kinds hold no slash, so this is one stream.
pub(crate) type StreamKey = String;

/// Where the records that a key stands for are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Versions, keys, and the two facts that can refuse an append: closed, and superseded.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    versions: HashMap<StreamKey, u64>,
    keys: HashMap<String, Keyed>,
    /// The key of the batch that is being taken in.
    open_key: Option<String>,
    starts: HashMap<String, EventId>,
    closed: bool,
}

impl Ledger {
    /// Takes in a counted record that stands at these bytes.
    pub(crate) fn apply(&mut self, record: &Facts<'_>, offset: u64, length: u64) {
        let stream = format!("{}/{}", record.aggregate_kind, record.stream_id);
        self.versions.insert(stream, record.stream_version);
        if record.batch_index.unwrap_or(0) == 0 {
            self.open_key = record.idempotency_key.map(str::to_owned);
        }
        if let Some(key) = &self.open_key {
            let first = Keyed { offset, length: 0 };
            self.keys.entry(key.clone()).or_insert(first).length += length;
        }
        match record.event_type {
            types::STEP_STARTED => {
                self.starts.insert(record.stream_id.to_owned(), record.event_id);
            }
            // What is left of an attempt that ended has nothing more to say.
            types::STEP_COMPLETED | types::STEP_FAILED => {
                self.starts.remove(record.stream_id);
            }
            types::EXECUTION_COMPLETE => self.closed = true,
            _ => {}
        }
    }

    /// The version of a stream's last record.
    pub(crate) fn version(&self, stream: &str) -> Option<u64> {
        self.versions.get(stream).copied()
    }

    pub(crate) fn key(&self, key: &str) -> Option<Keyed> {
        self.keys.get(key).copied()
    }

    /// The `step_started` of a step's newest attempt, unless it has ended.
    pub(crate) fn newest_start(&self, step: &str) -> Option<EventId> {
        self.starts.get(step).copied()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }
}
