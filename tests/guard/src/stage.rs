//! What a hot path stands on: a workspace, a run, events and artifacts, the same in every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use camino::Utf8Path;
use runjournal::{
    ArtifactName, Clock, Event, IdSource, RunContext, TaskOptions, Timestamp, Workspace,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Result;

/// Times a millisecond apart. To ask the system for the time is a call of it under valgrind alone.
#[derive(Debug)]
struct SteadyClock(AtomicI64);

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microseconds(self.0.fetch_add(1000, Ordering::Relaxed))
    }
}

/// The same, and whoever asks first after a call for it sleeps a little, as if its disk were slow: what others want meanwhile,
/// they hand over to it.
#[derive(Debug)]
pub(crate) struct SlowClock {
    clock: SteadyClock,
    is_slow: AtomicBool,
}

impl SlowClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            clock: SteadyClock(AtomicI64::new(START)),
            is_slow: AtomicBool::new(false),
        })
    }

    pub(crate) fn be_slow(&self) {
        self.is_slow.store(true, Ordering::Relaxed);
    }
}

impl Clock for SlowClock {
    fn now(&self) -> Timestamp {
        if self.is_slow.swap(false, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200));
        }
        self.clock.now()
    }
}

/// Ids that count, from another number in each process.
#[derive(Debug)]
struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn next_id(&self, now: Timestamp) -> Uuid {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        let milliseconds = now.as_microseconds().unsigned_abs() / 1000;
        Uuid::from_u128(
            u128::from(milliseconds) << 80 | 0x7000_8000_0000_0000_0000 | u128::from(number),
        )
    }
}

/// The first time that clocks tell, in microseconds.
const START: i64 = 1_767_225_600_000_000;
/// How many runs a task has.
const RUNS_OF_A_TASK: u64 = 20;
/// What a run has beside what it begins with.
const EVENTS: u64 = 48;
const ARTIFACTS: u64 = 8;

/// A workspace without tasks.
pub(crate) fn new_workspace(dir: &Utf8Path) -> Result<Workspace> {
    Ok(steady(Workspace::create(dir.join("workspaces"))?, 0))
}

/// The workspace that was made there.
pub(crate) fn workspace(dir: &Utf8Path) -> Result<Workspace> {
    Ok(steady(Workspace::open(dir.join("workspaces"))?, 1))
}

/// With ids of its own for each process.
fn steady(workspace: Workspace, process: u64) -> Workspace {
    workspace
        .with_clock(Arc::new(SteadyClock(AtomicI64::new(START))))
        .with_ids(Arc::new(CountedIds(AtomicU64::new(process << 40))))
}

/// A workspace with one run.
pub(crate) fn new_run(dir: &Utf8Path) -> Result<RunContext> {
    let task = new_workspace(dir)?.create_task("TASK-1", TaskOptions::default())?;
    Ok(task.open_or_start_run("RUN-1")?)
}

/// The run that was made there.
pub(crate) fn run(dir: &Utf8Path) -> Result<RunContext> {
    Ok(workspace(dir)?.task("TASK-1")?.run("RUN-1")?.context().clone())
}

/// The same by another clock.
pub(crate) fn run_by(dir: &Utf8Path, clock: Arc<dyn Clock>) -> Result<RunContext> {
    let workspace = workspace(dir)?.with_clock(clock);
    Ok(workspace.task("TASK-1")?.run("RUN-1")?.context().clone())
}

/// A run with so many events, which came one by one.
pub(crate) fn new_journal(dir: &Utf8Path, events: u64) -> Result<()> {
    let writer = new_run(dir)?.journal()?;
    (0..events).map(event).try_for_each(|event| Ok(writer.append(event).map(drop)?))
}

/// A workspace with so many runs, each with events and artifacts.
pub(crate) fn new_tree(dir: &Utf8Path, runs: u64) -> Result<()> {
    let (workspace, mut content) = (new_workspace(dir)?, content(4096));
    for run in 0..runs {
        let task = format!("TASK-{:04}", run / RUNS_OF_A_TASK);
        let task = workspace.open_or_create_task(task, TaskOptions::default())?;
        let ctx = task.open_or_start_run(format!("RUN-{run:04}"))?;
        let mut transaction = ctx.transaction();
        for number in 0..ARTIFACTS {
            stamp(&mut content, run * ARTIFACTS + number);
            transaction.write_bytes(ArtifactName::new(format!("out/{number}.bin"))?, &content)?;
        }
        transaction.commit()?;
        ctx.journal()?.append_batch(&(0..EVENTS).map(event).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// So many bytes.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(bytes).collect()
}

/// Makes of it what no other number has.
pub(crate) fn stamp(content: &mut [u8], number: u64) {
    if let Some(stamp) = content.first_chunk_mut() {
        *stamp = number.to_le_bytes();
    }
}

/// The payload of an event.
#[derive(Serialize, Deserialize)]
pub(crate) struct Call {
    tool: String,
    pub(crate) call: u64,
    ok: bool,
    duration_ms: u64,
    output: String,
}

/// The event that everybody writes: a tool call, in a line of some 540 bytes.
pub(crate) fn event(number: u64) -> Event {
    Event::new("tool_called").payload(&BorrowedCall {
        tool: "cc",
        call: 1_000_000 + number,
        ok: true,
        duration_ms: 4310,
        output: OUTPUT,
    })
}

/// A [`Call`] as its writer has it.
#[derive(Serialize)]
struct BorrowedCall {
    tool: &'static str,
    call: u64,
    ok: bool,
    duration_ms: u64,
    output: &'static str,
}

const OUTPUT: &str = "warning: unused variable `x`, help: if this is intentional, prefix it with an \
    underscore; finished `dev` profile in 4.31 s";
