//! Where a flow stands, as it is shown.

use runjournal::{
    FlowNext, FlowNode, FlowStand, FlowState, FlowVisit, Outcome, RunStatus, Signal, StepName,
    Timestamp,
};
use serde::Serialize;

use super::error::CliError;
use super::output::Output;

/// Where a flow stands.
#[derive(Serialize)]
pub(crate) struct FlowPage {
    run: String,
    flow: StepName,
    status: RunStatus,
    reason: Option<String>,
    /// Who works on the task now.
    holder: Option<String>,
    at: Option<VisitLine>,
    next: Option<NextLine>,
    nodes: Vec<NodeLine>,
}

#[derive(Serialize)]
struct VisitLine {
    node: StepName,
    turn: u64,
    attempt: u64,
    /// `running`, `interrupted`, `completed` or `failed`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<Signal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    since: Timestamp,
}

/// What comes next: a node, an end, or an error.
#[derive(Serialize)]
#[serde(untagged)]
enum NextLine {
    Node {
        node: StepName,
        turn: u64,
    },
    End {
        end: Outcome,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Error {
        error: String,
    },
}

#[derive(Serialize)]
struct NodeLine {
    node: StepName,
    visits: u64,
    attempts: u64,
    last_signal: Option<Signal>,
    last_error: Option<String>,
    last_ended_at: Option<Timestamp>,
}

impl FlowPage {
    pub(crate) fn of(run: String, state: FlowState) -> Self {
        Self {
            run,
            flow: state.definition().name().clone(),
            status: state.status,
            reason: state.reason,
            holder: state.holder,
            at: state.at.map(VisitLine::of),
            next: state.next.and_then(NextLine::of),
            nodes: state.nodes.into_iter().map(NodeLine::of).collect(),
        }
    }

    /// The flow, and where it stands, in a line.
    pub(crate) fn line(&self) -> String {
        let place = if self.at.is_some() { format!("; {}", self.place()) } else { String::new() };
        format!("{}{place}", self.flow)
    }

    /// Where it stands.
    fn place(&self) -> String {
        let Some(at) = &self.at else { return String::new() };
        let turn = if at.turn > 1 { format!(", turn {}", at.turn) } else { String::new() };
        format!("{}{turn}, attempt {}: {}", at.node, at.attempt, at.told())
    }

    fn next(&self) -> String {
        match &self.next {
            None => String::new(),
            Some(NextLine::Node { node, turn }) => {
                let is_same =
                    self.at.as_ref().is_some_and(|at| (&at.node, at.turn) == (node, *turn));
                let again = if is_same { ", again" } else { "" };
                let turn = if *turn > 1 { format!(", turn {turn}") } else { String::new() };
                format!("{node}{turn}{again}")
            }
            Some(NextLine::End { end, reason }) => {
                let reason = reason.as_ref().map(|reason| format!(": {reason}"));
                format!("the end, {}{}", RunStatus::from(*end), reason.unwrap_or_default())
            }
            Some(NextLine::Error { error }) => format!("an error: {error}"),
        }
    }
}

impl VisitLine {
    fn of(visit: FlowVisit) -> Self {
        let (state, signal, error) = match visit.stand {
            FlowStand::Running => ("running", None, None),
            FlowStand::Interrupted => ("interrupted", None, None),
            FlowStand::Completed(signal) => ("completed", Some(signal), None),
            FlowStand::Failed(error) => ("failed", None, Some(error)),
            _ => ("", None, None),
        };
        let FlowVisit { node, turn, attempt, since, .. } = visit;
        Self { node, turn, attempt, state, signal, error, since }
    }

    fn told(&self) -> String {
        match (&self.signal, &self.error) {
            (Some(signal), _) => format!("completed with {signal}"),
            (None, Some(error)) => format!("failed: {error}"),
            (None, None) => self.state.to_owned(),
        }
    }
}

impl NextLine {
    fn of(next: FlowNext) -> Option<Self> {
        match next {
            FlowNext::Node { node, turn } => Some(Self::Node { node, turn }),
            FlowNext::End { outcome, reason } => Some(Self::End { end: outcome, reason }),
            FlowNext::Stops(error) => Some(Self::Error { error }),
            _ => None,
        }
    }
}

impl NodeLine {
    fn of(node: FlowNode) -> Self {
        let FlowNode { node, visits, attempts, last_signal, last_error, last_ended_at, .. } = node;
        Self { node, visits, attempts, last_signal, last_error, last_ended_at }
    }

    fn state(&self, at: Option<&VisitLine>) -> &'static str {
        match (at, &self.last_signal, &self.last_error) {
            (Some(at), ..) if at.node == self.node => at.state,
            (_, Some(_), _) => "completed",
            (_, None, Some(_)) => "failed",
            (_, None, None) => "",
        }
    }
}

pub(crate) fn show(page: &FlowPage, output: &mut Output) -> Result<(), CliError> {
    output.page(&[
        ("run", page.run.clone()),
        ("flow", page.flow.to_string()),
        ("status", page.status.to_string()),
        ("reason", page.reason.clone().unwrap_or_default()),
        ("at", page.place()),
        ("since", page.at.as_ref().map(|at| output.at(at.since)).unwrap_or_default()),
        ("next", page.next()),
        ("held by", page.holder.clone().unwrap_or_default()),
    ])?;
    output.line("")?;
    let row = |node: &NodeLine| {
        let signal = node.last_signal.as_ref().map(ToString::to_string);
        [
            node.node.to_string(),
            node.state(page.at.as_ref()).to_owned(),
            node.visits.to_string(),
            node.attempts.to_string(),
            node.last_ended_at.map(|at| output.ago(at)).unwrap_or_default(),
            signal.or_else(|| node.last_error.clone()).unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = page.nodes.iter().map(row).collect();
    output.table(["NODE", "STATE", "VISITS", "ATTEMPTS", "ENDED", "LAST SIGNAL OR ERROR"], &rows)
}
