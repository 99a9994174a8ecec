//! Where a flow goes from a node.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::ArtifactName;
use crate::status::Outcome;
use crate::step::Signal;
use crate::workspace::Completion;

/// Where an edge leads: to a node, by its name, or to the end of the run, by its [`Outcome`] or a
/// [`Completion`] with the reports that the end requires.
#[derive(Debug, Clone)]
pub struct Target(pub(super) Goal);

impl From<&str> for Target {
    fn from(node: &str) -> Self {
        Self(Goal::Node(node.to_owned()))
    }
}

impl From<String> for Target {
    fn from(node: String) -> Self {
        Self(Goal::Node(node))
    }
}

impl From<Outcome> for Target {
    fn from(outcome: Outcome) -> Self {
        let completion = match outcome {
            Outcome::Success => Completion::success(),
            Outcome::Failed => Completion::failure(),
        };
        Self(Goal::End(completion))
    }
}

impl From<Completion> for Target {
    fn from(completion: Completion) -> Self {
        Self(Goal::End(completion))
    }
}

/// What lies behind an edge.
#[derive(Debug, Clone)]
pub(super) enum Goal {
    Node(String),
    /// A node that was visited before, at most so many times by this edge in one run.
    Again(String, u64),
    End(Completion),
}

/// What takes an edge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum On {
    Signal(Signal),
    /// The visit failed, and all attempts are used up.
    Failure,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            On::Signal(signal) => write!(f, "{:?}", signal.as_str()),
            On::Failure => f.write_str("failure"),
        }
    }
}

/// An edge from a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Row", into = "Row")]
pub(super) struct Edge {
    pub(super) on: On,
    pub(super) goal: Goal,
}

impl Edge {
    pub(super) fn new(on: On, target: Target) -> Self {
        Self { on, goal: target.0 }
    }

    /// The node that it leads to, if it is no end.
    pub(super) fn node(&self) -> Option<&str> {
        match &self.goal {
            Goal::Node(node) | Goal::Again(node, _) => Some(node),
            Goal::End(_) => None,
        }
    }

    /// How often it may be taken, where somebody counts.
    pub(super) fn limit(&self) -> Option<u64> {
        match self.goal {
            Goal::Again(_, limit) => Some(limit),
            Goal::Node(_) | Goal::End(_) => None,
        }
    }
}

/// An edge as it is written in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<Signal>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    on_failure: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    again: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    require: Vec<ArtifactName>,
}

impl From<Edge> for Row {
    fn from(edge: Edge) -> Self {
        let (on, on_failure) = match edge.on {
            On::Signal(signal) => (Some(signal), false),
            On::Failure => (None, true),
        };
        let (to, again, limit, end) = (None, None, None, None);
        let row = Self { on, on_failure, to, again, limit, end, reason: None, require: Vec::new() };
        match edge.goal {
            Goal::Node(node) => Self { to: Some(node), ..row },
            Goal::Again(node, limit) => Self { again: Some(node), limit: Some(limit), ..row },
            Goal::End(completion) => Self {
                end: Some(completion.outcome()),
                reason: completion.reason().map(str::to_owned),
                require: completion.required().to_vec(),
                ..row
            },
        }
    }
}

impl TryFrom<Row> for Edge {
    type Error = &'static str;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let on = match (row.on, row.on_failure) {
            (Some(signal), false) => On::Signal(signal),
            (None, true) => On::Failure,
            _ => return Err("an edge has either `on` with a signal, or `on_failure` with true"),
        };
        if row.end.is_none() && (row.reason.is_some() || !row.require.is_empty()) {
            return Err("only an edge with `end` has `reason` and `require`");
        }
        if on == On::Failure && row.again.is_some() {
            return Err(
                "an edge with `on_failure` goes `to` a node or to an `end`, and `retry` tries a node again",
            );
        }
        let goal = match (row.to, row.again, row.limit, row.end) {
            (Some(node), None, None, None) => Goal::Node(node),
            (None, Some(node), Some(limit), None) => Goal::Again(node, limit),
            (None, None, None, Some(outcome)) => {
                let Target(goal) = outcome.into();
                let Goal::End(mut completion) = goal else { return Ok(Self { on, goal }) };
                if let Some(reason) = row.reason {
                    completion = completion.because(reason);
                }
                Goal::End(row.require.into_iter().fold(completion, Completion::require))
            }
            _ => {
                return Err("an edge has one of `to` with a node, `again` with a node and its \
                            `limit`, and `end` with SUCCESS or FAILED");
            }
        };
        Ok(Self { on, goal })
    }
}
