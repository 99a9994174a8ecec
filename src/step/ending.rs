//! What the body of a step left, and the record of its attempt's end.

use serde::Serialize;

use super::Signal;
use super::attempt::Attempt;
use super::history::{Completed, Failed, Input, Output, STREAM, end_key};
use crate::artifact::{ArtifactError, Transaction};
use crate::context::RunContext;
use crate::id::{EventId, StepName};
use crate::journal::{Durability, Event, JournalError, LockedLog, types};

/// What the body of a step left to be committed, or dropped.
pub(super) struct Ending {
    context: RunContext,
    transaction: Transaction,
    inputs: Vec<Input>,
}

impl Ending {
    pub(super) fn new(context: RunContext, transaction: Transaction, inputs: Vec<Input>) -> Self {
        Self { context, transaction, inputs }
    }

    /// Commits what was staged together with `step_completed`.
    pub(super) fn complete(
        mut self,
        attempt: &Attempt,
        signal: &Signal,
    ) -> Result<EventId, ArtifactError> {
        for input in self.inputs.iter().filter(|input| input.digest.is_some()) {
            self.transaction.sync_also(input.path.clone());
        }
        let outputs = self.transaction.all_staged();
        let outputs = outputs.map(|(path, digest)| Output { path: path.clone(), digest });
        let mut completed = Completed {
            attempt: attempt.number(),
            turn: attempt.payload.turn,
            signal: signal.clone(),
            outputs: outputs.collect(),
            duration_ms: duration_ms(&self.context, attempt),
            inputs: self.inputs,
            config: attempt.payload.config_digest(),
            same_as: None,
        };
        let id = self.context.runtime().next_event_id();
        let head = |locked: &mut LockedLog<'_>| {
            for input in completed.inputs.iter_mut().filter(|input| input.version.is_none()) {
                *input = input.clone().versioned(locked)?;
            }
            let number = completed.attempt;
            Ok(Some(end_event(types::STEP_COMPLETED, &attempt.step, number, &completed, id)))
        };
        self.transaction.commit_with(head).map(|_| id)
    }
}

/// Records that an attempt failed, durably.
pub(super) fn record_failure(
    context: &RunContext,
    attempt: &Attempt,
    error: Vec<String>,
    cancelled: bool,
) -> Result<EventId, JournalError> {
    let context = context.clone().with_step(attempt.step_ref());
    let duration_ms = duration_ms(&context, attempt);
    let (number, turn) = (attempt.number(), attempt.payload.turn);
    let failed = Failed { attempt: number, turn, error, cancelled, duration_ms };
    let id = context.runtime().next_event_id();
    let event = end_event(types::STEP_FAILED, &attempt.step, number, &failed, id);
    context.writer().append(std::slice::from_ref(&event), Durability::Durable).map(|_| id)
}

fn duration_ms(context: &RunContext, attempt: &Attempt) -> u64 {
    let now = context.runtime().clock.now().as_microseconds();
    let elapsed = now.saturating_sub(attempt.started_at.as_microseconds());
    u64::try_from(elapsed / 1000).unwrap_or(0)
}

/// The end of an attempt.
pub(super) fn end_event(
    event_type: &str,
    step: &StepName,
    attempt: u64,
    payload: &impl Serialize,
    id: EventId,
) -> Event {
    let event = Event::new(event_type).stream(STREAM, step.as_str()).payload(payload);
    event.key(end_key(step, attempt)).id(id)
}
