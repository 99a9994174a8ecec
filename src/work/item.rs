//! What the records of an item say, and the item as it is shown.

use std::collections::HashMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::ClaimRef;
use crate::clock::Timestamp;
use crate::journal::{Event, Fold, JournalError, Record, types};

/// The kind of the streams of work; their ids are the items.
pub(super) const STREAM: &str = "work";
/// The error of an attempt whose claim was not renewed in time.
const EXPIRED: &str = "claim expired";

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkState {
    /// Nobody tried it yet.
    Waiting,
    /// A worker is at it.
    Claimed,
    /// It is done.
    Completed,
    /// The last attempt failed, and it waits for the next.
    Failed,
    /// All attempts failed; nobody tries it any more.
    Dead,
}

impl WorkState {
    /// True for states that no item leaves.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Dead)
    }

    fn of_type(event_type: &str) -> Option<Self> {
        Some(match event_type {
            types::WORK_ENQUEUED => Self::Waiting,
            types::WORK_CLAIMED => Self::Claimed,
            types::WORK_COMPLETED => Self::Completed,
            types::WORK_FAILED => Self::Failed,
            types::WORK_DEAD => Self::Dead,
            _ => return None,
        })
    }

    fn event_type(self) -> &'static str {
        match self {
            Self::Waiting => types::WORK_ENQUEUED,
            Self::Claimed => types::WORK_CLAIMED,
            Self::Completed => types::WORK_COMPLETED,
            Self::Failed => types::WORK_FAILED,
            Self::Dead => types::WORK_DEAD,
        }
    }
}

impl fmt::Display for WorkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Claimed => "claimed",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Dead => "dead",
        })
    }
}

/// An item of a queue, as its last record has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkItem {
    /// Its id.
    pub item: String,
    /// Where it stands.
    pub state: WorkState,
    /// The greater, the sooner.
    pub priority: i64,
    /// The last attempt, from 1; 0 before the first.
    pub attempt: u64,
    /// How many attempts it has.
    pub max_attempts: u64,
    /// Who made the last attempt, or is at it.
    pub owner: Option<String>,
    /// When it may be tried, if that is not at once.
    pub not_before: Option<Timestamp>,
    /// Until when it is claimed, if it is.
    pub expires_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// The seq of its last record.
    pub seq: u64,
}

impl WorkItem {
    pub(super) fn new(item: &str, word: Word) -> Self {
        let Word { state, said, seq, .. } = word;
        Self {
            item: item.to_owned(),
            state,
            priority: said.priority,
            attempt: said.attempt,
            max_attempts: said.max_attempts,
            owner: said.owner,
            not_before: said.not_before,
            expires_at: said.expires_at,
            error: said.error,
            seq,
        }
    }

    /// What happened to it, in a few words.
    pub(super) fn story(&self) -> String {
        let Self { attempt, max_attempts, .. } = self;
        let owner = self.owner.as_deref().unwrap_or_default();
        let error = self.error.as_deref().unwrap_or_default();
        match self.state {
            WorkState::Waiting => "nobody claimed it yet".to_owned(),
            WorkState::Claimed => format!("{owner:?} has it in attempt {attempt}"),
            WorkState::Completed => format!("{owner:?} completed it in attempt {attempt}"),
            WorkState::Failed => {
                format!(
                    "attempt {attempt} of {owner:?} failed ({error}), and it waits for the next"
                )
            }
            WorkState::Dead => {
                format!(
                    "attempt {attempt} of {max_attempts}, of {owner:?}, failed ({error}): it is dead"
                )
            }
        }
    }
}

/// The payload of every record of an item: with its type all that is needed to go on from there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) priority: i64,
    pub(super) max_attempts: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) attempt: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ttl_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) not_before: Option<Timestamp>,
    /// What `not_before` was, from the record on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) delay_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    /// True where it was not the owner who gave the attempt up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) expired: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A record of an item, as far as queues go.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) state: WorkState,
    pub(super) said: Said,
    pub(super) seq: u64,
    pub(super) version: u64,
}

impl Word {
    /// What a record says; `None` where its type is not known.
    pub(super) fn of(record: &Record) -> Result<Option<Self>, JournalError> {
        let Some(state) = WorkState::of_type(record.event_type()) else { return Ok(None) };
        let said: Said = record.payload()?;
        if state == WorkState::Claimed
            && (said.owner.is_none() || said.ttl_ms.is_none() || said.expires_at.is_none())
        {
            return Err(JournalError::Payload {
                seq: record.seq(),
                event_type: record.event_type().to_owned(),
                source: serde_json::Error::custom("a claim has owner, ttl_ms and expires_at"),
            });
        }
        Ok(Some(Self { state, said, seq: record.seq(), version: record.stream_version() }))
    }

    /// True if it is about the attempt of this claim.
    pub(super) fn is_of(&self, claim: &ClaimRef) -> bool {
        self.said.attempt == claim.attempt && self.said.owner.as_ref() == Some(&claim.owner)
    }

    /// The attempt that is running, by what it was allowed.
    fn attempt(&self) -> Said {
        let Said { priority, max_attempts, attempt, ref owner, .. } = self.said;
        Said { priority, max_attempts, attempt, owner: owner.clone(), ..Said::default() }
    }

    /// A claim of the item: of the next attempt, or of the same once more.
    pub(super) fn claimed(&self, claim: &ClaimRef, ttl_ms: u64, expires_at: Timestamp) -> Said {
        Said {
            attempt: claim.attempt,
            owner: Some(claim.owner.clone()),
            ttl_ms: Some(ttl_ms),
            expires_at: Some(expires_at),
            ..self.attempt()
        }
    }

    pub(super) fn completed(&self) -> Said {
        self.attempt()
    }

    /// The end of an attempt that failed: the item's next state, and what its record says.
    pub(super) fn failed(
        &self,
        error: String,
        wait: Option<(Timestamp, u64)>,
    ) -> (WorkState, Said) {
        let said = Said { error: Some(error), ..self.attempt() };
        if said.attempt >= said.max_attempts {
            return (WorkState::Dead, said);
        }
        let (not_before, delay_ms) = wait.unzip();
        (WorkState::Failed, Said { not_before, delay_ms, ..said })
    }

    /// The end of an attempt that nobody told of. It is due at once, by every clock.
    pub(super) fn expired(&self) -> (WorkState, Said) {
        let (state, said) = self.failed(EXPIRED.to_owned(), None);
        (state, Said { expired: true, ..said })
    }
}

/// All items, those that are over included, each with the seq of its first record.
#[derive(Debug, Default)]
pub(super) struct Items(HashMap<String, (u64, Word)>);

impl Fold for Items {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        let Some(word) = Word::of(record)? else { return Ok(()) };
        let first = self.0.get(record.stream_id()).map_or(record.seq(), |(first, _)| *first);
        self.0.insert(record.stream_id().to_owned(), (first, word));
        Ok(())
    }
}

impl Items {
    /// In the order in which they were added.
    pub(super) fn listed(&self) -> Vec<WorkItem> {
        let mut items: Vec<_> = self.0.iter().collect();
        items.sort_unstable_by_key(|(_, (first, _))| *first);
        items.into_iter().map(|(item, (_, word))| WorkItem::new(item, word.clone())).collect()
    }
}

/// The record that brings an item into a state.
pub(super) fn work_event(state: WorkState, item: &str, payload: &impl Serialize) -> Event {
    Event::new(state.event_type()).stream(STREAM, item).payload(payload)
}
