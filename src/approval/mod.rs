//! Approvals: what a run asks people, and their answers. Each is asked once and answered once: two
//! idempotency keys in the run's journal.

mod error;
mod questions;
mod state;

pub use error::ApprovalError;
pub(crate) use state::Approvals;
pub use state::{Approval, Resolution};
