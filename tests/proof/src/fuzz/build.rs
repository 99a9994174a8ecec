//! A build that may take only so long.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Budget, Row};

/// Why libFuzzer is not there.
#[derive(Debug)]
pub enum Unbuilt {
    /// It cannot be built here.
    Cannot(String),
    /// There was too little time to build it.
    TooSlow,
}

impl Unbuilt {
    pub(super) fn cannot(why: impl Into<String>) -> Self {
        Self::Cannot(why.into())
    }

    /// A row in which it was skipped.
    #[must_use]
    pub fn into_row(self) -> Row {
        match self {
            Self::Cannot(why) => Row::skipped(format!("libFuzzer: {why}")),
            Self::TooSlow => {
                let why = "libFuzzer: no time to build it: with more minutes, or again, it goes on";
                Row { no_time: vec![why.to_owned()], ..Row::default() }
            }
        }
    }
}

/// Runs a program to its end, and returns what it said on stderr; `None` where the time was over before: then it
/// and all that it started are killed.
pub(super) fn run_until(command: &mut Command, budget: &Budget) -> io::Result<Option<Output>> {
    // In a group of its own, so that those that it starts end with it.
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.process_group(0).spawn()?;
    let mut pipe = child.stderr.take();
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        pipe.as_mut().map_or(Ok(0), |pipe| pipe.read_to_end(&mut said)).map(|_| said)
    });
    let status = loop {
        match child.try_wait()? {
            None if budget.is_over() => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
            ended => break ended,
        }
    };
    if status.is_none() {
        kill_process_group(Pid::from_child(&child), Signal::KILL)?;
        child.wait()?;
    }
    let stderr = said.join().map_err(|_| io::Error::other("nobody heard what it said"))??;
    Ok(status.map(|status| Output { status, stdout: Vec::new(), stderr }))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn sh(script: &str, time: Duration) -> Option<Output> {
        run_until(Command::new("sh").args(["-c", script]), &Budget::new(time, 1)).unwrap()
    }

    #[test]
    fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let start = Instant::now();
        // The second `sleep` keeps stderr open: who waits for its end waits for all of them.
        assert!(sh("sleep 60 & sleep 60", Duration::from_millis(100)).is_none());
        assert!(start.elapsed() < Duration::from_secs(20));
        let row = Unbuilt::TooSlow.into_row();
        assert!(row.into_outcome().unwrap_err().to_string().contains("no pass"));
    }

    #[test]
    fn what_ends_in_time_is_heard() {
        let output = sh("echo said >&2; exit 3", Duration::from_secs(60)).unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(3), &b"said\n"[..]));
    }
}
