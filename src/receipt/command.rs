//! A command: what somebody wants done, once.

use super::CommandError;
use crate::journal::{Durability, Event, Home, JournalError};

const MAX_ID: usize = 1024;
const MAX_TYPE: usize = 128;

/// A command on its way: its id, what is asked for, and the stream that it is decided on.
///
/// [`RunContext::dispatch`](crate::RunContext::dispatch) shows it at work.
#[derive(Debug, Clone)]
#[must_use = "a command does nothing until it is dispatched"]
pub struct Command {
    pub(super) id: String,
    pub(super) command_type: String,
    stream: Option<(String, String)>,
    pub(super) durability: Durability,
}

impl Command {
    /// A command with an id of 1 to 1,024 bytes, by which it is known when it comes again, and a type of 1
    /// to 128 bytes, such as `take_seat`. It is decided on the run's (the task's) own stream.
    pub fn new(id: impl Into<String>, command_type: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            command_type: command_type.into(),
            stream: None,
            durability: Durability::Durable,
        }
    }

    /// The stream that it is decided on, and that its events belong to. The smaller the stream, the
    /// fewer others move it while this is decided.
    pub fn on(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.stream = Some((kind.into(), id.into()));
        self
    }

    /// What its receipt survives once it was handed out; a power cut, unless said otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    pub(super) fn key(&self) -> String {
        format!("{}{}", super::outcome::KEY, self.id)
    }

    pub(super) fn stream(&self, home: &Home) -> (String, String) {
        self.stream.clone().unwrap_or_else(|| {
            let (kind, id) = home.default_stream();
            (kind.to_owned(), id.to_owned())
        })
    }

    /// Checks what can be told of it without a journal.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let bad = |reason: String| CommandError::BadCommand {
            command_id: self.id.chars().take(MAX_TYPE).collect(),
            reason,
        };
        if self.id.is_empty() || self.id.len() > MAX_ID {
            return Err(bad(format!(
                "its id has {} bytes, and 1 to {MAX_ID} are good",
                self.id.len()
            )));
        }
        if self.command_type.is_empty() || self.command_type.len() > MAX_TYPE {
            let size = self.command_type.len();
            return Err(bad(format!("its type has {size} bytes, and 1 to {MAX_TYPE} are good")));
        }
        let Some((kind, id)) = &self.stream else { return Ok(()) };
        let event = Event::new("command").stream(kind, id);
        event.check().and_then(|()| event.check_user()).map_err(|error| match error {
            JournalError::BadEvent { reason, .. } => bad(reason),
            other => other.into(),
        })
    }
}
