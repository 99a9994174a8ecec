//! Checkpoints: the artifacts of a run as they were at a turn. Each is made once: an idempotency key in the
//! run's journal.
//!
//! In reading order: a [`Checkpoint`] and the list of them, its file (`Page`), how it is made (`create`, and
//! `Draft`: what changed, and whose bytes are kept), and what it gives: an [`ArtifactSet`], to be read and put
//! back (`restore`).

mod again;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod checkpoint;
mod create;
mod draft;
mod error;
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed;
mod page;
mod restore;
mod set;

pub(crate) use again::{can_be_made_again, from_journal, make_again};
pub use checkpoint::Checkpoint;
pub use error::CheckpointError;
pub(crate) use page::Page;
pub use restore::{ByHand, RestoreChange};
pub use set::ArtifactSet;
