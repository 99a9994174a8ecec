//! Definitions, states, creation and completion: a workspace of tasks, a task of runs.

mod create;
mod error;
mod run;
mod status;
mod task;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod workspace;

pub use error::WorkspaceError;
pub use run::{Outcome, Run, RunState};
pub use status::{RunStatus, TaskStatus};
pub use task::{RunOptions, Task, TaskOptions};
pub use workspace::Workspace;
