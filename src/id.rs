//! Typed ids: tasks, runs, steps, events, and where new ones come from.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::error::cut;

/// A text that cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is no {what}: {reason}", cut(.text))]
pub struct IdError {
    /// What it should have been: `task id`, `run id`, `step name`, `event id`.
    pub what: &'static str,
    /// The refused text.
    pub text: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

/// So that what takes an id takes a text as well: an id that is one already cannot fail.
impl From<Infallible> for IdError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The rule of names that become a directory: safe on every file system and in every shell.
fn check(what: &'static str, text: &str) -> Result<(), IdError> {
    let refuse = |reason| Err(IdError { what, text: text.to_owned(), reason });
    if text.is_empty() || text.len() > 128 {
        return refuse("it must have 1 to 128 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return refuse("only A-Z a-z 0-9 . _ - may stand in it");
    }
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return refuse("it must start with a letter or a digit");
    }
    if text.ends_with('.') {
        return refuse("it must not end with a dot");
    }
    if crate::name::is_device_name(text.as_bytes()) {
        return refuse("Windows keeps this name for a device");
    }
    Ok(())
}

/// The rule of names that people choose for what is no directory, such as items, owners and sessions: the
/// reason why a text cannot be one.
pub(crate) fn check_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 1024 {
        return Err("it must have 1 to 1,024 bytes");
    }
    if text.chars().any(char::is_control) {
        return Err("no control characters may stand in it");
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text against the rule of names.
            ///
            /// # Errors
            /// [`IdError`] names the rule that the text breaks.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check($what, &text)?;
                Ok(Self(text))
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> $name {
                id.clone()
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id!(
    /// The name of a task, and of its directory: `TASK-1`.
    TaskId,
    "task id"
);
text_id!(
    /// The name of a run, and of its directory: `RUN-1`, or a UUIDv7.
    RunId,
    "run id"
);
text_id!(
    /// The name of a step within a run: `plan`.
    StepName,
    "step name"
);

impl From<Uuid> for RunId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.to_string())
    }
}

/// The id of an event: a UUIDv7, so that ids of one writer sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// From `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`; no other form of a UUID is as long.
    pub(crate) fn from_hyphenated(text: &[u8; 36]) -> Option<Self> {
        Uuid::try_parse_ascii(text).ok().map(Self)
    }

    /// Its 16 bytes.
    #[cfg(feature = "sqlite")]
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// When it was made, if it is a UUIDv7.
    pub(crate) fn made_at(&self) -> Option<Timestamp> {
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        let micros = seconds.checked_mul(1_000_000)?.checked_add(u64::from(nanoseconds) / 1000)?;
        i64::try_from(micros).ok().map(Timestamp::from_microseconds)
    }

    /// Appends it in that form.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        let mut buffer = Uuid::encode_buffer();
        out.extend_from_slice(self.0.hyphenated().encode_lower(&mut buffer).as_bytes());
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl FromStr for EventId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::try_parse(text).map(Self).map_err(|_| IdError {
            what: "event id",
            text: text.to_owned(),
            reason: "it must be a UUID",
        })
    }
}

/// Where new ids come from; injected, so that tests are stable to the byte.
pub trait IdSource: Send + Sync + fmt::Debug {
    /// A new id that nobody else was given. One thread may ask for an event of another's.
    fn next_id(&self, now: Timestamp) -> Uuid;
}

/// UUIDv7 with random bits: the source that is used unless another is given. A process that was
/// forked and did not execute another program may be given the ids of its parent.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&self, _now: Timestamp) -> Uuid {
        Uuid::now_v7()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_refused_ids() {
        for good in ["TASK-1", "0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", "a", "a.b_c-d"] {
            assert!(TaskId::new(good).is_ok(), "{good}");
        }
        let long = "x".repeat(129);
        for bad in
            ["", ".", "..", "-a", ".hidden", "a.", "a/b", "ä", "a b", "CON", "nul.txt", &long]
        {
            assert!(TaskId::new(bad).is_err(), "{bad}");
        }
    }
}
