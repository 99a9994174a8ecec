//! Trees that nothing is wrong with, at rest and while others write to them: verify has nothing to say.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use runjournal::testing::TestWorkspace;
use runjournal::{
    Event, EventId, Finding, Outcome, ReadData, RunContext, RunStatus, Severity, Signal, StepError,
    TaskStatus, Verify, Workspace,
};
use serde_json::json;

use crate::verify_fixtures::name;

/// What may happen to a tree and leave it good.
#[derive(Debug, Clone)]
enum Step {
    Start,
    Append {
        stream: u8,
        caused: bool,
    },
    Batch(usize),
    Large(u8),
    Write {
        artifact: u8,
        content: u8,
    },
    Remove(u8),
    Transaction(u8),
    Adopt(u8),
    Attempt {
        name: u8,
        fails: bool,
    },
    Turn(u8),
    Status,
    Manifest,
    /// A writer was killed, and the next one sealed off what it left.
    Killed(u8),
    /// A commit that its writer did not live to carry out.
    Unapplied(u8),
    TaskDone,
    Complete(bool),
    /// Somebody removed a run.
    Gone,
}

fn step() -> impl Strategy<Value = Step> {
    let small = || 0..4_u8;
    prop_oneof![
        2 => Just(Step::Start),
        4 => (small(), any::<bool>()).prop_map(|(stream, caused)| Step::Append { stream, caused }),
        2 => (2..5_usize).prop_map(Step::Batch),
        1 => small().prop_map(Step::Large),
        4 => (small(), small()).prop_map(|(artifact, content)| Step::Write { artifact, content }),
        1 => small().prop_map(Step::Remove),
        2 => small().prop_map(Step::Transaction),
        1 => small().prop_map(Step::Adopt),
        2 => (small(), any::<bool>()).prop_map(|(name, fails)| Step::Attempt { name, fails }),
        2 => small().prop_map(Step::Turn),
        1 => Just(Step::Status),
        1 => Just(Step::Manifest),
        1 => any::<u8>().prop_map(Step::Killed),
        1 => small().prop_map(Step::Unapplied),
        1 => Just(Step::TaskDone),
        1 => any::<bool>().prop_map(Step::Complete),
        1 => Just(Step::Gone),
    ]
}

struct Tree {
    test: TestWorkspace,
    ctx: RunContext,
    runs: u32,
    last: Option<EventId>,
}

impl Tree {
    fn new() -> Self {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-0").unwrap();
        Self { test, ctx, runs: 1, last: None }
    }

    fn start(&mut self) {
        self.ctx = self.test.start_run(&format!("RUN-{}", self.runs)).unwrap();
        self.runs += 1;
    }

    fn go(&mut self, step: &Step) {
        let artifact = |number: &u8| name(&format!("dir{}/{number}.txt", number % 2));
        let store = self.ctx.artifacts();
        match step {
            Step::Start => self.start(),
            Step::Append { stream, caused } => {
                let mut event = Event::new("noted").stream("talk", stream.to_string());
                if let Some(last) = self.last.filter(|_| *caused) {
                    event = event.causation(last);
                }
                self.last = Some(self.ctx.append(event).unwrap().event_id);
            }
            Step::Batch(size) => {
                let events: Vec<_> = (0..*size).map(|n| Event::new("noted").payload(&n)).collect();
                self.ctx.journal().unwrap().append_batch(&events).unwrap();
            }
            Step::Large(what) => {
                let payload = what.to_string().repeat(70_000);
                self.ctx.append(Event::new("large").payload(&payload)).unwrap();
            }
            Step::Write { artifact: number, content } => {
                store.write_bytes(artifact(number), &[*content; 100]).unwrap();
            }
            Step::Remove(number) => drop(store.remove(artifact(number))),
            Step::Transaction(number) => {
                let mut transaction = self.ctx.transaction();
                transaction.write_bytes(artifact(number), &[*number; 10]).unwrap();
                transaction.append(Event::new("written"));
                transaction.write_bytes(name("both.txt"), &[*number; 20]).unwrap();
                transaction.commit().unwrap();
            }
            Step::Adopt(number) => {
                let file = name(&format!("adopted{number}.txt"));
                fs::write(self.ctx.artifact_path(&file), [*number]).unwrap();
                store.adopt(file).unwrap();
            }
            Step::Attempt { name: number, fails } => {
                let body = |s: &runjournal::StepContext| {
                    s.write_bytes(name(&format!("step{number}.txt")), b"made")?;
                    if *fails { Err(StepError::message("no")) } else { Ok(Signal::new("ok")) }
                };
                drop(self.ctx.step(&*format!("step-{number}"), body));
            }
            Step::Turn(turns) => {
                for turn in 1..=u64::from(*turns) {
                    let step = runjournal::Step::new("looped").turn(turn);
                    self.ctx.step(step, |_| Ok(Signal::new("ok"))).unwrap();
                }
            }
            Step::Status => drop(self.ctx.run().unwrap().set_status(RunStatus::Executing, None)),
            Step::Manifest => self.ctx.manifest().unwrap().write(&self.ctx).unwrap(),
            Step::Killed(kept) => {
                let mut bytes = fs::read(self.ctx.journal_path()).unwrap();
                bytes.extend_from_slice(
                    &b"{\"seq\":9,\"event_id\":\"0000"[..usize::from(kept % 25)],
                );
                fs::write(self.ctx.journal_path(), bytes).unwrap();
                self.ctx.append(Event::new("went_on")).unwrap();
            }
            Step::Unapplied(number) => {
                let file = artifact(number);
                let before = store.read_bytes(&file).ok();
                let stored = store.write_bytes(&file, &[*number; 33]).unwrap();
                if stored.changed {
                    let last = self.ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
                    let stage = self.ctx.run_path().join(".tmp").join(last.event_id().to_string());
                    fs::rename(self.ctx.artifact_path(&file), stage).unwrap();
                    if let Some(before) = before {
                        fs::write(self.ctx.artifact_path(&file), before).unwrap();
                    }
                }
            }
            Step::TaskDone => {
                self.ctx.catch_up().unwrap();
                self.ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
                let task = self.test.task();
                drop(task.set_status(TaskStatus::InProgress));
                task.set_status(TaskStatus::Done).unwrap();
                drop(task.set_status(TaskStatus::InProgress));
                self.start();
            }
            Step::Complete(success) => {
                let outcome = if *success { Outcome::Success } else { Outcome::Failed };
                self.ctx.run().unwrap().complete(outcome, None).unwrap();
                self.start();
            }
            Step::Gone => {
                let gone = self.test.start_run(&format!("GONE-{}", self.runs)).unwrap();
                fs::remove_dir_all(gone.run_path()).unwrap();
                self.runs += 1;
            }
        }
    }
}

fn alarms(workspace: &Workspace) -> Vec<Finding> {
    let verified = Verify::of(workspace).read_data(ReadData::All).run().unwrap();
    let mut findings = verified.findings;
    findings.retain(|finding| finding.code.severity() > Severity::Note);
    findings
}

/// 40 histories, looked at 25 times each.
#[test]
fn a_thousand_good_trees_raise_no_alarm() {
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let looked = AtomicU64::new(0);
    let history = prop::collection::vec(step(), 25);
    let result = TestRunner::new(config).run(&history, |steps| {
        let mut tree = Tree::new();
        for step in &steps {
            tree.go(step);
            prop_assert_eq!(alarms(tree.test.workspace()), []);
            looked.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    result.unwrap();
    assert!(looked.into_inner() >= 1000);
}

/// Writers of all kinds, and somebody who verifies all the time.
#[test]
fn a_tree_that_is_written_to_raises_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    let workspace = Workspace::create(&root).unwrap();
    let task = workspace.create_task("TASK-1", Default::default()).unwrap();
    let shared = task.start_run_as("SHARED").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..2_u32 {
            let (over, task, shared) = (&over, &task, &shared);
            scope.spawn(move || {
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    let ctx = task.start_run_as(&*format!("RUN-{worker}-{n}")).unwrap();
                    write(&ctx, n);
                    write(shared, n);
                    // In time some are removed, one is moved away, and all are over.
                    match n % 4 {
                        0 => fs::remove_dir_all(ctx.run_path()).unwrap(),
                        1 => fs::rename(ctx.run_path(), root_of(&ctx)).unwrap(),
                        _ => drop(ctx.run().unwrap().complete(Outcome::Success, None).unwrap()),
                    }
                }
            });
        }
        let mut looked = 0;
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_secs(4) {
            let alarms = alarms(&workspace);
            if !alarms.is_empty() {
                over.store(true, Ordering::Relaxed);
                panic!("{alarms:#?}");
            }
            looked += 1;
        }
        over.store(true, Ordering::Relaxed);
        assert!(looked > 5, "{looked}");
    });
    assert_eq!(alarms(&workspace), []);
}

fn root_of(ctx: &RunContext) -> camino::Utf8PathBuf {
    ctx.root().with_file_name(format!("moved-{}", ctx.run_id()))
}

fn write(ctx: &RunContext, n: u32) {
    let file = name(&format!("file{}.txt", n % 3));
    ctx.artifacts().write_bytes(&file, &vec![n as u8; 10_000]).unwrap();
    let cause = ctx.append(Event::new("noted").payload(&json!({"n": n}))).unwrap().event_id;
    ctx.append(Event::new("large").causation(cause).payload(&"x".repeat(70_000 + n as usize)))
        .unwrap();
    let mut transaction = ctx.transaction();
    transaction.write_bytes(&file, b"again").unwrap();
    transaction.write_bytes(name("dir/other.txt"), &n.to_le_bytes()).unwrap();
    transaction.commit().unwrap();
    ctx.artifacts().remove(&file).unwrap();
    ctx.manifest().unwrap().write(ctx).unwrap();
}
