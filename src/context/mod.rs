//! Where a node stands: ids and paths, and what they hand out.

mod environment;
mod journal_writer;
mod run_context;

pub use environment::ContextError;
pub(crate) use environment::absolute;
pub use journal_writer::JournalWriter;
pub use run_context::RunContext;
