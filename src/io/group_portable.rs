//! A child process, where the system has no groups of them: it alone is ended. Untried there.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How often the child is asked whether it ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A child process. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Group(Child);

impl Group {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }

    /// Waits for the child's end, at most this long; true once it ended.
    pub(crate) fn ends_within(&mut self, most: Duration) -> bool {
        let from = Instant::now();
        loop {
            // An error says that there is nothing to wait for.
            if !matches!(self.0.try_wait(), Ok(None)) {
                return true;
            }
            let Some(left) = most.checked_sub(from.elapsed()) else { return false };
            thread::sleep(left.min(LOOK_EVERY));
        }
    }

    /// Ends the child: it cannot be asked.
    pub(crate) fn ask_to_end(&mut self) {
        let _ = self.0.kill();
    }

    /// Ends the child if it has not ended, and tells how it did.
    pub(crate) fn finish(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        let _ = self.0.kill();
        self.0.wait()
    }
}

/// There are no signals with which a program is asked to end.
pub(crate) fn was_asked_to_end(_: ExitStatus) -> bool {
    false
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once it was waited for, its end is known and nothing is asked of the system.
        let _ = self.end();
    }
}
