//! Health: one page on the state of a workspace.
//!
//! In reading order: the page ([`Health`]), what is wrong ([`HealthTrouble`]), and the state of the index.

#[cfg(feature = "sqlite")]
mod index;
mod page;
mod trouble;

#[cfg(feature = "sqlite")]
pub use index::{IndexHealth, IndexState};
pub use page::{Health, HealthLease, LockedJournal, RunsByStatus};
pub use trouble::HealthTrouble;
