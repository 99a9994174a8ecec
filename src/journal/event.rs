//! An event on its way into a journal.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{JournalError, PayloadRef, types};
use crate::id::EventId;
use crate::json;

/// Who did something: a kind such as `node`, `agent` or `human`, and which one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// `system`, `node`, `worker`, `agent`, `human`, `client`, `server`, `provider`, or your own.
    pub kind: String,
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Actor {
    /// An actor of a kind.
    #[must_use]
    pub fn new(kind: impl Into<String>, id: Option<String>) -> Self {
        Self { kind: kind.into(), id }
    }
}

impl Actor {
    /// A worker.
    pub(crate) fn worker(name: &str) -> Self {
        Self::new("worker", Some(name.to_owned()))
    }
}

impl Default for Actor {
    fn default() -> Self {
        Self::new("node", None)
    }
}

/// Where a stream must be for an append to go through: optimistic concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ExpectedVersion {
    /// Wherever it is.
    #[default]
    Any,
    /// It must have no record yet.
    NoStream,
    /// Its last record must have this version (the first record of a stream has version 0).
    Exact(u64),
}

impl ExpectedVersion {
    pub(crate) fn admits(self, found: Option<u64>) -> bool {
        match self {
            ExpectedVersion::Any => true,
            ExpectedVersion::NoStream => found.is_none(),
            ExpectedVersion::Exact(version) => found == Some(version),
        }
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExpectedVersion::Any => f.write_str("any version"),
            ExpectedVersion::NoStream => f.write_str("no record"),
            ExpectedVersion::Exact(version) => write!(f, "version {version}"),
        }
    }
}

/// An event to append. What is not set is filled in: its stream is the run's, its actor and
/// correlation those of the context.
///
/// ```
/// use runjournal::Event;
/// let event = Event::new("tool_called")
///     .payload(&serde_json::json!({"tool": "cc", "arguments": ["-O2"]}))
///     .key("call-17"); // appended once, however often it is tried
/// # let _ = event;
/// ```
#[derive(Debug, Clone)]
#[must_use = "an event does nothing until it is appended"]
pub struct Event {
    pub(crate) event_id: Option<EventId>,
    pub(crate) event_type: String,
    pub(crate) stream: Option<(String, String)>,
    pub(crate) actor: Option<Actor>,
    pub(crate) command_id: Option<String>,
    pub(crate) causation: Option<EventId>,
    pub(crate) correlation: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) expected: ExpectedVersion,
    /// JSON on one line, and so the metadata.
    pub(crate) payload: Option<String>,
    /// The object that the payload was put into, because it is too large for a line.
    pub(super) payload_ref: Option<PayloadRef>,
    pub(crate) metadata: Option<String>,
    /// The first thing that went wrong while the event was put together; told when it is appended.
    pub(crate) fault: Option<String>,
}

impl Event {
    /// An event of a type in `snake_case`. The library's own types are refused when appended.
    pub fn new(event_type: impl Into<String>) -> Self {
        Self {
            event_id: None,
            event_type: event_type.into(),
            stream: None,
            actor: None,
            command_id: None,
            causation: None,
            correlation: None,
            key: None,
            expected: ExpectedVersion::Any,
            payload: None,
            payload_ref: None,
            metadata: None,
            fault: None,
        }
    }

    /// What happened, as JSON. It stands in the journal as native JSON, integers of any size exact; where
    /// it is over 64 KiB, in an object beside it, which is always durable, and reads the same.
    pub fn payload<T: Serialize + ?Sized>(mut self, payload: &T) -> Self {
        match json::on_one_line(payload) {
            Ok(json) => self.payload = (json != "null").then_some(json),
            Err(error) => self.fail(format!("its payload is not JSON: {error}")),
        }
        self
    }

    /// Anything else that is worth keeping, as a JSON object.
    pub fn metadata<T: Serialize + ?Sized>(mut self, metadata: &T) -> Self {
        match json::on_one_line(metadata) {
            Ok(json) if json.starts_with('{') => self.metadata = Some(json),
            Ok(_) => self.fail("its metadata is not a JSON object".into()),
            Err(error) => self.fail(format!("its metadata is not JSON: {error}")),
        }
        self
    }

    /// Metadata that is a JSON object on one line already.
    pub(crate) fn metadata_json(mut self, metadata: &str) -> Self {
        self.metadata = Some(metadata.to_owned());
        self
    }

    /// The stream that the event belongs to; versions count within (kind, id).
    pub fn stream(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.stream = Some((kind.into(), id.into()));
        self
    }

    /// Where the stream must be for the append to go through.
    pub fn expect(mut self, expected: ExpectedVersion) -> Self {
        self.expected = expected;
        self
    }

    /// An idempotency key: a second append with it returns the first record. In a batch, the key of
    /// the first event stands for all; a transaction has a key of its own, and so has a step. Keys that
    /// begin as the library's do (`run:`, `step-end:`, ...) are refused.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Who did it.
    pub fn actor(mut self, actor: Actor) -> Self {
        self.actor = Some(actor);
        self
    }

    /// The command that this event answers.
    pub fn command_id(mut self, command_id: impl Into<String>) -> Self {
        self.command_id = Some(command_id.into());
        self
    }

    /// The event that led to this one.
    pub fn causation(mut self, event: EventId) -> Self {
        self.causation = Some(event);
        self
    }

    /// What joins events across runs, instead of the run's trace id.
    pub fn correlation(mut self, correlation: impl Into<String>) -> Self {
        self.correlation = Some(correlation.into());
        self
    }

    pub(crate) fn id(mut self, id: EventId) -> Self {
        self.event_id = Some(id);
        self
    }

    fn fail(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Its stream, or the one of events that name none.
    pub(super) fn stream_or<'a>(&'a self, default: (&'a str, &'a str)) -> (&'a str, &'a str) {
        self.stream.as_ref().map_or(default, |(kind, id)| (kind, id))
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> JournalError {
        JournalError::BadEvent { event_type: self.event_type.clone(), reason: reason.into() }
    }

    /// Checks what every event must fulfil.
    pub(crate) fn check(&self) -> Result<(), JournalError> {
        if let Some(fault) = &self.fault {
            return Err(self.bad(fault.as_str()));
        }
        if !is_snake_case(&self.event_type) {
            return Err(
                self.bad("its type must be snake_case: a-z, 0-9 and _, 128 characters at most")
            );
        }
        if let Some((kind, id)) = &self.stream {
            if !is_snake_case(kind) {
                return Err(
                    self.bad(format!("the kind of its stream, {kind:?}, must be snake_case"))
                );
            }
            if id.is_empty() || id.len() > 2048 {
                return Err(self.bad("the id of its stream must have 1 to 2,048 bytes"));
            }
        }
        if self.actor.as_ref().is_some_and(|actor| actor.kind.is_empty()) {
            return Err(self.bad("the kind of its actor is empty"));
        }
        if self.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > 2048) {
            return Err(self.bad("its idempotency key must have 1 to 2,048 bytes"));
        }
        Ok(())
    }

    /// Checks what an event of a user must fulfil as well.
    pub(crate) fn check_user(&self) -> Result<(), JournalError> {
        if types::is_reserved(&self.event_type) {
            return Err(self.bad("the library writes events of this type itself; choose another"));
        }
        if let Some(key) = &self.key {
            check_user_key(key).map_err(|reason| self.bad(reason))?;
        }
        match &self.stream {
            Some((kind, _)) if types::RESERVED_KINDS.contains(&kind.as_str()) => Err(self
                .bad(format!("streams of kind {kind} belong to the library; choose another kind"))),
            _ => Ok(()),
        }
    }
}

/// Refuses a user's key that one of the library's could be.
pub(crate) fn check_user_key(key: &str) -> Result<(), String> {
    match types::RESERVED_KEYS.iter().find(|prefix| key.starts_with(**prefix)) {
        None => Ok(()),
        Some(prefix) => {
            Err(format!("keys that begin with {prefix} belong to the library; choose another key"))
        }
    }
}

fn is_snake_case(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}
