//! A child process at the head of a group of its own, so that it ends together with what it started.

use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// How long the killed are waited for: only somebody else can reap them, and may never do.
const MOMENT: Duration = Duration::from_millis(200);

/// A child process, and all that it starts and that does not leave its group. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Child,
    /// Waits for the leader's end, and leaves it to be reaped: until then its id is nobody else's.
    watcher: Option<JoinHandle<()>>,
    ended: Receiver<()>,
    reaped: bool,
}

impl Group {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let leader = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&leader);
        let (tell, ended) = mpsc::channel();
        // Dropped where the thread cannot be had, it leaves no process behind.
        let mut group = Self { leader, watcher: None, ended, reaped: false };
        let watch = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            // An error says that there is nothing to wait for.
            let _ =
                rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::Pid(pid), options));
            let _ = tell.send(());
        };
        let named = thread::Builder::new().name("runjournal-program".to_owned());
        group.watcher = Some(named.spawn(watch)?);
        Ok(group)
    }

    /// Waits for the leader's end, at most this long; true once it ended.
    pub(crate) fn ends_within(&mut self, most: Duration) -> bool {
        // The sender goes with the thread, when the leader has ended.
        self.ended.recv_timeout(most) != Err(RecvTimeoutError::Timeout)
    }

    /// Asks all of the group to end.
    pub(crate) fn ask_to_end(&mut self) {
        // Nobody is left to be asked where this fails.
        let _ = rustix::process::kill_process_group(self.pid(), Signal::TERM);
    }

    /// Ends what is left of the group, and tells how its leader ended.
    pub(crate) fn finish(mut self) -> io::Result<ExitStatus> {
        self.end()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.leader)
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        self.reaped = true;
        // The leader is not reaped yet, so the group's id cannot be another one's.
        let _ = rustix::process::kill_process_group(self.pid(), Signal::KILL);
        // It may have left its own group.
        let _ = self.leader.kill();
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
        let status = self.leader.wait();
        // A signal takes a moment to arrive; to ask whether anybody is left does no harm to anybody.
        let until = Instant::now() + MOMENT;
        while rustix::process::test_kill_process_group(self.pid()).is_ok() && Instant::now() < until
        {
            thread::sleep(Duration::from_millis(1));
        }
        status
    }
}

/// True if it was ended by a signal with which a program is asked to end.
pub(crate) fn was_asked_to_end(status: ExitStatus) -> bool {
    let asks = [Signal::HUP, Signal::INT, Signal::TERM].map(Signal::as_raw);
    status.signal().is_some_and(|signal| asks.contains(&signal))
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.end();
        }
    }
}
