//! Running a flow: from where it stands, one visit after the other.

use std::time::Duration;

use super::hold::Hold;
use super::running::Running;
use super::walk::Walk;
use super::{Flow, FlowError};
use crate::context::RunContext;
use crate::journal::{JournalError, Log, types};
use crate::status::{Completed, Outcome};
use crate::step::{Cancel, StepFailure};
use crate::workspace::WorkspaceError;

/// How long a lease holds without a sign of life.
const TTL: Duration = Duration::from_secs(60);

/// A flow that is to be run in a run.
#[must_use = "a flow does nothing until it is run"]
pub struct FlowRunner<'a> {
    flow: &'a Flow,
    ctx: RunContext,
    cancel: Cancel,
    stop: Cancel,
    ttl: Duration,
}

impl<'a> FlowRunner<'a> {
    pub(super) fn new(flow: &'a Flow, ctx: &RunContext) -> Self {
        let (cancel, stop) = (Cancel::new(), Cancel::new());
        Self { flow, ctx: ctx.clone(), cancel, stop, ttl: TTL }
    }

    /// What cancels it: before its next step, and in a step whose body asks
    /// [`StepContext::is_cancelled`](crate::StepContext::is_cancelled), as programs do. The run then **ends** as failed, for
    /// the reason `cancelled`, and nothing goes on with it. To go on later, see
    /// [`stopped_by`](FlowRunner::stopped_by).
    pub fn cancelled_by(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// What stops it, at the same places, and leaves the run **open**: [`run`](FlowRunner::run) returns
    /// [`FlowError::Stopped`], and the next call goes on from there. For Ctrl-C, and for a service that is shut
    /// down. An attempt that fails because of it is recorded as failed, and takes none of the node's attempts
    /// ([`Retry`](crate::Retry)) away. Where it is cancelled as well, it ends.
    pub fn stopped_by(mut self, stop: &Cancel) -> Self {
        self.stop = stop.clone();
        self
    }

    /// How long its lease holds without a sign of life, if its process is stopped or its machine dies; 60
    /// seconds unless said otherwise. After a crash on this machine nobody has to wait for it, unless the one that
    /// crashed had taken over from one that was stopped.
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Runs the flow from where it stands until it ends the run, and returns how that ended, also where it
    /// ended before.
    ///
    /// It holds the task's lease, so that nobody else writes to the task; a context that has a lease is used
    /// as it is. Each visit of a node is a step, durable when it ended. The process can be killed anywhere:
    /// the next call goes on with the step that had not completed. An error without an edge leaves the run
    /// open, and the next call tries that node again; whoever wants to write to it by hand meanwhile claims the
    /// task first, since its runs stay bound to the last lease.
    ///
    /// A process that is killed takes none of a node's attempts away; so a node that takes its process down each
    /// time is tried for ever, by whoever calls again. Flows do not nest: a node that runs one in its own task is
    /// told that it is running. What a node writes, it writes by its [`StepContext`](crate::StepContext): a
    /// context from outside is without the lease, and refused.
    ///
    /// # Errors
    /// [`FlowError::AlreadyRunning`] where somebody runs a flow in the task; [`FlowError::Stopped`] where it was
    /// stopped; [`FlowError::LeaseLost`] where somebody took the task over, and may go on with the run;
    /// [`FlowError::Unrouted`] and [`FlowError::LoopLimit`] where no edge says where to go, and
    /// [`FlowError::NoSuchNode`] where the run stands at a node that this flow does not have;
    /// [`FlowError::Step`] where a node failed and no edge is for that; [`FlowError::Workspace`] also where the
    /// end's required reports do not pass. What was refused by the disk or the journal stands as that.
    pub fn run(self) -> Result<Outcome, FlowError> {
        if let Some(outcome) = self.ended()? {
            // Where it cannot be said, the lease ends with its time.
            let _ = Hold::clear(&self.ctx);
            return Ok(outcome);
        }
        let hold = Hold::take(self.flow.definition(), &self.ctx, self.ttl)?;
        let ended = self.run_held(&hold);
        hold.release();
        match ended {
            Err(error) => match self.of_others(error) {
                (error, true) => self.ended()?.ok_or(error),
                (error, false) => Err(error),
            },
            ended => ended,
        }
    }

    fn run_held(&self, hold: &Hold) -> Result<Outcome, FlowError> {
        let definition = self.flow.definition();
        // Bound before it is read: what stands now, nobody else changes.
        let walk = Walk::read(definition, &hold.ctx)?;
        if walk.ended.is_some()
            && let Some(outcome) = self.ended()?
        {
            return Ok(outcome);
        }
        definition.record(&hold.ctx)?;
        Running::new(self.flow, &self.cancel, &self.stop, hold, walk).run()
    }

    /// How the run ended, if it did.
    fn ended(&self) -> Result<Option<Outcome>, FlowError> {
        let last = self.ctx.events()?.last(1)?.next().transpose()?;
        let Some(last) = last.filter(|last| last.event_type() == types::EXECUTION_COMPLETE) else {
            return Ok(None);
        };
        // Told of only once it is sure to stay: who ended it may have died before this.
        if Log::make_stay(&self.ctx.home())? {
            return self.ended();
        }
        Ok(Some(last.payload::<Completed>()?.status))
    }

    /// The error, and whether it comes of what others did: they took the task over, or ended the run.
    fn of_others(&self, error: FlowError) -> (FlowError, bool) {
        let refused = match &error {
            FlowError::LeaseLost { .. }
            | FlowError::Workspace(
                WorkspaceError::EndedOtherwise { .. } | WorkspaceError::IllegalRunMove { .. },
            ) => return (error, true),
            FlowError::Journal(refused)
            | FlowError::Step(StepFailure::Journal { source: refused, .. })
            | FlowError::Workspace(WorkspaceError::Journal(refused)) => refused,
            _ => return (error, false),
        };
        match refused {
            JournalError::Closed { .. } => (error, true),
            JournalError::LeaseLost { .. } => {
                let flow = self.flow.definition().name().clone();
                (FlowError::LeaseLost { flow, reason: refused.to_string() }, true)
            }
            _ => (error, false),
        }
    }
}
