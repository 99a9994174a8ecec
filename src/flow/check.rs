//! Whether a graph can be run: what is wrong with it is told before it is.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::definition::Definition;
use super::edge::{Goal, On};
use crate::id::{IdError, StepName};
use crate::step::Signal;

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
        "node {node} has two edges of a kind for {on}; give it one `on`, and at most one `again`"
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
    #[error("no way leads from {node} to an end; add an edge with an outcome")]
    NoWayToEnd {
        /// The node.
        node: StepName,
    },
    /// A loop could go on for ever.
    #[error("the loop through {} has no limit; let one of its edges be `again`, with a limit", nodes.iter().map(StepName::as_str).collect::<Vec<_>>().join(", "))]
    EndlessLoop {
        /// Its nodes, in their order.
        nodes: Vec<StepName>,
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
            write!(f, "{} {defect}", if index == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl std::error::Error for FlowDefects {}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::Signal(signal) => write!(f, "{:?}", signal.as_str()),
            On::Failure => f.write_str("failure"),
        }
    }
}

/// Where each node stands in the list, and which can be visited more than once.
type Checked = (HashMap<String, usize>, Vec<bool>);

/// Checks a graph. All passes take a time that grows with nodes and edges (the last one, with the edges that
/// go back as well).
pub(super) fn check(nodes: &[Definition]) -> Result<Checked, Vec<FlowDefect>> {
    let mut defects = Vec::new();
    let mut places = HashMap::with_capacity(nodes.len());
    for (place, node) in nodes.iter().enumerate() {
        if places.insert(node.node.as_str().to_owned(), place).is_some() {
            defects.push(FlowDefect::DuplicateNode { node: node.node.clone() });
        }
        check_node(node, &mut defects);
    }
    if nodes.is_empty() {
        defects.push(FlowDefect::Empty);
    }
    let mut graph = Graph::default();
    for (from, node) in nodes.iter().enumerate() {
        graph.onward.push(Vec::new());
        graph.back.resize(nodes.len(), Vec::new());
        for edge in &node.edges {
            let Some(to) = edge.node() else {
                graph.ends.push(from);
                continue;
            };
            match places.get(to) {
                Some(to) => graph.add(from, *to, edge.limit().is_some()),
                None => defects.push(FlowDefect::UnknownNode {
                    node: node.node.clone(),
                    on: edge.on.to_string(),
                    to: to.to_owned(),
                }),
            }
        }
    }
    if !defects.is_empty() {
        return Err(defects);
    }
    let name = |place: usize| nodes.get(place).map(|node| node.node.clone());
    let start = if nodes.is_empty() { Vec::new() } else { vec![0] };
    let lost = unseen(&Graph::seen(&graph.onward, start)).into_iter().filter_map(name);
    defects.extend(lost.map(|node| FlowDefect::Unreachable { node }));
    let stuck = unseen(&Graph::seen(&graph.back, graph.ends.clone())).into_iter().filter_map(name);
    defects.extend(stuck.map(|node| FlowDefect::NoWayToEnd { node }));
    let endless: Vec<_> = graph.endless().into_iter().filter_map(name).collect();
    if !endless.is_empty() {
        defects.push(FlowDefect::EndlessLoop { nodes: endless });
    }
    if defects.is_empty() { Ok((places, graph.looped())) } else { Err(defects) }
}

fn check_node(node: &Definition, defects: &mut Vec<FlowDefect>) {
    let zero = |what| FlowDefect::Zero { node: node.node.clone(), what };
    if node.retry().count() == 0 {
        defects.push(zero("the number of attempts"));
    }
    if node.edges.iter().any(|edge| edge.limit() == Some(0)) {
        defects.push(zero("the limit of an edge"));
    }
    let mut kinds = HashSet::new();
    for edge in &node.edges {
        if !kinds.insert((on(&edge.on), matches!(edge.goal, Goal::Again(..)))) {
            let (node, on) = (node.node.clone(), edge.on.to_string());
            defects.push(FlowDefect::DuplicateEdge { node, on });
        }
    }
}

fn on(on: &On) -> Option<&Signal> {
    match on {
        On::Signal(signal) => Some(signal),
        On::Failure => None,
    }
}

fn unseen(seen: &[bool]) -> Vec<usize> {
    seen.iter().enumerate().filter(|(_, seen)| !**seen).map(|(place, _)| place).collect()
}

/// Nodes by their places.
#[derive(Default)]
struct Graph {
    onward: Vec<Vec<usize>>,
    back: Vec<Vec<usize>>,
    /// The edges without a limit.
    unlimited: Vec<(usize, usize)>,
    limited: Vec<(usize, usize)>,
    /// Nodes with an edge to an end.
    ends: Vec<usize>,
}

impl Graph {
    fn add(&mut self, from: usize, to: usize, is_limited: bool) {
        if let Some(onward) = self.onward.get_mut(from) {
            onward.push(to);
        }
        if let Some(back) = self.back.get_mut(to) {
            back.push(from);
        }
        let edges = if is_limited { &mut self.limited } else { &mut self.unlimited };
        edges.push((from, to));
    }

    /// The nodes that can be reached.
    fn seen(edges: &[Vec<usize>], mut from: Vec<usize>) -> Vec<bool> {
        let mut seen = vec![false; edges.len()];
        while let Some(place) = from.pop() {
            let Some(seen) = seen.get_mut(place) else { continue };
            if !std::mem::replace(seen, true) {
                from.extend(edges.get(place).into_iter().flatten());
            }
        }
        seen
    }

    /// A loop that has no edge with a limit, if there is one: its nodes in their order.
    fn endless(&self) -> Vec<usize> {
        let mut incoming = vec![0_usize; self.onward.len()];
        let mut onward = vec![Vec::new(); self.onward.len()];
        for &(from, to) in &self.unlimited {
            if let (Some(incoming), Some(onward)) = (incoming.get_mut(to), onward.get_mut(from)) {
                *incoming += 1;
                onward.push(to);
            }
        }
        // Nodes that nothing leads to are taken away, one after the other. Something leads to each that
        // stays, so who goes back along these edges comes by one node twice.
        let mut free = unseen(&incoming.iter().map(|count| *count > 0).collect::<Vec<_>>());
        let mut stays = vec![true; self.onward.len()];
        while let Some(place) = free.pop() {
            if let Some(stays) = stays.get_mut(place) {
                *stays = false;
            }
            for &to in onward.get(place).into_iter().flatten() {
                let Some(count) = incoming.get_mut(to) else { continue };
                *count -= 1;
                if *count == 0 {
                    free.push(to);
                }
            }
        }
        let stays_at = |place: &usize| stays.get(*place).copied().unwrap_or_default();
        let before: HashMap<usize, usize> = self
            .unlimited
            .iter()
            .filter(|(from, _)| stays_at(from))
            .map(|(from, to)| (*to, *from))
            .collect();
        let mut at = (0..stays.len()).find(stays_at);
        let (mut path, mut seen) = (Vec::new(), HashSet::new());
        while let Some(place) = at.filter(|place| seen.insert(*place)) {
            path.push(place);
            at = before.get(&place).copied();
        }
        let mut endless =
            path.split_off(path.iter().position(|place| Some(*place) == at).unwrap_or(path.len()));
        endless.reverse();
        endless
    }

    /// The nodes of loops. Every loop has an edge with a limit, so they lie between where one leads and where
    /// it leaves.
    fn looped(&self) -> Vec<bool> {
        let mut looped = vec![false; self.onward.len()];
        for &(from, to) in &self.limited {
            let after = Self::seen(&self.onward, vec![to]);
            let before = Self::seen(&self.back, vec![from]);
            if !after.get(from).copied().unwrap_or_default() {
                continue;
            }
            for ((looped, after), before) in looped.iter_mut().zip(after).zip(before) {
                *looped |= after && before;
            }
        }
        looped
    }
}
