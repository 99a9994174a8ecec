//! Processes that a test starts: this test binary again, running one test alone.

use runjournal::testing::with_eager_heads;
use runjournal::{RunContext, Workspace};

/// True where all test workspaces have a head after every record.
pub(crate) fn heads_are_eager() -> bool {
    std::env::var_os("RUNJOURNAL_TEST_HEADS").is_some_and(|value| value == "eager")
}

/// A worker's workspace, `RUNJOURNAL_ROOT`, with heads as the test's own has them.
pub(crate) fn workspace() -> Workspace {
    let workspace = Workspace::open(std::env::var("RUNJOURNAL_ROOT").unwrap()).unwrap();
    if heads_are_eager() { with_eager_heads(workspace) } else { workspace }
}

/// A worker's context, with heads as the test's own workspace has them.
pub(crate) fn context() -> RunContext {
    let ctx = RunContext::from_env().unwrap();
    if heads_are_eager() { eagerly(&ctx) } else { ctx }
}

/// The same context, with a head after every record.
pub(crate) fn eagerly(ctx: &RunContext) -> RunContext {
    let workspace = with_eager_heads(Workspace::open(ctx.root()).unwrap());
    let task = workspace.task(ctx.task_id().clone()).unwrap();
    task.run(ctx.run_id().clone()).unwrap().context().clone()
}
