//! Flows: nodes, and edges by signal, for those who have no graph engine of their own.
//!
//! A flow is a small engine over [`RunContext::step`](crate::RunContext::step): each visit of a node is a step,
//! or a turn of one. It keeps nothing in memory that the journal does not say: where it stands is the last
//! step that it started, and how that ended; whoever runs it after a crash goes on from there. In
//! reading order: what a flow is (`definition`, `edge`, `retry`), how one is built (`builder`) and checked
//! (`check`), drawn (`mermaid`), read from files (`file`) and recorded (`recorded`); where it stands (`walk`) and
//! what follows (`next`), for people (`state`); who may run it (`hold`), and how it runs (`runner`, `running`).

mod builder;
mod check;
mod defect;
mod definition;
mod edge;
mod error;
mod file;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod flow;
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed;
mod hold;
mod mark;
mod mermaid;
mod next;
mod recorded;
mod retry;
mod runner;
mod running;
mod state;
mod walk;

pub use builder::FlowBuilder;
pub use defect::{FlowDefect, FlowDefects};
pub use definition::FlowDefinition;
pub use edge::Target;
pub use error::FlowError;
pub use file::FlowFileError;
pub use flow::Flow;
pub use retry::Retry;
pub use runner::FlowRunner;
pub use state::{FlowNext, FlowNode, FlowStand, FlowState, FlowVisit};
