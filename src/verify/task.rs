//! A task and its runs: what its journal knows of them, and which of them are there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use camino::{Utf8Path, Utf8PathBuf};

use super::home::{self, Looked, Said};
use super::places::{case_collisions, special, unreadable};
use super::read_data::Choice;
use super::start::traces;
use crate::finding::{Code, Finding};
use crate::id::RunId;
use crate::io::{Dir, Kind};
use crate::journal::{Cursor, Events, Home, JournalError, lock_shared};
use crate::layout;
use crate::manifest::Witness;
use crate::status::{RunStatus, TaskStatus};
use crate::workspace::RunWords;

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
                    findings.push(Finding::whole(base.join(name), Code::BadId, bad.reason));
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
        (self.needs_success && !may)
            .then(|| Finding::whole(&self.path, Code::DoneWithoutSuccess, reason))
    }
}

/// What a look at a task yields, and the runs that are to be looked at.
pub(super) struct LookedTask {
    pub(super) looked: Looked,
    pub(super) state: TaskState,
    pub(super) runs: Vec<RunId>,
}

/// Looks at a task, but not at its runs. `None` where it is not there, or not any more. Of the runs that are
/// known `elsewhere`, those that are gone are told, unless they were pruned.
pub(super) fn look(
    home: &Home,
    choice: &Choice,
    witnesses: &[Witness],
    elsewhere: &BTreeMap<RunId, &Witness>,
) -> Option<LookedTask> {
    // A run's directory comes after the record that says so, so the runs are listed before it is read.
    let mut findings = Vec::new();
    let dir = Dir::open(home.dir());
    let listed = match &dir {
        Ok(dir) => listed(dir, &mut findings),
        Err(error) if error.is_not_found() => return None,
        Err(error) => {
            findings.push(unreadable(error));
            Ok(Vec::new())
        }
    };
    let mut runs = listed.unwrap_or_else(|error| {
        findings.push(unreadable(&error));
        Vec::new()
    });
    let mut looked = home::look(home, choice, witnesses)?;
    // The same may have kept the look from opening it as well.
    findings.retain(|finding| !looked.verified.findings.contains(finding));
    looked.verified.findings.append(&mut findings);
    let path = home.dir().to_owned();
    let mut needs_success = false;
    if let (Some(said), Ok(dir)) = (&mut looked.said, &dir) {
        match agree(home, dir, &mut said.runs, said.cursor, &mut runs, elsewhere) {
            Ok(different) => looked.verified.findings.extend(different),
            Err(JournalError::Io(error)) => looked.verified.findings.push(unreadable(&error)),
            Err(error) => {
                looked.verified.findings.push(Finding::whole(
                    &path,
                    Code::Unreadable,
                    error.to_string(),
                ));
            }
        }
        needs_success = said.task == TaskStatus::Done && !said.runs.has_success();
    }
    let state = TaskState::new(path, needs_success, runs.len());
    if runs.is_empty() {
        looked.verified.findings.extend(state.lacks_success());
    }
    Some(LookedTask { looked, state, runs })
}

/// The runs in a task's directory, sorted. A directory without a genesis file and without anything else is none:
/// a start that was interrupted left it, or it is being made or removed.
fn listed(dir: &Dir, findings: &mut Vec<Finding>) -> Result<Vec<RunId>, crate::error::IoError> {
    let mut runs = ids::<RunId>(dir, layout::RUNS, layout::RUN, findings)?;
    runs.retain(|run| {
        let home = format!("{}/{run}/", layout::RUNS);
        // What cannot be looked at is told by who looks into it.
        dir.stat(&format!("{home}{}", layout::RUN)).map_or(true, |entry| entry.is_some())
            || traces(dir, &home).is_some()
    });
    Ok(runs)
}

/// What a task's journal and its directory do not agree on. Runs that came since they were listed are added.
fn agree(
    home: &Home,
    dir: &Dir,
    said: &mut RunWords,
    cursor: Option<Cursor>,
    runs: &mut Vec<RunId>,
    elsewhere: &BTreeMap<RunId, &Witness>,
) -> Result<Vec<Finding>, JournalError> {
    let is_run = |run: &RunId| {
        let path = format!("{}/{run}/{}", layout::RUNS, layout::RUN);
        dir.stat(&path).is_ok_and(|entry| entry.is_some())
    };
    let is_known = |said: &RunWords, run: &RunId| said.word(run).is_some();
    if runs.iter().all(|run| is_known(said, run)) && missing(said, runs, elsewhere).is_empty() {
        return Ok(Vec::new());
    }
    // With nothing in flight: whoever starts a run holds the lock until it is there.
    let lock = lock_shared(home, dir)?;
    let mut events = Events::open(home)?;
    if let Some(cursor) = cursor {
        events = events.from(cursor)?;
    }
    for record in events {
        said.apply(&record?)?;
    }
    let absent = missing(said, runs, elsewhere);
    let (born, absent): (Vec<_>, Vec<_>) = absent.into_iter().partition(is_run);
    let orphans = runs.iter().filter(|run| !is_known(said, run) && is_run(run));
    let orphans: Vec<_> = orphans.cloned().collect();
    drop(lock);
    runs.extend(born);
    let at = |run: &RunId| dir.path().join(layout::RUNS).join(run.as_str());
    let orphans = orphans.iter().map(|run| {
        Finding::whole(at(run), Code::OrphanedRun, "the journal of its task does not know it")
    });
    let is_file = |run: &RunId| {
        let path = format!("{}/{run}", layout::RUNS);
        dir.stat(&path).is_ok_and(|there| there.is_some_and(|there| there.kind == Kind::File))
    };
    let files = absent
        .iter()
        .filter(|run| is_file(run))
        .map(|run| Finding::whole(at(run), Code::WrongKind, "a file stands where a run belongs"));
    let files: Vec<_> = files.collect();
    let absent = absent.iter().map(|run| match (elsewhere.get(run), said.stood(run)) {
        (Some(witness), _) => gone(&at(run), witness),
        (None, Some(done)) => {
            let reason = format!(
                "it is not there, its task's journal says that it was {done}, and not that it was pruned"
            );
            Finding::whole(at(run), Code::JournalMissing, reason)
        }
        (None, None) => {
            let reason = "the journal of its task knows it, and it is not there";
            Finding::whole(at(run), Code::UnbornRun, reason)
        }
    });
    Ok(orphans.chain(absent).chain(files).collect())
}

/// That a task or a run is gone which somebody has elsewhere.
pub(super) fn gone(path: &Utf8Path, witness: &Witness) -> Finding {
    let (by, records) = (&witness.by, witness.cursor.seq());
    let reason = format!(
        "it is not there, {by} has it up to seq {records}, and no record says that it was pruned"
    );
    Finding::whole(path, Code::JournalMissing, reason)
}

/// Runs that should be there, by the word of their task's journal or of somebody else, and were not listed.
fn missing(
    said: &RunWords,
    runs: &[RunId],
    elsewhere: &BTreeMap<RunId, &Witness>,
) -> BTreeSet<RunId> {
    let witnessed = elsewhere.keys().filter(|run| said.pruned(run).is_none());
    let should_be = said.there().chain(witnessed);
    should_be.filter(|run| runs.binary_search(run).is_err()).cloned().collect()
}
