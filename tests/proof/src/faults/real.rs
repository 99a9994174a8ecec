//! Errors of the system's own calls, injected by `strace` into a process of its own.

use camino::Utf8Path;

use super::cell::Bench;
use crate::strace::{self, Injection};
use crate::{Budget, Outcome, Violation};

/// The calls that can fail on what is on a disk.
const ON_FILES: &[&str] = &[
    "openat",
    "read",
    "pread64",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "syncfs",
    "rename",
    "renameat",
    "renameat2",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "newfstatat",
    "fstat",
    "statx",
    "lseek",
    "getdents64",
    "ftruncate",
    "flock",
];
const ERRORS: [&str; 4] = ["EIO", "ENOSPC", "EMFILE", "EINTR"];
/// How many calls of one operation are made to fail.
const ROUND: usize = 10;

/// Makes some calls of the operation fail, chosen by chance. Returns how many, and what does not hold.
pub(super) fn some(
    bench: &Bench,
    worker: &Utf8Path,
    budget: &Budget,
    mut below: impl FnMut(usize) -> usize,
) -> Outcome<(u64, Vec<Violation>)> {
    let (mut tried, mut violations) = (0, Vec::new());
    let name = bench.operation.name;
    let place = bench.fresh()?;
    let mut calls = strace::calls(worker, &["worker", "operate", name, place.dir().as_str()])?;
    // What tells of acknowledgements is the trial's own (`acks`, without the letters that an id may have).
    let is_of_library = |skeleton: &str| !skeleton.contains("/ks>");
    calls.retain(|call| {
        ON_FILES.contains(&call.boundary.call.as_str()) && is_of_library(&call.skeleton)
    });
    for _ in 0..ROUND {
        let chosen = calls.get(below(calls.len()));
        let (Some(call), false) = (chosen, budget.is_over()) else { break };
        let error = ERRORS.get(below(ERRORS.len())).copied().unwrap_or("EIO");
        let place = bench.fresh()?;
        let arguments = ["worker", "operate", name, place.dir().as_str()];
        let ended = strace::inject(Injection::Fail(error), &call.boundary, worker, &arguments);
        tried += 1;
        if let Err(found) = ended.and_then(|_| bench.check(&place)) {
            violations.push(found.at(format_args!("{error} at {}", call.boundary)));
        }
    }
    Ok((tried, violations))
}
