//! Health: one page on the state of a workspace.
//!
//! In reading order: the page ([`Health`]), what is wrong ([`HealthTrouble`]), the state of the index, what a person
//! asks first ([`Overview`]), and a run at a [`Glance`].

mod glance;
#[cfg(feature = "sqlite")]
mod index;
mod overview;
mod page;
mod trouble;

pub use glance::{FailedStep, Glance, OpenStep, Question, Sign};
#[cfg(feature = "sqlite")]
pub use index::{IndexHealth, IndexState};
pub use overview::{OpenRun, Overview, TaskOverview};
pub use page::{Health, HealthLease, LockedJournal, RunsByStatus};
pub use trouble::HealthTrouble;
