//! A task and its runs: what its journal knows of them, and which of them are there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use camino::Utf8PathBuf;

use super::fold::Runs;
use super::home::{self, Looked, Said};
use super::places::{case_collisions, special, unreadable, whole};
use super::read_data::Choice;
use crate::finding::{Code, Finding};
use crate::id::RunId;
use crate::io::{Dir, Kind};
use crate::journal::{Events, Home, JournalError, lock_shared};
use crate::layout;
use crate::manifest::Witness;
use crate::status::{RunStatus, TaskStatus};

/// The names of what may be tasks or runs in a directory, sorted.
pub(super) fn names(dir: &Dir, below: &str) -> Vec<String> {
    let entries = dir.list(below).unwrap_or_default().into_iter();
    let dirs = entries.filter(|(name, kind)| *kind == Kind::Dir && !name.starts_with('.'));
    dirs.map(|(name, _)| name).collect()
}

/// The tasks or runs in a directory, and what stands there that is none.
pub(super) fn ids<Id: std::str::FromStr<Err = crate::id::IdError>>(
    dir: &Dir,
    below: &str,
    genesis: &str,
    findings: &mut Vec<Finding>,
) -> Result<Vec<Id>, crate::error::IoError> {
    let entries = match dir.list(below) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        other => other?,
    };
    let entries: Vec<_> = entries.into_iter().filter(|(name, _)| !name.starts_with('.')).collect();
    let base = if below.is_empty() { dir.path().to_owned() } else { dir.path().join(below) };
    let dirs = entries.iter().filter(|(_, kind)| *kind == Kind::Dir);
    case_collisions(&base, dirs.map(|(name, _)| name.as_str()), findings);
    let mut ids = Vec::new();
    for (name, kind) in entries {
        match (kind, name.parse::<Id>()) {
            (Kind::Other, _) => findings.push(special(&base.join(name))),
            (Kind::File, _) => {}
            (Kind::Dir, Ok(id)) => ids.push(id),
            (Kind::Dir, Err(bad)) => {
                let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
                if dir.stat(&format!("{path}/{genesis}")).is_ok_and(|found| found.is_some()) {
                    findings.push(whole(&base.join(name), Code::BadId, bad.reason));
                }
            }
        }
    }
    Ok(ids)
}

/// A task, as its runs need to know it.
#[derive(Debug)]
pub(super) struct TaskState {
    path: Utf8PathBuf,
    /// It is done, and so far no run of it is known to have succeeded.
    needs_success: bool,
    succeeded: AtomicBool,
    /// Something of it could not be read, so that nothing can be said.
    unsure: AtomicBool,
    /// Runs that were not looked at yet.
    left: AtomicUsize,
}

impl TaskState {
    /// Of a task that nothing is to be said of.
    pub(super) fn unknown(path: Utf8PathBuf) -> Self {
        Self::new(path, false, 1)
    }

    fn new(path: Utf8PathBuf, needs_success: bool, left: usize) -> Self {
        let (succeeded, unsure) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { path, needs_success, succeeded, unsure, left: AtomicUsize::new(left) }
    }

    /// A run of it was looked at; the last one tells what the task lacks.
    pub(super) fn looked_at(&self, run: Option<&Said>) -> Option<Finding> {
        match run {
            Some(said) if said.run == RunStatus::Success => {
                self.succeeded.store(true, Ordering::SeqCst);
            }
            Some(_) => {}
            None => self.unsure.store(true, Ordering::SeqCst),
        }
        let is_last = self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last { self.lacks_success() } else { None }
    }

    fn lacks_success(&self) -> Option<Finding> {
        let may = self.succeeded.load(Ordering::SeqCst) || self.unsure.load(Ordering::SeqCst);
        let reason = "it is done, and none of its runs succeeded";
        (self.needs_success && !may).then(|| whole(&self.path, Code::DoneWithoutSuccess, reason))
    }
}

/// What a look at a task yields, and the runs that are to be looked at.
pub(super) struct LookedTask {
    pub(super) looked: Looked,
    pub(super) state: TaskState,
    pub(super) runs: Vec<RunId>,
}

/// Looks at a task, but not at its runs. `None` where it is not there, or not any more.
pub(super) fn look(home: &Home, choice: &Choice, witnesses: &[Witness]) -> Option<LookedTask> {
    // A run's directory comes after the record that says so, so the runs are listed before it is read.
    let mut findings = Vec::new();
    let dir = Dir::open(home.dir());
    let listed = match &dir {
        Ok(dir) => ids::<RunId>(dir, layout::RUNS, layout::RUN, &mut findings),
        Err(error) if error.is_not_found() => return None,
        Err(_) => Ok(Vec::new()),
    };
    let mut runs = listed.unwrap_or_else(|error| {
        findings.push(unreadable(&error));
        Vec::new()
    });
    let mut looked = home::look(home, choice, witnesses)?;
    looked.verified.findings.append(&mut findings);
    let path = home.dir().to_owned();
    let mut needs_success = false;
    if let (Some(said), Ok(dir)) = (&mut looked.said, &dir) {
        match agree(home, dir, said, &mut runs) {
            Ok(different) => looked.verified.findings.extend(different),
            Err(JournalError::Io(error)) => looked.verified.findings.push(unreadable(&error)),
            Err(error) => {
                looked.verified.findings.push(whole(&path, Code::Unreadable, error.to_string()));
            }
        }
        needs_success = said.task == TaskStatus::Done && !said.runs.succeeded;
    }
    let state = TaskState::new(path, needs_success, runs.len());
    if runs.is_empty() {
        looked.verified.findings.extend(state.lacks_success());
    }
    Some(LookedTask { looked, state, runs })
}

/// What a task's journal and its directory do not agree on. Runs that came since they were listed are added.
fn agree(
    home: &Home,
    dir: &Dir,
    said: &mut Said,
    runs: &mut Vec<RunId>,
) -> Result<Vec<Finding>, JournalError> {
    let is_run = |run: &RunId| {
        let path = format!("{}/{run}/{}", layout::RUNS, layout::RUN);
        dir.stat(&path).is_ok_and(|entry| entry.is_some())
    };
    let agrees = |said: &Said, runs: &[RunId]| {
        runs.iter().all(|run| said.runs.known.contains_key(run))
            && missing(&said.runs, runs).next().is_none()
    };
    if agrees(said, runs) {
        return Ok(Vec::new());
    }
    // With nothing in flight: whoever starts a run holds the lock until it is there.
    let lock = lock_shared(home, dir)?;
    let mut events = Events::open(home)?;
    if let Some(cursor) = said.cursor {
        events = events.from(cursor)?;
    }
    for record in events {
        said.runs.take_in(&record?)?;
    }
    let absent: Vec<RunId> = missing(&said.runs, runs).cloned().collect();
    let (born, unborn): (Vec<_>, Vec<_>) = absent.into_iter().partition(is_run);
    let orphans = runs.iter().filter(|run| !said.runs.known.contains_key(run) && is_run(run));
    let orphans: Vec<_> = orphans.cloned().collect();
    drop(lock);
    runs.extend(born);
    let at = |run: &RunId| dir.path().join(layout::RUNS).join(run.as_str());
    let orphans = orphans
        .iter()
        .map(|run| whole(&at(run), Code::OrphanedRun, "the journal of its task does not know it"));
    let unborn = unborn.iter().map(|run| {
        whole(&at(run), Code::UnbornRun, "the journal of its task knows it, and it is not there")
    });
    Ok(orphans.chain(unborn).collect())
}

/// Runs that should be there and were not listed.
fn missing<'a>(said: &'a Runs, runs: &'a [RunId]) -> impl Iterator<Item = &'a RunId> {
    let should_be = said.known.iter().filter(|(_, is_there)| **is_there).map(|(run, _)| run);
    should_be.filter(|run| runs.binary_search(run).is_err())
}
