//! Real power cuts: ext4 and xfs in files, shut down beneath a worker by the file system's own call for it,
//! mounted again, and judged as the soak is: what was told as durable is there.
//!
//! All mounts are made in a namespace of their own, by a child process: whatever becomes of it, the mounts go
//! with it, and so do their loop devices. A journal-less ext4 is not among the kinds: it has no order to keep,
//! and what it wrote by itself stands on the disk that is shut down.

mod cuts;
mod disk;

use std::process::{Command, Stdio};
use std::time::Duration;

use camino::Utf8Path;
use serde_json::Value;

use crate::{Budget, Outcome, Row, Trial, Violation, ensure, soak};
use disk::KINDS;

/// The row of the table.
pub const TRIAL: Trial = Trial {
    name: "power",
    unit: "power cuts",
    run: |budget| run(LEAST, budget, &soak::program()?),
};

/// So many of each kind, however little time there is.
const LEAST: u64 = 20;

/// Why no power can be cut here, if it cannot.
#[must_use]
pub fn missing() -> Option<String> {
    let missing = |(program, argument): &(&str, &str)| {
        let found = Command::new(program).arg(argument).stdin(Stdio::null()).output();
        found.is_err().then(|| format!("{program} is not there"))
    };
    let programs = [
        ("unshare", "--version"),
        ("mount", "--version"),
        ("mkfs.ext4", "-V"),
        ("mkfs.xfs", "-V"),
        ("xfs_io", "-V"),
    ];
    if let Some(why) = programs.iter().find_map(missing) {
        return Some(why);
    }
    let mut unshared = unshared();
    let may_mount = disk::run(unshared.args(["mount", "-t", "tmpfs", "none", "/mnt"]));
    if let Err(why) = may_mount {
        return Some(format!("nothing can be mounted: {why}"));
    }
    let loops = disk::run(Command::new("losetup").arg("--find"));
    loops.err().map(|why| format!("there is no loop device: {why}"))
}

/// What begins a command that has mounts of its own.
fn unshared() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]);
    command
}

/// Cuts the power of each kind of disk at least so often, and on while the budget lasts. `program` is
/// `runjournal-proof`.
///
/// # Errors
/// Where the trial cannot be made.
pub fn run(least: u64, budget: &Budget, program: &Utf8Path) -> Outcome<Row> {
    if let Some(why) = missing() {
        return Ok(Row::skipped(why));
    }
    let seconds = budget.left().as_secs_f64().to_string();
    let numbers = [least.to_string(), seconds, budget.seed.to_string()];
    let children: Vec<_> = KINDS
        .iter()
        .map(|kind| {
            let mut command = unshared();
            command.args([program.as_str(), "power", kind.name]).args(&numbers);
            (kind, command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn())
        })
        .collect();
    let mut row = Row::default();
    for (kind, child) in children {
        let output = child?.wait_with_output()?;
        ensure(output.status.success(), || format!("{}: {}", kind.name, output.status))?;
        let found: Value = serde_json::from_slice(&output.stdout)?;
        let number = |member: &str| found.get(member).and_then(Value::as_u64).unwrap_or_default();
        row.tried += number("cuts");
        let (cuts, told) = (number("cuts"), number("told"));
        row.notes.push(format!("{}: {cuts} cuts, {told} acknowledgements", kind.name));
        let violations = found.get("violations").and_then(Value::as_array);
        let violations = violations.into_iter().flatten().filter_map(Value::as_str);
        row.violations.extend(
            violations.map(|text| Violation::new(text).at(format!("seed {}", budget.seed))),
        );
    }
    Ok(row)
}

/// What a child process of the trial does, which has mounts of its own: cuts of one kind of disk.
///
/// # Errors
/// Where the trial cannot be made.
pub fn child(kind: &str, least: u64, seconds: f64, seed: u64) -> Outcome {
    let known = KINDS.iter().find(|known| known.name == kind).copied();
    let kind = known.ok_or_else(|| Violation::new(format!("there is no disk {kind}")))?;
    let budget = Budget::new(Duration::try_from_secs_f64(seconds)?, seed);
    println!("{}", cuts::make(kind, (least, &budget), &soak::program()?)?);
    Ok(())
}
