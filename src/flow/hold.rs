//! Who may run a flow in a task: one runner, which holds the task's lease.

use std::time::Duration;

use super::{FlowDefinition, FlowError};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::io::{Dir, LockFile};
use crate::layout;
use crate::lease::{Heartbeat, Lease, LeaseError, LeaseState};
use crate::workspace::Task;

/// The name under which flows claim their task. It is one for all, because the lock says who is alive: who
/// has it takes over from a flow whose process died, without waiting for its lease to expire.
const WORKER: &str = "runjournal flow";

/// Who only looks whether somebody has the lock, has it for a moment.
const GLANCE: Duration = Duration::from_millis(200);

/// A runner's right to go on.
pub(super) struct Hold {
    /// The run, under the lease.
    pub(super) ctx: RunContext,
    /// `None` where the caller has a lease of its own, and keeps it up.
    own: Option<Own>,
}

struct Own {
    // In this order they are dropped: nobody may take the lock while the lease is renewed.
    heartbeat: Heartbeat,
    lease: Lease,
    /// `None` where the one who has it was stopped, or hangs, and has no lease that lasts.
    _lock: Option<FlowLock>,
}

/// The lock that says that a runner is alive. Freed by word, and not only by closing: a child process that is
/// being started may have the file open for a moment.
struct FlowLock(LockFile);

impl Drop for FlowLock {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

impl Hold {
    pub(super) fn take(
        flow: &FlowDefinition,
        ctx: &RunContext,
        ttl: Duration,
    ) -> Result<Self, FlowError> {
        if ctx.lease_ref().is_some() {
            return Ok(Self { ctx: ctx.clone(), own: None });
        }
        let task = ctx.task()?;
        let running = |holder| FlowError::already_running(flow, ctx, holder);
        let journal = Dir::open(&task.path().join(layout::JOURNAL_DIR))?;
        let lock = journal.open_lock(layout::FLOW)?;
        let has_lock = lock.wait(GLANCE, LockFile::try_exclusive)?;
        let worker = if has_lock {
            WORKER.to_owned()
        } else {
            if !is_free(&task)? {
                return Err(running(lock.holder()));
            }
            // Of several that see it free, one gets it.
            format!("{WORKER} {}", ctx.runtime().next_event_id())
        };
        let lease = match task.claim(&worker, ttl) {
            Err(LeaseError::LeaseHeld { worker, expires_at, .. }) => {
                return Err(running(self::worker(&worker, expires_at)));
            }
            other => other?,
        };
        let heartbeat = lease.heartbeat()?;
        let ctx = ctx.clone().with_lease(lease.lease_ref().clone());
        Ok(Self {
            ctx,
            own: Some(Own { heartbeat, lease, _lock: has_lock.then_some(FlowLock(lock)) }),
        })
    }

    /// Lets others claim the task of a run that ended, where the flow that ended it died before it could.
    pub(super) fn clear(ctx: &RunContext) -> Result<(), FlowError> {
        let task = ctx.task()?;
        let held = |lease: &LeaseState| lease.worker == WORKER && !lease.released;
        if ctx.lease_ref().is_some() || task.lease()?.filter(held).is_none() {
            return Ok(());
        }
        let lock = Dir::open(&task.path().join(layout::JOURNAL_DIR))?.open_lock(layout::FLOW)?;
        if lock.try_exclusive()?
            && let Some(lease) = task.lease()?.filter(held)
        {
            Lease::of(&task, lease.lease).release()?;
        }
        Ok(())
    }

    /// Why the lease is lost, once that is known.
    pub(super) fn lost(&self) -> Option<String> {
        self.own.as_ref().and_then(|own| own.heartbeat.lost())
    }

    /// Lets others claim the task.
    pub(super) fn release(self) {
        if let Some(Own { heartbeat, lease, .. }) = self.own {
            drop(heartbeat);
            // Where it cannot be said, it ends with its time.
            let _ = lease.release();
        }
    }
}

/// Who works on the run's task now: who runs a flow there, or has a lease of its own.
pub(super) fn holder(ctx: &RunContext) -> Result<Option<String>, FlowError> {
    let task = ctx.task()?;
    let Some(lease) = task.lease()?.filter(|lease| !lease.released) else { return Ok(None) };
    if lease.worker == WORKER {
        let journal = Dir::open(&task.path().join(layout::JOURNAL_DIR))?;
        let lock = match journal.open_lock_shared(layout::FLOW) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        if lock.try_shared()? {
            lock.unlock();
            return Ok(None);
        }
        return Ok(Some(lock.holder()));
    }
    Ok((!lease.expired).then(|| worker(&lease.worker, lease.expires_at)))
}

fn worker(name: &str, until: Timestamp) -> String {
    format!("worker {name:?}, whose lease ends at {until}")
}

/// True if anybody may claim the task: who has the lock was stopped, before it had a lease or for longer than that
/// lasts.
fn is_free(task: &Task) -> Result<bool, FlowError> {
    Ok(task.lease()?.is_none_or(|lease| lease.expired || lease.released))
}
