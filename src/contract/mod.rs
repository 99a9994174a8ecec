//! Plans and reports, and the roles that write them.
//!
//! A [`Planner`] makes a [`Plan`]; an [`Executor`] is handed it, and makes an [`ExecutorReport`]; a
//! [`Verifier`] is handed both, and makes a [`VerifierReport`]; a [`gate`] looks at the two reports. Each is
//! a [`Node`](crate::Node) by one line, and what they hand on is an artifact, never memory.

mod error;
mod executor;
mod gate;
mod plan;
mod read;
mod report;
mod verifier;

pub use error::ContractError;
pub use executor::{Executor, ExecutorReport, executor};
pub use gate::{GateReport, gate};
pub use plan::{Plan, PlanStep, Planner, planner};
pub use report::{Check, Report, ReportStatus};
pub use verifier::{Verifier, VerifierReport, verifier};
