//! Claiming a task.

use std::time::{Duration, Instant};

use super::standing::{Sign, Standing};
use super::{Lease, LeaseError};
use crate::artifact::{BoundRun, bind};
use crate::clock::Timestamp;
use crate::genesis::GenesisError;
use crate::id::RunId;
use crate::journal::{
    Actor, Binding, Claimed, Events, Held, Home, JournalError, LeaseRef, LockedLog, Log, Renewed,
    Unsynced, lease_event, types,
};
use crate::planted::Bug;
use crate::workspace::Task;

/// How often a claim that waits looks again: this part of the lease's time, within limits.
const LOOKS: u32 = 20;
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);

/// What came of the wish to claim.
enum Tried {
    Claimed(Box<Lease>),
    /// Somebody holds it.
    Held(Standing),
}

impl Task {
    /// Claims the task for a worker: until the lease is released, or somebody claims the task after it
    /// expired, only what is done through [`Lease::task`] is let into the journals of the task and of its
    /// unfinished runs. Bind before reading: what was read before this returned may be old by now.
    ///
    /// A lease holds for `ttl` from its last renewal; [`Lease::heartbeat`] renews it. A worker's name stands
    /// for one process: the same name claims again at once, with a new token, and what it held before is
    /// over. Durable. A crash leaves the claim or none; a claim whose maker died ends with its time.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # use runjournal::{Event, TaskOptions, Workspace};
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = Workspace::create(&root)?.create_task("TASK-1", TaskOptions::default())?;
    /// let lease = task.claim("worker-7", Duration::from_secs(60))?;
    /// let heartbeat = lease.heartbeat()?; // renews on a thread, until it is dropped
    /// let ctx = lease.task().open_or_start_run("RUN-1")?;
    /// ctx.append(Event::new("planned"))?; // refused once somebody else claimed the task
    /// drop(heartbeat);
    /// lease.release()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LeaseError::LeaseHeld`] where another worker holds it; [`LeaseError::NotBound`] where a run of the
    /// task is damaged, or somebody keeps its lock (for longer than a writer waits): then nobody holds the
    /// task before that is mended.
    pub fn claim(&self, worker: &str, ttl: Duration) -> Result<Lease, LeaseError> {
        match self.try_claim(worker, ttl, None)? {
            Tried::Claimed(lease) => Ok(*lease),
            Tried::Held(standing) => Err(self.held(standing)),
        }
    }

    /// The same, and waits so long for the task to be free (and then for locks, as any write does). Whoever waits does not need the holder's clock:
    /// a lease that gave no sign of life for all its time, as this process measures it, has expired.
    ///
    /// # Errors
    /// As [`claim`](Task::claim).
    pub fn claim_within(
        &self,
        worker: &str,
        ttl: Duration,
        patience: Duration,
    ) -> Result<Lease, LeaseError> {
        let begun = Instant::now();
        let mut watched: Option<(Sign, Instant)> = None;
        let mut silent = None;
        loop {
            let standing = match self.try_claim(worker, ttl, silent)? {
                Tried::Claimed(lease) => return Ok(*lease),
                Tried::Held(standing) => standing,
            };
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(self.held(standing));
            }
            let sign = standing.sign();
            let (_, since) = *match &mut watched {
                Some(known) if known.0 == sign => known,
                other => other.insert((sign, Instant::now())),
            };
            let pause = (standing.ttl() / LOOKS).clamp(SHORTEST, LONGEST);
            std::thread::sleep(pause.min(left));
            silent = (since.elapsed() >= standing.ttl()).then_some(sign);
        }
    }

    /// Claims it, if it is free, or expired by the clock, or if the holder's last sign of life is one that
    /// was seen for too long.
    fn try_claim(
        &self,
        worker: &str,
        ttl: Duration,
        silent: Option<Sign>,
    ) -> Result<Tried, LeaseError> {
        let bad = |reason| LeaseError::BadClaim { task: self.id().clone(), reason };
        if worker.is_empty() || worker.len() > 256 || worker.chars().any(char::is_control) {
            return Err(bad("a worker's name has 1 to 256 bytes, and no control characters"));
        }
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        if ttl_ms == 0 {
            return Err(bad("a lease must hold for a millisecond at least"));
        }
        let mut log = Log::open(&self.home())?;
        let mut locked = log.lock()?;
        let now = self.runtime().clock.now();
        if let Some(standing) = Standing::read(&mut locked)?.filter(|standing| standing.leased.held)
        {
            let Claimed { worker_id, expires_at, .. } = &standing.leased.claimed;
            let is_silent = silent == Some(standing.sign());
            if worker_id != worker && *expires_at > now && !is_silent {
                return Ok(Tried::Held(standing));
            }
        }
        let claimed =
            Claimed { worker_id: worker.to_owned(), ttl_ms, expires_at: expiry(now, ttl_ms) };
        loop {
            let lease = self.append_claim(&mut locked, &claimed)?;
            let runs = if Bug::Unbound.is_planted() { Vec::new() } else { self.runs()? };
            match self.bind_runs(runs, &Held::check(&mut locked, &lease)?) {
                Ok(None) => {}
                Ok(Some(bound)) => {
                    drop(locked);
                    let lease = Lease::of(self, lease);
                    if !Bug::BindingUnsynced.is_planted()
                        && let Err(error) = bound.iter().try_for_each(Unsynced::sync)
                    {
                        // Nobody is told of it, so nobody has to wait for its time.
                        let _ = lease.release();
                        return Err(error.into());
                    }
                    return Ok(Tried::Claimed(Box::new(lease)));
                }
                Err((run, source)) => {
                    give_up(&mut locked, &lease, claimed);
                    return Err(LeaseError::NotBound { lease, run, source: Box::new(source) });
                }
            }
        }
    }

    fn append_claim(
        &self,
        locked: &mut LockedLog<'_>,
        claimed: &Claimed,
    ) -> Result<LeaseRef, JournalError> {
        let event = lease_event(types::LEASE_CLAIMED, self.id(), claimed)
            .actor(Actor::worker(&claimed.worker_id));
        let appended = locked.append_unfenced(std::slice::from_ref(&event))?;
        // Its token must never be given away twice, so it is on the disk before anybody is bound to it.
        locked.sync()?;
        let token = appended.first().map(|first| first.seq);
        let token = token.ok_or_else(|| event.bad("it was not appended"))?;
        Ok(LeaseRef::new(self.id().clone(), token))
    }

    /// Binds every run that is not complete, also behind one that cannot be bound: older workers are to be
    /// shut out of as many as can be. All together wait for locks no longer than one write does. `None` if
    /// one of them knows the token from another claim.
    fn bind_runs(
        &self,
        runs: Vec<RunId>,
        held: &Held<'_>,
    ) -> Result<Option<Vec<Unsynced>>, (RunId, JournalError)> {
        let begun = Instant::now();
        let (mut bound, mut failed) = (Vec::new(), None);
        let (mut new, mut is_taken) = (Vec::new(), false);
        for run in runs {
            let mut home = self.context(&run).home().without_caller();
            let left = home.runtime.lock_timeout.saturating_sub(begun.elapsed());
            home.runtime.lock_timeout = left.max(SHORTEST);
            match bind_run(&home, held) {
                Ok(None) => {}
                Ok(Some(BoundRun { binding, unsynced })) => {
                    match binding {
                        Binding::New(event) => new.push(event),
                        // One journal may stand under two names.
                        Binding::Known(Some(event)) if new.contains(&event) => {}
                        Binding::Known(_) => is_taken = true,
                        Binding::Closed => {}
                    }
                    bound.push(unsynced);
                }
                Err(error) => failed = failed.or(Some((run, error))),
            }
        }
        failed.map_or(Ok((!is_taken).then_some(bound)), Err)
    }

    fn held(&self, standing: Standing) -> LeaseError {
        let Claimed { worker_id: worker, expires_at, .. } = standing.leased.claimed;
        LeaseError::LeaseHeld { task: self.id().clone(), worker, expires_at }
    }
}

/// Binds a run, unless it is complete or was removed.
fn bind_run(run: &Home, held: &Held<'_>) -> Result<Option<BoundRun>, JournalError> {
    let last = Events::open(run).and_then(|events| events.last(1)?.next().transpose());
    let bound = match last {
        Ok(Some(last)) if last.event_type() == types::EXECUTION_COMPLETE => {
            // Its end must stay, or a power cut would open it to whom it was bound to.
            if Log::make_stay(run)? {
                return bind_run(run, held);
            }
            return Ok(None);
        }
        Ok(_) => bind(run, held).map(Some),
        Err(error) => Err(error),
    };
    match bound {
        Err(JournalError::Removed { .. }) => Ok(None),
        Err(JournalError::Genesis(GenesisError::Io(error))) if error.is_not_found() => Ok(None),
        other => other,
    }
}

/// Releases a claim that nobody is told of, so that nobody has to wait for its time.
fn give_up(task: &mut LockedLog<'_>, lease: &LeaseRef, claimed: Claimed) {
    let actor = Actor::worker(&claimed.worker_id);
    let released = Renewed { token: lease.token, claimed };
    let event = lease_event(types::LEASE_RELEASED, &lease.task, &released).actor(actor);
    // Where it cannot be, they wait.
    let _ = task.append_unfenced(std::slice::from_ref(&event));
}

/// When a lease ends that was renewed now.
pub(super) fn expiry(now: Timestamp, ttl_ms: u64) -> Timestamp {
    let ttl = i64::try_from(ttl_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    Timestamp::from_microseconds(now.as_microseconds().saturating_add(ttl))
}
