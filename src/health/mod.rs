//! Health: one page on the state of a workspace.
//!
//! In reading order: the page ([`Health`]), what is wrong ([`HealthTrouble`]), and the state of the index.

mod health;
#[cfg(feature = "sqlite")]
mod index;
mod trouble;

pub use health::{Health, HealthLease, LockedJournal, RunsByStatus};
#[cfg(feature = "sqlite")]
pub use index::{IndexHealth, IndexState};
pub use trouble::HealthTrouble;
