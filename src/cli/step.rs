//! `step run`: a program as a step.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use camino::Utf8Path;
use runjournal::{ArtifactName, NameError, RunContext, Signal, Step, StepContext, StepResult};
use serde::Serialize;
use serde_json::json;

use super::args::{Format, StepVerb};
use super::error::CliError;
use super::exit::Exit;
use super::locate::{Locator, name_of};
use super::output::Output;

/// Names the folder whose files become artifacts.
const OUT: &str = "RUNJOURNAL_OUT";

/// Why a program's step failed, and nothing of it was committed.
#[derive(Debug, thiserror::Error)]
enum ProgramError {
    #[error("cannot start {program}; a program without a slash is looked for in PATH")]
    NotStarted { program: String, source: std::io::Error },
    #[error("{program} exited with code {code}")]
    Exited { program: String, code: i32 },
    #[error("{program} was ended by a signal ({status})")]
    Killed { program: String, status: ExitStatus },
    #[error("cannot {action} {path}")]
    Files { action: &'static str, path: String, source: std::io::Error },
    #[error("{path} is no folder any more; {OUT} must stay the folder that it was")]
    NotAFolder { path: String },
    #[error(
        "{path} in {OUT} is neither a file nor a folder, and links are not followed; leave a copy"
    )]
    NotRegular { path: String },
    #[error("{path} in {OUT} cannot become an artifact: its name is not UTF-8")]
    NotUtf8 { path: String },
    #[error("{path} in {OUT} cannot become an artifact; rename it, or leave it outside {OUT}")]
    BadName { path: String, source: NameError },
}

#[derive(Serialize)]
struct Ran {
    run: String,
    step: String,
    signal: Signal,
    /// False if the step was complete before, and the program was not run.
    ran: bool,
}

pub(crate) fn step(at: &Locator, verb: StepVerb, output: &mut Output) -> Result<Exit, CliError> {
    let StepVerb::Run { run, name, input, program } = verb;
    let context = at.run(run.run.as_deref())?;
    // Standard output is for JSON alone where JSON was asked for.
    let apart = output.format() != Format::Table;
    let argv: Vec<_> = program.iter().map(|argument| argument.to_string_lossy()).collect();
    let step = Step::new(name.as_str()).config(&json!({"program": argv}));
    let step = input.into_iter().fold(step, Step::input);
    let ran = run_step(&context, name, step, &program, apart)?;
    output.one(&ran, |output| output.line(ran.signal.as_str()))?;
    Ok(Exit::Fine)
}

fn run_step(
    context: &RunContext,
    name: String,
    step: Step,
    program: &[OsString],
    apart: bool,
) -> Result<Ran, CliError> {
    let ran = Cell::new(false);
    let signal = context.step(step, |s| {
        ran.set(true);
        body(s, program, apart)
    })?;
    Ok(Ran { run: name_of(context), step: name, signal, ran: ran.get() })
}

/// What the step does: the program, then its outputs.
fn body(s: &StepContext, command: &[OsString], apart: bool) -> StepResult {
    let work = s.work_dir()?;
    let out = work.join("out");
    std::fs::create_dir(&out).map_err(files("create", out.as_std_path()))?;
    let program = command.first().map(OsString::as_os_str).unwrap_or_default();
    let name = program.to_string_lossy().into_owned();
    let mut child = Command::new(program_path(program));
    child.args(command.iter().skip(1)).current_dir(&work).envs(s.context().env()).env(OUT, &out);
    if apart {
        child.stdout(Stdio::from(std::io::stderr()));
    }
    let status = child
        .status()
        .map_err(|source| ProgramError::NotStarted { program: name.clone(), source })?;
    match status.code() {
        Some(0) => {}
        Some(code) => return Err(ProgramError::Exited { program: name, code }.into()),
        None => return Err(ProgramError::Killed { program: name, status }.into()),
    }
    // All names are checked before anything is staged.
    for (name, path) in outputs(&out)? {
        let bytes = std::fs::read(&path).map_err(files("read", &path))?;
        s.write_bytes(name, &bytes)?;
    }
    Ok(Signal::new("success"))
}

/// A program that is given by a path is meant from where the caller stands, not from the work
/// folder; one without a slash is looked for in PATH.
fn program_path(program: &OsStr) -> PathBuf {
    let path = Path::new(program);
    if path.components().count() < 2 {
        return path.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The files that the program left, with the names that they get.
fn outputs(out: &Utf8Path) -> Result<Vec<(ArtifactName, PathBuf)>, ProgramError> {
    // A program may have put something else in its place.
    let metadata = std::fs::symlink_metadata(out).map_err(files("look at", out.as_std_path()))?;
    if !metadata.is_dir() {
        return Err(ProgramError::NotAFolder { path: out.to_string() });
    }
    let mut found = Vec::new();
    let walk = walkdir::WalkDir::new(out).sort_by_file_name();
    for entry in walk {
        let entry = entry.map_err(|error| files("list", out.as_std_path())(error.into()))?;
        let relative = entry.path().strip_prefix(out).unwrap_or(entry.path());
        let path = || relative.display().to_string();
        if entry.file_type().is_dir() {
            continue;
        }
        if !entry.file_type().is_file() {
            return Err(ProgramError::NotRegular { path: path() });
        }
        let text = relative.to_str().ok_or_else(|| ProgramError::NotUtf8 { path: path() })?;
        let name = ArtifactName::new(text.replace(std::path::MAIN_SEPARATOR, "/"))
            .map_err(|source| ProgramError::BadName { path: path(), source })?;
        found.push((name, entry.into_path()));
    }
    Ok(found)
}

fn files(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> ProgramError {
    let path = path.display().to_string();
    move |source| ProgramError::Files { action, path: path.clone(), source }
}
