//! What became of a command, as its journal says.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Rejection;
use crate::journal::{JournalError, Record, types};

/// How the idempotency key of a command's answer begins; the command's id follows.
pub(super) const KEY: &str = "cmd:";

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a receipt may say that the command was rejected"]
pub struct Receipt {
    pub(super) command_id: String,
    pub(super) command_type: Option<String>,
    pub(super) stream: (String, String),
    pub(super) outcome: CommandOutcome,
    pub(super) duplicate: bool,
}

/// How a command was decided. The first decision stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandOutcome {
    /// Its events were appended, as one batch.
    Accepted {
        /// The seq of the first.
        seq: u64,
        /// How many they are; their seqs follow.
        events: u64,
    },
    /// It was rejected.
    Rejected {
        /// The seq of the record that says so.
        seq: u64,
        /// Why.
        error: Rejection,
    },
}

impl CommandOutcome {
    /// Where the answer stands in the journal.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Self::Accepted { seq, .. } | Self::Rejected { seq, .. } => *seq,
        }
    }
}

impl Receipt {
    /// The command's id.
    #[must_use]
    pub fn command_id(&self) -> &str {
        &self.command_id
    }

    /// What was asked for; `None` for an event that only names the command, and was not dispatched.
    #[must_use]
    pub fn command_type(&self) -> Option<&str> {
        self.command_type.as_deref()
    }

    /// The stream that it was decided on: its kind and its id.
    #[must_use]
    pub fn stream(&self) -> (&str, &str) {
        (&self.stream.0, &self.stream.1)
    }

    /// How it was decided.
    #[must_use]
    pub fn outcome(&self) -> &CommandOutcome {
        &self.outcome
    }

    /// True if it was decided before this call.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// True if it was accepted.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        matches!(self.outcome, CommandOutcome::Accepted { .. })
    }

    /// What a record says of a command that it answers, as the first of its batch, or only names.
    pub(super) fn of(record: &Record, command_id: &str) -> Result<Self, JournalError> {
        let seq = record.seq();
        let (command_type, outcome) = if record.event_type() == types::COMMAND_REJECTED {
            let Said { command_type, error } = record.payload()?;
            (command_type, CommandOutcome::Rejected { seq, error: Rejection::recorded(error) })
        } else {
            let (events, command_type) = if answered(record) == Some(command_id) {
                (record.batch_size().unwrap_or(1), command_type(record)?)
            } else {
                (1, None)
            };
            (command_type, CommandOutcome::Accepted { seq, events: events.into() })
        };
        Ok(Self {
            command_id: command_id.to_owned(),
            command_type,
            stream: (record.aggregate_kind().to_owned(), record.stream_id().to_owned()),
            outcome,
            duplicate: true,
        })
    }
}

/// The payload of `command_rejected`. What another program wrote may lack either.
#[derive(Deserialize)]
struct Said {
    command_type: Option<String>,
    error: Option<Box<RawValue>>,
}

/// The payload of `command_rejected`, to be written.
#[derive(Serialize)]
pub(super) struct Rejected<'a> {
    pub(super) command_type: &'a str,
    pub(super) error: &'a RawValue,
}

/// The metadata of the first event of an acceptance, beside the event's own.
pub(super) const COMMAND_TYPE: &str = "command_type";

/// The command that a record answers, as the first of the batch; `None` for one that only names a command.
pub(crate) fn answered(record: &Record) -> Option<&str> {
    record.idempotency_key()?.strip_prefix(KEY)
}

/// The type of the command that a record, the first of its acceptance, answers.
pub(crate) fn command_type(record: &Record) -> Result<Option<String>, JournalError> {
    #[derive(Deserialize)]
    struct Metadata {
        command_type: Option<String>,
    }
    let metadata = record.metadata::<Option<Metadata>>()?;
    Ok(metadata.and_then(|metadata| metadata.command_type))
}
