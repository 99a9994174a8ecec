//! The writer that joins journal and recovery, so that every append finishes what a crash left.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::apply;
use crate::finding::Finding;
use crate::io::Dir;
use crate::journal::{
    Appended, Durability, Event, Home, JournalError, LockedLog, Log, Opened, Unsynced, spill,
};

/// The journal of a run, whose committed artifacts are put in place by whoever locks it.
#[derive(Debug)]
pub(crate) struct RunLog {
    log: Log,
    findings: Vec<Finding>,
}

impl RunLog {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        Ok(Self::new(Log::open(home)?))
    }

    fn new(log: Log) -> Self {
        Self { log, findings: Vec::new() }
    }

    /// Takes the lock, catches up, and puts in place what others committed and did not apply.
    pub(crate) fn lock(&mut self) -> Result<LockedLog<'_>, JournalError> {
        Ok(self.lock_with_findings()?.0)
    }

    /// [`lock`](RunLog::lock), and what could not be put in place.
    pub(crate) fn lock_with_findings(
        &mut self,
    ) -> Result<(LockedLog<'_>, &[Finding]), JournalError> {
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

/// A run's log, opened by the first that needs it and then shared by threads.
///
/// The run's directory stays open with it, so that stages and journal are of one run whatever becomes
/// of its path. Nothing below it stays open between two commits: each opens `.tmp/` and `artifacts/`
/// anew under the lock, without following a link, and works on these two alone.
#[derive(Debug)]
pub(crate) struct RunWriter {
    home: Home,
    opened: OnceLock<Opened>,
    log: Mutex<Option<RunLog>>,
}

impl RunWriter {
    pub(crate) fn new(home: Home) -> Arc<Self> {
        Arc::new(Self { home, opened: OnceLock::new(), log: Mutex::new(None) })
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The run's directory, for reading.
    pub(crate) fn dir(&self) -> Result<Dir, JournalError> {
        Ok(Dir::open(self.home.dir())?)
    }

    /// The run's directory, for writing: that no newer code made it was checked.
    pub(super) fn opened(&self) -> Result<&Opened, JournalError> {
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
        run: impl FnOnce(&mut RunLog) -> Result<T, E>,
    ) -> Result<T, E> {
        // A thread that panicked left either the state before its append or the one after it.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *log {
            Some(log) => run(log),
            closed => {
                let log = Log::open_in(&self.home, self.opened()?.clone())?;
                run(closed.insert(RunLog::new(log)))
            }
        }
    }

    pub(crate) fn append(
        &self,
        events: &[Event],
        durability: Durability,
    ) -> Result<Vec<Appended>, JournalError> {
        let events = spill(&self.opened()?.dir, &self.home.runtime, events)?;
        let (appended, unsynced) = self.with_log(|log| {
            let appended = log.lock()?.append(&events)?;
            let unsynced = (durability == Durability::Durable).then(|| log.unsynced());
            Ok::<_, JournalError>((appended, unsynced))
        })?;
        if let Some(unsynced) = unsynced {
            // Others append meanwhile, and share the next sync.
            unsynced.sync()?;
        }
        Ok(appended)
    }

    /// Catches up and finishes what a crash left; returns what could not be put in place.
    pub(crate) fn catch_up(&self) -> Result<Vec<Finding>, JournalError> {
        self.with_log(|log| {
            log.lock()?;
            Ok(log.findings.clone())
        })
    }
}
