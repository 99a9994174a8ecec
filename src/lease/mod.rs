//! Leases: who may write to a task.
//!
//! A claim is a record in the task's journal; its `seq` is the *fencing token*. Before a claim returns, it
//! has bound every unfinished run to the token, and from then on each append under an older one, or under
//! none, is refused by the journal that it goes to (`journal/lease.rs`): no clock has a say in that. Time
//! decides one thing only: when somebody else may *try* to claim. In reading order: what stands of a lease
//! (`standing`), a claim and what it hands out ([`Lease`]), and what keeps it up ([`Heartbeat`]).

mod claim;
mod error;
mod heartbeat;
mod hint;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod lease;
mod standing;

pub use error::LeaseError;
pub use heartbeat::Heartbeat;
pub use lease::Lease;
pub use standing::LeaseState;
