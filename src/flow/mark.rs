//! What stands in the records with which a flow's step begins.

use serde::{Deserialize, Serialize};

use super::FlowDefinition;
use super::edge::On;
use super::walk::Visit;
use crate::context::RunContext;
use crate::id::{EventId, StepName};
use crate::journal::Record;
use crate::json;
use crate::step::{Origin, Signal};

/// Stands in the metadata of the records with which a flow's step begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mark {
    flow: StepName,
    /// The node that led to this one, unless it is the first, or tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<StepName>,
    /// Which turn of it, if not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn: Option<u64>,
    /// The signal that did; none where the node failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<Signal>,
    /// How often the edge was taken, if it is one that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) again: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
}

impl Mark {
    /// That of a record that this flow began a step with. What does not read as a mark is somebody else's.
    pub(super) fn of(flow: &FlowDefinition, record: &Record) -> Option<Self> {
        record.metadata_json()?;
        record.metadata::<Self>().ok().filter(|mark| mark.flow == *flow.name())
    }

    /// The turn that completed and led to the step, and its signal.
    pub(super) fn completed(&self) -> Option<(&StepName, u64, &Signal)> {
        Some((self.from.as_ref()?, self.turn.unwrap_or(1), self.signal.as_ref()?))
    }

    pub(super) fn new(flow: &FlowDefinition, ctx: &RunContext) -> Self {
        let traceparent = ctx.traceparent().map(str::to_owned);
        let flow = flow.name().clone();
        Self { flow, from: None, turn: None, signal: None, again: None, traceparent }
    }

    /// That the end of this visit led to the step.
    pub(super) fn behind(mut self, from: &Visit, on: &On, again: Option<u64>) -> Self {
        self.from = Some(from.node.clone());
        self.turn = Some(from.turn).filter(|turn| *turn > 1);
        self.signal = match on {
            On::Signal(signal) => Some(signal.clone()),
            On::Failure => None,
        };
        self.again = again;
        self
    }

    /// What stands in the records of a step that follows this one.
    pub(super) fn origin(&self, causation: Option<EventId>) -> Origin {
        // Texts and numbers are always JSON.
        let metadata = json::on_one_line(self).unwrap_or_else(|_| "{}".to_owned());
        Origin { causation, metadata }
    }
}
