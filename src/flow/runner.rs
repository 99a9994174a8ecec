//! Running a flow: from where it stands, one visit after the other.

use std::time::Duration;

use super::hold::Hold;
use super::running::Running;
use super::walk::Walk;
use super::{Flow, FlowError};
use crate::context::RunContext;
use crate::journal::JournalError;
use crate::status::Outcome;
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
    /// seconds unless said otherwise. After a crash on this machine nobody has to wait for it.
    pub fn lease(mut self, ttl: Duration) -> Self {
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
    /// # Errors
    /// [`FlowError::AlreadyRunning`] where somebody runs a flow in the task; [`FlowError::Stopped`] where it was
    /// stopped;
    /// [`FlowError::Unrouted`] and [`FlowError::LoopLimit`] where no edge says where to go;
    /// [`FlowError::Step`] where a node failed and no edge is for that.
    pub fn run(self) -> Result<Outcome, FlowError> {
        let definition = self.flow.definition();
        let walk = Walk::read(definition, &self.ctx)?;
        if let Some(ended) = walk.ended {
            // Where it cannot be said, the lease ends with its time.
            let _ = Hold::clear(&self.ctx);
            return Ok(ended.status);
        }
        let hold = Hold::take(definition, &self.ctx, self.ttl)?;
        let ended = self.run_held(&hold);
        hold.release();
        match ended {
            Err(error) => self.unless_ended(self.told(error)),
            ended => ended,
        }
    }

    fn run_held(&self, hold: &Hold) -> Result<Outcome, FlowError> {
        let definition = self.flow.definition();
        // Bound before it is read: what stands now, nobody else changes.
        let walk = Walk::read(definition, &hold.ctx)?;
        definition.record(&hold.ctx)?;
        Running::new(self.flow, &self.cancel, &self.stop, hold, walk).run()
    }

    /// Whatever was refused since the lease is lost, that it is lost.
    fn told(&self, error: FlowError) -> FlowError {
        match &error {
            FlowError::Journal(lost @ JournalError::LeaseLost { .. })
            | FlowError::Step(StepFailure::Journal {
                source: lost @ JournalError::LeaseLost { .. },
                ..
            })
            | FlowError::Workspace(WorkspaceError::Journal(
                lost @ JournalError::LeaseLost { .. },
            )) => {
                let flow = self.flow.definition().name().clone();
                FlowError::LeaseLost { flow, reason: lost.to_string() }
            }
            _ => error,
        }
    }

    /// The error, unless the run was ended by somebody else meanwhile.
    fn unless_ended(&self, error: FlowError) -> Result<Outcome, FlowError> {
        let closed = matches!(
            &error,
            FlowError::Journal(JournalError::Closed { .. })
                | FlowError::Step(StepFailure::Journal { source: JournalError::Closed { .. }, .. })
                | FlowError::Workspace(
                    WorkspaceError::EndedOtherwise { .. }
                        | WorkspaceError::Journal(JournalError::Closed { .. })
                )
        );
        let ended =
            if closed { Walk::read(self.flow.definition(), &self.ctx)?.ended } else { None };
        ended.map(|ended| ended.status).ok_or(error)
    }
}
