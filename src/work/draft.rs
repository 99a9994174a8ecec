//! An item on its way into a queue.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::WorkError;
use super::item::{Said, WorkState, work_event};
use crate::clock::Timestamp;
use crate::id;
use crate::journal::{Event, JournalError, Record};
use crate::json::same_value;

/// Attempts of an item that says nothing of them. It stands in the record, so that it may change.
const ATTEMPTS: u64 = 10;

/// An item to put into a queue: its id, and what a worker needs to know.
///
/// ```
/// use runjournal::Work;
///
/// let page = Work::new("page-17")
///     .input(&serde_json::json!({"url": "https://example.org/17"}))
///     .priority(5) // before all of lesser priority; 0 unless said otherwise
///     .attempts(3); // then it is dead; 10 unless said otherwise
/// # let _ = page;
/// ```
#[derive(Debug)]
#[must_use = "an item does nothing until it is added to a queue"]
pub struct Work {
    pub(super) item: String,
    said: Said,
    input: Option<Result<Box<RawValue>, serde_json::Error>>,
}

impl Work {
    /// An item with this id: 1 to 1,024 bytes, no control characters. The id is what makes it be added
    /// once.
    pub fn new(item: impl Into<String>) -> Self {
        let said = Said { max_attempts: ATTEMPTS, ..Said::default() };
        Self { item: item.into(), said, input: None }
    }

    /// Items of greater priority come first, among equal ones the older ones; 0 unless said otherwise.
    pub fn priority(mut self, priority: i64) -> Self {
        self.said.priority = priority;
        self
    }

    /// What a worker needs to know, as JSON. It is read from the journal with each claim, and by each
    /// queue that is opened: what is large is better kept as an artifact, and named here.
    pub fn input<T: Serialize + ?Sized>(mut self, input: &T) -> Self {
        self.input = Some(serde_json::value::to_raw_value(input));
        self
    }

    /// How often it is tried, an expired claim included; 10 unless said otherwise.
    pub fn attempts(mut self, attempts: u64) -> Self {
        self.said.max_attempts = attempts;
        self
    }

    /// When it may be tried first; at once unless said otherwise. It is no part of the item's meaning:
    /// an item that was added before keeps its time.
    pub fn not_before(mut self, time: Timestamp) -> Self {
        self.said.not_before = Some(time);
        self
    }

    /// What is to be put in, if it can be.
    pub(super) fn checked(self) -> Result<Enqueued, WorkError> {
        let Self { item, said, input } = self;
        check_name("work item", &item)?;
        if said.max_attempts == 0 {
            return Err(WorkError::NoAttempts { item });
        }
        let input = match input.transpose() {
            Ok(input) => input.filter(|input| input.get() != "null"),
            Err(source) => return Err(WorkError::BadInput { item, source }),
        };
        Ok(Enqueued { item, said, input: Input { input } })
    }
}

/// The payload of `work_enqueued`.
#[derive(Debug, Serialize)]
pub(super) struct Enqueued {
    #[serde(skip)]
    pub(super) item: String,
    #[serde(flatten)]
    said: Said,
    #[serde(flatten)]
    input: Input,
}

/// The part of that payload that only workers read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Input {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<Box<RawValue>>,
}

impl Enqueued {
    /// The record that puts it in, once.
    pub(super) fn event(&self) -> Event {
        work_event(WorkState::Waiting, &self.item, self).key(key(&self.item))
    }

    /// In what it differs from what was put in under its id.
    pub(super) fn difference(&self, record: &Record) -> Result<String, JournalError> {
        let said: Said = record.payload()?;
        let Input { input } = record.payload()?;
        let json = |input: &Option<Box<RawValue>>| input.as_ref().map(|json| json.get().to_owned());
        let (input, own_input) = (json(&input), json(&self.input.input));
        let parts = [
            ("priority", said.priority == self.said.priority),
            ("input", same_value(input.as_deref(), own_input.as_deref())),
            ("number of attempts", said.max_attempts == self.said.max_attempts),
        ];
        let differing: Vec<_> =
            parts.iter().filter(|(_, same)| !same).map(|(part, _)| *part).collect();
        Ok(differing.join(" and "))
    }
}

/// The key under which an item is put in.
pub(super) fn key(item: &str) -> String {
    format!("work:{item}")
}

/// Checks the id of an item, or an owner.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), WorkError> {
    id::check_name(name).map_err(|reason| WorkError::BadName {
        what,
        name: name.to_owned(),
        reason,
    })
}
