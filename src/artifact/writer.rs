//! The writer that joins journal and recovery, so that every append finishes what a crash left.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::apply;
use super::bind::bind_own;
use super::group::{Group, HANDED};
use crate::finding::Finding;
use crate::io::Dir;
use crate::journal::{
    AllAppended, Durability, Event, Home, JournalError, JournalSync, LockedLog, Log, Opened,
    Unsynced, spill,
};

/// The journal of a run, whose committed artifacts are put in place by whoever locks it, or of a task,
/// which has none.
#[derive(Debug)]
pub(crate) struct HomeLog {
    log: Log,
    findings: Vec<Finding>,
}

impl HomeLog {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        Ok(Self::new(Log::open(home)?))
    }

    fn new(log: Log) -> Self {
        Self { log, findings: Vec::new() }
    }

    /// Takes the lock, catches up, and puts in place what others committed and did not apply. The first
    /// time, it binds the run to the caller's lease, where a claim that died did not.
    pub(crate) fn lock(&mut self) -> Result<LockedLog<'_>, JournalError> {
        Ok(self.lock_with_findings()?.0)
    }

    /// [`lock`](HomeLog::lock), and what could not be put in place.
    pub(crate) fn lock_with_findings(
        &mut self,
    ) -> Result<(LockedLog<'_>, &[Finding]), JournalError> {
        if !self.log.asked_for_binding && self.log.home.lease.is_some() {
            if self.log.lock()?.wants_binding()? {
                match bind_own(&self.log.home) {
                    // Its writes are refused, but what was done once is told to everybody.
                    Err(JournalError::LeaseLost { .. }) => {}
                    other => other?,
                }
            }
            self.log.asked_for_binding = true;
        }
        let mut locked = self.log.lock()?;
        if locked.has_unapplied() {
            self.findings = apply::recover(&mut locked)?;
        }
        Ok((locked, &self.findings))
    }

    /// What makes everything that was appended durable, without the lock.
    pub(crate) fn unsynced(&self) -> Unsynced {
        self.log.unsynced()
    }
}

/// A run's or a task's log, opened by the first that needs it and then shared by threads.
///
/// The run's directory stays open with it, so that stages and journal are of one run whatever becomes
/// of its path. Nothing below it stays open between two commits: each opens `.tmp/` and `artifacts/`
/// anew under the lock, without following a link, and works on these two alone.
#[derive(Debug)]
pub(crate) struct HomeWriter {
    home: Home,
    opened: OnceLock<Opened>,
    log: Mutex<Option<HomeLog>>,
    /// Of the log, once it was opened; who waits for a sync has no log meanwhile.
    sync: OnceLock<JournalSync>,
    pub(super) group: Group,
}

impl HomeWriter {
    pub(crate) fn new(home: Home) -> Arc<Self> {
        Arc::new(Self::in_dir(home, OnceLock::new()))
    }

    /// With a home that was opened before.
    pub(crate) fn of(home: Home, opened: Opened) -> Arc<Self> {
        Arc::new(Self::in_dir(home, OnceLock::from(opened)))
    }

    fn in_dir(home: Home, opened: OnceLock<Opened>) -> Self {
        let (log, sync, group) = (Mutex::new(None), OnceLock::new(), Group::default());
        Self { home, opened, log, sync, group }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// Its directory, for reading.
    pub(crate) fn dir(&self) -> Result<Dir, JournalError> {
        Ok(Dir::open(self.home.dir())?)
    }

    /// Its directory, for writing: that no newer code made it was checked.
    pub(crate) fn opened(&self) -> Result<&Opened, JournalError> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = self.home.open_writable()?;
        // Of two threads that come at once, both use what the first one opened.
        Ok(self.opened.get_or_init(|| opened))
    }

    /// Runs something with the log, which no other thread uses meanwhile.
    pub(crate) fn with_log<T, E: From<JournalError>>(
        &self,
        run: impl FnOnce(&mut HomeLog) -> Result<T, E>,
    ) -> Result<T, E> {
        // A thread that panicked left either the state before its append or the one after it.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *log {
            Some(log) => run(log),
            closed => {
                let log = Log::open_in(&self.home, self.opened()?.clone())?;
                run(closed.insert(HomeLog::new(log)))
            }
        }
    }

    /// What brings its journal to the disk.
    pub(super) fn journal_sync(&self) -> Result<&JournalSync, JournalError> {
        if let Some(sync) = self.sync.get() {
            return Ok(sync);
        }
        let sync = self.with_log(|log| Ok::<_, JournalError>(log.log.journal_sync()))?;
        Ok(self.sync.get_or_init(|| sync))
    }

    pub(crate) fn append(
        &self,
        events: &[Event],
        durability: Durability,
    ) -> Result<AllAppended, JournalError> {
        let events = spill(&self.opened()?.dir, &self.home.runtime, events)?;
        if durability == Durability::Durable && events.len() <= HANDED {
            return self.append_together(&events);
        }
        self.decide(durability, |locked| locked.append(&events))
    }

    /// Decides under the lock, from the journal's last word, what to append; what it appended is made as
    /// durable as asked without the lock.
    pub(crate) fn decide<T, E: From<JournalError>>(
        &self,
        durability: Durability,
        decide: impl FnOnce(&mut LockedLog<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (decided, unsynced) = self.with_log(|log| {
            let decided = decide(&mut log.lock()?)?;
            let unsynced = (durability == Durability::Durable).then(|| log.unsynced());
            Ok::<_, E>((decided, unsynced))
        })?;
        if let Some(unsynced) = unsynced {
            // Others append meanwhile, and share the next sync.
            unsynced.sync()?;
        }
        Ok(decided)
    }

    /// Catches up and finishes what a crash left; returns what could not be put in place.
    pub(crate) fn catch_up(&self) -> Result<Vec<Finding>, JournalError> {
        self.with_log(|log| {
            log.lock()?;
            Ok(log.findings.clone())
        })
    }
}
