//! A claim: the right to work on an item, until it expires.

use std::ops::Deref;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::WorkError;
use super::draft::Input;
use crate::clock::Timestamp;
use crate::journal::{JournalError, Record};

/// An attempt at an item, by name: all that is needed to complete it, to fail it or to renew it, also
/// from another process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClaimRef {
    /// The item.
    pub item: String,
    /// Who claimed it.
    pub owner: String,
    /// Which attempt it is, from 1. No two claims of an item have the same.
    pub attempt: u64,
}

impl ClaimRef {
    /// The claim of this item by this owner in this attempt.
    #[must_use]
    pub fn new(item: impl Into<String>, owner: impl Into<String>, attempt: u64) -> Self {
        Self { item: item.into(), owner: owner.into(), attempt }
    }
}

/// An item that was handed out by [`Queue::next`](super::Queue::next): its [`ClaimRef`], which it derefs
/// to, and its input. Dropping it does nothing: the item goes to another worker once it expired.
#[derive(Debug, Clone)]
#[must_use = "the item is claimed, and nobody else works on it until the claim expires"]
pub struct Claim {
    pub(super) reference: ClaimRef,
    pub(super) expires_at: Timestamp,
    /// The `work_enqueued` of the item.
    pub(super) enqueued: Record,
}

impl Claim {
    /// Until when the item is claimed, unless the claim is renewed; by the clock of this process.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// What the item was put in with, as a type; `null` where it had no input.
    ///
    /// # Errors
    /// [`JournalError::Payload`] where the input does not have that shape; where it is in an object, as
    /// [`Record::payload`].
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, WorkError> {
        let Input { input } = self.enqueued.payload()?;
        let input = input.as_deref().map_or("null", RawValue::get);
        let input = serde_json::from_str(input).map_err(|source| JournalError::Payload {
            seq: self.enqueued.seq(),
            event_type: self.enqueued.event_type().to_owned(),
            source,
        });
        Ok(input?)
    }
}

impl Deref for Claim {
    type Target = ClaimRef;

    fn deref(&self) -> &ClaimRef {
        &self.reference
    }
}
