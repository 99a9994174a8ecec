//! Claiming a task.

use std::time::{Duration, Instant};

use super::standing::{Sign, Standing};
use super::{Lease, LeaseError};
use crate::artifact::bind;
use crate::clock::Timestamp;
use crate::genesis::GenesisError;
use crate::id::RunId;
use crate::journal::{
    Actor, Claimed, Events, Held, Home, JournalError, LeaseRef, Log, lease_event, types,
};
use crate::workspace::Task;

/// How often a claim that waits looks again: this part of the lease's time, within limits.
const LOOKS: u32 = 20;
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_millis(500);

/// What came of the wish to claim.
enum Tried {
    Claimed(Lease),
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
    /// task is damaged, or somebody keeps its lock: then nobody holds the task before that is mended.
    pub fn claim(&self, worker: &str, ttl: Duration) -> Result<Lease, LeaseError> {
        match self.try_claim(worker, ttl, None)? {
            Tried::Claimed(lease) => Ok(lease),
            Tried::Held(standing) => Err(self.held(standing)),
        }
    }

    /// The same, and waits so long for the task to be free. Whoever waits does not need the holder's clock:
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
                Tried::Claimed(lease) => return Ok(lease),
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
        let event = lease_event(types::LEASE_CLAIMED, self.id(), &claimed)
            .actor(Actor::new("worker", Some(worker.to_owned())));
        let appended = locked.append_unfenced(std::slice::from_ref(&event))?;
        // Its token must never be given away twice, so it is on the disk before anybody is bound to it.
        locked.sync()?;
        let token = appended.first().map_or(0, |first| first.seq);
        let lease = LeaseRef::new(self.id().clone(), token);
        let held = Held::check(&mut locked, &lease)?;
        for run in self.runs()? {
            self.bind_run(&run, &held).map_err(|source| LeaseError::NotBound {
                lease: lease.clone(),
                run,
                source,
            })?;
        }
        Ok(Tried::Claimed(Lease::of(self, lease)))
    }

    /// Binds a run, unless it is complete or was removed.
    fn bind_run(&self, run: &RunId, held: &Held<'_>) -> Result<(), JournalError> {
        let home = self.home_of(run);
        let last = Events::open(&home).and_then(|events| events.last(1)?.next().transpose());
        let bound = match last {
            Ok(Some(last)) if last.event_type() == types::EXECUTION_COMPLETE => return Ok(()),
            Ok(_) => bind(&home, held),
            Err(error) => Err(error),
        };
        match bound {
            Err(JournalError::Removed { .. }) => Ok(()),
            Err(JournalError::Genesis(GenesisError::Io(error))) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    fn home_of(&self, run: &RunId) -> Home {
        self.context(run).home().without_caller()
    }

    fn held(&self, standing: Standing) -> LeaseError {
        let Claimed { worker_id: worker, expires_at, .. } = standing.leased.claimed;
        LeaseError::LeaseHeld { task: self.id().clone(), worker, expires_at }
    }
}

/// When a lease ends that was renewed now.
pub(super) fn expiry(now: Timestamp, ttl_ms: u64) -> Timestamp {
    let ttl = i64::try_from(ttl_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
    Timestamp::from_microseconds(now.as_microseconds().saturating_add(ttl))
}
