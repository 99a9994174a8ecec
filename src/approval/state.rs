//! What the journal says of approvals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::journal::{Fold, JournalError, Record, types};

/// The kind of the streams of approvals.
pub(super) const STREAM: &str = "approval";

/// The payload of `approval_requested`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Requested {
    pub(super) question: String,
    /// Any decision where there are none.
    #[serde(default)]
    pub(super) options: Vec<String>,
}

/// The payload of `approval_resolved`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Resolved {
    pub(super) decision: String,
    pub(super) by: String,
}

/// What a run asks people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Approval {
    /// Its id.
    pub id: String,
    /// What was asked.
    pub question: String,
    /// What there is to choose from; any decision where this is empty.
    pub options: Vec<String>,
    /// When it was asked; for people.
    pub requested_at: Timestamp,
    /// The seq of the question.
    pub requested_seq: u64,
    /// The answer, once there is one.
    pub resolution: Option<Resolution>,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resolution {
    /// The decision.
    pub decision: String,
    /// Who took it.
    pub by: String,
    /// When; for people.
    pub at: Timestamp,
    /// The seq of the answer.
    pub seq: u64,
}

/// All approvals of a run. Where damage took a question, its answer waits for it to be asked again.
#[derive(Debug, Default)]
pub(crate) struct Approvals {
    asked: BTreeMap<String, Approval>,
    resolved: BTreeMap<String, Resolution>,
}

impl Approvals {
    /// One of them, as far as it goes.
    pub(super) fn get(&self, id: &str) -> Option<Approval> {
        let asked = self.asked.get(id)?.clone();
        Some(Approval { resolution: self.resolved.get(id).cloned(), ..asked })
    }

    /// All of them, in the order in which they were asked.
    pub(crate) fn all(&self) -> Vec<Approval> {
        let mut all: Vec<_> = self.asked.keys().filter_map(|id| self.get(id)).collect();
        all.sort_by_key(|approval| approval.requested_seq);
        all
    }
}

impl Fold for Approvals {
    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        let id = record.stream_id().to_owned();
        match record.event_type() {
            types::APPROVAL_REQUESTED => {
                let Requested { question, options } = record.payload()?;
                self.asked.entry(id.clone()).or_insert(Approval {
                    id,
                    question,
                    options,
                    requested_at: record.occurred_at(),
                    requested_seq: record.seq(),
                    resolution: None,
                });
            }
            types::APPROVAL_RESOLVED => {
                let Resolved { decision, by } = record.payload()?;
                let (at, seq) = (record.occurred_at(), record.seq());
                self.resolved.entry(id).or_insert(Resolution { decision, by, at, seq });
            }
            _ => {}
        }
        Ok(())
    }
}
