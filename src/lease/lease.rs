//! A lease that a worker holds.

use super::claim::expiry;
use super::standing::Standing;
use super::{Heartbeat, LeaseError, LeaseState};
use crate::clock::Timestamp;
use crate::journal::{
    Actor, Claimed, Held, JournalError, LeaseRef, Leased, LockedLog, Log, Renewed, lease_event,
    types,
};
use crate::workspace::Task;

/// A claim of a task that was made: what is done through its [`task`](Lease::task) is let in until somebody
/// else claims the task, or it is released. A value: nothing is open, and nothing is released when it is
/// dropped.
#[derive(Debug, Clone)]
pub struct Lease {
    lease: LeaseRef,
    /// It carries the lease.
    task: Task,
}

impl Lease {
    /// A lease that was claimed before, in another process perhaps, which handed it over as
    /// `RUNJOURNAL_LEASE` does ([`LeaseRef::from_env`]). Whether it is held still, each use of it finds out.
    #[must_use]
    pub fn of(task: &Task, lease: LeaseRef) -> Self {
        Self { task: task.clone().with_lease(lease.clone()), lease }
    }

    /// The claim: its text is what `RUNJOURNAL_LEASE` holds.
    #[must_use]
    pub fn lease_ref(&self) -> &LeaseRef {
        &self.lease
    }

    /// The task, as its holder sees it: its runs, and all that is made from them, carry the lease.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The lease as it stands, if it is still held.
    ///
    /// # Errors
    /// [`JournalError::LeaseLost`] where it is not.
    pub fn state(&self) -> Result<LeaseState, LeaseError> {
        self.held(|locked, leased| Ok(Standing::of(leased, locked.journal_dir()).state(&self.task)))
    }

    /// Renews the lease by a record, for its whole time from now, and returns when it ends. It may have
    /// expired meanwhile, as long as nobody else claimed the task. It survives this process, not a power
    /// cut.
    ///
    /// # Errors
    /// [`JournalError::LeaseLost`] where somebody else claimed the task, or the lease was released.
    pub fn renew(&self) -> Result<Timestamp, LeaseError> {
        self.held(|locked, leased| {
            let expires_at = self.ends_at(&leased.claimed);
            let renewed = Claimed { expires_at, ..leased.claimed };
            self.append(locked, types::LEASE_RENEWED, renewed)?;
            Ok(expires_at)
        })
    }

    /// The same by a hint beside the journal, and no record.
    pub(super) fn beat(&self) -> Result<Timestamp, LeaseError> {
        self.held(|locked, leased| {
            let expires_at = self.ends_at(&leased.claimed);
            let journal = locked.journal_dir();
            Standing::of(leased, journal).beat(expires_at).write(journal)?;
            Ok(expires_at)
        })
    }

    /// Ends the lease: anybody may claim the task. In the task's journal, what carries the lease is refused
    /// from here on; in the runs that were bound to it, it is let in, and nobody else is, until the next
    /// claim binds them. Durable. Done again, it changes nothing.
    ///
    /// # Errors
    /// [`JournalError::LeaseLost`] where somebody else claimed the task meanwhile.
    pub fn release(&self) -> Result<(), LeaseError> {
        let mut log = Log::open(&self.task.home())?;
        let mut locked = log.lock()?;
        let last = Leased::read(&mut locked)?;
        if last.is_none_or(|last| last.held || last.token != self.lease.token) {
            let claimed = Held::check(&mut locked, &self.lease)?.leased().claimed;
            let released = Claimed { expires_at: self.task.runtime().clock.now(), ..claimed };
            self.append(&mut locked, types::LEASE_RELEASED, released)?;
        }
        // Also where somebody released it who died before this.
        Ok(locked.sync()?)
    }

    /// Keeps the lease up: renews it on a thread until the guard is dropped, three times in its time. Most
    /// renewals are hints beside the journal (`journal/.lease`), every eighth is a record.
    ///
    /// # Errors
    /// Where the lease is over already, or the system refuses a thread.
    pub fn heartbeat(&self) -> Result<Heartbeat, LeaseError> {
        let state = self.state()?;
        Heartbeat::start(self.clone(), state.ttl)
    }

    /// Does something under the task's lock, once it is sure that the lease is held.
    fn held<T>(
        &self,
        run: impl FnOnce(&mut LockedLog<'_>, Leased) -> Result<T, LeaseError>,
    ) -> Result<T, LeaseError> {
        let mut log = Log::open(&self.task.home())?;
        let mut locked = log.lock()?;
        let leased = Held::check(&mut locked, &self.lease)?.leased();
        run(&mut locked, leased)
    }

    fn ends_at(&self, claimed: &Claimed) -> Timestamp {
        expiry(self.task.runtime().clock.now(), claimed.ttl_ms)
    }

    fn append(
        &self,
        locked: &mut LockedLog<'_>,
        event_type: &str,
        claimed: Claimed,
    ) -> Result<(), JournalError> {
        let actor = Actor::worker(&claimed.worker_id);
        let said = Renewed { token: self.lease.token, claimed };
        let event = lease_event(event_type, &self.lease.task, &said).actor(actor);
        locked.append(std::slice::from_ref(&event)).map(|_| ())
    }
}
