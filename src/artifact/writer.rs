//! The writer that joins journal and recovery, so that every append finishes what a crash left.

use std::sync::{Arc, Mutex, PoisonError};

use super::apply;
use super::catalog::Catalog;
use crate::finding::Finding;
use crate::io::{Dir, Kind};
use crate::journal::{Appended, Durability, Event, Fold, Home, JournalError, LockedLog, Log};
use crate::layout;

/// The journal of a run together with what it says of artifacts, and a fold of the caller's.
#[derive(Debug)]
pub(crate) struct RunLog<F: Fold> {
    log: Log<(Catalog, F)>,
    findings: Vec<Finding>,
}

/// A run whose lock is held, whose state is up to date, and whose committed artifacts are in place.
pub(crate) type LockedRun<'a, F> = LockedLog<'a, (Catalog, F)>;

impl<F: Fold> RunLog<F> {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        Ok(Self { log: Log::open(home)?, findings: Vec::new() })
    }

    /// Takes the lock, catches up, and puts in place what others committed and did not apply.
    pub(crate) fn lock(&mut self) -> Result<LockedRun<'_, F>, JournalError> {
        let mut locked = self.log.lock()?;
        if locked.fold().0.has_unapplied() {
            let waiting = apply::waiting(locked.dir(), &locked.fold().0)?;
            if !waiting.is_empty() {
                locked.sync()?;
            }
            self.findings = apply::recover(locked.dir(), waiting)?;
            locked.fold_mut().0.all_applied();
        }
        Ok(locked)
    }

    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.log.sync()
    }
}

/// A run's log, opened by the first that needs it and then shared by threads.
#[derive(Debug)]
pub(crate) struct RunWriter {
    home: Home,
    log: Mutex<Option<RunLog<()>>>,
}

impl RunWriter {
    pub(crate) fn new(home: Home) -> Arc<Self> {
        Arc::new(Self { home, log: Mutex::new(None) })
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The run's directory, for reading.
    pub(crate) fn dir(&self) -> Result<Dir, JournalError> {
        Ok(Dir::open(self.home.dir())?)
    }

    /// Runs something with the log, which no other thread uses meanwhile.
    pub(crate) fn with_log<T, E: From<JournalError>>(
        &self,
        run: impl FnOnce(&mut RunLog<()>) -> Result<T, E>,
    ) -> Result<T, E> {
        // A thread that panicked left either the state before its append or the one after it.
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *log {
            Some(log) => run(log),
            closed => run(closed.insert(RunLog::open(&self.home)?)),
        }
    }

    pub(crate) fn append(
        &self,
        events: &[Event],
        durability: Durability,
    ) -> Result<Vec<Appended>, JournalError> {
        self.with_log(|log| {
            let appended = log.lock()?.append(events)?;
            if durability == Durability::Durable {
                log.sync()?;
            }
            Ok(appended)
        })
    }

    /// Catches up and finishes what a crash left; returns what could not be put in place.
    pub(crate) fn catch_up(&self) -> Result<Vec<Finding>, JournalError> {
        self.with_log(|log| {
            log.lock()?;
            Ok(log.findings.clone())
        })
    }
}

/// True if a committed record still waits to be put in place.
pub(crate) fn is_anything_pending<F: Fold>(
    locked: &LockedRun<'_, F>,
) -> Result<bool, JournalError> {
    for (_, last) in locked.fold().0.iter().filter(|(_, last)| last.staged) {
        let stage = locked.dir().stat(&layout::stage(last.event_id))?;
        if stage.is_some_and(|entry| entry.kind == Kind::File) {
            return Ok(true);
        }
    }
    Ok(false)
}
