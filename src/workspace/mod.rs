//! Definitions, states, creation and completion: a workspace of tasks, a task of runs.

mod archive;
mod at_work;
mod completion;
mod create;
mod error;
mod holds;
mod relocation;
mod run;
mod run_words;
mod scope;
mod task;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod workspace;

pub(crate) use at_work::{holder, home_of, running};
pub use completion::{Completion, ReportFault, UnmetReport};
pub use error::WorkspaceError;
pub use holds::Hold;
pub(crate) use holds::hold_fault;
pub use run::{Run, RunState};
pub(crate) use run_words::{JournalReach, RestoredRun, RunWord, RunWords};
pub use scope::{Scope, Subject};
pub use task::{RunOptions, Task, TaskOptions};
pub use workspace::Workspace;
