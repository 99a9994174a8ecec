//! Attempts that begin and end at once, without a body: nothing has changed, or an input is missing.

use serde::Serialize;

use super::StepFailure;
use super::begin::NewAttempt;
use super::ending::end_event;
use super::history::{Completed, Ended, Failed, Input, LastAttempt, Progress, Started};
use super::turn::{is_same, recorded_item};
use crate::artifact::{Last, digest_on_disk};
use crate::id::EventId;
use crate::journal::{JournalError, types};

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
        let item = recorded_item(self.locked, self.name, completed.turn)?;
        if completed.config != payload.config_digest()
            || !is_same(item.as_deref(), self.item.as_deref())
        {
            return Ok(None);
        }
        let Some(inputs) = self.read_again(&payload.inputs, &completed.inputs)? else {
            return Ok(None);
        };
        for output in &completed.outputs {
            let journaled = Last::read(self.locked, &output.path)?.and_then(|last| last.digest);
            let there = digest_on_disk(self.locked.dir(), &output.path)?;
            if (journaled, there) != (output.digest, output.digest) {
                return Ok(None);
            }
        }
        Ok(Some(Same { completed: completed.clone(), inputs }))
    }

    /// What was read before, with the versions of today, if it would be read again: what was declared has been
    /// looked at by now.
    fn read_again(
        &mut self,
        declared: &[Input],
        read: &[Input],
    ) -> Result<Option<Vec<Input>>, JournalError> {
        if !declared.is_empty() {
            let what = |input: &'_ Input| (input.path.clone(), input.digest);
            let are_same = declared.iter().map(what).eq(read.iter().map(what));
            return Ok(are_same.then(|| declared.to_vec()));
        }
        let mut inputs = Vec::with_capacity(read.len());
        for input in read {
            if digest_on_disk(self.locked.dir(), &input.path)? != input.digest {
                return Ok(None);
            }
            inputs.push(input.clone().versioned(self.locked)?);
        }
        Ok(Some(inputs))
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
