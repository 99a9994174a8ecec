//! What can go wrong with a flow that runs.

use super::FlowDefinition;
use crate::context::RunContext;
use crate::error::IoError;
use crate::id::{RunId, StepName, TaskId};
use crate::journal::JournalError;
use crate::lease::LeaseError;
use crate::step::{Signal, StepFailure};
use crate::workspace::WorkspaceError;

/// A flow did not come to its end, or cannot be looked at. The run is open, and what completed stands: the next
/// call goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// Somebody runs a flow in this task.
    #[error(
        "the flow {flow} cannot run in {task}/{run}: the task is worked on by {holder}; wait for that, or end it"
    )]
    AlreadyRunning {
        /// The flow that was to be run.
        flow: StepName,
        /// The task.
        task: TaskId,
        /// The run.
        run: RunId,
        /// Who holds it.
        holder: String,
    },
    /// Somebody else claimed the task, so this runner must not go on.
    #[error("the flow {flow} lost its lease: {reason}")]
    LeaseLost {
        /// The flow.
        flow: StepName,
        /// How.
        reason: String,
    },
    /// Somebody stopped it ([`FlowRunner::stopped_by`](crate::FlowRunner::stopped_by)).
    #[error("the flow {flow} was stopped; run it again, and it goes on from where it stands")]
    Stopped {
        /// The flow.
        flow: StepName,
    },
    /// A node completed with a signal that no edge is for.
    #[error(
        "the flow {flow} stops at node {node}: it signalled {:?}, and has edges for {}; add one, and run the flow again",
        signal.as_str(),
        listed(routed)
    )]
    Unrouted {
        /// The flow.
        flow: StepName,
        /// The node.
        node: StepName,
        /// What it signalled.
        signal: Signal,
        /// The signals that have an edge.
        routed: Vec<Signal>,
    },
    /// An edge that goes back was taken as often as it may be, and no other is for the signal.
    #[error(
        "the flow {flow} stops at node {node}: with {:?} it went back to {to} {limit} times, which is the limit; \
         raise it, or say by `on` where it goes then",
        signal.as_str()
    )]
    LoopLimit {
        /// The flow.
        flow: StepName,
        /// The node.
        node: StepName,
        /// What it signalled.
        signal: Signal,
        /// Where that leads.
        to: String,
        /// How often it may.
        limit: u64,
    },
    /// The run stands at a node that the flow does not have: it was started by another version of it.
    #[error(
        "the flow {flow} has no node {node}, and that is where the run stands; run the version that has it"
    )]
    NoSuchNode {
        /// The flow.
        flow: StepName,
        /// The node.
        node: StepName,
    },
    /// Nodes are code, and what was asked for can only run programs.
    #[error(
        "the flow {flow} has nodes that are code of the program that it is part of ({}); run that program",
        nodes.iter().map(StepName::as_str).collect::<Vec<_>>().join(", ")
    )]
    NotPrograms {
        /// The flow.
        flow: StepName,
        /// The nodes that are code.
        nodes: Vec<StepName>,
    },
    /// A node failed as often as it is tried, and no edge says where to go then; or its step could not be
    /// recorded.
    #[error(transparent)]
    Step(#[from] StepFailure),
    /// The task cannot be claimed.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The run cannot be opened, moved or ended: a report that the end requires does not pass, perhaps.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
}

impl FlowError {
    pub(super) fn already_running(flow: &FlowDefinition, ctx: &RunContext, holder: String) -> Self {
        Self::AlreadyRunning {
            flow: flow.name().clone(),
            task: ctx.task_id().clone(),
            run: ctx.run_id().clone(),
            holder,
        }
    }
}

fn listed(signals: &[Signal]) -> String {
    if signals.is_empty() {
        return "none".to_owned();
    }
    let texts: Vec<_> = signals.iter().map(|signal| format!("{:?}", signal.as_str())).collect();
    texts.join(", ")
}
