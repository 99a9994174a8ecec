//! Killing an operation at every system call, and its recovery too.

use std::collections::HashSet;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::Digest;

use crate::check;
use crate::seam::Step;
use crate::strace::{self, Boundary, Call, Ended};
use crate::tree::{copy, settle, shape, tree};
use crate::{Acks, Operation, Outcome, Place, Violation, seam, stage};

/// What was tried, and what was found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// System calls of the operation at which it was killed.
    pub kills: usize,
    /// Boundaries that a run did not reach: it went through, and was checked all the same.
    pub not_reached: usize,
    /// Crash states with a write cut short.
    pub torn: usize,
    /// Crash states that look different from each other.
    pub states: usize,
    /// System calls of recoveries at which those were killed.
    pub recovery_kills: usize,
    /// What does not hold, with the place of the kill.
    pub violations: Vec<Violation>,
}

impl Report {
    /// All violations as one, if there are any.
    ///
    /// # Errors
    /// Where there are.
    pub fn into_outcome(self) -> Outcome {
        Violation::all(&self.violations)
    }
}

/// Catching up with every run there is, and the call made again: what a process does that comes after
/// one that died.
///
/// # Errors
/// Where one of them fails.
pub fn recover(operation: &Operation, place: &Place, acks: &mut Acks) -> Outcome {
    if place.run_dir().join("run.json").exists() {
        place.ctx()?.catch_up()?;
    }
    (operation.operate)(place, acks)
}

/// In memory where that can be had: a kill leaves the same on every file system, and there syncing
/// costs nothing.
pub(crate) fn fast_directory() -> std::path::PathBuf {
    let memory = std::path::PathBuf::from("/dev/shm");
    if tempfile::tempfile_in(&memory).is_ok() { memory } else { std::env::temp_dir() }
}

/// How recovery is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// By SIGKILL, in a process of its own.
    Killed,
    /// In this process, where from one call on the disk on nothing is done any more: that leaves the same, and
    /// takes a tenth of the time.
    CutOff,
}

/// A bench on which one operation is tried.
#[derive(Debug)]
struct Bench<'a> {
    operation: &'a Operation,
    heads: bool,
    recovery: Recovery,
    worker: &'a Utf8Path,
    dir: Utf8PathBuf,
    report: Report,
    shapes: HashSet<String>,
    /// Trees that a killed recovery left.
    left: HashSet<Digest>,
    /// Such trees, and the calls that the recovery had still to make.
    ahead: HashSet<(Digest, Digest)>,
}

/// Kills the operation at each of its system calls, checks each state that this leaves, and kills the
/// recovery of each kind of state at each call that can change something. With `heads`, every journal
/// gets a head after every record, so that writing those is among the calls; then only calls that can
/// change something are tried, and those of recovery that have to do with a head.
///
/// # Errors
/// Where the trial itself cannot be made. What was found is in the report.
pub fn kill_everywhere(
    operation: &Operation,
    heads: bool,
    recovery: Recovery,
    worker: &Utf8Path,
) -> Outcome<Report> {
    let temporary = tempfile::tempdir_in(fast_directory())?;
    let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
    let mut bench = Bench {
        operation,
        heads,
        recovery,
        worker,
        dir,
        report: Report::default(),
        shapes: HashSet::new(),
        left: HashSet::new(),
        ahead: HashSet::new(),
    };
    let prepared = bench.prepare()?;
    let mut last = None;
    let calls = bench.calls("operate", &prepared)?;
    bench.check(bench.dir.join(WHOLE), || "without a kill".to_owned());
    let all = !heads && !operation.reads_much;
    for call in calls.into_iter().filter(|call| call.changes || all) {
        let acknowledged = bench.try_boundary(&call, last.as_ref(), &prepared)?;
        if call.changes {
            last = Some((call, acknowledged));
        }
    }
    Ok(bench.report)
}

impl Bench<'_> {
    fn prepare(&self) -> Outcome<Utf8PathBuf> {
        let prepared = self.dir.join("prepared");
        std::fs::create_dir_all(&prepared)?;
        if self.heads {
            Place::new(prepared.as_str()).leave_heads()?;
        }
        stage::prepare(self.operation, self.worker, &prepared)?;
        Ok(prepared)
    }

    /// A fresh copy of a tree, under a name.
    fn copy(&self, from: &Utf8Path, name: &str) -> Outcome<Utf8PathBuf> {
        let to = self.dir.join(name);
        if to.exists() {
            std::fs::remove_dir_all(&to)?;
        }
        copy(from, &to)?;
        settle(&to)?;
        Ok(to)
    }

    /// The system calls of a run that nobody kills, which has to be right as well.
    fn calls(&self, act: &str, from: &Utf8Path) -> Outcome<Vec<Call>> {
        let dir = self.copy(from, WHOLE)?;
        let arguments = ["worker", act, self.operation.name, dir.as_str()];
        let mut calls = strace::calls(self.worker, &arguments)?;
        // To open a lock file that was there from the start changes nothing.
        for call in &mut calls {
            let made = call.makes.as_ref().and_then(|made| made.strip_prefix(&dir).ok());
            call.changes &= made.is_none_or(|made| !from.join(made).exists());
        }
        Ok(calls)
    }

    /// The same of recovery, however that is to be killed.
    fn steps(&self, state: &Utf8Path) -> Outcome<Vec<(Step, Option<Boundary>)>> {
        if self.recovery == Recovery::CutOff {
            let steps = seam::calls(self.operation, &self.copy(state, WHOLE)?)?;
            return Ok(steps.into_iter().map(|step| (step, None)).collect());
        }
        let calls = self.calls("recover", state)?.into_iter();
        Ok(calls
            .map(|Call { boundary, changes, head, skeleton, .. }| {
                let skeleton = format!("{}({skeleton}", boundary.call);
                let step = Step { label: boundary.to_string(), changes, head, skeleton };
                (step, Some(boundary))
            })
            .collect())
    }

    fn check(&mut self, dir: Utf8PathBuf, place: impl FnOnce() -> String) {
        let checked = self.checked(dir);
        self.note(checked, place);
    }

    fn note(&mut self, checked: Outcome, place: impl FnOnce() -> String) {
        if let Err(violation) = checked {
            self.report.violations.push(violation.at(place()));
        }
    }

    fn checked(&self, dir: Utf8PathBuf) -> Outcome {
        settle(&dir)?;
        if !self.heads {
            return check::after_a_crash(self.operation, &Place::new(dir));
        }
        let straight = Place::new(self.copy(&dir, "straight")?);
        let headless = Place::new(self.copy(&dir, "headless")?);
        check::after_a_crash_with_heads(self.operation, &Place::new(dir), &straight, &headless)
    }

    fn kill(&self, act: &str, boundary: &Boundary, dir: &Utf8Path) -> Outcome<Ended> {
        let arguments = ["worker", act, self.operation.name, dir.as_str()];
        strace::kill(boundary, self.worker, &arguments)
    }

    /// Kills the operation at a call; `last` is the call before it that changed anything, and how much
    /// was acknowledged when that was killed. Returns how much is now.
    fn try_boundary(
        &mut self,
        call: &Call,
        last: Option<&(Call, usize)>,
        prepared: &Utf8Path,
    ) -> Outcome<usize> {
        let dir = self.copy(prepared, "killed")?;
        let ended = self.kill("operate", &call.boundary, &dir)?;
        match ended {
            Ended::Killed => self.report.kills += 1,
            Ended::Finished => self.report.not_reached += 1,
        }
        let place = format!("killed at {}", call.boundary);
        let acknowledged = Place::new(dir.as_str()).acknowledged()?.len();
        if !self.shapes.insert(shape(&dir)?) {
            self.check(dir, || place);
            return Ok(acknowledged);
        }
        self.report.states += 1;
        let state = self.copy(&dir, "state")?;
        self.check(dir, || place.clone());
        self.try_recovery(&place, &state)?;
        // How often a call is made before can differ from run to run (`getrandom`, threads), and then the
        // nth of it comes later than it should: a write that was acknowledged cannot have been cut off.
        if let Some((Call { journal: Some((journal, bytes)), .. }, before)) = last
            && ended == Ended::Killed
            && acknowledged == *before
        {
            self.try_torn(&place, &state, journal, *bytes)?;
        }
        Ok(acknowledged)
    }

    /// The same state with the last write to a journal cut short, as a kill can cut it.
    fn try_torn(
        &mut self,
        place: &str,
        state: &Utf8Path,
        journal: &Utf8Path,
        written: u64,
    ) -> Outcome {
        let journal = journal.strip_prefix(self.dir.join(WHOLE))?;
        let length = std::fs::metadata(state.join(journal))?.len();
        let half = written / 2;
        for missing in [1, 2, 76, 77, written / 4, half, 3 * (written / 4), written - 1] {
            let dir = self.copy(state, "torn")?;
            let file = std::fs::OpenOptions::new().write(true).open(dir.join(journal))?;
            file.set_len(length.saturating_sub(missing.min(written)))?;
            self.report.torn += 1;
            let place = format!("{place}, {missing} of {written} bytes not written");
            if missing == half {
                let torn = self.copy(&dir, "torn-state")?;
                self.try_recovery(&place, &torn)?;
            }
            self.check(dir, || place);
        }
        Ok(())
    }

    /// Kills the recovery of a state at each call that can change anything, up to where it comes to a tree
    /// that another recovery came to, with the same calls ahead of it: there it was killed in what follows.
    /// A tree that was checked is not checked again.
    fn try_recovery(&mut self, place: &str, state: &Utf8Path) -> Outcome {
        let steps = match self.steps(state) {
            Ok(steps) => steps,
            Err(violation) => {
                let violation = violation.at(format_args!("{place}, and recovered"));
                self.report.violations.push(violation);
                return Ok(());
            }
        };
        self.check(self.dir.join(WHOLE), || format!("{place}, and recovered"));
        let heads = self.heads;
        let tried = |step: &Step| step.changes && (step.head || !heads);
        for (at, (step, boundary)) in steps.iter().enumerate().filter(|(_, (step, _))| tried(step))
        {
            let dir = self.copy(state, "recovered")?;
            match boundary {
                Some(boundary) => drop(self.kill("recover", boundary, &dir)?),
                None => seam::kill(self.operation, &dir, at),
            }
            self.report.recovery_kills += 1;
            let tree = tree(&dir)?;
            if !self.ahead.insert((tree, ahead(steps.get(at..).unwrap_or_default()))) {
                break;
            }
            if self.left.insert(tree) {
                settle(&dir)?;
                let checked = check::after_a_crash(self.operation, &Place::new(dir));
                self.note(checked, || format!("{place}, and its recovery at {}", step.label));
            }
        }
        Ok(())
    }
}

/// The copy in which nobody is killed.
const WHOLE: &str = "whole";

/// The calls that change something, by what they are called with.
fn ahead(steps: &[(Step, Option<Boundary>)]) -> Digest {
    let steps = steps.iter().filter(|(step, _)| step.changes);
    let lines: Vec<_> = steps.map(|(step, _)| step.skeleton.as_str()).collect();
    Digest::of(lines.join("\n").as_bytes())
}
