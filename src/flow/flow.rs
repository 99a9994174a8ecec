//! A flow: what it is, and the code of its nodes.

use std::fmt;
use std::sync::Arc;

use super::{FlowBuilder, FlowDefinition, FlowError, FlowRunner};
use crate::context::RunContext;
use crate::node::Node;
use crate::status::Outcome;

/// Nodes, and edges by signal. A value: it can be run in any number of runs, and holds nothing of them.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let task = runjournal::Workspace::open_or_create(&root)?
/// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
/// use runjournal::{Artifact, Flow, Outcome, Retry, Signal, StepContext, StepResult};
///
/// const DRAFT: Artifact<u32> = Artifact::json("draft.json");
///
/// fn write(s: &StepContext) -> StepResult {
///     s.write(DRAFT, &u32::try_from(s.turn())?)?; // each visit is a turn of the step
///     Ok(Signal::new("written"))
/// }
///
/// let flow = Flow::new("essay")
///     .node("write", write)
///     .retry(Retry::attempts(3).backoff(Duration::from_secs(1)))
///     .on("written", "review")
///     .on_failure(Outcome::Failed)
///     .node("review", |s: &StepContext| {
///         Ok(Signal::new(if s.read(DRAFT)? < 3 { "weak" } else { "good" }))
///     })
///     .again("weak", "write", 5) // back, five times at most,
///     .on("weak", Outcome::Failed) // and then there
///     .on("good", Outcome::Success)
///     .build()?;
///
/// let ctx = task.open_or_start_run("RUN-1")?;
/// assert_eq!(flow.run(&ctx)?, Outcome::Success); // killed anywhere, the next call goes on
/// assert_eq!(ctx.artifacts().read(DRAFT)?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Flow {
    definition: FlowDefinition,
    nodes: Vec<Arc<dyn Node>>,
}

impl Flow {
    /// A flow that has no nodes yet. Its name follows the rule of ids: `A-Z a-z 0-9 . _ -`.
    #[expect(clippy::new_ret_no_self, reason = "a flow is checked before it is there")]
    pub fn new(name: impl Into<String>) -> FlowBuilder {
        FlowBuilder::new(name.into())
    }

    pub(super) fn of(definition: FlowDefinition, nodes: Vec<Arc<dyn Node>>) -> Self {
        Self { definition, nodes }
    }

    /// A flow of which each node is a program, from its definition: one that was read from a file, or from
    /// a run's journal.
    ///
    /// # Errors
    /// [`FlowError::NotPrograms`] names the nodes that are code.
    pub fn of_programs(definition: FlowDefinition) -> Result<Self, FlowError> {
        let mut nodes: Vec<Arc<dyn Node>> = Vec::with_capacity(definition.nodes.len());
        let mut code = Vec::new();
        for node in &definition.nodes {
            match &node.run {
                Some(program) => nodes.push(Arc::new(program.clone())),
                None => code.push(node.node.clone()),
            }
        }
        if code.is_empty() {
            return Ok(Self { definition, nodes });
        }
        Err(FlowError::NotPrograms { flow: definition.name, nodes: code })
    }

    /// What it is, without the code.
    #[must_use]
    pub fn definition(&self) -> &FlowDefinition {
        &self.definition
    }

    pub(super) fn node(&self, place: usize) -> Option<&dyn Node> {
        self.nodes.get(place).map(AsRef::as_ref)
    }

    /// Runs the flow in a run, from where it stands, until it ends the run; returns how that ended, also where
    /// it ended before. See [`FlowRunner::run`].
    ///
    /// # Errors
    /// See [`FlowError`]. But for those of an end, the run is open still, and the next call goes on.
    pub fn run(&self, ctx: &RunContext) -> Result<Outcome, FlowError> {
        self.runner(ctx).run()
    }

    /// The same with more to say: what cancels it, how long its lease holds.
    pub fn runner<'a>(&'a self, ctx: &RunContext) -> FlowRunner<'a> {
        FlowRunner::new(self, ctx)
    }

    /// The flow as a Mermaid flowchart, for Markdown pages and diagrams.
    #[must_use]
    pub fn mermaid(&self) -> String {
        self.definition.mermaid()
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("definition", &self.definition).finish_non_exhaustive()
    }
}
