//! Attempts that begin and end at once, without a body: nothing has changed, or an input is missing.

use serde::Serialize;

use super::StepFailure;
use super::begin::{NewAttempt, check_over};
use super::history::{
    Completed, Ended, Failed, Input, LastAttempt, Progress, STREAM, Started, end_key,
};
use crate::artifact::{HomeLog, Last, digest_on_disk};
use crate::context::RunContext;
use crate::id::{EventId, StepName};
use crate::io::Dir;
use crate::journal::{Event, JournalError, types};
use crate::layout;

/// Records that the last attempt of a step did not end, and never will: its process is gone. Durable.
pub(crate) fn give_up(ctx: &RunContext, step: &StepName) -> Result<EventId, StepFailure> {
    let refused = |source| StepFailure::Journal { step: step.clone(), source };
    let mut log = HomeLog::open(&ctx.home()).map_err(refused)?;
    let mut locked = log.lock().map_err(refused)?;
    let dir = Dir::open(&ctx.run_path()).map_err(|error| refused(error.into()))?;
    let last = LastAttempt::read(&mut locked, step).map_err(refused)?;
    let last = last.filter(|last| matches!(last.progress, Progress::Open));
    let Some(last) = last else {
        let event = Event::new(types::STEP_FAILED).stream(STREAM, step.as_str());
        return Err(refused(event.bad("no attempt of it is open")));
    };
    check_over(&mut locked, &dir, step, &last)?;
    let error = vec!["its process ended before the attempt did".to_owned()];
    let (attempt, turn) = (last.number, last.turn);
    let failed = Failed { attempt, turn, error, cancelled: false, duration_ms: 0 };
    let id = ctx.runtime().next_event_id();
    let event =
        end_event(types::STEP_FAILED, step, last.number, &failed, id).causation(last.record);
    locked.append(std::slice::from_ref(&event)).map_err(refused)?;
    locked.sync().map_err(refused)?;
    let _ = dir.remove_file(&layout::liveness(last.record));
    Ok(id)
}

/// What an attempt would do that was done before.
pub(super) struct Same {
    completed: Box<Completed>,
    /// What it read, with the versions of today.
    inputs: Vec<Input>,
}

impl Same {
    /// The end of the attempt that did it.
    pub(super) fn ended(self, record: EventId) -> Ended {
        Ended { signal: self.completed.signal, record }
    }
}

impl NewAttempt<'_, '_> {
    /// What the last attempt did, if this one would read the same, and what that one wrote is in place.
    pub(super) fn unchanged(
        &mut self,
        payload: &Started,
        before: &LastAttempt,
    ) -> Result<Option<Same>, JournalError> {
        let Progress::Completed(completed) = &before.progress else { return Ok(None) };
        let declared = payload.inputs.iter().map(|input| &input.path);
        let read = completed.inputs.iter().map(|input| &input.path);
        if completed.config != payload.config_digest()
            || (!payload.inputs.is_empty() && !declared.eq(read))
        {
            return Ok(None);
        }
        let mut inputs = Vec::with_capacity(completed.inputs.len());
        for input in &completed.inputs {
            if digest_on_disk(self.locked.dir(), &input.path)? != Some(input.digest) {
                return Ok(None);
            }
            let version = Last::version(self.locked, &input.path, input.digest)?;
            inputs.push(Input { version, ..input.clone() });
        }
        for output in &completed.outputs {
            let journaled = Last::read(self.locked, &output.path)?.and_then(|last| last.digest);
            let there = digest_on_disk(self.locked.dir(), &output.path)?;
            if (journaled, there) != (output.digest, output.digest) {
                return Ok(None);
            }
        }
        Ok(Some(Same { completed: completed.clone(), inputs }))
    }

    /// Records that the turn is complete, as the one before; durable. A crash between its two records leaves
    /// an attempt that did not end, and the next one is made as if nothing had been.
    pub(super) fn record_unchanged(
        &mut self,
        payload: &Started,
        Same { completed, inputs }: Same,
    ) -> Result<Ended, JournalError> {
        let (attempt, turn, signal) = (payload.attempt, payload.turn, completed.signal.clone());
        let same_as = Some(completed.same_as.unwrap_or(completed.attempt));
        let completed = Completed { attempt, turn, inputs, same_as, duration_ms: 0, ..*completed };
        let record = self.begin_and_end(payload, types::STEP_COMPLETED, &completed)?;
        Ok(Ended { signal, record })
    }

    /// Records an attempt that could not read what it was to read; durable.
    pub(super) fn record_missing(
        &mut self,
        payload: &Started,
        missing: &StepFailure,
    ) -> Result<EventId, JournalError> {
        let error = vec![missing.to_string()];
        let (attempt, turn) = (payload.attempt, payload.turn);
        let failed = Failed { attempt, turn, error, cancelled: false, duration_ms: 0 };
        self.begin_and_end(payload, types::STEP_FAILED, &failed)
    }

    fn begin_and_end(
        &mut self,
        payload: &Started,
        event_type: &str,
        end: &impl Serialize,
    ) -> Result<EventId, JournalError> {
        let runtime = self.locked.home().runtime.clone();
        let (started, id) = (runtime.next_event_id(), runtime.next_event_id());
        self.append_start(started, payload)?;
        let end = end_event(event_type, self.name, payload.attempt, end, id).causation(started);
        let end = self.locked.spill(std::slice::from_ref(&end))?.into_owned();
        self.locked.append(&end)?;
        self.locked.sync()?;
        Ok(id)
    }
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
