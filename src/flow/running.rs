//! A flow that runs: what follows from where it stands, and doing it.

use std::time::{Duration, Instant};

use super::definition::{Definition, Route};
use super::edge::On;
use super::hold::Hold;
use super::walk::{Mark, Stand, Visit, Walk};
use super::{Flow, FlowDefinition, FlowError};
use crate::id::EventId;
use crate::status::{Outcome, RunStatus};
use crate::step::{Cancel, Done, StepFailure, give_up};
use crate::workspace::Completion;

/// How often a pause looks for a wish to end.
const LOOK: Duration = Duration::from_millis(50);

/// A flow that runs.
pub(super) struct Running<'a> {
    flow: &'a Flow,
    cancel: &'a Cancel,
    hold: &'a Hold,
    walk: Walk,
    /// How the last attempt failed, if this call made it.
    failure: Option<StepFailure>,
}

/// What a flow does next.
enum Next {
    Try(Try),
    End(Completion),
}

/// An attempt of a visit.
struct Try {
    place: usize,
    turn: u64,
    mark: Mark,
    causation: Option<EventId>,
    /// How long it waits.
    pause: Duration,
}

impl<'a> Running<'a> {
    pub(super) fn new(flow: &'a Flow, cancel: &'a Cancel, hold: &'a Hold, walk: Walk) -> Self {
        Self { flow, cancel, hold, walk, failure: None }
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
            match self.next()? {
                Next::End(completion) => return self.end(&completion),
                Next::Try(next) if self.waited(next.pause) => self.attempt(&next)?,
                Next::Try(_) => {}
            }
        }
    }

    fn definition(&self) -> &'a FlowDefinition {
        self.flow.definition()
    }

    /// What follows from where the flow stands.
    fn next(&mut self) -> Result<Next, FlowError> {
        let Some(visit) = self.walk.visit.clone() else {
            let mark = Mark::new(self.definition(), &self.hold.ctx);
            return Ok(self.enter(0, mark, None));
        };
        let (place, node) = self.place_of(&visit)?;
        let (retry, on_failure) = (node.retry(), On::Failure);
        let is_routed = !matches!(self.route(place, &visit, &on_failure), Route::Nowhere);
        match &visit.stand {
            Stand::Completed(signal) => {
                let on = On::Signal(signal.clone());
                self.follow(place, &visit, &on)
            }
            Stand::Open if retry.is_used_up(visit.tries) && is_routed => {
                // Its process died in the last attempt that it had: the journal is to say so.
                let record = give_up(&self.hold.ctx, &visit.node).map_err(|e| self.refused(e))?;
                self.walk.ended(record, Stand::Failed);
                self.follow(place, &visit, &on_failure)
            }
            Stand::Failed if retry.is_used_up(visit.tries) && is_routed => {
                self.follow(place, &visit, &on_failure)
            }
            Stand::Failed if retry.is_used_up(visit.tries) => match self.failure.take() {
                Some(failure) => Err(failure.into()),
                // An earlier call gave up; this one tries as often again.
                None => Ok(self.again(place, &visit, Duration::ZERO)),
            },
            Stand::Failed if self.failure.is_some() => {
                Ok(self.again(place, &visit, retry.pause(visit.tries)))
            }
            Stand::Failed | Stand::Open => Ok(self.again(place, &visit, Duration::ZERO)),
        }
    }

    fn place_of(&self, visit: &Visit) -> Result<(usize, &'a Definition), FlowError> {
        let definition = self.definition();
        let place = definition.place(visit.node.as_str());
        let node = place.and_then(|place| Some((place, definition.nodes.get(place)?)));
        node.ok_or_else(|| FlowError::NoSuchNode {
            flow: definition.name().clone(),
            node: visit.node.clone(),
        })
    }

    fn route(&self, place: usize, visit: &Visit, on: &On) -> Route<'a> {
        self.definition().route(place, on, |to| self.walk.taken(&visit.node, on, to))
    }

    /// Where the end of a visit leads.
    fn follow(&self, place: usize, visit: &Visit, on: &On) -> Result<Next, FlowError> {
        let (flow, node) = (self.definition().name().clone(), visit.node.clone());
        let signal = match on {
            On::Signal(signal) => signal.clone(),
            On::Failure => "failure".into(),
        };
        match self.route(place, visit, on) {
            Route::Node { to, again } => {
                let mark = Mark::new(self.definition(), &self.hold.ctx);
                let mark = mark.behind(visit, on, again);
                Ok(self.enter(to, mark, Some(visit.record)))
            }
            Route::End(completion) => Ok(Next::End(completion.clone())),
            Route::Limit { to, limit } => {
                Err(FlowError::LoopLimit { flow, node, signal, to: to.to_owned(), limit })
            }
            Route::Nowhere => {
                let routed = self.definition().routed(place);
                Err(FlowError::Unrouted { flow, node, signal, routed })
            }
        }
    }

    /// The first attempt of a new visit.
    fn enter(&self, place: usize, mark: Mark, causation: Option<EventId>) -> Next {
        let definition = self.definition();
        // Also of a node that is in no loop any more, if another version of the flow came by it.
        let turn = definition.nodes.get(place).map_or(1, |node| self.walk.next_turn(&node.node));
        Next::Try(Try { place, turn, mark, causation, pause: Duration::ZERO })
    }

    /// One more attempt of a visit.
    fn again(&self, place: usize, visit: &Visit, pause: Duration) -> Next {
        let mark = Mark::new(self.definition(), &self.hold.ctx);
        Next::Try(Try { place, turn: visit.turn, mark, causation: Some(visit.record), pause })
    }

    fn attempt(&mut self, next: &Try) -> Result<(), FlowError> {
        let definition = self.definition();
        let (Some(at), Some(node)) = (definition.nodes.get(next.place), self.flow.node(next.place))
        else {
            return Ok(());
        };
        self.move_to(node.phase())?;
        let mut step =
            at.step().cancelled_by(self.cancel).led_to_by(next.mark.origin(next.causation));
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
            Done::Failed(failure, record) => {
                self.walk.begun(at.node.clone(), next.turn, record);
                self.walk.ended(record, Stand::Failed);
                self.failure = Some(failure);
            }
        }
        Ok(())
    }

    /// Moves the run to the state that it is in while a node works.
    fn move_to(&mut self, phase: RunStatus) -> Result<(), FlowError> {
        let phase = if phase.is_final() { RunStatus::Executing } else { phase };
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
            if self.cancel.is_cancelled() || self.hold.lost().is_some() {
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
