//! Long flows: their work grows with their steps, their memory does not.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use runjournal::testing::TestWorkspace;
use runjournal::{Flow, FlowBuilder, Outcome, Signal, StepContext, StepResult};
use serde::{Deserialize, Serialize};

use crate::worker;

/// What a process did so far.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Mark {
    /// System calls that read and write.
    calls: u64,
    bytes_read: u64,
    /// In hundredths of a second.
    processor: u64,
    /// The most memory that it ever had, in KiB.
    peak: u64,
}

impl Mark {
    fn now() -> Self {
        let (io, status) = (numbers("io"), numbers("status"));
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
        let behind_name = stat.rsplit(") ").next().unwrap();
        let times = behind_name.split(' ').skip(11).take(2);
        Self {
            calls: io["syscr"] + io["syscw"],
            bytes_read: io["rchar"],
            processor: times.map(|ticks| ticks.parse::<u64>().unwrap()).sum(),
            peak: status["VmHWM"],
        }
    }
}

/// A file of `/proc/self`: the first number behind each name.
fn numbers(file: &str) -> BTreeMap<String, u64> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap();
    let number = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        Some((name.to_owned(), rest.split_whitespace().next()?.parse().ok()?))
    };
    text.lines().filter_map(number).collect()
}

/// A tenth of the way, half of it, the end of it, and called again.
type Marks = [Mark; 4];

fn long_loop(turns: u64, body: impl Fn() + Send + Sync + 'static) -> FlowBuilder {
    let body = move |s: &StepContext| -> StepResult {
        body();
        Ok(Signal::new(if s.turn() < turns { "again" } else { "done" }))
    };
    let flow = Flow::new("long").node("turn", body).again("again", "turn", turns);
    flow.on("done", Outcome::Success)
}

fn long_chain(steps: u64, body: impl Fn() + Send + Sync + 'static) -> FlowBuilder {
    let body = Arc::new(body);
    let nodes = (1..=steps).fold(Flow::new("long"), |flow, number| {
        let body = Arc::clone(&body);
        let node = move |_: &StepContext| -> StepResult {
            body();
            Ok("done".into())
        };
        let flow = flow.node(format!("step-{number}"), node);
        if number == steps { flow } else { flow.on("done", format!("step-{}", number + 1)) }
    });
    nodes.on("done", Outcome::Success)
}

#[test]
fn long_flow_worker() {
    let Ok(kind) = std::env::var("RUNJOURNAL_TEST_WORKER") else { return };
    let (kind, steps) = kind.split_once(' ').unwrap();
    let steps: u64 = steps.parse().unwrap();
    let (marks, begun) = (Arc::new(Mutex::new(Vec::new())), AtomicU64::new(0));
    let noted = Arc::clone(&marks);
    let body = move || {
        let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
        if [steps / 10, steps / 2, steps].contains(&number) {
            noted.lock().unwrap().push(Mark::now());
        }
    };
    let flow = if kind == "loop" { long_loop(steps, body) } else { long_chain(steps, body) };
    let (flow, ctx) = (flow.build().unwrap(), worker::context());
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    let ended = Mark::now();
    assert_eq!(flow.run(&ctx).unwrap(), Outcome::Success);
    let again = Mark::now();
    let mut marks = marks.lock().unwrap().clone();
    let once_more = Mark { bytes_read: again.bytes_read - ended.bytes_read, ..again };
    marks.push(once_more);
    println!("\nmarks {}", serde_json::to_string(&marks).unwrap());
}

/// Runs a flow of that kind in a process of its own.
fn run(kind: &str) -> Marks {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "flow_scale::long_flow_worker", "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env("RUNJOURNAL_TEST_WORKER", kind)
        .output()
        .unwrap();
    let output = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{output}");
    let marks = output.lines().find_map(|line| line.strip_prefix("marks ")).unwrap();
    let [tenth, half, end, again]: Marks = serde_json::from_str(marks).unwrap();
    let journal = std::fs::metadata(ctx.journal_path()).unwrap().len();
    eprintln!(
        "{kind}: {} and {} calls, {} and {} bytes read, {} and {} hundredths of a second; {} and {} KiB; \
         again {} bytes of {journal}",
        half.calls,
        end.calls - half.calls,
        half.bytes_read,
        end.bytes_read - half.bytes_read,
        half.processor,
        end.processor - half.processor,
        tenth.peak,
        end.peak,
        again.bytes_read,
    );
    assert!(
        again.bytes_read < journal + journal / 2 + 100_000,
        "it reads its journal more than once"
    );
    [tenth, half, end, again]
}

/// That the second half took about what the first one did. The second one is a little dearer, since what the
/// head remembers grows for a while: by 7 % in calls and 18 % in bytes in a chain of 10,000.
fn is_linear([_, half, end, _]: &Marks) {
    let is_alike = |first: u64, whole: u64, percent: u64| (whole - first) * 100 <= first * percent;
    assert!(is_alike(half.calls, end.calls, 125), "calls");
    assert!(is_alike(half.bytes_read, end.bytes_read, 145), "bytes read");
    assert!(is_alike(half.processor, end.processor, 170), "time of the processor");
}

const FEW: u64 = 3 << 10;

#[test]
fn a_thousand_turns_take_ten_times_as_long_as_a_hundred_and_no_more_memory() {
    let (few, many) = (run("loop 100"), run("loop 1000"));
    is_linear(&many);
    assert!(many[2].peak - few[2].peak.min(many[2].peak) < FEW, "the memory grows with the turns");
    assert!(many[2].calls < few[2].calls * 13);
}

/// What a flow of more nodes takes in memory is its definition, which is there before the first of them runs. With a
/// head after every record it is the heads that take the time, so there it is a shorter one.
#[test]
fn a_long_chain_takes_as_long_at_its_end_and_no_more_memory() {
    let has_heads = std::env::var_os("RUNJOURNAL_TEST_HEADS").is_some();
    let chain = run(if has_heads { "chain 2000" } else { "chain 10000" });
    is_linear(&chain);
    assert!(chain[2].peak - chain[0].peak < FEW, "the memory grows with the steps");
}
