//! What a flow is, without the code of its nodes: what is checked, drawn, recorded and read from files.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Retry;
use super::check;
use super::defect::FlowDefects;
use super::edge::{Edge, Goal, On};
use crate::id::StepName;
use crate::name::ArtifactName;
use crate::program::Program;
use crate::status::RunStatus;
use crate::step::{Signal, Step};
use crate::workspace::Completion;

/// A flow without the code of its nodes: it is recorded in the run's journal when the flow starts, as
/// `flow_started`, and the same JSON in a file is a flow of programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct FlowDefinition {
    pub(super) name: StepName,
    pub(super) nodes: Vec<Definition>,
    /// Where each node stands in the list.
    places: HashMap<String, usize>,
    /// Which nodes can be visited more than once.
    looped: Vec<bool>,
}

/// A node's definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    pub(super) node: StepName,
    /// The state that the run is in meanwhile: EXECUTING unless it says PLANNING or VERIFYING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) phase: Option<RunStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<Program>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) inputs: Vec<ArtifactName>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) skip_if_unchanged: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retry: Option<Retry>,
    #[serde(default)]
    pub(super) edges: Vec<Edge>,
}

impl Definition {
    pub(super) fn retry(&self) -> Retry {
        self.retry.unwrap_or_default()
    }

    pub(super) fn phase(&self) -> RunStatus {
        self.phase.unwrap_or(RunStatus::Executing)
    }

    /// The step that a visit is.
    pub(super) fn step(&self) -> Step {
        let mut step = Step::new(self.node.as_str());
        // What a program is to do is all that it is given.
        match (&self.run, &self.config) {
            (Some(program), _) => step = step.config(program),
            (None, Some(config)) => step = step.config(config),
            (None, None) => {}
        }
        if self.skip_if_unchanged {
            step = step.skip_if_unchanged();
        }
        self.inputs.iter().cloned().fold(step, Step::input)
    }
}

/// A definition that nobody checked yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    pub(super) flow: StepName,
    pub(super) nodes: Vec<Definition>,
}

impl From<FlowDefinition> for Draft {
    fn from(definition: FlowDefinition) -> Self {
        Self { flow: definition.name, nodes: definition.nodes }
    }
}

impl TryFrom<Draft> for FlowDefinition {
    type Error = FlowDefects;

    fn try_from(draft: Draft) -> Result<Self, FlowDefects> {
        let checked = check::check(&draft.nodes);
        let (places, looped) =
            checked.map_err(|defects| FlowDefects::new(draft.flow.as_str(), defects))?;
        Ok(Self { name: draft.flow, nodes: draft.nodes, places, looped })
    }
}

/// Where a node's end leads.
#[derive(Debug)]
pub(super) enum Route<'a> {
    /// To this node; by an edge that is counted: for the so manyth time.
    Node {
        to: usize,
        again: Option<u64>,
    },
    End(&'a Completion),
    /// Back, but it was taken as often as it may be.
    Limit {
        to: &'a str,
        limit: u64,
    },
    /// There is no such edge.
    Nowhere,
}

impl FlowDefinition {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &StepName {
        &self.name
    }

    /// The names of its nodes; the first is where it starts.
    pub fn nodes(&self) -> impl Iterator<Item = &StepName> {
        self.nodes.iter().map(|node| &node.node)
    }

    pub(super) fn place(&self, node: &str) -> Option<usize> {
        self.places.get(node).copied()
    }

    /// True if the node can be visited more than once, so that its turns are counted.
    pub(super) fn is_looped(&self, place: usize) -> bool {
        self.looped.get(place).copied().unwrap_or_default()
    }

    /// Where the end of a node leads; an edge that goes back was taken so often before.
    pub(super) fn route(&self, from: usize, on: &On, taken: impl Fn(&str) -> u64) -> Route<'_> {
        let edges = self.nodes.get(from).map(|node| node.edges.as_slice()).unwrap_or_default();
        let mut limited = None;
        let mut otherwise = None;
        for edge in edges.iter().filter(|edge| edge.on == *on) {
            match &edge.goal {
                Goal::Again(..) => limited = Some(edge),
                Goal::Node(_) | Goal::End(_) => otherwise = Some(edge),
            }
        }
        let node = |to: &str, again| match self.place(to) {
            Some(to) => Route::Node { to, again },
            None => Route::Nowhere,
        };
        if let Some(Edge { goal: Goal::Again(to, limit), .. }) = limited {
            let times = taken(to).saturating_add(1);
            if times <= *limit {
                return node(to, Some(times));
            }
            if otherwise.is_none() {
                return Route::Limit { to, limit: *limit };
            }
        }
        match otherwise.map(|edge| &edge.goal) {
            Some(Goal::End(completion)) => Route::End(completion),
            Some(Goal::Node(to) | Goal::Again(to, _)) => node(to, None),
            None => Route::Nowhere,
        }
    }

    /// The signals that have an edge from a node.
    pub(super) fn routed(&self, from: usize) -> Vec<Signal> {
        let edges = self.nodes.get(from).map(|node| node.edges.as_slice()).unwrap_or_default();
        let signals = edges.iter().filter_map(|edge| match &edge.on {
            On::Signal(signal) => Some(signal.clone()),
            On::Failure => None,
        });
        signals.collect()
    }
}
