//! A step: work that reads from the disk, writes to the disk, and is done once.
//!
//! Usable without a flow: people with a graph engine of their own call
//! [`RunContext::step`](crate::RunContext::step) in each node and get disk-in, disk-out, resumption
//! and lineage from that one call.

mod attempt;
mod begin;
mod cancel;
#[cfg(feature = "testing")]
mod crash;
mod ending;
mod error;
mod history;
mod run;
mod signal;
mod spec;
mod step_context;
mod turn;
mod unrun;

pub(crate) use begin::{is_alive, who_runs};
pub(crate) use history::{Completed, Failed, Input, LastAttempt, Progress, Started};
pub(crate) use run::Done;
pub(crate) use spec::Origin;

pub use cancel::Cancel;
#[cfg(feature = "testing")]
pub use crash::crash;
pub use error::{StepError, StepFailure};
pub use signal::{Signal, StepResult};
pub use spec::Step;
pub use step_context::StepContext;
