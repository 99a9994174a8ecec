//! Kills every operation at every system call: see the crate's documentation.

use std::process::ExitCode;
use std::time::Instant;

use camino::Utf8Path;
use libtest_mimic::{Arguments, Failed, Trial};
use runjournal_proof::{Operation, operations, planted, strace, trial};

const WORKER: &str = env!("CARGO_BIN_EXE_proof-worker");

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each trial waits for its children most of the time.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let missing = strace::missing();
    if let Some(reason) = missing {
        eprintln!("skipped: kill trials: {reason}");
    }
    let trial = |name: String, run: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let all = operations::ALL.iter().copied().flatten().map(|operation| {
        trial(format!("kill::{}", operation.name), Box::new(|| survives(operation)))
    });
    let planted = planted::ALL.iter().map(|operation| {
        trial(format!("kill::{}", operation.name), Box::new(|| is_found_out(operation)))
    });
    libtest_mimic::run(&arguments, all.chain(planted).collect()).exit_code()
}

fn tried(operation: &Operation) -> Result<trial::Report, Failed> {
    let start = Instant::now();
    let report = trial::kill_everywhere(operation, Utf8Path::new(WORKER))
        .map_err(|violation| Failed::from(violation.to_string()))?;
    eprintln!(
        "kill::{}: {} kills ({} boundaries not reached), {} torn writes, {} kinds of state, {} kills \
         of their recovery, {} violations, {:.1} s",
        operation.name,
        report.kills,
        report.not_reached,
        report.torn,
        report.states,
        report.recovery_kills,
        report.violations.len(),
        start.elapsed().as_secs_f64(),
    );
    Ok(report)
}

fn survives(operation: &Operation) -> Result<(), Failed> {
    let report = tried(operation)?;
    if report.kills == 0 {
        return Err(Failed::from("nothing was killed, so nothing is proved"));
    }
    report.into_outcome().map_err(|violation| Failed::from(violation.to_string()))
}

/// The wrong operation is fine as long as nobody kills it, and has to be found out by a kill.
fn is_found_out(operation: &Operation) -> Result<(), Failed> {
    let violations = tried(operation)?.violations;
    let unkilled = violations.iter().find(|found| found.to_string().starts_with("without a kill"));
    match unkilled {
        Some(found) => Err(Failed::from(format!("it fails by itself: {found}"))),
        None if violations.is_empty() => Err(Failed::from("the planted mistake was not found")),
        None => Ok(()),
    }
}
