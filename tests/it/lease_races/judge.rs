//! The judge of a race. From the files, and from what the workers said of their writes, it tells whether
//! anybody wrote beside or behind the holder.

use std::collections::{BTreeMap, HashMap};

use runjournal::{Digest, EventId, Record, RunContext, Severity, Task};
use serde_json::Value;

/// What a worker writes into a file.
pub(super) fn content(id: &str, token: u64) -> String {
    format!("{id} {token}")
}

fn payload(record: &Record) -> Value {
    record.payload().unwrap()
}

/// The write that a record belongs to, `id token` as in the content of files.
fn told(text: Option<&str>) -> Option<(String, u64)> {
    let (id, token) = text?.split_once(' ')?;
    Some((id.to_owned(), token.parse().ok()?))
}

fn id_and_token(value: &Value) -> Option<(String, u64)> {
    Some((value["id"].as_str()?.to_owned(), value["token"].as_u64()?))
}

/// The token that a record names: who wrote it, or who was let in.
pub(super) fn token_of(record: &Record) -> Option<u64> {
    match record.event_type() {
        "lease_bound" => payload(record)["token"].as_u64(),
        "raced" | "raced_too" => Some(id_and_token(&payload(record))?.1),
        "step_started" => Some(id_and_token(&payload(record)["config"])?.1),
        "execution_complete" => Some(told(payload(record)["reason"].as_str())?.1),
        _ => None,
    }
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its worker was killed before it could tell.
    Unknown,
    Done,
    Refused,
}

#[derive(Debug)]
struct Tried {
    token: u64,
    run: String,
    kind: String,
    fate: Fate,
}

/// What all workers said.
#[derive(Debug, Default)]
pub(super) struct Said {
    tried: HashMap<String, Tried>,
    /// Who said that it claimed.
    claimed: BTreeMap<u64, String>,
    pub(super) done: usize,
    pub(super) refused: usize,
    pub(super) busy: usize,
}

impl Said {
    /// Takes in what a worker said.
    pub(super) fn take_in(&mut self, worker: &str, output: &str) {
        for line in output.lines() {
            // The test harness begins the first line.
            let Some((_, said)) = line.split_once("@ ") else { continue };
            let words: Vec<&str> = said.split(' ').collect();
            match words[..] {
                ["claimed", token] => {
                    let before = self.claimed.insert(token.parse().unwrap(), worker.to_owned());
                    assert_eq!(before, None, "the token {token} was given twice");
                }
                ["try", id, token, run, kind] => {
                    let (run, kind) = (run.to_owned(), kind.to_owned());
                    let token = token.parse().unwrap();
                    let tried = Tried { token, run, kind, fate: Fate::Unknown };
                    assert!(self.tried.insert(id.to_owned(), tried).is_none());
                }
                [fate, id] => {
                    let (fate, count) = match fate {
                        "done" => (Fate::Done, &mut self.done),
                        "refused" => (Fate::Refused, &mut self.refused),
                        "busy" => (Fate::Refused, &mut self.busy),
                        _ => panic!("{line}"),
                    };
                    *count += 1;
                    self.tried.get_mut(id).unwrap().fate = fate;
                }
                _ => panic!("{line}"),
            }
        }
    }
}

/// Records without gaps, and without findings that no killed writer leaves.
fn sound(ctx_path: &str, read: (Vec<Record>, Vec<runjournal::Finding>)) -> Vec<Record> {
    let (records, findings) = read;
    let bad: Vec<_> =
        findings.iter().filter(|found| found.code.severity() == Severity::Error).collect();
    assert!(bad.is_empty(), "{ctx_path}: {bad:?}");
    assert!(
        records.iter().map(Record::seq).eq(1..=records.len() as u64),
        "{ctx_path}: its numbers have gaps"
    );
    records
}

/// The claims of a task, by token: who made them. Between two claims nobody else renewed, released or
/// started a run.
fn claims(task: &Task) -> BTreeMap<u64, String> {
    let mut claims = BTreeMap::new();
    let mut holder = None;
    for record in sound("the task", task.events().unwrap().read_all().unwrap()) {
        let said = payload(&record);
        let line = record.line();
        match record.event_type() {
            "lease_claimed" => {
                let worker = said["worker_id"].as_str().unwrap().to_owned();
                claims.insert(record.seq(), worker);
                holder = Some(record.seq());
            }
            "lease_renewed" => assert_eq!(said["token"].as_u64(), holder, "{line}"),
            "lease_released" => {
                assert_eq!(said["token"].as_u64(), holder, "{line}");
                holder = None;
            }
            "run_started" => {
                // Workers give the token to the name.
                let name = said["run_id"].as_str().unwrap().to_owned();
                let token = name.strip_prefix("X-").and_then(|name| name.split('-').next());
                let token = token.map(|token| token.parse().unwrap());
                assert!(token.is_none() || token == holder, "stale: {line}");
            }
            "task_created" => {}
            _ => panic!("nobody writes such a record: {line}"),
        }
    }
    claims
}

/// How often a record of a write is there, by its id and its type.
type Found = HashMap<(String, String), u32>;
/// Who wrote a file, by what it holds.
type Files = HashMap<Digest, (String, u64)>;

/// Reads a run. Whatever stands between two bindings was written by who was bound.
fn check_run(ctx: &RunContext, claims: &BTreeMap<u64, String>, files: &Files, found: &mut Found) {
    let run = ctx.run_id();
    let mut steps: HashMap<EventId, (String, u64)> = HashMap::new();
    let mut completed = HashMap::new();
    let mut bound = None;
    let mut last_file = None;
    for record in sound(run.as_str(), ctx.events().unwrap().read_all().unwrap()) {
        let (line, event_type) = (record.line(), record.event_type());
        let value = payload(&record);
        let of_step = || record.causation_event_id().and_then(|id| steps.get(&id).cloned());
        let (id, token) = match event_type {
            "lease_bound" => {
                let token = value["token"].as_u64().unwrap();
                assert!(bound < Some(token), "{run} went back from {bound:?}: {line}");
                let worker = value["worker_id"].as_str();
                assert_eq!(claims.get(&token).map(String::as_str), worker, "no such claim: {line}");
                bound = Some(token);
                continue;
            }
            "raced" | "raced_too" => id_and_token(&value).unwrap(),
            "artifact_written" => {
                let digest: Digest = value["digest"].as_str().unwrap().parse().unwrap();
                last_file = Some(digest);
                files.get(&digest).unwrap_or_else(|| panic!("nobody wrote it: {line}")).clone()
            }
            "step_started" => {
                let by = id_and_token(&value["config"]).unwrap();
                steps.insert(record.event_id(), by.clone());
                by
            }
            "step_completed" => {
                let by = of_step().unwrap_or_else(|| panic!("a step without a start: {line}"));
                assert_eq!(value["signal"].as_str(), Some(by.0.as_str()), "{line}");
                let twice = completed.insert(record.stream_id().to_owned(), by.clone());
                assert_eq!(twice, None, "the step was done twice: {line}");
                by
            }
            "step_failed" => of_step().unwrap_or_else(|| panic!("a step without a start: {line}")),
            "execution_complete" => told(value["reason"].as_str()).unwrap(),
            _ => panic!("nobody writes such a record: {line}"),
        };
        assert_eq!(Some(token), bound, "stale: {run} is bound to {bound:?}, and has {line}");
        *found.entry((id, event_type.to_owned())).or_default() += 1;
    }
    if let Some(digest) = last_file {
        ctx.catch_up().unwrap();
        assert_eq!(ctx.artifacts().check(super::note()).unwrap(), digest, "{run}");
    }
}

/// Judges the files against what was said.
pub(super) fn judge(task: &Task, said: &Said) {
    let claims = claims(task);
    for (token, worker) in &said.claimed {
        assert_eq!(claims.get(token), Some(worker), "token {token}");
    }
    let file = |(id, tried): (&String, &Tried)| {
        (Digest::of(content(id, tried.token).as_bytes()), (id.clone(), tried.token))
    };
    let files: Files = said.tried.iter().map(file).collect();
    let mut found = Found::new();
    let runs = task.runs().unwrap();
    for run in &runs {
        check_run(task.run(run).unwrap().context(), &claims, &files, &mut found);
    }
    for (id, Tried { run, kind, fate, token }) in &said.tried {
        let types: &[&str] = match kind.as_str() {
            "event" => &["raced"],
            "batch" => &["raced", "raced_too"],
            "file" => &["artifact_written"],
            "both" => &["raced", "artifact_written"],
            "step" => &["step_completed", "artifact_written"],
            "end" => &["execution_complete"],
            "start" => {
                let there = runs.iter().any(|there| there.as_str() == run);
                assert!(there || *fate != Fate::Done, "{run} was acknowledged, and is not there");
                continue;
            }
            _ => panic!("{kind}"),
        };
        let counts: Vec<u32> = types
            .iter()
            .map(|of| found.get(&(id.clone(), (*of).to_owned())).copied().unwrap_or(0))
            .collect();
        let told = format!("{kind} {id} in {run} under {token}: {fate:?}, and found {counts:?}");
        match fate {
            Fate::Done => {
                assert!(counts.iter().all(|count| *count == 1), "lost or doubled: {told}")
            }
            Fate::Refused => assert!(counts.iter().all(|count| *count == 0), "let in: {told}"),
            Fate::Unknown => {
                let whole = counts.iter().all(|count| *count == counts[0]);
                assert!(whole && counts[0] <= 1, "torn or doubled: {told}");
            }
        }
    }
}

/// Judges files that are being written to: all but what the workers say of them.
pub(super) fn glance(task: &Task) {
    let bounds = |ctx: &RunContext| {
        let records = sound("a run", ctx.events().unwrap().read_all().unwrap());
        let mut bound = None;
        for record in records {
            let Some(token) = token_of(&record) else { continue };
            if record.event_type() == "lease_bound" {
                assert!(bound < Some(token), "back from {bound:?}: {}", record.line());
                bound = Some(token);
            }
            assert_eq!(Some(token), bound, "stale: {}", record.line());
        }
    };
    for run in task.runs().unwrap() {
        bounds(task.run(&run).unwrap().context());
    }
    claims(task);
}
