//! Mistakes planted in the library itself, and what catches each of them. A mistake that nothing catches is a
//! hole in the proof.
//!
//! The library makes one when `RUNJOURNAL_PLANTED` names it, for as long as the process lives. So each is tried
//! out in two processes (`runjournal-proof catch NAME`): in the one that makes no mistake the trial must hold,
//! in the other it must find what it is there to find, and nothing else.

mod content;
mod damaged;
mod failed;
mod handed;
mod killed;
mod order;
mod races;
mod refused;
mod scene;
mod taken;
mod unsynced;

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runjournal::proof::BUGS;

use crate::threads::on_threads;
use crate::{Budget, Outcome, Row, Trial, Violation};

/// A mistake, and the trial that finds it out.
#[derive(Debug, Clone, Copy)]
pub struct Catch {
    /// The mistake, as `RUNJOURNAL_PLANTED` names it.
    pub bug: &'static str,
    /// What the trial is called: its file here, and what it tries.
    pub by: &'static str,
    /// What must be in the violation: another one would say that the trial itself is broken.
    pub says: &'static str,
    /// The trial: it holds where nothing is planted.
    pub tried: fn() -> Outcome,
}

/// The groups of catches, by what finds the mistake out.
pub const ALL: &[&[Catch]] = &[
    order::ALL,
    killed::ALL,
    failed::ALL,
    races::ALL,
    handed::ALL,
    refused::ALL,
    taken::ALL,
    damaged::ALL,
    content::ALL,
];

/// The row of the table: each planted mistake must be caught.
pub const TRIAL: Trial = Trial { name: "planted", unit: "mistakes", run: row };

/// How a process ends that found a violation.
pub const CAUGHT: u8 = 3;
/// By what the library knows which mistake to make.
const PLANTED: &str = "RUNJOURNAL_PLANTED";
/// How long a trial may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many are tried at a time.
const AT_A_TIME: usize = 2;

/// Tries the catch of a mistake in this process.
///
/// # Errors
/// Where there is no such mistake.
pub fn try_here(bug: &str) -> Outcome<Outcome> {
    let catch = find(bug).ok_or_else(|| Violation::new(format!("nothing catches {bug}")))?;
    Ok((catch.tried)())
}

/// The mistake that this process makes, if it is to make one.
#[must_use]
pub fn planted() -> Option<String> {
    std::env::var(PLANTED).ok().filter(|bug| !bug.is_empty())
}

/// Nothing is proved by a mistake that is misspelt: it is not made.
///
/// # Errors
/// With the mistakes that there are, where the one that is to be planted is none of them.
pub fn check_planted() -> Outcome {
    let known = |bug: &String| BUGS.contains(&bug.as_str());
    match planted().filter(|bug| !known(bug)) {
        Some(bug) => Err(Violation::new(format!(
            "{PLANTED} names no mistake that can be planted: {bug}; there are {}",
            BUGS.join(", ")
        ))),
        None => Ok(()),
    }
}

fn find(bug: &str) -> Option<&'static Catch> {
    ALL.iter().copied().flatten().find(|catch| catch.bug == bug)
}

fn row(_: &Budget) -> Outcome<Row> {
    all_are_caught(&std::env::current_exe()?)
}

/// Tries every mistake that the library knows, each with it and without it; `worker` is the runner.
///
/// # Errors
/// Where no process can be started.
pub fn all_are_caught(worker: &Path) -> Outcome<Row> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Row::default());
    let ended = on_threads(AT_A_TIME, |_| {
        while let Some(bug) = BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let caught = is_caught(worker, bug);
            let mut row = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            row.tried += 1;
            let name = find(bug).map_or(*bug, |catch| catch.by);
            let found = |violation: Violation| violation.at(name).at(bug);
            row.violations.extend(caught.err().map(found));
        }
        Ok(())
    });
    let mut row = found.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    row.violations.extend(ended.err());
    for catch in ALL.iter().copied().flatten() {
        if !BUGS.contains(&catch.bug) {
            row.violations.push(Violation::new("the library knows no such mistake").at(catch.bug));
        }
    }
    row.notes.push(format!(
        "{} of {} caught",
        BUGS.len() - row.violations.len().min(BUGS.len()),
        BUGS.len()
    ));
    Ok(row)
}

/// Without the mistake its trial holds, with it the trial says what it is there to say.
fn is_caught(worker: &Path, bug: &str) -> Outcome {
    let catch = find(bug).ok_or_else(|| Violation::new("nothing catches it"))?;
    let (held, said) = try_apart(worker, bug, None)?;
    if !held.success() {
        return Err(Violation::new(said).at("the trial fails by itself"));
    }
    let (caught, said) = try_apart(worker, bug, Some(bug))?;
    match caught.code() {
        Some(code) if code == i32::from(CAUGHT) && said.contains(catch.says) => Ok(()),
        Some(code) if code == i32::from(CAUGHT) => {
            Err(Violation::new(format!("it is not {:?} that was found, but: {said}", catch.says)))
        }
        Some(0) => Err(Violation::new("it was not found out")),
        _ => Err(Violation::new(said).at(format_args!("the trial broke ({caught})"))),
    }
}

/// Tries it in a process of its own; how that ended, and what it said.
fn try_apart(worker: &Path, bug: &str, planted: Option<&str>) -> Outcome<(ExitStatus, String)> {
    let mut command = Command::new(worker);
    command.args(["catch", bug]).env_remove(PLANTED).envs(planted.map(|bug| (PLANTED, bug)));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let ended = wait(&mut child);
    if ended.is_err() {
        child.kill()?;
    }
    let output = child.wait_with_output()?;
    ended?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status, String::from_utf8_lossy(&said).trim().to_owned()))
}

fn wait(child: &mut Child) -> Outcome {
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            return Err(Violation::new(format!("the trial hangs for {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
