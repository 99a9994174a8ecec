//! Running a program, and ending it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Program;
use super::error::{ProgramError, StderrTail};
use super::outputs::{self, Left, OUT};
use super::place::Place;
use super::streams::Captured;
use crate::io::{Group, was_asked_to_end};
use crate::step::{Cancel, Signal, StepContext, StepError, StepResult};

/// How often the step is asked whether it was cancelled.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How long a program may take to end, once it was asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Why a program was ended.
#[derive(Debug, Clone, Copy)]
enum Stop {
    TimedOut,
    Cancelled,
}

impl Program {
    /// Runs it as the work of a step, waits for its end, and stages its outputs. Returns the signal of its
    /// exit code.
    ///
    /// # Errors
    /// [`ProgramError`] says what it did instead; otherwise what the disk or an artifact refused. Nothing was
    /// staged then, or nothing of it is committed, because the error fails the step.
    pub fn run(&self, s: &StepContext) -> StepResult {
        self.run_in(s, None)
    }

    /// The same, and what it writes to the streams that become no artifacts is seen: it goes where the caller
    /// says, such as `Stdio::inherit()`. A standard error that is shown is in no message.
    ///
    /// # Errors
    /// As [`run`](Program::run).
    pub fn run_shown(
        &self,
        s: &StepContext,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> StepResult {
        self.run_in(s, Some((stdout.into(), stderr.into())))
    }

    fn run_in(&self, s: &StepContext, shown: Option<(Stdio, Stdio)>) -> StepResult {
        let place = Place::make(s)?;
        let mut command = self.command(s, &place);
        let mut captured = Captured::attach(self, s, &place, shown, &mut command)?;
        let ended = self.wait(command, s.cancel());
        let signal = ended.and_then(|(stop, status)| self.judge(stop, status, captured.tail()))?;
        // How long each output is, is asked now, and all names are checked before anything is staged.
        let streams = captured.outputs(self)?;
        let left = outputs::checked(&place)?;
        self.check_streams(&left)?;
        let staged = outputs::stage(&place, s, &left).and_then(|()| {
            streams.into_iter().try_for_each(|stream| stream.stage(s)).map_err(StepError::from)
        });
        match staged {
            Err(_) if s.is_cancelled() => {
                Err(ProgramError::Cancelled { program: self.name().to_owned(), source: None }
                    .into())
            }
            other => other.map(|()| signal),
        }
    }

    fn command(&self, s: &StepContext, place: &Place) -> Command {
        let mut command = Command::new(program_path(self.name()));
        command.args(self.program.iter().skip(1));
        match &self.current_dir {
            Some(dir) => command.current_dir(dir),
            None => command.current_dir(place.work_dir()),
        };
        command.envs(&self.env).envs(s.context().env());
        command.env(OUT, place.work_dir().join(&place.out));
        command
    }

    /// Starts it, waits until it has ended or must be, and ends what is left of its group.
    fn wait(
        &self,
        mut command: Command,
        cancel: &Cancel,
    ) -> Result<(Option<Stop>, ExitStatus), ProgramError> {
        let program = || self.name().to_owned();
        if cancel.is_cancelled() {
            return Err(ProgramError::Cancelled { program: program(), source: None });
        }
        let mut group = Group::start(&mut command)
            .map_err(|source| ProgramError::NotStarted { program: program(), source })?;
        // The streams are the program's alone from here on.
        drop(command);
        let stop = self.watch(&mut group, cancel);
        if stop.is_some() {
            group.ask_to_end();
            group.ends_within(GRACE);
        }
        let status =
            group.finish().map_err(|source| ProgramError::Lost { program: program(), source })?;
        let stop = stop.or_else(|| asked_with_us(status, cancel).then_some(Stop::Cancelled));
        Ok((stop, status))
    }

    /// Waits until it has ended, or why it must be.
    fn watch(&self, group: &mut Group, cancel: &Cancel) -> Option<Stop> {
        // A time beyond what a clock can tell is none.
        let deadline = self.most().and_then(|most| Instant::now().checked_add(most));
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if group.ends_within(left.map_or(ASK_EVERY, |left| left.min(ASK_EVERY))) {
                return None;
            }
            if cancel.is_cancelled() {
                return Some(Stop::Cancelled);
            }
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return Some(Stop::TimedOut);
            }
        }
    }

    fn most(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    /// What its end means.
    fn judge(
        &self,
        stop: Option<Stop>,
        status: ExitStatus,
        source: Option<StderrTail>,
    ) -> Result<Signal, ProgramError> {
        let program = self.name().to_owned();
        match (stop, status.code()) {
            (Some(Stop::TimedOut), _) => {
                let after = self.most().unwrap_or_default();
                Err(ProgramError::TimedOut { program, after, source })
            }
            (Some(Stop::Cancelled), _) => Err(ProgramError::Cancelled { program, source }),
            (None, None) => Err(ProgramError::Killed { program, status, source }),
            (None, Some(code)) => {
                self.signal_of(code).ok_or(ProgramError::Exited { program, code, source })
            }
        }
    }

    /// No file that was left has the name of a stream's artifact: one of them would be lost.
    fn check_streams(&self, left: &[Left]) -> Result<(), ProgramError> {
        let mut streams = self.stdout.iter().chain(&self.stderr);
        match streams.find(|name| left.iter().any(|(left, _)| left == *name)) {
            Some(name) => Err(ProgramError::TwoOutputs { name: name.clone() }),
            None => Ok(()),
        }
    }
}

/// True if the program was asked to end, and so were we: who ends a whole session sends everybody the signal, and
/// ours may take a moment longer.
fn asked_with_us(status: ExitStatus, cancel: &Cancel) -> bool {
    if !was_asked_to_end(status) {
        return false;
    }
    std::thread::sleep(ASK_EVERY);
    cancel.is_cancelled()
}

/// A program that is given by a path is meant from where the caller stands, not from its current folder; one
/// without a slash is looked for in PATH.
fn program_path(program: &str) -> PathBuf {
    let path = Path::new(program);
    if path.components().count() < 2 {
        return path.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
