//! Building a flow, node by node.

use std::sync::Arc;

use super::definition::{Definition, Draft};
use super::edge::{Edge, Goal, On};
use super::{Flow, FlowDefect, FlowDefects, FlowDefinition, Retry, Target};
use crate::id::StepName;
use crate::node::{Node, program_of};
use crate::status::RunStatus;
use crate::step::{Signal, Step};

/// A flow that is being put together: [`node`](FlowBuilder::node) adds a node, and what follows it, up to the
/// next one, belongs to it.
#[must_use = "a flow is there once it is built"]
pub struct FlowBuilder {
    name: String,
    definitions: Vec<Definition>,
    nodes: Vec<Arc<dyn Node>>,
    last: Last,
    defects: Vec<FlowDefect>,
}

/// The node that was added last.
enum Last {
    Nothing,
    /// It cannot be one; what belongs to it is passed over.
    Bad,
    Node,
}

impl FlowBuilder {
    pub(super) fn new(name: String) -> Self {
        let (definitions, nodes, defects) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, definitions, nodes, last: Last::Nothing, defects }
    }

    /// Adds a node, by its name or as a [`Step`] with configuration and inputs. The first one is where the
    /// flow starts. The steps of a flow are the flow's: one that somebody else completed before the flow comes
    /// to it is not run again, its signal counts, and the edge that led there is not counted.
    pub fn node(mut self, step: impl Into<Step>, node: impl Node + 'static) -> Self {
        self.last = Last::Bad;
        match definition(&step.into(), &node) {
            Ok(definition) => {
                self.definitions.push(definition);
                self.nodes.push(Arc::new(node));
                self.last = Last::Node;
            }
            Err(defect) => self.defects.push(defect),
        }
        self
    }

    /// Where the flow goes when the node completed with this signal: to a node, by its name, or to the end of
    /// the run, by its [`Outcome`](crate::Outcome) or a [`Completion`](crate::Completion).
    pub fn on(self, signal: impl Into<Signal>, target: impl Into<Target>) -> Self {
        self.edge("on", Edge::new(On::Signal(signal.into()), target.into()))
    }

    /// Where it goes back to with this signal, at most so many times in one run. After that it goes where
    /// [`on`](FlowBuilder::on) says for the same signal, or ends with an error.
    pub fn again(self, signal: impl Into<Signal>, node: impl Into<String>, limit: u64) -> Self {
        let goal = Goal::Again(node.into(), limit);
        self.edge("again", Edge { on: On::Signal(signal.into()), goal })
    }

    /// Where it goes when the node failed, or panicked, or an input was missing, and its attempts are used up.
    /// Without it, the run of the flow ends with that error, and the next one tries the node again.
    pub fn on_failure(self, target: impl Into<Target>) -> Self {
        self.edge("on_failure", Edge::new(On::Failure, target.into()))
    }

    /// How often the node is tried; once unless said otherwise.
    pub fn retry(self, retry: Retry) -> Self {
        self.change("retry", |node| node.retry = Some(retry))
    }

    /// Builds it.
    ///
    /// # Errors
    /// All that is wrong with it: names, edges to nowhere, nodes that no way leads to or that no end can be
    /// reached from, loops without a limit.
    pub fn build(self) -> Result<Flow, FlowDefects> {
        let mut defects = self.defects;
        let name = StepName::new(self.name.as_str());
        let name = name.map_err(|error| defects.insert(0, FlowDefect::BadName(error)));
        let (Ok(flow), true) = (name, defects.is_empty()) else {
            return Err(FlowDefects::new(&self.name, defects));
        };
        let definition = FlowDefinition::try_from(Draft { flow, nodes: self.definitions })?;
        Ok(Flow::of(definition, self.nodes))
    }

    fn edge(self, what: &'static str, edge: Edge) -> Self {
        self.change(what, |node| node.edges.push(edge))
    }

    fn change(mut self, what: &'static str, change: impl FnOnce(&mut Definition)) -> Self {
        match (&self.last, self.definitions.last_mut()) {
            (Last::Node, Some(node)) => change(node),
            (Last::Bad, _) => {}
            _ => self.defects.push(FlowDefect::NoNode { what }),
        }
        self
    }
}

fn definition(step: &Step, node: &impl Node) -> Result<Definition, FlowDefect> {
    let name = step.checked_name().map_err(FlowDefect::BadName)?;
    let node_name = || name.as_str().to_owned();
    if let Some(what) = step.of_one_call() {
        return Err(FlowDefect::NotItsOwn { node: node_name(), what });
    }
    let config = step.rendered_config(&name).map_err(|error| FlowDefect::BadConfig {
        node: node_name(),
        reason: std::error::Error::source(&error).unwrap_or(&error).to_string(),
    })?;
    Ok(Definition {
        phase: Some(node.phase()).filter(|phase| *phase != RunStatus::Executing),
        run: program_of(node).cloned(),
        config,
        inputs: step.inputs().to_vec(),
        skip_if_unchanged: step.skips_unchanged(),
        retry: None,
        edges: Vec::new(),
        node: name,
    })
}
