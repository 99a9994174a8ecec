//! What journals say of leases, and the check that keeps out who does not hold one.
//!
//! A claim is a record in the task's journal, and its `seq` is the *fencing token*. In a run's journal
//! `lease_bound` says from where on only writers with that token are let in. Both are decided from the
//! journal that is written to, under its lock: no clock has a say.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Actor, Event, JournalError, LockedLog, Record, types};
use crate::clock::Timestamp;
use crate::id::{EventId, IdError, TaskId};
use crate::io::Dir;
use crate::journal::head::entry::{Name, Place};
use crate::layout;
use crate::planted::Bug;

/// The kind of the streams of leases; their ids are the tasks.
const STREAM: &str = "lease";

/// A claim of a task, by its fencing token: `TASK/TOKEN`. It crosses processes as `RUNJOURNAL_LEASE`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LeaseRef {
    /// The task.
    pub task: TaskId,
    /// The seq of the claim in the task's journal. Of two claims the later one has the greater token.
    pub token: u64,
}

impl LeaseRef {
    /// The claim of a task with this token.
    #[must_use]
    pub fn new(task: TaskId, token: u64) -> Self {
        Self { task, token }
    }
}

impl fmt::Display for LeaseRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.task, self.token)
    }
}

impl FromStr for LeaseRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = || IdError {
            what: "lease",
            text: text.to_owned(),
            reason: "it must be a task id, a slash and the token, a number",
        };
        let (task, token) = text.split_once('/').ok_or_else(bad)?;
        Ok(Self { task: task.parse()?, token: token.parse().map_err(|_| bad())? })
    }
}

/// The payload of `lease_claimed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claimed {
    pub(crate) worker_id: String,
    pub(crate) ttl_ms: u64,
    pub(crate) expires_at: Timestamp,
}

/// The payload of `lease_renewed`, and of `lease_released`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Renewed {
    pub(crate) token: u64,
    #[serde(flatten)]
    pub(crate) claimed: Claimed,
}

/// The payload of `lease_bound`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) resource: TaskId,
    pub(crate) token: u64,
    pub(crate) worker_id: String,
}

impl Bound {
    fn lease(&self) -> LeaseRef {
        LeaseRef::new(self.resource.clone(), self.token)
    }
}

/// A lease as the task's journal has it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leased {
    pub(crate) token: u64,
    pub(crate) claimed: Claimed,
    /// False once it was released.
    pub(crate) held: bool,
    /// The version of its last record in the stream.
    pub(crate) version: u64,
}

impl Leased {
    /// What a record of the stream of a lease says.
    pub(crate) fn of(record: &Record) -> Result<Self, JournalError> {
        let held = record.event_type() != types::LEASE_RELEASED;
        let (token, claimed) = match record.event_type() {
            types::LEASE_CLAIMED => (record.seq(), record.payload()?),
            types::LEASE_RENEWED | types::LEASE_RELEASED => {
                let Renewed { token, claimed } = record.payload()?;
                (token, claimed)
            }
            // Who may write must not be guessed.
            other => {
                let (seq, event_type) = (record.seq(), other.to_owned());
                return Err(JournalError::UnknownLease { seq, event_type });
            }
        };
        Ok(Self { token, claimed, held, version: record.stream_version() })
    }

    /// The last word of a task's journal on its lease.
    pub(crate) fn read(locked: &mut LockedLog<'_>) -> Result<Option<Self>, JournalError> {
        let task = locked.home().task_id().clone();
        let last = locked.last(STREAM, task.as_str())?;
        last.map(|record| Self::of(&record)).transpose()
    }

    /// Why a lease with another token, or a released one, is over.
    fn newer(&self) -> String {
        let Self { token, claimed: Claimed { worker_id, .. }, held, .. } = self;
        if *held {
            format!("token {token} of worker {worker_id:?} is the newest")
        } else {
            format!("token {token} was released")
        }
    }
}

/// A record of a lease in the task's journal.
pub(crate) fn lease_event(event_type: &str, task: &TaskId, payload: &impl Serialize) -> Event {
    Event::new(event_type).stream(STREAM, task.as_str()).payload(payload)
}

/// Why a lease of another task is not held.
fn elsewhere() -> String {
    "it is on another task than what is written to".to_owned()
}

/// That a task is held by a lease: its journal says so, and stays locked as long as this lives. To bind a
/// run needs it, so that the order of locks is always the task's, then the run's.
pub(crate) struct Held<'a> {
    leased: Leased,
    task_is_locked: PhantomData<&'a ()>,
}

impl<'a> Held<'a> {
    /// Checks that a lease is the newest of a task, and not released.
    pub(crate) fn check(
        task: &'a mut LockedLog<'_>,
        lease: &LeaseRef,
    ) -> Result<Self, JournalError> {
        let lost = |newest| JournalError::LeaseLost { lease: lease.clone(), newest };
        if *task.home().task_id() != lease.task {
            return Err(lost(elsewhere()));
        }
        let Some(leased) = Leased::read(task)? else {
            return Err(lost("nobody ever claimed the task".to_owned()));
        };
        if !leased.held || (leased.token != lease.token && !Bug::AnyTokenHeld.is_planted()) {
            return Err(lost(leased.newer()));
        }
        Ok(Self { leased, task_is_locked: PhantomData })
    }

    /// What its last record says.
    pub(crate) fn leased(self) -> Leased {
        self.leased
    }
}

/// What came of the wish to bind a run.
pub(crate) enum Binding {
    /// It is closed to everybody.
    Closed,
    /// This record binds it.
    New(EventId),
    /// It was bound to this token before, by this record unless it names another worker. A claim that is new
    /// must take another token: where a task's journal was put back from an older copy, they come again.
    Known(Option<EventId>),
}

impl LockedLog<'_> {
    /// Lets only writers with this lease into the run's journal from here on. A run that is closed needs
    /// no binding.
    pub(crate) fn bind(&mut self, held: &Held<'_>) -> Result<Binding, JournalError> {
        if self.is_closed() {
            return Ok(Binding::Closed);
        }
        let Leased { token, claimed: Claimed { worker_id, .. }, .. } = &held.leased;
        let task = &self.log.home.task_id().clone();
        let bound = Bound { resource: task.clone(), token: *token, worker_id: worker_id.clone() };
        let event = lease_event(types::LEASE_BOUND, task, &bound)
            .key(format!("lease:{task}:{token}"))
            .actor(Actor::worker(worker_id));
        match self.append_unfenced(std::slice::from_ref(&event)) {
            Ok(appended) => {
                let first = appended.first().map(|first| (first.event_id, first.duplicate));
                Ok(match first {
                    Some((event, false)) => Binding::New(event),
                    first => Binding::Known(first.map(|(event, _)| event)),
                })
            }
            Err(JournalError::KeyConflict { .. }) => Ok(Binding::Known(None)),
            Err(error) => Err(error),
        }
    }

    /// True if the run was bound to a lease behind this place: who wrote there is not let in any more.
    pub(crate) fn is_bound_behind(&mut self, offset: u64) -> Result<bool, JournalError> {
        Ok(self.newest_bound()?.is_some_and(|place| place.offset > offset))
    }

    /// True if the run was not bound to the caller's lease, or to another one since, so that the task's
    /// journal has to be asked which is the newest.
    pub(crate) fn wants_binding(&mut self) -> Result<bool, JournalError> {
        let Some(lease) = self.log.home.lease.clone() else { return Ok(false) };
        // A task's journal holds the claims themselves.
        if self.is_closed() || !self.log.home.is_run() || lease.task != *self.log.home.task_id() {
            return Ok(false);
        }
        Ok(self.last_bound()?.is_none_or(|bound| bound.token != lease.token))
    }

    /// Refuses a caller without the lease, if there is one. In a run it is the one that the run was bound
    /// to last; in a task's journal the newest claim, until it is released.
    pub(super) fn check_lease(&mut self) -> Result<(), JournalError> {
        if Bug::TokenUnchecked.is_planted() {
            return Ok(());
        }
        if self.log.home.is_run() { self.check_bound() } else { self.check_held() }
    }

    fn check_held(&mut self) -> Result<(), JournalError> {
        if let Some(lease) = self.log.home.lease.clone() {
            return Held::check(self, &lease).map(|_| ());
        }
        match Leased::read(self)?.filter(|leased| leased.held) {
            Some(leased)
                if Bug::ExpiryTrusted.is_planted()
                    && leased.claimed.expires_at < self.log.home.runtime.clock.now() =>
            {
                Ok(())
            }
            None => Ok(()),
            Some(Leased { token, claimed: Claimed { worker_id: worker, .. }, .. }) => {
                let path = self.log.file.path().to_owned();
                let lease = LeaseRef::new(self.log.home.task_id().clone(), token);
                Err(JournalError::LeaseRequired { path, lease, worker })
            }
        }
    }

    fn check_bound(&mut self) -> Result<(), JournalError> {
        // A run that was in another task may be bound there as well: it is this one's leases that count.
        let newest = self.newest_bound()?;
        if newest == self.log.bound_at && (newest.is_some() || self.log.home.lease.is_none()) {
            return Ok(());
        }
        let bound = match &self.log.home.lease {
            Some(_) => self.last_bound()?,
            None => {
                self.last_of_type(types::LEASE_BOUND)?.map(|last| last.payload()).transpose()?
            }
        };
        let path = || self.log.file.path().to_owned();
        let (lease, newest) = match (self.log.home.lease.clone(), bound) {
            (None, None) => return Ok(()),
            (None, Some(bound)) => {
                let (lease, worker) = (bound.lease(), bound.worker_id);
                return Err(JournalError::LeaseRequired { path: path(), lease, worker });
            }
            (Some(lease), Some(bound)) if bound.lease() == lease => {
                self.check_its_place()?;
                self.log.bound_at = newest;
                return Ok(());
            }
            (Some(lease), _) if lease.task != *self.log.home.task_id() => (lease, elsewhere()),
            // Later claims do not bind a closed run: it is closed to them, and they are not lost for it.
            (Some(lease), bound)
                if self.is_closed() && bound.as_ref().is_none_or(|b| b.token < lease.token) =>
            {
                return Ok(());
            }
            (Some(lease), None) => (lease, format!("{} is not bound to it", path())),
            (Some(lease), Some(bound)) => {
                let newest =
                    format!("{} of worker {:?} is the newest", bound.lease(), bound.worker_id);
                (lease, newest)
            }
        };
        Err(JournalError::LeaseLost { lease, newest })
    }

    /// Refuses to write to a run that was moved away under a handle, once another task's lease binds it: its
    /// own task's counts no more.
    fn check_its_place(&mut self) -> Result<(), JournalError> {
        let last: Option<Bound> =
            self.last_of_type(types::LEASE_BOUND)?.map(|last| last.payload()).transpose()?;
        if last.is_none_or(|last| last.resource == *self.log.home.task_id()) {
            return Ok(());
        }
        let there = Dir::open(self.log.home.dir()).and_then(|dir| dir.open_append(layout::JOURNAL));
        match there {
            Ok(file) if file.identity()? == self.log.file.identity()? => Ok(()),
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Err(JournalError::Removed { path: self.log.file.path().to_owned() }),
        }
    }

    /// The last binding of the run to a lease of its task.
    fn last_bound(&mut self) -> Result<Option<Bound>, JournalError> {
        let task = self.log.home.task_id().clone();
        let last = self.last(STREAM, task.as_str())?;
        last.map(|record| record.payload()).transpose()
    }

    /// Where the newest binding to any lease stands.
    fn newest_bound(&mut self) -> Result<Option<Place>, JournalError> {
        if let Some(bound) = self.log.ledger.bound() {
            return Ok(bound);
        }
        let found = self.find(Name::record_type(types::LEASE_BOUND))?.map(|found| found.place);
        self.log.ledger.note_bound(found);
        Ok(found)
    }
}
