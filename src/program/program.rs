//! A program that is to be run.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Deserializer, Serialize};

use super::exits;
use crate::name::ArtifactName;
use crate::step::Signal;

/// Somebody else's executable as a node: it joins untouched.
///
/// ```no_run
/// use std::time::Duration;
/// use runjournal::{ArtifactName, Program, RunContext, Step};
///
/// const PLAN: ArtifactName = ArtifactName::from_static("plan.json");
/// const LOG: ArtifactName = ArtifactName::from_static("logs/verify.txt");
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let verify = Program::new("python3")
///     .args(["verify.py", "--strict"])
///     .current_dir("/repo")
///     .env("MODE", "ci")
///     .stdin(PLAN) // recorded as an input
///     .stdout(LOG) // committed with the step
///     .exit(3, "verify_failed") // 0 is "success"
///     .timeout(Duration::from_secs(60));
/// let ctx = RunContext::from_env()?;
/// ctx.step(Step::new("verify").config(&verify), |s| verify.run(s))?;
/// # Ok(())
/// # }
/// ```
///
/// **What it is given.** The environment of this process, what [`env`](Program::env) adds, then the run
/// ([`RunContext::env`](crate::RunContext::env)), and `RUNJOURNAL_OUT`: an empty folder. Its current folder is
/// the attempt's work folder, unless another one is set. It inherits no open file of the library's but its
/// three streams.
///
/// **What is recorded of what it reads.** What it is given as [`stdin`](Program::stdin), and what the step
/// declares ([`Step::input`](crate::Step::input)). What it opens by a path of its own, in the run or elsewhere,
/// and its own executable, are no recorded inputs: nobody sees that they changed. So a step with
/// [`skip_if_unchanged`](crate::Step::skip_if_unchanged) has to declare all that its program reads.
///
/// **What it leaves.** When it has ended with an exit code that has a signal, the files in `RUNJOURNAL_OUT`
/// are staged, each under its path there, and so are the streams that were named, each as long as it was then;
/// they are committed with the step, whole or not at all. On any other end nothing is. A file there whose path cannot name an
/// artifact, a link or a special file fails the step before anything is staged.
///
/// **How it ends.** It leads a process group of its own. After its timeout, or once the step is cancelled, the
/// whole group gets SIGTERM, and SIGKILL when the program has ended or 2 s later. When it ends by itself, what
/// it left running in its group is killed before its outputs are looked at. A process that leaves the group
/// (`setsid`) is not found; it cannot keep the step waiting, because no stream is a pipe, and what it writes
/// after that end is not taken. A step that is cancelled while outputs are staged fails as cancelled. A program that asks
/// at the terminal is stopped there, as in the background of a shell: give it what it needs by other means.
/// (Where the system has no process groups, the program alone is killed.)
///
/// If *this* process is killed, the program lives on. Nothing that it leaves in its folder is committed, and
/// what it writes through the run is refused once a newer attempt took over.
///
/// As JSON it is `{"program": ["python3", "verify.py"]}` with the members that have a value: `current_dir`,
/// `env`, `stdin`, `stdout`, `stderr`, `exits` (`{"3": "verify_failed"}`), `timeout_ms`. Unknown members are
/// refused. It is made to be recorded as a step's configuration, so keep secrets out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[must_use = "a program does nothing until it is run"]
pub struct Program {
    /// The program and its arguments.
    #[serde(deserialize_with = "not_empty")]
    pub(super) program: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) current_dir: Option<Utf8PathBuf>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stdin: Option<ArtifactName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stdout: Option<ArtifactName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stderr: Option<ArtifactName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "exits")]
    pub(super) exits: BTreeMap<i32, Signal>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) timeout_ms: Option<u64>,
}

impl Program {
    /// A program: one with a slash is a path from where this process stands when it runs, one without is
    /// looked for in `PATH`.
    pub fn new(program: impl Into<String>) -> Self {
        Self {
            program: vec![program.into()],
            current_dir: None,
            env: BTreeMap::new(),
            stdin: None,
            stdout: None,
            stderr: None,
            exits: BTreeMap::new(),
            timeout_ms: None,
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.program.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.program.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Its current folder, instead of the attempt's work folder; a relative one is meant from where this
    /// process stands when it runs.
    pub fn current_dir(mut self, dir: impl Into<Utf8PathBuf>) -> Self {
        self.current_dir = Some(dir.into());
        self
    }

    /// The same program for a process that stands anywhere: its path, where that has a slash, and its current
    /// folder are meant from `dir` where they are relative. Arguments stay as they are.
    pub fn based_at(mut self, dir: &Utf8Path) -> Self {
        if let Some(program) = self.program.first_mut()
            && Utf8Path::new(program).components().count() > 1
        {
            *program = joined(dir, Utf8Path::new(program)).into_string();
        }
        self.current_dir = self.current_dir.map(|current| joined(dir, &current));
        self
    }

    /// Sets a variable of its environment. Those that name the run are the library's.
    pub fn env(mut self, variable: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(variable.into(), value.into());
        self
    }

    /// Its standard input: an artifact, which is recorded as an input of the step. Otherwise it is empty.
    pub fn stdin(mut self, name: impl Into<ArtifactName>) -> Self {
        self.stdin = Some(name.into());
        self
    }

    /// The artifact that its standard output becomes. Otherwise it goes nowhere.
    pub fn stdout(mut self, name: impl Into<ArtifactName>) -> Self {
        self.stdout = Some(name.into());
        self
    }

    /// The artifact that its standard error becomes: that of its standard output is a name that may be given
    /// twice. Otherwise only its end is kept, for the error of a program that fails.
    pub fn stderr(mut self, name: impl Into<ArtifactName>) -> Self {
        self.stderr = Some(name.into());
        self
    }

    /// What the step signals when the program exits with this code. `0` is `success` unless it is mapped; a
    /// code without a signal fails the step. A program that a signal of the system ended has no code: 137 is
    /// that of a program that exits with it, as a shell does of which a child was killed; one that is killed
    /// itself fails the step with [`ProgramError::Killed`](super::ProgramError::Killed), whatever is mapped.
    pub fn exit(mut self, code: i32, signal: impl Into<Signal>) -> Self {
        self.exits.insert(code, signal.into());
        self
    }

    /// How long it may run, in whole milliseconds, rounded up.
    pub fn timeout(mut self, most: Duration) -> Self {
        let milliseconds = most.as_nanos().div_ceil(1_000_000);
        self.timeout_ms = Some(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        self
    }

    /// What was to be run, for messages.
    pub(super) fn name(&self) -> &str {
        self.program.first().map_or("", String::as_str)
    }

    /// What a code signals, if it does.
    pub(super) fn signal_of(&self, code: i32) -> Option<Signal> {
        let mapped = self.exits.get(&code).cloned();
        mapped.or_else(|| (code == 0).then(|| Signal::new("success")))
    }
}

/// Without the dots that say nothing.
fn joined(dir: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    dir.join(path).components().collect()
}

fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let program = Vec::<String>::deserialize(deserializer)?;
    if program.is_empty() {
        return Err(serde::de::Error::custom("`program` names no program"));
    }
    Ok(program)
}
