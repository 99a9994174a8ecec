//! Why a command was rejected.

use std::error::Error;
use std::fmt;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::error::chain;
use crate::json;

/// Why a command is rejected: a message, any JSON value, or an error with its causes. It is kept exactly:
/// whoever dispatches the command again is told the same. So `?` makes none of an error: what may pass, such
/// as trouble with a disk, would be a command's answer for ever.
#[derive(Debug, Clone)]
pub struct Rejection {
    json: Box<RawValue>,
    /// What is wrong with it; told when it is to be recorded.
    pub(super) fault: Option<String>,
}

impl Rejection {
    /// A rejection that is only a message: a JSON string.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self::json(&message.into())
    }

    /// Any value as JSON, integers of any size exact. What cannot be JSON is told by the dispatch.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        match to_raw_value(value) {
            Ok(json) => Self { json, fault: None },
            Err(error) => {
                let fault = format!("its error is not JSON: {error}");
                Self { json: RawValue::NULL.to_owned(), fault: Some(fault) }
            }
        }
    }

    /// An error and its causes, outermost first, as a JSON array of texts. For errors that follow from the
    /// stream and the command; one that may pass is no reason to reject.
    #[must_use]
    pub fn of<E: Error + ?Sized>(error: &E) -> Self {
        Self::json(&chain(error))
    }

    /// What was recorded.
    pub(super) fn recorded(json: Option<Box<RawValue>>) -> Self {
        Self { json: json.unwrap_or_else(|| RawValue::NULL.to_owned()), fault: None }
    }

    /// Its JSON.
    #[must_use]
    pub fn as_json(&self) -> &str {
        self.json.get()
    }

    pub(super) fn raw(&self) -> &RawValue {
        &self.json
    }
}

/// A message as it is, anything else as JSON.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::from_str::<String>(self.as_json()) {
            Ok(message) => f.pad(&message),
            Err(_) => f.pad(self.as_json()),
        }
    }
}

/// Equal as JSON values.
impl PartialEq for Rejection {
    fn eq(&self, other: &Self) -> bool {
        json::same_value(Some(self.as_json()), Some(other.as_json()))
    }
}

impl Eq for Rejection {}
