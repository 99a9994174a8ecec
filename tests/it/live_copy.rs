//! A run that is copied while others write to it: the copy is some earlier state of the run, or says
//! where it is not; and it goes on by itself, whatever head came along.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{ArtifactName, Code, Digest, Durability, Event, RunContext};

use crate::worker::eagerly;

const WORKER: &str = "RUNJOURNAL_TEST_LIVE_COPY";
const WORKERS: usize = 3;
const ROUNDS: usize = 14;

/// Content that shows whether it is whole: its last line is the digest of what is before it.
fn content(text: &str, length: usize) -> Vec<u8> {
    let mut content = format!("{text}\n{}\n", "x".repeat(length)).into_bytes();
    let digest = Digest::of(&content).to_string();
    content.extend_from_slice(digest.as_bytes());
    content
}

fn is_whole(content: &[u8]) -> bool {
    let end = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let (before, digest) = content.split_at(end);
    Digest::of(before).to_string().as_bytes() == digest
}

fn name(number: usize) -> ArtifactName {
    ArtifactName::new(format!("a/{}.txt", number % 5)).unwrap()
}

/// Writes events and artifacts until it is killed.
#[test]
fn worker() {
    let Ok(worker) = std::env::var(WORKER) else { return };
    let ctx = eagerly(&RunContext::from_env().unwrap());
    let kept = ctx.journal().unwrap();
    let artifacts = ctx.artifacts().durability(Durability::Buffered);
    for number in 0.. {
        let event = || Event::new("worked").stream("talk", (number % 7).to_string());
        match number % 6 {
            0 => drop(kept.append(event().key(format!("{worker}-{number}"))).unwrap()),
            1 => drop(ctx.append(event().payload(&"y".repeat(number % 900))).unwrap()),
            2 => drop(kept.append_batch(&[event(), event(), event()]).unwrap()),
            3 | 4 => {
                let content = content(&format!("{worker} {number}"), number * 997 % 300_000);
                artifacts.write_bytes(name(number), &content).unwrap();
            }
            _ => {
                let mut tx = ctx.transaction().durability(Durability::Buffered);
                tx.write_bytes(name(number), &content(&worker, number % 100)).unwrap();
                tx.write_bytes(name(number + 1), &content(&worker, number)).unwrap();
                tx.append(event());
                tx.commit().unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

struct Workers {
    ctx: RunContext,
    children: Vec<Child>,
    started: usize,
}

impl Workers {
    fn start(&mut self) -> Child {
        self.started += 1;
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "live_copy::worker", "--nocapture", "--test-threads=1"])
            .envs(self.ctx.env())
            .env(WORKER, self.started.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Kills one of them, wherever it is, and starts another.
    fn kill_one(&mut self, which: usize) {
        let new = self.start();
        let mut old = std::mem::replace(&mut self.children[which % WORKERS], new);
        old.kill().unwrap();
        assert!(!old.wait().unwrap().success(), "a worker ended by itself");
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Copies a part of a directory over the same part of another. What goes away meanwhile is not copied.
fn copy(from: &Utf8Path, to: &Utf8Path, part: &str) {
    let copy = r#"to="$2/$(dirname "$3")"; mkdir -p "$to"; cp -r "$1"/$3 "$to/""#;
    let mut sh = Command::new("sh");
    sh.args(["-c", copy, "sh", from.as_str(), to.as_str(), part]);
    sh.stderr(Stdio::null()).status().unwrap();
}

/// What a copy is copied in: all at once, and parts in orders that drive them apart.
const ORDERS: &[&[&str]] = &[
    &["."],
    &["journal/.head*", ".tmp", "artifacts", "journal/events.jsonl", "run.json"],
    &["journal/events.jsonl", "artifacts", "journal/.head*", ".tmp", "run.json"],
    &["."],
    &["run.json", "artifacts", "journal/events.jsonl", ".tmp", "journal/.head*"],
    &[".tmp", "journal/events.jsonl", "journal/.head*", "artifacts", "run.json"],
    &["journal/.head*", "journal/events.jsonl", ".tmp", "artifacts", "journal/.head*", "run.json"],
];

/// What the journal says, found out from all its records.
#[derive(Default)]
struct Truth {
    last_seq: u64,
    versions: HashMap<String, u64>,
    keys: Vec<(String, u64)>,
    /// The digest in the last record of each artifact.
    artifacts: HashMap<String, String>,
}

fn truth(ctx: &RunContext) -> Truth {
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    let known = |code| matches!(code, Code::Garbage | Code::TornTail);
    assert!(findings.iter().all(|finding| known(finding.code)), "{findings:?}");
    let mut truth = Truth::default();
    for record in &records {
        assert_eq!(record.seq(), truth.last_seq + 1);
        truth.last_seq += 1;
        let version = record.stream_version();
        let before = truth.versions.insert(record.stream(), version);
        assert_eq!(version, before.map_or(0, |before| before + 1));
        if let Some(key) = record.idempotency_key() {
            truth.keys.push((key.to_owned(), record.seq()));
        }
        if record.event_type() == "artifact_written" {
            let payload: serde_json::Value = record.payload().unwrap();
            let text = |member: &str| payload[member].as_str().unwrap().to_owned();
            truth.artifacts.insert(text("path"), text("digest"));
        }
    }
    truth
}

/// Opens a run as whoever comes next would, and holds what it says and does against its journal.
fn goes_on(ctx: &RunContext, round: usize) {
    let before = truth(ctx);
    // Two ways to come first: to catch up, and to append.
    let findings = if round.is_multiple_of(2) { ctx.catch_up().unwrap() } else { vec![] };
    let known = |code| matches!(code, Code::CommitNotApplied | Code::StageDamaged);
    assert!(findings.iter().all(|finding| known(finding.code)), "{findings:?}");

    let new = ctx.append(Event::new("went_on").key(format!("went-on-{round}"))).unwrap();
    let stream = format!("run/{}", ctx.run_id());
    let version = before.versions.get(&stream).map_or(0, |version| version + 1);
    let expected = (before.last_seq + 1, version, false);
    assert_eq!((new.seq, new.stream_version, new.duplicate), expected);
    let journal = ctx.journal().unwrap();
    for (key, seq) in before.keys.iter().step_by(before.keys.len() / 20 + 1) {
        match journal.append(Event::new("asked").key(key)) {
            Err(runjournal::JournalError::KeyConflict { seq: found, .. }) => {
                assert_eq!(found, *seq)
            }
            other => panic!("the key {key} of seq {seq}: {other:?}"),
        }
    }
    for talk in 0..7 {
        let stream = format!("talk/{talk}");
        let next = before.versions.get(&stream).map_or(0, |version| version + 1);
        let event = Event::new("went_on").stream("talk", talk.to_string());
        let appended =
            if talk % 2 == 0 { ctx.append(event) } else { journal.append(event) }.unwrap();
        assert_eq!((appended.stream_version, appended.duplicate), (next, false), "{stream}");
    }

    let artifacts = ctx.artifacts().durability(Durability::Buffered);
    for number in 0..5 {
        let name = name(number);
        let said = before.artifacts.get(name.as_str());
        let found = fs::read(ctx.artifact_path(&name)).ok();
        assert!(found.as_deref().is_none_or(is_whole), "{name} is torn");
        let found = found.map(|bytes| Digest::of(&bytes).to_string());
        // Where the file is another one than the journal says, somebody who asks is told.
        let checked = artifacts.check(&name);
        assert_eq!(
            checked.is_ok(),
            said.is_some() && found.as_ref() == said,
            "{name}: {checked:?}"
        );
        let stored = artifacts.write_bytes(&name, &content("of the copy", round)).unwrap();
        let next =
            before.versions.get(&format!("artifact/{name}")).map_or(0, |version| version + 1);
        assert_eq!(stored.version, next, "{name}");
        artifacts.check(&name).unwrap();
    }
    let after = truth(ctx);
    assert_eq!(after.last_seq, before.last_seq + 1 + 7 + 5);
}

#[test]
fn a_run_copied_while_it_is_written_to_goes_on_from_what_its_journal_says() {
    let test = TestWorkspace::with_eager_heads().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let other = TestWorkspace::with_eager_heads().unwrap();
    // Copies that are made anew each time, and two that are copied over, diverged as they are.
    let copies = ["RUN-1", "RUN-2", "RUN-3"].map(|id| other.start_run(id).unwrap());
    copies.iter().for_each(|copy| fs::remove_dir_all(copy.run_path()).unwrap());
    let mut workers = Workers { ctx: ctx.clone(), children: vec![], started: 0 };
    for _ in 0..WORKERS {
        let child = workers.start();
        workers.children.push(child);
    }
    let start = Instant::now();
    while ctx.events().unwrap().count() < 30 && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    for round in 0..ROUNDS {
        let copied = &copies[round % copies.len()];
        if round % copies.len() == 0 && copied.run_path().exists() {
            fs::remove_dir_all(copied.run_path()).unwrap();
        }
        for part in ORDERS[round % ORDERS.len()] {
            copy(&ctx.run_path(), &copied.run_path(), part);
            std::thread::sleep(Duration::from_millis(3));
        }
        let journals = [&ctx, copied].map(|run| fs::read(run.journal_path()).unwrap());
        assert!(journals[0].starts_with(&journals[1]), "the copy is no beginning");
        goes_on(copied, round);
        workers.kill_one(round);
    }
    drop(workers);
    goes_on(&ctx, 0);
}
