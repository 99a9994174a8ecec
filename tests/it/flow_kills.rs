//! The example's pipeline as a flow, killed at every step's boundaries, at every reading of the clock, and at
//! random moments: it ends as if nobody had killed it.

#[path = "../../examples/pipeline/nodes.rs"]
mod nodes;

use std::collections::BTreeSet;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, Clock, Digest, Flow, FlowError, Outcome, RunContext, RunStatus, Signal as StepSignal,
    Step, StepContext, StepResult, SystemClock, Timestamp,
};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value;

use crate::worker;

/// Written anew in every turn.
const TURN: Artifact<u64> = Artifact::json("turn.json");
/// Where a worker kills itself: `NODE:TURN:PLACE`.
const POINT: &str = "RUNJOURNAL_TEST_POINT";
/// With which reading of its clock a worker kills itself.
const READING: &str = "RUNJOURNAL_TEST_READING";

fn die() {
    kill_process(getpid(), Signal::KILL).unwrap();
}

/// Dies here if that is where it is to.
fn point(s: &StepContext, place: &str) {
    let here = format!("{}:{}:{place}", s.name(), s.turn());
    if std::env::var(POINT).is_ok_and(|point| point == here) {
        die();
    }
}

fn execute(s: &StepContext) -> StepResult {
    point(s, "before");
    s.write(TURN, &s.turn())?;
    let done = nodes::execute(s, || {
        point(s, "half");
        Ok(())
    });
    point(s, "end");
    done
}

/// Sends it back twice, whatever it finds.
fn verify(s: &StepContext) -> StepResult {
    point(s, "before");
    let found = nodes::verify(s)?;
    point(s, "end");
    Ok(if s.turn() < 3 { StepSignal::new("verify_failed") } else { found })
}

fn pipeline() -> Flow {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proof");
    let plan = |s: &StepContext| {
        point(s, "before");
        let planned = nodes::plan(s);
        point(s, "end");
        planned
    };
    Flow::new("pipeline")
        .node(Step::new("plan").config(folder), plan)
        .on("planned", "execute")
        .node("execute", execute)
        .on("success", "verify")
        .node("verify", verify)
        .on("verified", Outcome::Success)
        .again("verify_failed", "execute", 2)
        .on("verify_failed", Outcome::Failed)
        .build()
        .unwrap()
}

/// A clock that kills its process when it was read so often.
#[derive(Debug)]
struct Doom(AtomicI64);

impl Clock for Doom {
    fn now(&self) -> Timestamp {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            die();
        }
        SystemClock.now()
    }
}

#[test]
fn pipeline_worker() {
    if std::env::var_os("RUNJOURNAL_TEST_WORKER").is_none() {
        return;
    }
    let mut ctx = worker::context();
    if let Ok(reading) = std::env::var(READING) {
        ctx = ctx.with_clock(Arc::new(Doom(AtomicI64::new(reading.parse().unwrap()))));
    }
    match pipeline().run(&ctx) {
        Ok(Outcome::Success) => {}
        other => panic!("{other:?}"),
    }
}

fn start(ctx: &RunContext, env: &[(&str, String)]) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "flow_kills::pipeline_worker", "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env("RUNJOURNAL_TEST_WORKER", "1")
        .envs(env.iter().cloned())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn is_killed(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt as _;
    assert!(status.success() || status.signal() == Some(9), "{status}");
    !status.success()
}

/// Runs a worker to its end; true if it was killed.
fn run(ctx: &RunContext, env: &[(&str, String)]) -> bool {
    is_killed(start(ctx, env).wait().unwrap())
}

/// What a run came to, which no kill may change.
#[derive(Debug, PartialEq)]
struct Story {
    artifacts_root: Digest,
    /// Node, turn, signal.
    completed: Vec<(String, u64, String)>,
    listed: usize,
}

fn story(ctx: &RunContext) -> Story {
    ctx.catch_up().unwrap();
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    assert!(
        findings.iter().all(|f| f.code.severity() < runjournal::Severity::Error),
        "{findings:?}"
    );
    let (mut completed, mut turns, mut listed) = (Vec::new(), BTreeSet::new(), 0);
    for (record, seq) in records.iter().zip(1..) {
        assert_eq!(record.seq(), seq);
        match record.event_type() {
            "step_completed" => {
                let payload: Value = record.payload().unwrap();
                let signal = payload["signal"].as_str().unwrap().to_owned();
                let turn = payload["turn"].as_u64().unwrap_or(1);
                completed.push((record.stream_id().to_owned(), turn, signal));
            }
            "loop_iteration" => {
                let index = record.payload::<Value>().unwrap()["index"].as_u64();
                assert!(
                    turns.insert((record.stream_id().to_owned(), index)),
                    "a turn begins twice"
                );
            }
            "files_listed" => listed += 1,
            _ => {}
        }
    }
    assert_eq!(records.last().unwrap().event_type(), "execution_complete");
    let state = ctx.run().unwrap().state().unwrap();
    assert_eq!((state.status, state.steps_open.len()), (RunStatus::Success, 0));
    let manifest = ctx.manifest().unwrap();
    assert_eq!(manifest.compare(ctx).unwrap(), []);
    Story { artifacts_root: manifest.artifacts_root, completed, listed }
}

/// A run that nobody kills.
fn undisturbed(test: &TestWorkspace) -> Story {
    let ctx = test.start_run("UNDISTURBED").unwrap();
    assert!(!run(&ctx, &[]));
    let story = story(&ctx);
    let way: Vec<_> =
        story.completed.iter().map(|(node, turn, _)| (node.as_str(), *turn)).collect();
    let turns = [1, 2, 3].into_iter().flat_map(|turn| [("execute", turn), ("verify", turn)]);
    assert_eq!(way, [("plan", 1)].into_iter().chain(turns).collect::<Vec<_>>());
    assert_eq!(ctx.artifacts().read(TURN).unwrap(), 3);
    story
}

#[test]
fn a_node_that_kills_its_process_anywhere_changes_nothing() {
    let test = TestWorkspace::new().unwrap();
    let expected = undisturbed(&test);
    let mut points = vec!["plan:1:before".to_owned(), "plan:1:end".to_owned()];
    for turn in 1..=3 {
        for place in [
            "execute:T:before",
            "execute:T:half",
            "execute:T:end",
            "verify:T:before",
            "verify:T:end",
        ] {
            points.push(place.replace('T', &turn.to_string()));
        }
    }
    for (number, point) in points.iter().enumerate() {
        let ctx = test.start_run(&format!("RUN-{number}")).unwrap();
        assert!(run(&ctx, &[(POINT, point.clone())]), "nobody was killed at {point}");
        assert!(!run(&ctx, &[]));
        assert_eq!(story(&ctx), expected, "killed at {point}");
    }
    // Killed at all of them in one run.
    let ctx = test.start_run("ALL").unwrap();
    for point in &points {
        assert!(run(&ctx, &[(POINT, point.clone())]), "nobody was killed at {point}");
    }
    assert!(!run(&ctx, &[]));
    assert_eq!(story(&ctx), expected);
}

/// Before each record, and between a step's end and the next one's beginning, the clock is read.
#[test]
fn a_flow_that_is_killed_at_each_reading_of_its_clock_ends_as_if_it_had_not_been() {
    let test = TestWorkspace::new().unwrap();
    let expected = undisturbed(&test);
    let mut kills = 0;
    for reading in 1.. {
        // A claim looks at each run of the task, so each has a task of its own.
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        if !run(&ctx, &[(READING, reading.to_string())]) {
            break;
        }
        kills += 1;
        assert!(!run(&ctx, &[]));
        assert_eq!(story(&ctx), expected, "killed at reading {reading}");
        let lease = test.task().lease().unwrap().unwrap();
        assert!(lease.released, "killed at reading {reading}, it holds the task still");
        if reading > 400 {
            panic!("it reads its clock for ever");
        }
    }
    eprintln!("killed at {kills} readings");
    assert!(kills > 30, "{kills}");
}

#[test]
fn a_flow_that_is_killed_at_random_moments_ends_as_if_it_had_not_been() {
    let seed = std::env::var("RUNJOURNAL_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| u64::from(std::process::id()) * 0x9e37_79b9);
    eprintln!("RUNJOURNAL_TEST_SEED={seed}");
    let test = TestWorkspace::new().unwrap();
    let expected = undisturbed(&test);
    let begun = Instant::now();
    let ctx = test.start_run("TIMED").unwrap();
    assert!(!run(&ctx, &[]));
    let whole = begun.elapsed();
    let (mut random, mut kills) = (seed, 0);
    for number in 1.. {
        let ctx = test.start_run(&format!("RUN-{number}")).unwrap();
        loop {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let mut worker = start(&ctx, &[]);
            std::thread::sleep(whole.mul_f64((random >> 33) as f64 / (1_u64 << 31) as f64));
            worker.kill().unwrap();
            if !is_killed(worker.wait().unwrap()) {
                break;
            }
            kills += 1;
        }
        assert_eq!(story(&ctx), expected, "RUNJOURNAL_TEST_SEED={seed}, run {number}");
        if kills >= 60 {
            eprintln!("{kills} kills in {number} runs");
            return;
        }
        assert!(number < 200, "nothing is killed: {kills} kills in {number} runs of {whole:?}");
    }
}

/// What a flow writes twice is told by its own story: this test's judge is not blind.
#[test]
fn a_pipeline_that_was_cut_off_is_another_story() {
    let test = TestWorkspace::new().unwrap();
    let expected = undisturbed(&test);
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write(TURN, &9).unwrap();
    let told = pipeline().runner(&ctx).lease_ttl(Duration::from_secs(5)).run();
    assert!(matches!(told, Ok::<_, FlowError>(Outcome::Success)));
    assert_eq!(story(&ctx).artifacts_root, expected.artifacts_root, "it was written over");
    let ctx = test.start_run("RUN-2").unwrap();
    ctx.artifacts().write(Artifact::<u64>::json("more.json"), &9).unwrap();
    pipeline().run(&ctx).unwrap();
    assert_ne!(story(&ctx).artifacts_root, expected.artifacts_root);
}
