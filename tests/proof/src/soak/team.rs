//! Worker processes, which are stopped, continued and killed while they work.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, kill_process};

use super::ground::Ground;
use super::hand::Manner;
use crate::{Budget, Outcome, Rng, ensure};

/// What was done to the workers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Done {
    pub(super) kills: u64,
    pub(super) stops: u64,
}

/// A worker, and until when it is stopped.
struct Worker {
    child: Child,
    stopped: Option<Instant>,
}

/// The workers of a ground.
pub(super) struct Team<'a> {
    program: &'a Utf8Path,
    ground: &'a Ground,
    chance: Rng,
    manner: Manner,
    workers: Vec<Worker>,
    pub(super) done: Done,
}

impl<'a> Team<'a> {
    pub(super) fn new(program: &'a Utf8Path, ground: &'a Ground, manner: Manner) -> Self {
        let chance = Rng::new(manner.seed);
        Self { program, ground, chance, manner, workers: Vec::new(), done: Done::default() }
    }

    /// Starts one with a number that none before it had.
    fn start(&mut self) -> Outcome<Worker> {
        self.manner.number += 1;
        Ok(Worker { child: spawn(self.program, self.ground, self.manner)?, stopped: None })
    }

    /// Lets so many work for as long as the budget lasts, and lets nobody rest.
    pub(super) fn work(&mut self, processes: usize, budget: &Budget) -> Outcome {
        self.ground.let_go_on()?;
        while self.workers.len() < processes {
            let worker = self.start()?;
            self.workers.push(worker);
        }
        while !budget.is_over() {
            std::thread::sleep(Duration::from_millis(2 + self.chance.under(30)));
            self.continue_those_due()?;
            self.disturb_one()?;
        }
        Ok(())
    }

    fn continue_those_due(&mut self) -> Outcome {
        for worker in &mut self.workers {
            if worker.stopped.is_some_and(|until| until <= Instant::now()) {
                signal(&worker.child, Signal::CONT)?;
                worker.stopped = None;
            }
        }
        Ok(())
    }

    fn disturb_one(&mut self) -> Outcome {
        let at = usize::try_from(self.chance.under(self.workers.len() as u64))?;
        let (kills, time) = (self.chance.once_in(5), self.chance.under(200));
        let Some(worker) = self.workers.get_mut(at) else { return Ok(()) };
        if let Some(status) = worker.child.try_wait()? {
            return ensure(false, || format!("a worker ended by itself: {status}"));
        }
        if kills {
            worker.child.kill()?;
            worker.child.wait()?;
            self.done.kills += 1;
            let next = self.start()?;
            if let Some(worker) = self.workers.get_mut(at) {
                *worker = next;
            }
        } else if worker.stopped.is_none() {
            signal(&worker.child, Signal::STOP)?;
            worker.stopped = Some(Instant::now() + Duration::from_millis(time));
            self.done.stops += 1;
        }
        Ok(())
    }

    /// Ends all of them: killed at the same moment, or once they did what they are at.
    pub(super) fn end(&mut self, killed: bool) -> Outcome {
        if killed {
            for worker in &mut self.workers {
                worker.child.kill()?;
                self.done.kills += 1;
            }
        } else {
            self.ground.ask_to_stop()?;
            for worker in &self.workers {
                signal(&worker.child, Signal::CONT)?;
            }
        }
        for mut worker in self.workers.drain(..) {
            let status = worker.child.wait()?;
            ensure(killed || status.success(), || format!("a worker ended with {status}"))?;
        }
        Ok(())
    }
}

impl Drop for Team<'_> {
    /// Nobody works on once a trial is over, however it ended.
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// Starts a worker.
pub(crate) fn spawn(program: &Utf8Path, ground: &Ground, manner: Manner) -> Outcome<Child> {
    let mut command = Command::new(program);
    command.args(["hand", ground.root().as_str(), ground.told().as_str()]);
    command.args([manner.seed, manner.number, manner.threads].map(|number| number.to_string()));
    if manner.durable {
        command.arg("--durable");
    }
    Ok(command.stdin(Stdio::null()).spawn()?)
}

fn signal(child: &Child, signal: Signal) -> Outcome {
    Ok(kill_process(Pid::from_child(child), signal)?)
}
