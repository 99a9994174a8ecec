//! A queue of work over a journal: put in once, claimed by one worker at a time, completed once.
//!
//! Each item is a stream, `work/<item>`, and its last record says all that is needed to go on with it, so
//! that to complete, to fail or to renew costs the same whatever the queue holds. Only
//! [`next`](Queue::next) needs to know all items that are open: a fold, kept up with the journal.
//! Clocks decide when something is tried, and never whether a write is let in.

mod claim;
mod draft;
mod error;
mod item;
mod known;
mod open;
mod queue;
mod timer;

pub use claim::{Claim, ClaimRef};
pub use draft::Work;
pub use error::WorkError;
pub use item::{WorkItem, WorkState};
pub use queue::Queue;
