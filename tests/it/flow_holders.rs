//! Flows in processes: one at a time, and who is killed or stopped is followed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, Flow, FlowError, Outcome, RunContext, StepContext, StepResult, Task, Workspace,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::worker;

const OUT: Artifact<u64> = Artifact::json("out.json");

/// How long the lease of a worker's flow holds.
const TTL: &str = "RUNJOURNAL_TEST_TTL";

fn flow(body: impl Fn(&StepContext) -> StepResult + Send + Sync + 'static) -> Flow {
    Flow::new("held").node("a", body).on("x", Outcome::Success).build().unwrap()
}

/// What a runner that is not held up does.
fn write(s: &StepContext) -> StepResult {
    s.write(OUT, &s.attempt())?;
    Ok("x".into())
}

#[test]
fn holding_worker() {
    if std::env::var_os("RUNJOURNAL_TEST_WORKER").is_none() {
        return;
    }
    let ctx = worker::context();
    let held = flow(|s| {
        println!("in attempt {}", s.attempt());
        std::io::stdout().flush()?;
        std::io::stdin().read_line(&mut String::new())?;
        s.write(OUT, &99)?;
        Ok("x".into())
    });
    let ttl = Duration::from_millis(std::env::var(TTL).unwrap().parse().unwrap());
    let ended = match held.runner(&ctx).lease_ttl(ttl).run() {
        Ok(outcome) => format!("{outcome:?}"),
        Err(FlowError::LeaseLost { .. }) => "LeaseLost".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    println!("ended {ended}");
}

/// A process whose flow is in its node, until it is told to go on.
struct Holder {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(ctx: &RunContext, ttl: Duration) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "flow_holders::holding_worker", "--nocapture", "--test-threads=1"])
            .envs(ctx.env())
            .env("RUNJOURNAL_TEST_WORKER", "1")
            .env(TTL, ttl.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut holder = Self { child, output };
        holder.line("in attempt");
        holder
    }

    /// The next line with these words in it.
    fn line(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended without {words:?}");
            if line.contains(words) {
                return line;
            }
        }
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Lets the node end, and tells how the flow did.
    fn end(mut self) -> String {
        self.child.stdin.take().unwrap().write_all(b"\n").unwrap();
        let line = self.line("ended ");
        assert!(self.child.wait().unwrap().success());
        line.rsplit("ended ").next().unwrap().trim().to_owned()
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// A task with two runs, by the time that workers have too.
fn begin() -> (TestWorkspace, Task, [RunContext; 2]) {
    let test = TestWorkspace::new().unwrap();
    let task = Workspace::open(test.root()).unwrap().task("TASK-1").unwrap();
    let runs = ["RUN-1", "RUN-2"].map(|run| task.start_run_as(run).unwrap());
    (test, task, runs)
}

fn completed(ctx: &RunContext) -> usize {
    ctx.events().unwrap().of_type("step_completed").count()
}

#[test]
fn a_second_process_is_told_who_runs() {
    let (_test, _, [ctx, other]) = begin();
    let holder = Holder::start(&ctx, MINUTE);
    for run in [&ctx, &other] {
        let told = flow(|_| unreachable!()).run(run).unwrap_err();
        let FlowError::AlreadyRunning { holder: named, .. } = &told else { panic!("{told}") };
        assert!(named.contains(&holder.child.id().to_string()), "{named}");
    }
    // One that is stopped runs still, until its lease is over.
    holder.send(Signal::STOP);
    assert!(matches!(flow(|_| unreachable!()).run(&ctx), Err(FlowError::AlreadyRunning { .. })));
    holder.send(Signal::CONT);
    assert_eq!(holder.end(), "Success");
    assert_eq!((ctx.artifacts().read(OUT).unwrap(), completed(&ctx)), (99, 1));
    assert_eq!(flow(write).run(&other).unwrap(), Outcome::Success);
}

#[test]
fn a_runner_that_was_killed_is_followed_at_once() {
    let (_test, task, [ctx, other]) = begin();
    Holder::start(&ctx, MINUTE).kill();
    let begun = Instant::now();
    assert_eq!(flow(write).run(&ctx).unwrap(), Outcome::Success);
    assert!(begun.elapsed() < MINUTE / 2, "it waited for the lease");
    assert_eq!((ctx.artifacts().read(OUT).unwrap(), completed(&ctx)), (2, 1));
    // Also where the next flow is in another run of the task.
    let third = task.start_run_as("RUN-3");
    assert!(third.is_ok(), "{third:?}");
    Holder::start(&third.unwrap(), MINUTE).kill();
    assert_eq!(flow(write).run(&other).unwrap(), Outcome::Success);
    assert!(begun.elapsed() < MINUTE / 2, "it waited for the lease");
    assert_eq!(other.artifacts().read(OUT).unwrap(), 1);
}

#[test]
fn a_runner_that_is_stopped_is_followed_once_its_lease_is_over_and_commits_nothing() {
    let (_test, task, [ctx, _]) = begin();
    let stopped = Holder::start(&ctx, Duration::from_millis(600));
    stopped.send(Signal::STOP);
    assert!(matches!(flow(|_| unreachable!()).run(&ctx), Err(FlowError::AlreadyRunning { .. })));
    std::thread::sleep(Duration::from_millis(700));
    // Of two that see it, one gets it: the other is told so while that one works.
    let (inner, task) = (ctx.clone(), task);
    let follower = flow(move |s| {
        let told = flow(|_| unreachable!()).run(&inner);
        assert!(matches!(told, Err(FlowError::AlreadyRunning { .. })), "{told:?}");
        write(s)
    });
    assert_eq!(follower.run(&ctx).unwrap(), Outcome::Success);
    stopped.send(Signal::CONT);
    // The other ended the run meanwhile, and that is told.
    assert_eq!(stopped.end(), "Success");
    assert_eq!((ctx.artifacts().read(OUT).unwrap(), completed(&ctx)), (2, 1));
    assert!(task.lease().unwrap().unwrap().released);
}

#[test]
fn a_runner_that_wakes_while_another_works_is_told_that_its_lease_is_lost() {
    let (_test, _, [ctx, _]) = begin();
    let stopped = Holder::start(&ctx, Duration::from_millis(600));
    stopped.send(Signal::STOP);
    std::thread::sleep(Duration::from_millis(700));
    let stopped = std::sync::Mutex::new(Some(stopped));
    let follower = flow(move |s| {
        let stopped = stopped.lock().unwrap().take().unwrap();
        stopped.send(Signal::CONT);
        assert_eq!(stopped.end(), "LeaseLost");
        assert!(!s.context().artifacts().exists(OUT)?);
        write(s)
    });
    assert_eq!(follower.run(&ctx).unwrap(), Outcome::Success);
    assert_eq!((ctx.artifacts().read(OUT).unwrap(), completed(&ctx)), (2, 1));
    let failed = ctx.events().unwrap().of_type("step_failed").count();
    assert_eq!(failed, 0, "a late end is refused");
}
