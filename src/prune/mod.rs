//! Prune: what is old enough to go goes, as a plan first.
//!
//! In reading order: for how long what is kept ([`PrunePolicy`]), why a run stays all the same ([`Keep`]), how
//! a run stands (`look`), what nobody names any more ([`Leftover`]), the plan ([`Prune`], [`PrunePlan`]) and
//! its application ([`Pruned`]). All is decided from the tree alone, once for the plan and once more under the
//! locks.

mod apply;
mod error;
mod keep;
mod leftover;
mod look;
mod named;
mod plan;
mod policy;

pub use apply::Pruned;
pub use error::PruneError;
pub use keep::{Keep, KeptRun};
pub use leftover::{Leftover, LeftoverKind};
pub use look::PrunableRun;
pub use plan::{Prune, PrunePlan};
pub use policy::{PrunePolicy, PruneReason};
