//! A workspace with many runs, as the rows of the index read it. Written straight in the format, since the
//! library would wait for the disk with each run; a rebuilt index without findings shows that it is sound.

use std::collections::HashMap;
use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{RunContext, Workspace};

use crate::Result;
use crate::call::{self, Call};
use crate::lab::Lab;
use crate::rows::RACY;

/// What each run has.
pub(crate) const EVENTS: u64 = 60;
pub(crate) const ARTIFACTS: u64 = 8;
const STEPS: u64 = 4;
/// Runs of one task.
pub(crate) const TASK: u64 = 100;
/// Of so many runs one has no end, one starts what another run traces, and so many have an artifact in common.
pub(crate) const OPEN: u64 = 16;
const TRACED: u64 = 20;
const ALIKE: u64 = 10;

/// A workspace that is there already, or is made.
pub(crate) fn of(lab: &Lab, runs: u64) -> Result<Utf8PathBuf> {
    let root = lab.dir().join(format!("tree-{runs}"));
    if !root.try_exists()? {
        make(&root, runs)?;
        lab.settle()?;
        // What is younger than its times are exact is read again.
        std::thread::sleep(RACY);
    }
    Ok(root)
}

/// The first run of such a workspace.
pub(crate) fn run(lab: &Lab, runs: u64) -> Result<RunContext> {
    let workspace = Workspace::open(of(lab, runs)?)?;
    Ok(workspace.task(task_id(0))?.run(run_id(0))?.context().clone())
}

/// Makes a workspace with so many runs.
fn make(root: &Utf8Path, runs: u64) -> Result<()> {
    Workspace::create(root)?;
    let tasks = runs.div_ceil(TASK);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        let make_some = |thread: u64| {
            let tasks = (thread..tasks).step_by(threads as usize);
            let mut tasks = tasks.map(|task| make_task(root, task, runs));
            tasks.try_for_each(|made| made)
        };
        let workers: Vec<_> = (0..threads).map(|t| scope.spawn(move || make_some(t))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a thread died")?)
    })
}

pub(crate) fn task_id(task: u64) -> String {
    format!("TASK-{task:06}")
}

pub(crate) fn run_id(run: u64) -> String {
    format!("RUN-{run:08}")
}

/// Where a run is.
fn run_path(root: &Utf8Path, run: u64) -> Utf8PathBuf {
    root.join(task_id(run / TASK)).join("runs").join(run_id(run))
}

/// The trace of a run.
pub(crate) fn trace_id(run: u64) -> String {
    format!("0af7651916cd43dd8448eb21{run:08x}")
}

fn make_task(root: &Utf8Path, task: u64, runs: u64) -> Result<()> {
    let (id, first) = (task_id(task), task * TASK);
    let dir = root.join(&id);
    std::fs::create_dir_all(dir.join("runs"))?;
    let genesis = format!(
        r#"{{"task_id":"{id}","title":"t","objective":"o","created_at":"{}","schema_version":1"#,
        time(first, 0)
    );
    let digest = write_sealed(&dir.join("task.json"), genesis)?;
    let mut journal = Journal::new(TASKS + task, digest, ("task", id.as_str()), None);
    let said = Said { key: Some("task:create".into()), ..Said::default() };
    journal.add("task_created", said, r#"{"objective":"o","title":"t"}"#);
    for run in first..runs.min(first + TASK) {
        make_run(root, run)?;
        let run = run_id(run);
        let stream = Some(("run", run.as_str()));
        let said = Said { stream, key: Some(format!("run:{run}")), ..Said::default() };
        journal.add("run_started", said, &format!(r#"{{"run_id":"{run}"}}"#));
    }
    journal.write(&dir)
}

fn make_run(root: &Utf8Path, run: u64) -> Result<()> {
    let (dir, id, trace) = (run_path(root, run), run_id(run), trace_id(run));
    for below in ["artifacts/out", ".tmp"] {
        std::fs::create_dir_all(dir.join(below))?;
    }
    let genesis = format!(
        r#"{{"format_version":1,"task_id":"{}","run_id":"{id}","created_at":"{}","trace_id":"{trace}""#,
        task_id(run / TASK),
        time(run, 0)
    );
    let digest = write_sealed(&dir.join("run.json"), genesis)?;
    let mut journal = Journal::new(run, digest, ("run", id.as_str()), Some(trace));
    let status = r#"{"from":"PLANNING","to":"EXECUTING"}"#;
    journal.add("run_status_changed", Said::default(), status);
    for step in 0..STEPS {
        let name = format!("step-{step}");
        let stream = Some(("step", name.as_str()));
        let started = journal.add("step_started", Said { stream, ..Said::default() }, STARTED);
        for artifact in step * ARTIFACTS / STEPS..(step + 1) * ARTIFACTS / STEPS {
            let path = path(artifact);
            let content = content(run, artifact);
            std::fs::write(dir.join("artifacts").join(&path), &content)?;
            let payload = format!(
                r#"{{"path":"{path}","digest":"blake3:{}","size":{},"media_type":"application/octet-stream","step":"{name}"}}"#,
                blake3::hash(&content).to_hex(),
                content.len(),
            );
            let stream = Some(("artifact", path.as_str()));
            let said = Said { stream, cause: Some(started.clone()), ..Said::default() };
            journal.add("artifact_written", said, &payload);
        }
        let key = Some(format!("step-end:{name}:1"));
        let said = Said { stream, cause: Some(started), key, ..Said::default() };
        let failed = step + 1 == STEPS && fails(run);
        let (event_type, payload) =
            if failed { ("step_failed", FAILED) } else { ("step_completed", COMPLETED) };
        journal.add(event_type, said, payload);
    }
    let open = run.is_multiple_of(OPEN);
    while journal.seq < EVENTS - u64::from(!open) {
        let seq = journal.seq + 1;
        let trace =
            (seq == EVENTS / 2 && run.is_multiple_of(TRACED)).then(|| trace_id(traced_by(run)));
        let payload = serde_json::to_string(&Call::new(seq, OUTPUT))?;
        journal.add("tool_called", Said { trace, ..Said::default() }, &payload);
    }
    if !open {
        let said = Said { key: Some("run:complete".into()), ..Said::default() };
        let status = if fails(run) { "FAILED" } else { "SUCCESS" };
        let payload =
            format!(r#"{{"status":"{status}","counts":{{"steps_completed":4,"steps_failed":0}}}}"#);
        journal.add("execution_complete", said, &payload);
    }
    journal.write(&dir)
}

const STARTED: &str = r#"{"attempt":1,"inputs":[],"config":{"program":["cc"]}}"#;
const COMPLETED: &str =
    r#"{"attempt":1,"signal":"done","inputs":[],"outputs":[],"duration_ms":1234}"#;
const FAILED: &str = r#"{"attempt":1,"error":["cc exited with code 1"],"duration_ms":1234}"#;
/// Bytes of output that make the line of a call as long as everybody's.
const OUTPUT: usize = 119;

fn fails(run: u64) -> bool {
    run % 8 == 3
}

/// When something happens: a second after the run before.
fn time(run: u64, seq: u64) -> String {
    let (day, second) = (run / 86_400 % 28 + 1, run % 86_400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("2026-10-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", seq * 1000)
}

/// The run that others trace.
pub(crate) fn traced_by(run: u64) -> u64 {
    run / (TRACED * 10)
}

/// Where an artifact of each run is.
pub(crate) fn path(artifact: u64) -> String {
    format!("out/part-{artifact}.bin")
}

/// From 2 to 8 KiB; the first artifact of some runs is the same.
pub(crate) fn content(run: u64, artifact: u64) -> Vec<u8> {
    let owner = if artifact == 0 { run / ALIKE * ALIKE } else { run };
    let seed = (owner * ARTIFACTS + artifact).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut state = seed;
    let words = 256 + (seed >> 40) % 769;
    let words = (0..words).flat_map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()
    });
    words.collect()
}

/// Journals of tasks are numbered from here, those of runs from 0.
const TASKS: u64 = 1 << 32;

/// A journal that is being made.
struct Journal<'a> {
    number: u64,
    own: (&'a str, &'a str),
    trace: Option<String>,
    lines: String,
    seq: u64,
    versions: HashMap<String, u64>,
    hash: blake3::Hash,
}

/// What an event says beyond type and payload.
#[derive(Default)]
struct Said<'a> {
    stream: Option<(&'a str, &'a str)>,
    cause: Option<String>,
    trace: Option<String>,
    key: Option<String>,
}

impl<'a> Journal<'a> {
    fn new(
        number: u64,
        genesis: blake3::Hash,
        own: (&'a str, &'a str),
        trace: Option<String>,
    ) -> Self {
        let (lines, versions) = (String::new(), HashMap::new());
        Self { number, own, trace, lines, seq: 0, versions, hash: genesis }
    }

    /// Adds a record, and returns its id.
    fn add(&mut self, event_type: &str, said: Said<'_>, payload: &str) -> String {
        self.seq += 1;
        let (seq, run) = (self.seq, self.number % TASKS);
        let id = event_id(self.number, seq);
        let (kind, stream) = said.stream.unwrap_or(self.own);
        let next = self.versions.entry(format!("{kind}/{stream}")).or_default();
        let version = *next;
        *next += 1;
        let start = self.lines.len();
        let actor = if self.trace.is_some() { "node" } else { "system" };
        self.lines += &format!(
            r#"{{"seq":{seq},"event_id":"{id}","event_type":"{event_type}","occurred_at":"{}","aggregate_kind":"{kind}","stream_id":"{stream}","stream_version":{version},"actor_kind":"{actor}""#,
            time(run, seq)
        );
        let trace = said.trace.as_ref().or(self.trace.as_ref());
        let members = [
            ("causation_event_id", said.cause.as_ref()),
            ("correlation_id", trace),
            ("idempotency_key", said.key.as_ref()),
        ];
        for (name, value) in members {
            if let Some(value) = value {
                let _ = write!(self.lines, r#","{name}":"{value}""#);
            }
        }
        self.lines += &format!(r#","payload":{payload}"#);
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.hash.as_bytes());
        hasher.update(self.lines.get(start..).unwrap_or_default().as_bytes());
        self.hash = hasher.finalize();
        self.lines += &format!(",\"hash\":\"{}\"}}\n", self.hash.to_hex());
        id
    }

    fn write(&self, dir: &Utf8Path) -> Result<()> {
        let mut calls = self.lines.lines().filter(|line| line.contains("\"tool_called\""));
        if let Some(line) = calls.next_back().filter(|line| line.len().abs_diff(call::LINE) > 4) {
            return Err(format!("a line has {} bytes: {line}", line.len() + 1).into());
        }
        std::fs::create_dir(dir.join("journal"))?;
        std::fs::write(dir.join("journal/.lock"), "")?;
        Ok(std::fs::write(dir.join("journal/events.jsonl"), &self.lines)?)
    }
}

/// The id of an event: its time comes first, as in every UUIDv7.
pub(crate) fn event_id(journal: u64, seq: u64) -> String {
    let run = journal % TASKS;
    let mixed = (journal * 64 + seq).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0xffff_ffff_ffff;
    let (kind, low) = (journal / TASKS, run & 0xffff);
    format!("0199{:04x}-{low:04x}-7{seq:03x}-8{kind:03x}-{mixed:012x}", run >> 16)
}

/// Writes an object that ends in its own hash, and returns the digest of all of it.
fn write_sealed(path: &Utf8Path, body: String) -> Result<blake3::Hash> {
    let hash = blake3::hash(body.as_bytes()).to_hex();
    let line = format!("{body},\"hash\":\"{hash}\"}}\n");
    std::fs::write(path, &line)?;
    Ok(blake3::hash(line.as_bytes()))
}
