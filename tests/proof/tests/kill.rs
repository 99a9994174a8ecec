//! Kills every operation at every system call: see the crate's documentation.

use std::process::ExitCode;
use std::time::Instant;

use camino::Utf8Path;
use libtest_mimic::{Arguments, Failed, Trial};
use runjournal_proof::trial::{self, Recovery};
use runjournal_proof::{Operation, operations, planted, strace};

const WORKER: &str = env!("CARGO_BIN_EXE_runjournal-proof");

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Each trial waits for its children most of the time.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads = arguments.test_threads.or(Some(2 * processors));
    let missing = strace::missing();
    if let Some(reason) = missing {
        eprintln!("skipped: kill trials: {reason}");
    }
    let trial = |name: String, run: Box<dyn FnOnce() -> Result<(), Failed> + Send>| {
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let plain = operations::ALL.iter().copied().flatten().map(|operation| (operation, false));
    let with_heads = operations::with_heads().map(|operation| (operation, true));
    let all = plain.chain(with_heads).map(|(operation, heads)| {
        trial(name(operation, heads), Box::new(move || survives(operation, heads)))
    });
    let planted = planted::ALL.iter().map(|operation| (operation, false));
    let with_heads = planted::WITH_HEADS.iter().map(|operation| (operation, true));
    let planted = planted.chain(with_heads).map(|(operation, heads)| {
        trial(name(operation, heads), Box::new(move || is_found_out(operation, heads)))
    });
    libtest_mimic::run(&arguments, all.chain(planted).collect()).exit_code()
}

fn name(operation: &Operation, heads: bool) -> String {
    format!("{}::{}", if heads { "heads" } else { "kill" }, operation.name)
}

fn tried(operation: &Operation, heads: bool) -> Result<trial::Report, Failed> {
    let start = Instant::now();
    let killed = operation.recovery_killed && !heads;
    let recovery = if killed { Recovery::Killed } else { Recovery::CutOff };
    let report = trial::kill_everywhere(operation, heads, recovery, Utf8Path::new(WORKER))
        .map_err(|violation| Failed::from(violation.to_string()))?;
    eprintln!(
        "{}: {} kills ({} boundaries not reached), {} torn writes, {} kinds of state, {} kills \
         of their recovery, {} violations, {:.1} s",
        name(operation, heads),
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

fn survives(operation: &Operation, heads: bool) -> Result<(), Failed> {
    let report = tried(operation, heads)?;
    if report.kills == 0 {
        return Err(Failed::from("nothing was killed, so nothing is proved"));
    }
    report.into_outcome().map_err(|violation| Failed::from(violation.to_string()))
}

/// The wrong operation is fine as long as nobody kills it, and has to be found out by a kill.
fn is_found_out(operation: &Operation, heads: bool) -> Result<(), Failed> {
    let violations = tried(operation, heads)?.violations;
    let unkilled = violations.iter().find(|found| found.to_string().starts_with("without a kill"));
    match unkilled {
        Some(found) => Err(Failed::from(format!("it fails by itself: {found}"))),
        None if violations.is_empty() => Err(Failed::from("the planted mistake was not found")),
        None => Ok(()),
    }
}
