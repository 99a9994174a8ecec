//! Where a flow stands, for people and programs that look at it.

use std::collections::HashMap;

use super::hold::holder;
use super::next::Next;
use super::walk::{Stand, Told, Walk};
use super::{FlowDefinition, FlowError};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::id::StepName;
use crate::status::{Outcome, RunStatus};
use crate::step::{LastAttempt, Signal, is_alive};

/// Where a flow stands in a run: what its journal says, and who is at it. Its size is that of the flow.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FlowState {
    /// The state of the run.
    pub status: RunStatus,
    /// How the run ended, if it did.
    pub outcome: Option<Outcome>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// The last visit of a node; `None` before the first one.
    pub at: Option<FlowVisit>,
    /// What comes next, if somebody runs the flow; `None` where the run ended, or an attempt runs, whose
    /// signal will say it.
    pub next: Option<FlowNext>,
    /// Who works on the run's task now: who runs a flow there, in whichever run, or has a lease of its own.
    pub holder: Option<String>,
    /// The nodes in the order of the definition.
    pub nodes: Vec<FlowNode>,
    definition: FlowDefinition,
}

/// The last visit of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowVisit {
    /// The node; perhaps one that only another version of the flow has.
    pub node: StepName,
    /// Which turn of it this is, from 1.
    pub turn: u64,
    /// The last attempt, counted as the journal does: through all turns.
    pub attempt: u64,
    /// How that went.
    pub stand: FlowStand,
    /// When it was begun or, once it ended, when it ended.
    pub since: Timestamp,
}

/// How the last attempt of a visit went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlowStand {
    /// The process that began it is alive.
    Running,
    /// It did not end, and its process is gone.
    Interrupted,
    /// It completed with this signal: the flow is between two nodes, or before its end.
    Completed(Signal),
    /// It failed; the error's first line.
    Failed(String),
}

/// What a flow does next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlowNext {
    /// It visits a node, or tries it again.
    Node {
        /// The node.
        node: StepName,
        /// The turn.
        turn: u64,
    },
    /// It ends the run.
    End {
        /// How.
        outcome: Outcome,
        /// Why, if the edge says so.
        reason: Option<String>,
    },
    /// It stops with this error: no edge says where to go.
    Stops(String),
}

/// What became of a node so far.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowNode {
    /// The node.
    pub node: StepName,
    /// How often it was visited.
    pub visits: u64,
    /// How often it was tried, in all visits.
    pub attempts: u64,
    /// The signal of the last attempt that ended, if that completed.
    pub last_signal: Option<Signal>,
    /// The first line of its error, if it failed.
    pub last_error: Option<String>,
    /// When it ended.
    pub last_ended_at: Option<Timestamp>,
}

impl FlowNode {
    fn new(node: StepName) -> Self {
        let (last_signal, last_error, last_ended_at) = (None, None, None);
        Self { node, visits: 0, attempts: 0, last_signal, last_error, last_ended_at }
    }
}

impl FlowState {
    /// The flow itself.
    #[must_use]
    pub fn definition(&self) -> &FlowDefinition {
        &self.definition
    }
}

impl FlowDefinition {
    /// Where this flow stands in a run. It reads the whole journal, in memory of the size of the flow, then
    /// looks who is at it. Takes no lock that anybody waits for, and writes nothing.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = runjournal::Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// use runjournal::{Flow, FlowDefinition, FlowStand, Outcome, Signal, StepContext};
    ///
    /// let flow = Flow::new("checks")
    ///     .node("test", |_: &StepContext| Ok(Signal::new("passed")))
    ///     .on("passed", Outcome::Success)
    ///     .build()?;
    /// flow.run(&ctx)?;
    ///
    /// // Whoever looks has no need of the code: the journal holds the flow.
    /// let flow = FlowDefinition::recorded(&ctx)?.ok_or("no flow was started")?;
    /// let state = flow.state(&ctx)?;
    /// assert_eq!(state.outcome, Some(Outcome::Success));
    /// assert_eq!(state.at.map(|at| at.stand), Some(FlowStand::Completed("passed".into())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the journal, the task or its lease cannot be read.
    pub fn state(&self, ctx: &RunContext) -> Result<FlowState, FlowError> {
        let mut reading = Reading::default();
        for record in ctx.events()? {
            let record = record?;
            if let Some(told) = reading.walk.apply(self, &record)? {
                let number = LastAttempt::of(&record)?.map_or(0, |last| last.number);
                reading.count(told, number, record.occurred_at());
            }
        }
        reading.state(self, ctx)
    }
}

/// A journal that is read for those who look.
#[derive(Default)]
struct Reading {
    walk: Walk,
    nodes: HashMap<String, FlowNode>,
    attempt: u64,
    since: Option<Timestamp>,
    /// Why the last attempt failed.
    error: String,
}

impl Reading {
    fn count(&mut self, told: Told, attempt: u64, at: Timestamp) {
        let Some(visit) = &self.walk.visit else { return };
        let new = || FlowNode::new(visit.node.clone());
        let node = self.nodes.entry(visit.node.as_str().to_owned()).or_insert_with(new);
        (self.attempt, self.since) = (attempt, Some(at));
        let (signal, error) = match told {
            Told::Begun { is_new } => {
                node.attempts = node.attempts.saturating_add(1);
                node.visits = node.visits.saturating_add(u64::from(is_new));
                return;
            }
            Told::Completed(signal) => (Some(signal), None),
            Told::Failed(error) => {
                self.error.clone_from(&error);
                (None, Some(error))
            }
        };
        (node.last_signal, node.last_error, node.last_ended_at) = (signal, error, Some(at));
    }

    fn state(mut self, flow: &FlowDefinition, ctx: &RunContext) -> Result<FlowState, FlowError> {
        let at = self.visit(ctx)?;
        let is_running = at.as_ref().is_some_and(|at| at.stand == FlowStand::Running);
        let is_over = self.walk.ended.is_some();
        let next = (!is_running && !is_over).then(|| next(flow, &self.walk)).flatten();
        let (outcome, reason) = self.walk.ended.take().map(|end| (end.status, end.reason)).unzip();
        let mut of = |node: &StepName| {
            self.nodes.remove(node.as_str()).unwrap_or_else(|| FlowNode::new(node.clone()))
        };
        let nodes = flow.nodes().map(&mut of).collect();
        Ok(FlowState {
            status: outcome.map_or(self.walk.status, RunStatus::from),
            outcome,
            reason: reason.flatten(),
            at,
            next,
            holder: if is_over { None } else { holder(ctx)? },
            nodes,
            definition: flow.clone(),
        })
    }

    fn visit(&self, ctx: &RunContext) -> Result<Option<FlowVisit>, FlowError> {
        let (Some(visit), Some(since)) = (&self.walk.visit, self.since) else { return Ok(None) };
        let stand = match &visit.stand {
            Stand::Open if is_alive(ctx, visit.record)? => FlowStand::Running,
            Stand::Open => FlowStand::Interrupted,
            Stand::Completed(signal) => FlowStand::Completed(signal.clone()),
            Stand::Failed { .. } => FlowStand::Failed(self.error.clone()),
        };
        let (node, turn) = (visit.node.clone(), visit.turn);
        Ok(Some(FlowVisit { node, turn, attempt: self.attempt, stand, since }))
    }
}

/// What a call would do now.
fn next(flow: &FlowDefinition, walk: &Walk) -> Option<FlowNext> {
    Some(match flow.next(walk, false) {
        Ok(Next::Enter { place, turn, .. }) => {
            FlowNext::Node { node: flow.nodes.get(place)?.node.clone(), turn }
        }
        // Only a call that made an attempt fails.
        Ok(Next::Again { .. } | Next::Fail) => {
            let visit = walk.visit.as_ref()?;
            FlowNext::Node { node: visit.node.clone(), turn: visit.turn }
        }
        Ok(Next::End(completion)) => FlowNext::End {
            outcome: completion.outcome(),
            reason: completion.reason().map(str::to_owned),
        },
        Err(error) => FlowNext::Stops(error.to_string()),
    })
}
