//! What follows from where a flow stands: for who runs it, and for who looks.

use std::time::Duration;

use super::definition::{Definition, Route};
use super::edge::On;
use super::walk::{Stand, Visit, Walk};
use super::{FlowDefinition, FlowError};
use crate::workspace::Completion;

/// What a flow does next.
pub(super) enum Next<'a> {
    /// The first attempt of a new visit.
    Enter {
        place: usize,
        turn: u64,
        by: Option<By>,
    },
    /// One more attempt of the last visit, after a pause.
    Again {
        place: usize,
        turn: u64,
        pause: Duration,
    },
    /// The last visit failed for good in this call, and no edge is for that.
    Fail,
    End(&'a Completion),
}

/// The edge that leads to a visit.
pub(super) struct By {
    pub(super) on: On,
    /// How often it was taken, if it is counted.
    pub(super) again: Option<u64>,
}

impl FlowDefinition {
    /// What follows. `failed` says that the last attempt failed in this very call: who calls anew tries as
    /// often again.
    pub(super) fn next(&self, walk: &Walk, failed: bool) -> Result<Next<'_>, FlowError> {
        let Some(visit) = &walk.visit else { return Ok(self.enter(walk, 0, None)) };
        let (place, node) = self.place_of(visit)?;
        let retry = node.retry();
        let is_used_up = retry.is_used_up(visit.failures);
        let again = |pause| Ok(Next::Again { place, turn: visit.turn, pause });
        let route = |on: &On| self.route(place, on, |to| walk.taken(&visit.node, on, to));
        let is_routed = !matches!(route(&On::Failure), Route::Nowhere);
        match &visit.stand {
            Stand::Completed(signal) => {
                let on = On::Signal(signal.clone());
                self.follow(walk, visit, place, on)
            }
            Stand::Failed { .. } if is_used_up && is_routed => {
                self.follow(walk, visit, place, On::Failure)
            }
            Stand::Failed { .. } if is_used_up && failed => Ok(Next::Fail),
            Stand::Failed { .. } if failed => again(retry.pause(visit.failures)),
            Stand::Failed { .. } | Stand::Open => again(Duration::ZERO),
        }
    }

    fn place_of(&self, visit: &Visit) -> Result<(usize, &Definition), FlowError> {
        let place = self.place(visit.node.as_str());
        let node = place.and_then(|place| Some((place, self.nodes.get(place)?)));
        node.ok_or_else(|| FlowError::NoSuchNode {
            flow: self.name.clone(),
            node: visit.node.clone(),
        })
    }

    /// Where the end of a visit leads.
    fn follow(
        &self,
        walk: &Walk,
        visit: &Visit,
        place: usize,
        on: On,
    ) -> Result<Next<'_>, FlowError> {
        let (flow, node) = (self.name.clone(), visit.node.clone());
        let signal = match &on {
            On::Signal(signal) => signal.clone(),
            On::Failure => "failure".into(),
        };
        match self.route(place, &on, |to| walk.taken(&visit.node, &on, to)) {
            Route::Node { to, again } => Ok(self.enter(walk, to, Some(By { on, again }))),
            Route::End(completion) => Ok(Next::End(completion)),
            Route::Limit { to, limit } => {
                Err(FlowError::LoopLimit { flow, node, signal, to: to.to_owned(), limit })
            }
            Route::Nowhere => {
                Err(FlowError::Unrouted { flow, node, signal, routed: self.routed(place) })
            }
        }
    }

    fn enter(&self, walk: &Walk, place: usize, by: Option<By>) -> Next<'_> {
        // Also of a node that is in no loop any more, if another version of the flow came by it.
        let turn = self.nodes.get(place).map_or(1, |node| walk.next_turn(&node.node));
        Next::Enter { place, turn, by }
    }
}
