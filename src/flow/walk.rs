//! Where a flow stands, from the journal alone: the step that it started last, and how that ended.

use std::collections::{BTreeMap, HashMap};

use super::FlowDefinition;
use super::edge::On;
use super::mark::Mark;
use crate::context::RunContext;
use crate::id::{EventId, StepName};
use crate::journal::{JournalError, Record, types};
use crate::status::{Completed, Moved, RunStatus};
use crate::step::{LastAttempt, Progress, Signal};

/// How the last attempt of a visit went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    /// It did not end, as far as the journal says.
    Open,
    Completed(Signal),
    /// Perhaps because the flow was told to end.
    Failed {
        cancelled: bool,
    },
}

/// A visit of a node.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub(super) node: StepName,
    pub(super) turn: u64,
    /// Attempts that failed; not those whose process died, or that ended because the flow was told to.
    pub(super) failures: u64,
    pub(super) stand: Stand,
    /// The record that says how it stands.
    pub(super) record: EventId,
}

/// An edge that is counted: from, signal, to.
type Edge = (String, Signal, String);

/// Where a flow stands in a run. Its size is that of the flow, not of the journal.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The last visit.
    pub(super) visit: Option<Visit>,
    /// The last turn of each node that completed: one that failed is to be done again.
    turns: HashMap<String, u64>,
    /// How often each edge was taken.
    taken: BTreeMap<Edge, u64>,
    pub(super) status: RunStatus,
    pub(super) ended: Option<Completed>,
}

/// What a record says of a flow's visits.
pub(super) enum Told {
    /// An attempt was begun: the first of a visit, or one more.
    Begun {
        is_new: bool,
    },
    Completed(Signal),
    /// The error's first line.
    Failed(String),
}

impl Walk {
    /// Reads the whole journal once.
    pub(super) fn read(flow: &FlowDefinition, ctx: &RunContext) -> Result<Self, JournalError> {
        let mut walk = Self::default();
        for record in ctx.events()? {
            walk.apply(flow, &record?)?;
        }
        Ok(walk)
    }

    /// What the record adds; the visit that it is about is the last one then.
    pub(super) fn apply(
        &mut self,
        flow: &FlowDefinition,
        record: &Record,
    ) -> Result<Option<Told>, JournalError> {
        match record.event_type() {
            types::RUN_STATUS_CHANGED => self.status = record.payload::<Moved>()?.to,
            types::EXECUTION_COMPLETE => self.ended = Some(record.payload()?),
            types::STEP_STARTED => {
                let Some(mark) = Mark::of(flow, record) else { return Ok(None) };
                self.count(&mark, record.stream_id());
                let node = StepName::new(record.stream_id());
                if let (Some(last), Ok(node)) = (LastAttempt::of(record)?, node) {
                    return Ok(Some(self.begun(node, last.turn, last.record)));
                }
            }
            types::STEP_COMPLETED | types::STEP_FAILED
                if self.visit.as_ref().is_some_and(|at| at.node.as_str() == record.stream_id()) =>
            {
                let turn = self.visit.as_ref().map(|at| at.turn);
                let last = LastAttempt::of(record)?.filter(|last| Some(last.turn) == turn);
                return Ok(last.and_then(|last| self.end_of(last)));
            }
            _ => {}
        }
        Ok(None)
    }

    fn end_of(&mut self, last: LastAttempt) -> Option<Told> {
        match last.progress {
            Progress::Open => None,
            Progress::Completed(completed) => {
                self.ended(last.record, Stand::Completed(completed.signal.clone()));
                Some(Told::Completed(completed.signal))
            }
            Progress::Failed(failed) => {
                self.ended(last.record, Stand::Failed { cancelled: failed.cancelled });
                Some(Told::Failed(failed.error.into_iter().next().unwrap_or_default()))
            }
        }
    }

    /// Counts what led to a step.
    pub(super) fn count(&mut self, mark: &Mark, to: &str) {
        let Some((from, turn, signal)) = mark.completed() else { return };
        // Also where somebody did it who is no flow, and left no mark.
        let last = self.turns.entry(from.as_str().to_owned()).or_default();
        *last = turn.max(*last);
        if let Some(times) = mark.again {
            let edge = (from.as_str().to_owned(), signal.clone(), to.to_owned());
            self.taken.insert(edge, times);
        }
    }

    /// An attempt was begun.
    pub(super) fn begun(&mut self, node: StepName, turn: u64, record: EventId) -> Told {
        let before = self.visit.take().filter(|at| (&at.node, at.turn) == (&node, turn));
        let is_new = before.is_none();
        let failures = before.map_or(0, |at| at.failures);
        self.visit = Some(Visit { node, turn, failures, stand: Stand::Open, record });
        Told::Begun { is_new }
    }

    /// It ended.
    pub(super) fn ended(&mut self, record: EventId, stand: Stand) {
        if let Some(visit) = &mut self.visit {
            if let Stand::Completed(_) = stand {
                self.turns.insert(visit.node.as_str().to_owned(), visit.turn);
            } else if stand == (Stand::Failed { cancelled: false }) {
                visit.failures = visit.failures.saturating_add(1);
            }
            (visit.stand, visit.record) = (stand, record);
        }
    }

    /// How often a counted edge was taken.
    pub(super) fn taken(&self, from: &StepName, on: &On, to: &str) -> u64 {
        let On::Signal(signal) = on else { return 0 };
        let edge = (from.as_str().to_owned(), signal.clone(), to.to_owned());
        self.taken.get(&edge).copied().unwrap_or_default()
    }

    /// The turn of the next visit.
    pub(super) fn next_turn(&self, node: &StepName) -> u64 {
        self.turns.get(node.as_str()).map_or(1, |turn| turn.saturating_add(1))
    }
}
