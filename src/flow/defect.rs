//! What is wrong with a flow that cannot be built.

use std::fmt;

use crate::id::{IdError, StepName};
use crate::status::RunStatus;

/// What is wrong with a flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlowDefect {
    /// It has no nodes.
    #[error("it has no nodes")]
    Empty,
    /// A text cannot name a flow or a node.
    #[error(transparent)]
    BadName(IdError),
    /// An edge, or what else belongs to a node, came before any node.
    #[error("{what} belongs to a node, and stands before the first one")]
    NoNode {
        /// What came.
        what: &'static str,
    },
    /// A node's configuration cannot be written as JSON.
    #[error("the configuration of node {node} is not JSON: {reason}")]
    BadConfig {
        /// The node.
        node: String,
        /// Why.
        reason: String,
    },
    /// A step was given what is the flow's, or its runner's, to say.
    #[error("node {node} was given {what}, which is the flow's to say")]
    NotItsOwn {
        /// The node.
        node: String,
        /// What it was given.
        what: &'static str,
    },
    /// Two nodes have one name.
    #[error("there are two nodes {node}")]
    DuplicateNode {
        /// The name.
        node: StepName,
    },
    /// Two edges of a kind leave a node for one signal.
    #[error(
        "node {node} has two edges of a kind for {on}: give it one `on`, and at most one `again`"
    )]
    DuplicateEdge {
        /// The node.
        node: StepName,
        /// The signal, or `failure`.
        on: String,
    },
    /// An edge leads to a node that is not there.
    #[error("the edge of node {node} for {on} leads to {to}, and there is no such node")]
    UnknownNode {
        /// Where it leaves.
        node: StepName,
        /// The signal, or `failure`.
        on: String,
        /// Where it leads.
        to: String,
    },
    /// No way leads to a node.
    #[error("no way leads from the first node to {node}")]
    Unreachable {
        /// The node.
        node: StepName,
    },
    /// No way leads from a node to an end.
    #[error("no way leads from {node} to an end: add an edge with an outcome")]
    NoWayToEnd {
        /// The node.
        node: StepName,
    },
    /// A loop could go on for ever.
    #[error("the loop through {} has no limit: let one of its edges be `again`, with a limit", nodes.iter().map(StepName::as_str).collect::<Vec<_>>().join(", "))]
    EndlessLoop {
        /// Its nodes, in their order.
        nodes: Vec<StepName>,
    },
    /// Only an end brings a run into a final state.
    #[error(
        "node {node} cannot be {phase}: while it works, a run is PLANNING, EXECUTING or VERIFYING"
    )]
    FinalPhase {
        /// The node.
        node: StepName,
        /// The state that it is to be in.
        phase: RunStatus,
    },
    /// A number of attempts, or a limit, that lets nothing happen.
    #[error("node {node}: {what} must be 1 at least")]
    Zero {
        /// The node.
        node: StepName,
        /// What is 0.
        what: &'static str,
    },
}

/// A flow cannot be built: all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowDefects {
    flow: String,
    defects: Vec<FlowDefect>,
}

impl FlowDefects {
    pub(super) fn new(flow: &str, defects: Vec<FlowDefect>) -> Self {
        Self { flow: flow.to_owned(), defects }
    }

    /// What is wrong; one at least.
    #[must_use]
    pub fn defects(&self) -> &[FlowDefect] {
        &self.defects
    }
}

impl fmt::Display for FlowDefects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the flow {} cannot be built", self.flow)?;
        for (index, defect) in self.defects.iter().enumerate() {
            write!(f, "{} {defect}", if index == 0 { ":" } else { ", and" })?;
        }
        Ok(())
    }
}

impl std::error::Error for FlowDefects {}
