//! The writer that joins journal and recovery, so that every append finishes what a crash left.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::apply;
use super::catalog::Catalog;
use crate::finding::Finding;
use crate::io::{Dir, Kind};
use crate::journal::{
    Appended, Durability, Event, Fold, Home, JournalError, LockedLog, Log, Opened,
};
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
        Ok(Self::new(Log::open(home)?))
    }

    fn new(log: Log<(Catalog, F)>) -> Self {
        Self { log, findings: Vec::new() }
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
///
/// The run's directory stays open with it, so that stages and journal are of one run whatever becomes
/// of its path. Nothing below it stays open between two commits: each opens `.tmp/` and `artifacts/`
/// anew under the lock, without following a link, and works on these two alone.
#[derive(Debug)]
pub(crate) struct RunWriter {
    home: Home,
    opened: OnceLock<Opened>,
    log: Mutex<Option<RunLog<()>>>,
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
        run: impl FnOnce(&mut RunLog<()>) -> Result<T, E>,
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
