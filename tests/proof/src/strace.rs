//! The system calls of a worker, and killing it at one of them.

use std::collections::HashMap;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use crate::place::{BEGIN, END};
use crate::{Outcome, Violation};

/// A place at which a worker can be killed: a system call by its name, and the
/// how-manieth of that name it is in its thread.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Boundary {
    /// `write`, `renameat`, ...
    pub call: String,
    /// From 1.
    pub nth: usize,
}

/// A system call that a worker made.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which one.
    pub boundary: Boundary,
    /// True if it can change what is on the disk. A kill at any other call leaves what a kill at the
    /// next one that can leaves (locks are freed by every death).
    pub changes: bool,
    /// The file that it makes, unless that is there already.
    pub makes: Option<Utf8PathBuf>,
    /// True if it has to do with the head of a journal.
    pub head: bool,
    /// The journal that it wrote to, and how many bytes.
    pub journal: Option<(Utf8PathBuf, u64)>,
    /// What it was called with, without numbers and ids.
    pub skeleton: String,
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.call, self.nth)
    }
}

const CHANGING: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "truncate",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "sendfile",
];

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did all of it: the boundary was not reached.
    Finished,
    /// It was killed.
    Killed,
}

/// Why no trial can be made here; `None` where they can.
#[must_use]
pub fn missing() -> Option<&'static str> {
    let strace = |arguments: &[&str]| {
        let mut command = Command::new("strace");
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    if strace(&["-V"]).is_err() {
        return Some("strace is not installed");
    }
    let traced = strace(&["-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"]);
    (!traced.is_ok_and(|status| status.success())).then_some("processes cannot be traced here")
}

/// Every system call that a worker makes between the marks, in all its threads.
///
/// # Errors
/// Where the worker fails, or `strace` does.
pub fn calls(worker: &Utf8Path, arguments: &[&str]) -> Outcome<Vec<Call>> {
    let log = tempfile::NamedTempFile::new()?;
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-o"]).arg(log.path()).arg(worker).args(arguments);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Violation::new(text).at("the worker failed without being killed"));
    }
    Ok(parse(&std::fs::read_to_string(log.path())?))
}

/// Lines read `<pid> <call>(<arguments>) = <result>`; the second half of a call that another thread
/// interrupted reads `<pid> <... <call> resumed>`, and signals and exits have no call.
fn parse(log: &str) -> Vec<Call> {
    let mut counts = HashMap::<(&str, &str), usize>::new();
    let mut found: Vec<Call> = Vec::new();
    let mut within = false;
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        if call.is_empty() || !call.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let nth = counts.entry((pid, call)).or_default();
        *nth += 1;
        if arguments.contains(BEGIN) {
            within = true;
            continue;
        }
        if arguments.contains(END) {
            within = false;
        }
        let boundary = Boundary { call: call.to_owned(), nth: *nth };
        // Threads count for themselves: the first that comes that far is the one that is hit.
        if within && !found.iter().any(|call| call.boundary == boundary) {
            let failed = arguments.contains(") = -1 E");
            let changes = CHANGING.contains(&call) || arguments.contains("O_CREAT");
            let changes = changes && !failed;
            let makes = makes(arguments);
            let head = arguments.contains("/.head");
            let journal = (call == "write").then(|| journal_write(arguments)).flatten();
            let varies = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
            let skeleton = arguments.replace(varies, "");
            found.push(Call { boundary, changes, makes, head, journal, skeleton });
        }
    }
    found
}

/// From `7</path/journal>, ".lock", O_RDWR|O_CREAT, 0666) = 9</path/journal/.lock>`.
fn makes(arguments: &str) -> Option<Utf8PathBuf> {
    let is_sure = !arguments.contains("O_CREAT") || arguments.contains("O_EXCL");
    let opened = arguments.rsplit_once("= ")?.1.split_once('<')?.1.split_once('>')?.0;
    (!is_sure).then(|| opened.into())
}

/// From `6</path/journal/events.jsonl>, "..."..., 375) = 375`.
fn journal_write(arguments: &str) -> Option<(Utf8PathBuf, u64)> {
    let (path, rest) = arguments.split_once('<')?.1.split_once('>')?;
    let written = rest.rsplit_once("= ")?.1.trim().parse().ok()?;
    path.ends_with("journal/events.jsonl").then(|| (path.into(), written))
}

/// Runs a worker and kills it (SIGKILL) as it enters one of its system calls: what came before that was done, it
/// was not.
///
/// # Errors
/// Where the worker fails by itself: being killed is no failure.
pub fn kill(boundary: &Boundary, worker: &Utf8Path, arguments: &[&str]) -> Outcome<Ended> {
    let injection = format!("inject={}:signal=SIGKILL:when={}", boundary.call, boundary.nth);
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={}", boundary.call))
        .args(["-e", &injection])
        .arg(worker)
        .args(arguments);
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(Ended::Finished);
    }
    // strace ends as its child did.
    if output.status.signal() == Some(9) {
        return Ok(Ended::Killed);
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Violation::new(text).at(format_args!("the worker failed ({})", output.status)))
}
