//! Repair: a plan, then its application. Nothing is deleted, and no journal is edited.
//!
//! The plan follows from what [`Verify`](crate::Verify) finds: each finding is mended by one means, or left
//! with the reason. What stands where something else belongs is set aside in `.quarantine/`, with a note;
//! bytes come back from wherever there are some with the right digest.

mod apply;
mod close_off;
mod error;
mod genesis;
mod hindrance;
mod mend;
mod plan;
mod put_back;
mod quarantine;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod repair;
mod site;
mod sources;
mod unsettled;

pub use apply::{NotMended, Repaired};
pub use error::RepairError;
pub use mend::{Left, Means, Mend, Origin};
pub use plan::RepairPlan;
pub use repair::Repair;
