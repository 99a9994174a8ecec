//! An attempt of a step: begun under the journal's lock, and alive as long as its process is.

use camino::Utf8PathBuf;

use super::history::{Input, LastAttempt, Progress, STREAM, Started};
use super::{Signal, Step, StepFailure};
use crate::artifact::{HomeLog, Last, digest_on_disk};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::error::IoError;
use crate::id::{EventId, StepName};
use crate::io::{Dir, LockFile};
use crate::journal::{Event, ExpectedVersion, JournalError, LockedLog, StepRef, types};
use crate::layout;

/// A running attempt. While it lives, it holds the lock on its liveness file, which the kernel frees
/// when the process dies.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) step: StepName,
    pub(super) number: u64,
    pub(super) started: EventId,
    pub(super) started_at: Timestamp,
    pub(super) payload: Started,
    dir: Dir,
    alive: LockFile,
}

/// What came of the wish to begin.
pub(super) enum Begun {
    Attempt(Attempt),
    /// The step is complete: what it signalled.
    Complete(Signal),
}

impl Attempt {
    /// Begins an attempt, unless the step is complete, or taken by somebody who is alive.
    pub(super) fn begin(ctx: &RunContext, step: &Step) -> Result<Begun, StepFailure> {
        let name = step.checked_name()?;
        let config = step.rendered_config(&name)?;
        let refused = |source| StepFailure::Journal { step: name.clone(), source };
        let mut log = HomeLog::open(&ctx.home()).map_err(refused)?;
        let mut locked = log.lock().map_err(refused)?;
        let dir = Dir::open(&ctx.run_path()).map_err(|error| refused(error.into()))?;

        let mut number = 1;
        let mut superseded = None;
        let last = LastAttempt::read(&mut locked, &name).map_err(refused)?;
        match last.map(|last| (last.number, last.offset, last.progress)) {
            None => {}
            Some((_, _, Progress::Completed(signal))) => {
                // Told only once it is sure to stay: the one who ended it may have died before this.
                locked.sync().map_err(refused)?;
                return Ok(Begun::Complete(signal));
            }
            Some((last, _, Progress::Failed)) => number = last + 1,
            Some((last, offset, Progress::Open(started))) => {
                // Whoever runs it under a lease that is over, alive or not, cannot end it.
                let fenced = locked.is_bound_behind(offset).map_err(refused)?;
                if !fenced
                    && let Some(holder) = holder(&dir, started).map_err(|e| refused(e.into()))?
                {
                    let (step, attempt) = (name, last);
                    return Err(StepFailure::StepTaken { step, attempt, holder });
                }
                number = last + 1;
                superseded = Some(started);
            }
        }
        let inputs = resolve(&mut locked, &name, step)?;
        let payload = Started { attempt: number, inputs, config };
        let attempt = Self::record(&mut locked, dir, name.clone(), payload).map_err(refused)?;
        if let Some(started) = superseded {
            // Nobody asks for it any more; what stays, prune takes.
            let _ = attempt.dir.remove_file(&layout::liveness(started));
        }
        Ok(Begun::Attempt(attempt))
    }

    fn record(
        locked: &mut LockedLog<'_>,
        dir: Dir,
        step: StepName,
        payload: Started,
    ) -> Result<Self, JournalError> {
        let runtime = locked.home().runtime.clone();
        let started_at = runtime.clock.now();
        let started = runtime.next_event_id();
        let path = layout::liveness(started);
        dir.create_dir(layout::TMP)?;
        let expected = match locked.version(STREAM, step.as_str())? {
            None => ExpectedVersion::NoStream,
            Some(version) => ExpectedVersion::Exact(version),
        };
        // Alive before the journal says that it started, so that nobody ever sees it dead.
        let alive = dir.open_lock(&path)?;
        alive.try_exclusive()?;
        let event = Event::new(types::STEP_STARTED)
            .stream(STREAM, step.as_str())
            .payload(&payload)
            .expect(expected)
            .id(started);
        let recorded = locked.append(std::slice::from_ref(&event)).and_then(|_| locked.sync());
        let number = payload.attempt;
        let attempt = Self { step, number, started, started_at, payload, dir, alive };
        recorded.map(|()| attempt)
    }

    pub(super) fn step_ref(&self) -> StepRef {
        StepRef { name: self.step.clone(), started: self.started }
    }

    /// A directory for this attempt alone, removed when the attempt ends.
    pub(super) fn work_dir(&self) -> Result<Utf8PathBuf, IoError> {
        let path = layout::work(self.started);
        self.dir.create_dir(&path)?;
        Ok(self.dir.path().join(path))
    }

    pub(super) fn end_key(&self) -> String {
        format!("step-end:{}:{}", self.step, self.number)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let _ = self.dir.remove_tree(&layout::work(self.started));
        // The journal has the end, or will have a new start: the file has done its work. What stays
        // is unlocked when this process ends, and prune takes it.
        let _ = self.dir.remove_file(&layout::liveness(self.started));
        self.alive.unlock();
    }
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
        let version = Last::version(locked, path, digest)
            .map_err(|source| StepFailure::Journal { step: name.clone(), source })?;
        inputs.push(Input { path: path.clone(), digest, version });
    }
    Ok(inputs)
}
