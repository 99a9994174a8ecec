//! Trees that nothing is wrong with, at rest and while others write to them: verify has nothing to say.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use runjournal::Durability::Buffered;
use runjournal::testing::TestWorkspace;
use runjournal::{
    ArtifactError, Backup, CheckpointError, Command, Event, EventId, Finding, Fold, JournalError,
    Outcome, Prune, PrunePolicy, ReadData, Record, Rejection, Repair, RunContext, RunStatus,
    SessionStatus, Severity, Signal, StepError, Task, TaskStatus, Verify, Work, Workspace,
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
    Checkpoint,
    /// A turn that was, put back.
    Restore(u8),
    Hold,
    Lift,
    Prune {
        abandoned: bool,
    },
    /// A worker that lets go of the task, or is not heard of again for a while.
    Lease {
        dies: bool,
    },
    /// An artifact was changed by hand, and mended.
    Mended(u8),
    Command(u8),
    Session(u8),
    Approval {
        number: u8,
        answered: bool,
    },
    Work {
        fails: bool,
    },
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
        3 => Just(Step::Checkpoint),
        2 => small().prop_map(Step::Restore),
        1 => Just(Step::Hold),
        1 => Just(Step::Lift),
        2 => any::<bool>().prop_map(|abandoned| Step::Prune { abandoned }),
        1 => any::<bool>().prop_map(|dies| Step::Lease { dies }),
        1 => small().prop_map(Step::Mended),
        2 => small().prop_map(Step::Command),
        1 => small().prop_map(Step::Session),
        1 => (small(), any::<bool>())
            .prop_map(|(number, answered)| Step::Approval { number, answered }),
        1 => any::<bool>().prop_map(|fails| Step::Work { fails }),
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
        let store = self.ctx.artifacts().durability(Buffered);
        let journal = self.ctx.journal().unwrap().durability(Buffered);
        match step {
            Step::Start => self.start(),
            Step::Append { stream, caused } => {
                let mut event = Event::new("noted").stream("talk", stream.to_string());
                if let Some(last) = self.last.filter(|_| *caused) {
                    event = event.causation(last);
                }
                self.last = Some(journal.append(event).unwrap().event_id);
            }
            Step::Batch(size) => {
                let events: Vec<_> = (0..*size).map(|n| Event::new("noted").payload(&n)).collect();
                journal.append_batch(&events).unwrap();
            }
            Step::Large(what) => {
                let payload = what.to_string().repeat(70_000);
                journal.append(Event::new("large").payload(&payload)).unwrap();
            }
            Step::Write { artifact: number, content } => {
                store.write_bytes(artifact(number), &[*content; 100]).unwrap();
            }
            Step::Remove(number) => drop(store.remove(artifact(number))),
            Step::Transaction(number) => {
                let mut transaction = store.transaction();
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
                journal.append(Event::new("went_on")).unwrap();
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
            more => self.care(more),
        }
    }

    /// What concerns more than a run, and the records of those who work in it.
    fn care(&mut self, step: &Step) {
        let (task, ctx) = (self.test.task(), &self.ctx);
        match step {
            Step::Checkpoint => drop(ctx.next_checkpoint().unwrap()),
            Step::Restore(turn) => {
                if let Some(checkpoint) = ctx.checkpoints().unwrap().get(usize::from(*turn)) {
                    checkpoint.artifacts().unwrap().restore(ctx).unwrap();
                }
            }
            Step::Hold => drop(task.hold_run(ctx.run_id(), "an audit").unwrap()),
            Step::Lift => drop(task.lift_hold(ctx.run_id()).unwrap()),
            Step::Prune { abandoned } => {
                let (all, none) = (Duration::ZERO, Duration::MAX);
                let abandoned = if *abandoned { all } else { none };
                let policy = PrunePolicy { success: all, failed: all, abandoned, leftovers: all };
                let plan = Prune::of(self.test.workspace()).policy(policy).plan().unwrap();
                let pruned = plan.apply().unwrap();
                assert!(pruned.runs.len() < 100);
                if !ctx.run_path().exists() {
                    self.start();
                }
            }
            Step::Lease { dies } => {
                let lease = task.claim("worker", Duration::from_secs(60)).unwrap();
                let of_worker = ctx.clone().with_lease(lease.lease_ref().clone());
                of_worker.append(Event::new("worked")).unwrap();
                if *dies {
                    self.test.clock().advance(120_000_000);
                    task.claim("another", Duration::from_secs(60)).unwrap().release().unwrap();
                } else {
                    lease.release().unwrap();
                }
                // Only a worker may go on with one that was a worker's.
                self.start();
            }
            Step::Mended(number) => {
                let (one, other) = (name("mended.txt"), name("twin.txt"));
                for file in [&one, &other] {
                    ctx.artifacts().write_bytes(file, &[*number; 50]).unwrap();
                }
                fs::write(ctx.artifact_path(&one), "by hand").unwrap();
                let repaired = Repair::of(ctx).plan().unwrap().apply();
                assert_eq!((repaired.done.len(), repaired.failed.len()), (1, 0));
            }
            Step::Command(number) => {
                let command = Command::new(number.to_string(), "note").on("talk", "command");
                let decide = |_: &Nothing| match number {
                    0 => Err(Rejection::new("no")),
                    _ => Ok(vec![Event::new("noted"), Event::new("noted")]),
                };
                let receipt = ctx.dispatch(command.durability(Buffered), decide).unwrap();
                assert_eq!(receipt.is_accepted(), *number != 0);
            }
            Step::Session(number) => {
                let session = ctx.session("S", "provider").unwrap().durability(Buffered);
                match number {
                    0 => session.stop().unwrap(),
                    1 => session.fail("no answer").unwrap(),
                    _ => session.update(SessionStatus::Running).unwrap(),
                }
            }
            Step::Approval { number, answered } => {
                let id = number.to_string();
                ctx.request_approval(&id, "Deploy?", &["yes", "no"]).unwrap();
                if *answered {
                    ctx.resolve_approval(&id, "yes", "ada").unwrap();
                }
            }
            Step::Work { fails } => {
                let queue = task.queue().durability(Buffered);
                queue.add(Work::new(format!("item-{}", self.runs)).attempts(2)).unwrap();
                let claim = queue.next("worker", Duration::from_secs(60)).unwrap();
                if let Some(claim) = claim {
                    let ended = match fails {
                        true => queue.fail(&claim, "no", Duration::ZERO),
                        false => queue.done(&claim),
                    };
                    assert!(!ended.unwrap().duplicate);
                }
            }
            other => unreachable!("{other:?}"),
        }
    }
}

/// Commands that look at nothing before they are decided.
#[derive(Default)]
struct Nothing;

impl Fold for Nothing {
    fn apply(&mut self, _: &Record) -> Result<(), JournalError> {
        Ok(())
    }
}

fn alarms(workspace: &Workspace) -> Vec<Finding> {
    let verified = Verify::of(workspace).read_data(ReadData::All).run().unwrap();
    let mut findings = verified.findings;
    findings.retain(|finding| finding.code.severity() > Severity::Note);
    findings
}

/// 40 histories, looked at 25 times each. Much of their time is spent waiting for the disk.
#[test]
fn a_thousand_good_trees_raise_no_alarm() {
    let looked = AtomicU64::new(0);
    let go = || {
        let config = Config { cases: 5, failure_persistence: None, ..Config::default() };
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
    };
    std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(go))));
    assert!(looked.into_inner() >= 1000);
}

/// How often the tree is looked at while others write to it.
const ROUNDS: usize = 12;

/// A tree, and those who write to it until it is over.
struct Live {
    root: camino::Utf8PathBuf,
    workspace: Workspace,
    task: Task,
    shared: RunContext,
    over: AtomicBool,
}

impl Live {
    fn go_on(&self, mut work: impl FnMut(u32)) {
        // Who panics must not leave the others at work.
        let _ends = Ends(&self.over);
        (0..).take_while(|_| !self.over.load(Ordering::Relaxed)).for_each(&mut work);
    }

    /// Starts runs and writes to them; in time some are removed, one is moved away, and all are over.
    fn runs(&self, worker: u32) {
        self.go_on(|n| {
            let ctx = self.task.start_run_as(&*format!("RUN-{worker}-{n}")).unwrap();
            write(&ctx, n);
            write(&self.shared, n);
            match n % 4 {
                0 => fs::remove_dir_all(ctx.run_path()).unwrap(),
                1 => fs::rename(ctx.run_path(), root_of(&ctx)).unwrap(),
                _ => drop(ctx.run().unwrap().complete(Outcome::Success, None).unwrap()),
            }
        });
    }

    /// Makes checkpoints, and goes back to turns that were.
    fn turns(&self) {
        let own = self.task.start_run_as("TURNS").unwrap();
        self.go_on(|n| {
            for ctx in [&own, &self.shared] {
                let file = name(&format!("turn{}.txt", n % 3));
                ctx.artifacts().write_bytes(file, &n.to_le_bytes()).unwrap();
                ctx.next_checkpoint().unwrap();
                let before = ctx.checkpoint_at(u64::from(n / 2) + 1).unwrap().artifacts().unwrap();
                match before.restore(ctx) {
                    Ok(_) | Err(CheckpointError::Artifact(ArtifactError::Conflict { .. })) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }

    /// Fails runs, holds some, and prunes those that failed.
    fn prunes(&self) {
        self.go_on(|n| {
            let ctx = self.task.start_run_as(&*format!("FAILED-{n}")).unwrap();
            ctx.artifacts().write_bytes(name("a.txt"), b"first").unwrap();
            if n % 3 == 0 {
                self.task.hold_run(ctx.run_id(), "an audit").unwrap();
            }
            ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
            if n % 6 == 3 {
                let held = self.task.holds().unwrap();
                assert!(held.iter().all(|hold| self.task.lift_hold(&hold.run).unwrap()));
            }
            let policy = PrunePolicy {
                success: Duration::MAX,
                failed: Duration::ZERO,
                abandoned: Duration::MAX,
                ..Default::default()
            };
            let plan = Prune::of(&self.workspace).policy(policy).plan().unwrap();
            plan.apply().unwrap();
        });
    }

    /// Claims a task, works, and lets go of it or is too late.
    fn leases(&self) {
        let task = self.workspace.create_task("LEASED", Default::default()).unwrap();
        self.go_on(|n| {
            let ttl = Duration::from_millis(if n % 2 == 0 { 5 } else { 60_000 });
            let lease = task.claim_within("worker", ttl, Duration::from_secs(60)).unwrap();
            let ours = task.clone().with_lease(lease.lease_ref().clone());
            let Ok(ctx) = ours.start_run_as(&*format!("RUN-{n}")) else { return };
            let late = ctx.artifacts().write_bytes(name("a.txt"), &n.to_le_bytes()).is_err();
            assert!(!late || n % 2 == 0);
            drop(lease.release());
        });
    }

    /// Backs runs up, moves them away, and puts them back.
    fn backups(&self) {
        let backup = Backup::create_at(self.root.with_file_name("backup")).unwrap();
        self.go_on(|n| {
            let ctx = self.task.start_run_as(&*format!("SAVED-{n}")).unwrap();
            write(&ctx, n);
            backup.take(&self.workspace).unwrap();
            let snapshot = backup.take(&ctx).unwrap();
            fs::rename(ctx.run_path(), root_of(&ctx)).unwrap();
            snapshot.restore_to(&self.root).plan().unwrap().apply().unwrap();
            write(&ctx, n);
        });
    }
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writers of all kinds, and somebody who verifies all the time.
#[test]
fn a_tree_that_is_written_to_raises_no_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    let workspace = Workspace::create(&root).unwrap();
    let task = workspace.create_task("TASK-1", Default::default()).unwrap();
    let shared = task.start_run_as("SHARED").unwrap();
    let live = Live { root, workspace, task, shared, over: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let live = &live;
            scope.spawn(move || live.runs(worker));
        }
        for work in [Live::turns, Live::prunes, Live::leases, Live::backups] {
            let live = &live;
            scope.spawn(move || work(live));
        }
        let _ends = Ends(&live.over);
        for _ in 0..ROUNDS {
            assert_eq!(alarms(&live.workspace), []);
            assert!(!live.over.load(Ordering::Relaxed), "a writer gave up");
        }
    });
    assert_eq!(alarms(&live.workspace), []);
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
    match ctx.artifacts().remove(&file) {
        // Another writer of the same run was first.
        Err(ArtifactError::NotFound { .. }) => {}
        removed => drop(removed.unwrap()),
    }
    ctx.manifest().unwrap().write(ctx).unwrap();
}
