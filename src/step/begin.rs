//! Beginning an attempt, under the journal's lock.

use std::time::Duration;

use serde_json::value::RawValue;

use super::attempt::Attempt;
use super::history::{Ended, Input, Iteration, LastAttempt, Progress, STREAM, Started, turn_key};
use super::spec::Origin;
use super::turn::{Turn, item_of};
use super::{Step, StepFailure};
use crate::artifact::{HomeLog, digest_on_disk};
use crate::context::RunContext;
use crate::error::IoError;
use crate::id::{EventId, StepName};
use crate::io::{Dir, LockFile};
use crate::journal::{Event, ExpectedVersion, JournalError, LockedLog, types};
use crate::layout;
use crate::planted::Bug;

/// How long somebody may look at a liveness file.
const GLANCE: Duration = Duration::from_millis(200);

/// What came of the wish to begin.
pub(super) enum Begun {
    Attempt(Box<Attempt>),
    /// The step, or this turn of it, is complete.
    Complete(Ended),
    /// An input is missing, and the journal says so, for somebody who routes by it.
    Failed(StepFailure, EventId),
}

/// Begins an attempt, unless the turn is complete, or taken by somebody who is alive.
pub(super) fn begin(ctx: &RunContext, step: &Step) -> Result<Begun, StepFailure> {
    let name = step.checked_name()?;
    let (config, mut item) = (step.rendered_config(&name)?, step.rendered_item(&name)?);
    let refused = |source| StepFailure::Journal { step: name.clone(), source };
    let mut log = HomeLog::open(&ctx.home()).map_err(refused)?;
    let mut locked = log.lock().map_err(refused)?;
    let dir = Dir::open(&ctx.run_path()).map_err(|error| refused(error.into()))?;

    let (turn, last, is_new) = match Turn::find(&mut locked, &name, step)? {
        Turn::Complete(turn, ended) => {
            item_of(&mut locked, &name, turn, item)?;
            // Told only once it is sure to stay: the one who ended it may have died before this.
            locked.sync().map_err(refused)?;
            return Ok(Begun::Complete(ended));
        }
        Turn::New(turn, before) => (turn, before, true),
        Turn::UnlessUnchanged(last) => (last.turn.saturating_add(1), Some(last), true),
        Turn::Again(last) => {
            check_over(&mut locked, &dir, &name, &last)?;
            item = item_of(&mut locked, &name, last.turn, item)?;
            (last.turn, Some(last), false)
        }
    };
    let number = last.as_ref().map_or(1, |last| last.number.saturating_add(1));
    let mut payload = Started { attempt: number, turn, inputs: Vec::new(), config };
    let resolved = resolve(&mut locked, &name, step);
    let (counted, origin) = (step.counted_turn(), step.origin());
    let is_counted = counted.is_some() || turn > 1;
    let mut new = NewAttempt { locked: &mut locked, name: &name, item, is_counted, origin };
    match resolved {
        Ok(inputs) => payload.inputs = inputs,
        Err(missing @ StepFailure::InputMissing { .. }) if origin.is_some() => {
            let end = new.record_missing(&payload, &missing).map_err(refused)?;
            return Ok(Begun::Failed(missing, end));
        }
        Err(other) => return Err(other),
    }
    if let (true, true, Some(before)) = (is_new, step.skips_unchanged(), &last)
        && let Some(same) = new.unchanged(&payload, before).map_err(refused)?
    {
        if step.asked_turn().is_none() {
            // Nobody asked for another turn. The last one is told of only once it is sure to stay.
            new.locked.sync().map_err(refused)?;
            return Ok(Begun::Complete(same.ended(before.record)));
        }
        return new.record_unchanged(&payload, same).map(Begun::Complete).map_err(refused);
    }
    let attempt = new.record(dir, payload).map_err(refused)?;
    if let Some(LastAttempt { progress: Progress::Open, record, .. }) = last {
        // Nobody asks for it any more; what stays, prune takes.
        let _ = attempt.dir.remove_file(&layout::liveness(record));
    }
    Ok(Begun::Attempt(Box::new(attempt)))
}

/// An attempt that is to begin.
pub(super) struct NewAttempt<'a, 'log> {
    pub(super) locked: &'a mut LockedLog<'log>,
    pub(super) name: &'a StepName,
    pub(super) item: Option<Box<RawValue>>,
    is_counted: bool,
    origin: Option<&'a Origin>,
}

impl NewAttempt<'_, '_> {
    fn record(mut self, dir: Dir, payload: Started) -> Result<Attempt, JournalError> {
        let runtime = self.locked.home().runtime.clone();
        let (started_at, started) = (runtime.clock.now(), runtime.next_event_id());
        let path = layout::liveness(started);
        dir.create_dir(layout::TMP)?;
        // Alive before the journal says that it started, so that nobody ever sees it dead.
        let alive = dir.open_lock(&path)?;
        // Who only looks whether it is locked, has it for a moment.
        alive.wait(GLANCE, LockFile::try_exclusive)?;
        let recorded = self.append_start(started, &payload).and_then(|()| self.locked.sync());
        let (step, item) = (self.name.clone(), self.item);
        let attempt = Attempt {
            step,
            started,
            started_at,
            payload,
            item,
            dir,
            alive,
            #[cfg(feature = "testing")]
            crashed: false,
        };
        recorded.map(|()| attempt)
    }

    /// Appends `step_started`, behind `loop_iteration` where a turn begins with it.
    pub(super) fn append_start(
        &mut self,
        started: EventId,
        payload: &Started,
    ) -> Result<(), JournalError> {
        let mut events = Vec::with_capacity(2);
        if self.is_counted {
            let index = payload.turn;
            let key = turn_key(self.name, index);
            if self.locked.keyed(&key)?.is_none() {
                let item = self.item.clone();
                let event = self.event(types::LOOP_ITERATION).payload(&Iteration { index, item });
                events.push(event.key(key));
            }
        }
        events.push(self.event(types::STEP_STARTED).payload(payload).id(started));
        let expected = match self.locked.version(STREAM, self.name.as_str())? {
            None => ExpectedVersion::NoStream,
            Some(version) => ExpectedVersion::Exact(version),
        };
        if let Some(first) = events.first_mut() {
            first.expected = expected;
        }
        let events = self.locked.spill(&events)?;
        self.locked.append(&events).map(|_| ())
    }

    fn event(&self, event_type: &str) -> Event {
        let event = Event::new(event_type).stream(STREAM, self.name.as_str());
        let Some(origin) = self.origin else { return event };
        let event = event.metadata_json(&origin.metadata);
        match origin.causation {
            Some(causation) => event.causation(causation),
            None => event,
        }
    }
}

/// Refuses to take over from an attempt that is alive.
fn check_over(
    locked: &mut LockedLog<'_>,
    dir: &Dir,
    name: &StepName,
    last: &LastAttempt,
) -> Result<(), StepFailure> {
    if !matches!(last.progress, Progress::Open) {
        return Ok(());
    }
    let refused = |source| StepFailure::Journal { step: name.clone(), source };
    // Whoever runs it under a lease that is over, alive or not, cannot end it.
    let fenced = locked.is_bound_behind(last.offset).map_err(refused)?;
    let waits = !fenced && !Bug::LivingTakenOver.is_planted();
    if waits && let Some(holder) = holder(dir, last.record).map_err(|e| refused(e.into()))? {
        return Err(StepFailure::StepTaken { step: name.clone(), attempt: last.number, holder });
    }
    Ok(())
}

/// True while the process lives that began the attempt.
pub(crate) fn is_alive(ctx: &RunContext, started: EventId) -> Result<bool, IoError> {
    Ok(who_runs(ctx, started)?.is_some())
}

/// The process that began the attempt, while it lives.
pub(crate) fn who_runs(ctx: &RunContext, started: EventId) -> Result<Option<String>, IoError> {
    holder(&Dir::open(&ctx.run_path())?, started)
}

/// Who runs the attempt, if anybody does: its liveness file is locked.
fn holder(dir: &Dir, started: EventId) -> Result<Option<String>, IoError> {
    let file = match dir.open_lock_shared(&layout::liveness(started)) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    if file.try_shared()? {
        file.unlock();
        return Ok(None);
    }
    Ok(Some(file.holder()))
}

/// The declared inputs as they are now.
fn resolve(
    locked: &mut LockedLog<'_>,
    name: &StepName,
    step: &Step,
) -> Result<Vec<Input>, StepFailure> {
    let mut inputs = Vec::with_capacity(step.inputs().len());
    for path in step.inputs() {
        let missing = || StepFailure::InputMissing { step: name.clone(), input: path.clone() };
        let digest = digest_on_disk(locked.dir(), path)
            .map_err(|error| StepFailure::Journal { step: name.clone(), source: error.into() })?
            .ok_or_else(missing)?;
        let input = Input { path: path.clone(), digest: Some(digest), version: None };
        let refused = |source| StepFailure::Journal { step: name.clone(), source };
        inputs.push(input.versioned(locked).map_err(refused)?);
    }
    Ok(inputs)
}
