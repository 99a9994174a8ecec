//! A flow that runs: what follows from where it stands, and doing it.

use std::time::{Duration, Instant};

use super::hold::Hold;
use super::mark::Mark;
use super::next::{By, Next};
use super::walk::{Stand, Walk};
use super::{Flow, FlowDefinition, FlowError};
use crate::id::EventId;
use crate::status::{Outcome, RunStatus};
use crate::step::{Cancel, Done, StepFailure};
use crate::workspace::Completion;

/// How often a pause looks for a wish to end.
const LOOK: Duration = Duration::from_millis(50);

/// A flow that runs.
pub(super) struct Running<'a> {
    flow: &'a Flow,
    cancel: &'a Cancel,
    stop: &'a Cancel,
    /// Either of them: what a step is told by.
    either: Cancel,
    hold: &'a Hold,
    walk: Walk,
    /// How the last attempt failed, if this call made it.
    failure: Option<StepFailure>,
}

/// An attempt of a visit.
struct Try {
    place: usize,
    turn: u64,
    mark: Mark,
    causation: Option<EventId>,
}

impl<'a> Running<'a> {
    pub(super) fn new(
        flow: &'a Flow,
        cancel: &'a Cancel,
        stop: &'a Cancel,
        hold: &'a Hold,
        walk: Walk,
    ) -> Self {
        let either = cancel.or(stop);
        Self { flow, cancel, stop, either, hold, walk, failure: None }
    }

    pub(super) fn run(mut self) -> Result<Outcome, FlowError> {
        loop {
            if let Some(reason) = self.hold.lost() {
                let flow = self.definition().name().clone();
                return Err(FlowError::LeaseLost { flow, reason });
            }
            if self.cancel.is_cancelled() {
                return self.end(&Completion::failure().because("cancelled"));
            }
            if self.stop.is_cancelled() {
                return Err(FlowError::Stopped { flow: self.definition().name().clone() });
            }
            match self.definition().next(&self.walk, self.failure.is_some())? {
                Next::Enter { place, turn, by } => self.enter(place, turn, by)?,
                Next::Again { place, turn, pause } => {
                    if self.waited(pause) {
                        let causation = self.walk.visit.as_ref().map(|visit| visit.record);
                        self.attempt(&Try { place, turn, mark: self.mark(), causation })?;
                    }
                }
                Next::Fail => {
                    if let Some(failure) = self.failure.take() {
                        return Err(failure.into());
                    }
                }
                Next::End(completion) => return self.end(completion),
            }
        }
    }

    fn definition(&self) -> &'a FlowDefinition {
        self.flow.definition()
    }

    fn mark(&self) -> Mark {
        Mark::new(self.definition(), &self.hold.ctx)
    }

    /// The first attempt of a new visit.
    fn enter(&mut self, place: usize, turn: u64, by: Option<By>) -> Result<(), FlowError> {
        let (mut mark, mut causation) = (self.mark(), None);
        if let (Some(by), Some(visit)) = (by, &self.walk.visit) {
            mark = mark.behind(visit, &by.on, by.again);
            causation = Some(visit.record);
        }
        self.attempt(&Try { place, turn, mark, causation })
    }

    fn attempt(&mut self, next: &Try) -> Result<(), FlowError> {
        let definition = self.definition();
        let (Some(at), Some(node)) = (definition.nodes.get(next.place), self.flow.node(next.place))
        else {
            return Ok(());
        };
        self.move_to(at.phase())?;
        let mut step =
            at.step().cancelled_by(&self.either).led_to_by(next.mark.origin(next.causation));
        // A later turn also where the flow had a loop there when that was begun.
        if definition.is_looped(next.place) || next.turn > 1 {
            step = step.turn(next.turn);
        }
        self.failure = None;
        let done = self.hold.ctx.run_step(&step, |s| node.run(s)).map_err(|e| self.refused(e))?;
        self.walk.count(&next.mark, at.node.as_str());
        match done {
            Done::Completed(ended) => {
                self.walk.begun(at.node.clone(), next.turn, ended.record);
                self.walk.ended(ended.record, Stand::Completed(ended.signal));
            }
            Done::Failed { failure, record, cancelled } => {
                self.walk.begun(at.node.clone(), next.turn, record);
                self.walk.ended(record, Stand::Failed { cancelled });
                self.failure = Some(failure);
            }
        }
        Ok(())
    }

    /// Moves the run to the state that it is in while a node works.
    fn move_to(&mut self, phase: RunStatus) -> Result<(), FlowError> {
        while self.walk.status != phase {
            let is_next = self.walk.status.next().contains(&phase);
            let to = if is_next { phase } else { RunStatus::Executing };
            self.hold.ctx.run()?.set_status(to, None)?;
            self.walk.status = to;
        }
        Ok(())
    }

    fn end(&self, completion: &Completion) -> Result<Outcome, FlowError> {
        self.hold.ctx.run()?.complete_with(completion)?;
        Ok(completion.outcome())
    }

    /// Waits, unless somebody wants the flow to end.
    fn waited(&self, pause: Duration) -> bool {
        let begun = Instant::now();
        loop {
            let left = pause.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return true;
            }
            if self.either.is_cancelled() || self.hold.lost().is_some() {
                return false;
            }
            std::thread::sleep(left.min(LOOK));
        }
    }

    fn refused(&self, failure: StepFailure) -> FlowError {
        match failure {
            StepFailure::StepTaken { holder, .. } => {
                FlowError::already_running(self.definition(), &self.hold.ctx, holder)
            }
            other => other.into(),
        }
    }
}
