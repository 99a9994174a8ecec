//! What can go wrong with a queue.

use super::WorkItem;
use crate::error::cut;
use crate::journal::JournalError;

/// A queue refused, or its journal did. Unless the journal says otherwise, nothing was appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError {
    /// The journal refused, cannot be read, or holds what is not a queue's.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The id of an item, or an owner, breaks the rule of names.
    #[error("the {what} {:?} cannot be used: {reason}", cut(.name))]
    BadName {
        /// What it should name: `work item`, `owner`.
        what: &'static str,
        /// The refused name.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// An item must be tried once at least.
    #[error(
        "the work item {item:?} has no attempts, so that nobody could work on it; give it one or more"
    )]
    NoAttempts {
        /// The item.
        item: String,
    },
    /// A claim must last some time.
    #[error("a claim for no time at all would be over at once; give the time that the work takes")]
    NoTime,
    /// The input cannot be written as JSON.
    #[error("the input of the work item {item:?} is not JSON")]
    BadInput {
        /// The item.
        item: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The item was added before with another meaning.
    #[error(
        "the work item {item:?} was added at seq {seq} with another {difference}; give new work a new id"
    )]
    Conflict {
        /// The item.
        item: String,
        /// Its record.
        seq: u64,
        /// What differs: `priority`, `input`, `number of attempts`, or several of them.
        difference: String,
    },
    /// There is no such item.
    #[error(
        "there is no work item {:?} in this queue; add it, or look for it in another journal",
        cut(.item)
    )]
    NotFound {
        /// The item.
        item: String,
    },
    /// The caller's claim is over, or never was: somebody else may be at the item, or be done with it.
    #[error(
        "{owner:?} does not hold the work item {item:?} in attempt {attempt}: {}; drop what was made of it, and \
         ask for the next", now.story()
    )]
    NotOwner {
        /// The item.
        item: String,
        /// Who says to hold it.
        owner: String,
        /// In which attempt.
        attempt: u64,
        /// The item as it stands, with who holds it and why.
        now: Box<WorkItem>,
    },
    /// The item has records that this code does not know.
    #[error(
        "the work item {item:?} cannot be worked on: at seq {seq} {reason}; use the version of runjournal that \
         wrote it"
    )]
    Foreign {
        /// The item.
        item: String,
        /// The record.
        seq: u64,
        /// What is wrong with it.
        reason: String,
    },
}
