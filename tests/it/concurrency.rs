//! Many processes, many threads, one journal.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use runjournal::testing::TestWorkspace;
use runjournal::{Artifact, Digest, Durability, Event, RunContext, Severity};

use crate::worker;

const PROCESSES: usize = 8;
const THREADS: usize = 4;
const EVENTS: usize = 50;

/// Starts this test binary again, running one test alone as a worker.
pub(crate) fn start(test: &str, ctx: &RunContext, number: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env("RUNJOURNAL_TEST_WORKER", number.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// In a worker: its number. In the test itself: `None`.
pub(crate) fn worker_number() -> Option<usize> {
    std::env::var("RUNJOURNAL_TEST_WORKER").ok()?.parse().ok()
}

#[test]
fn appending_worker() {
    let Some(process) = worker_number() else { return };
    let ctx = worker::context();
    let shared = ctx.journal().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let ctx = &ctx;
            // Some of them share their syncs, and hand their events over.
            let durability =
                if thread < THREADS / 2 { Durability::Durable } else { Durability::Buffered };
            let shared = shared.clone().durability(durability);
            scope.spawn(move || {
                for number in 0..EVENTS {
                    let name = format!("p{process}-t{thread}-{number}");
                    let event =
                        Event::new("worked").stream("worker", format!("p{process}")).payload(
                            &serde_json::json!({"name": name, "fill": "x".repeat(number * 7)}),
                        );
                    // Kept writers, one-shot appends and batches side by side.
                    let seq = match number % 3 {
                        0 => shared.append(event).unwrap().seq,
                        1 => ctx.append(event).unwrap().seq,
                        _ => {
                            let other = Event::new("worked_too").stream("shared", "all");
                            shared.append_batch(&[event, other]).unwrap()[0].seq
                        }
                    };
                    writeln!(std::io::stdout(), "ack {seq} {name}").unwrap();
                }
            });
        }
    });
}

#[test]
fn eight_processes_of_four_threads_lose_nothing() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let workers: Vec<Child> =
        (0..PROCESSES).map(|number| start("concurrency::appending_worker", &ctx, number)).collect();

    // A reader beside them never sees a partial record, a gap or damage.
    let reader = {
        let (ctx, total) = (ctx.clone(), PROCESSES * THREADS * EVENTS);
        std::thread::spawn(move || {
            let mut seen = 0;
            while seen < total {
                let (records, findings) = ctx.events().unwrap().read_all().unwrap();
                assert!(
                    findings.iter().all(|f| f.code.severity() == Severity::Note),
                    "{findings:?}"
                );
                assert!(records.len() >= seen, "a record that counted is gone");
                assert!(records.iter().map(|r| r.seq()).eq(1..=records.len() as u64));
                seen = records.len();
            }
        })
    };
    let mut acknowledged = BTreeMap::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let Some(ack) = line.split_once("ack ").map(|(_, ack)| ack) else { continue };
            let (seq, name) = ack.split_once(' ').unwrap();
            let twice = acknowledged.insert(seq.parse::<u64>().unwrap(), name.to_owned());
            assert_eq!(twice, None, "seq {seq} was given twice");
        }
    }
    reader.join().unwrap();
    assert_eq!(acknowledged.len(), PROCESSES * THREADS * EVENTS);

    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    assert_eq!(findings, []);
    assert!(records.iter().map(|record| record.seq()).eq(1..=records.len() as u64));
    let mut versions = BTreeMap::<String, u64>::new();
    let mut names = HashSet::new();
    for record in &records {
        let next = versions.entry(record.stream()).or_default();
        assert_eq!(record.stream_version(), *next, "{}", record.stream());
        *next += 1;
        if record.event_type() == "worked" {
            let payload: serde_json::Value = record.payload().unwrap();
            let name = payload["name"].as_str().unwrap().to_owned();
            assert_eq!(acknowledged.get(&record.seq()), Some(&name));
            assert!(names.insert(name));
        }
    }
    assert_eq!(names.len(), acknowledged.len());
}

const SHARED: Artifact<Vec<String>> = Artifact::json("shared/log.json");

#[test]
fn swapping_worker() {
    let Some(process) = worker_number() else { return };
    let ctx = worker::context();
    let store = ctx.artifacts().durability(Durability::Buffered);
    for number in 0..20 {
        loop {
            // What is swapped is the content that was read. A version from `list` would not do: it may
            // be that of a commit whose file is not in place yet.
            let before = match store.read_bytes(SHARED) {
                Ok(bytes) => Some(bytes),
                Err(runjournal::ArtifactError::NotFound { .. }) => None,
                Err(error) => panic!("{error}"),
            };
            let mut log: Vec<String> =
                before.as_ref().map_or_else(Vec::new, |b| serde_json::from_slice(b).unwrap());
            log.push(format!("p{process}-{number}"));
            let expect = match &before {
                None => runjournal::Expect::Absent,
                Some(bytes) => runjournal::Expect::Digest(Digest::of(bytes)),
            };
            match store.write_if(SHARED, &log, expect) {
                Ok(_) => break,
                Err(
                    runjournal::ArtifactError::Conflict { .. }
                    | runjournal::ArtifactError::Journal(runjournal::JournalError::VersionConflict {
                        ..
                    }),
                ) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn compare_and_swap_loses_no_update() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let workers: Vec<Child> =
        (0..4).map(|number| start("concurrency::swapping_worker", &ctx, number)).collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let log = ctx.artifacts().read(SHARED).unwrap();
    assert_eq!(log.len(), 80);
    assert_eq!(log.iter().collect::<HashSet<_>>().len(), 80);
    ctx.artifacts().check(SHARED).unwrap();
}

#[test]
fn one_of_many_starters_wins_a_run() {
    let test = TestWorkspace::new().unwrap();
    let task = test.task();
    let won: usize = std::thread::scope(|scope| {
        let starters: Vec<_> =
            (0..8).map(|_| scope.spawn(|| task.start_run_as("RUN-1").is_ok())).collect();
        starters.into_iter().map(|starter| usize::from(starter.join().unwrap())).sum()
    });
    assert_eq!(won, 1);
    assert_eq!(task.runs().unwrap().len(), 1);
    let started =
        task.events().unwrap().filter(|r| r.as_ref().unwrap().event_type() == "run_started");
    assert_eq!(started.count(), 1);
}

#[test]
fn a_lock_that_is_held_is_named_when_the_wait_is_over() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let lock = std::fs::File::open(ctx.run_path().join("journal/.lock")).unwrap();
    lock.lock().unwrap();
    let patience = std::time::Duration::from_millis(30);
    let error = ctx.with_lock_timeout(patience).append(Event::new("x")).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, runjournal::JournalError::LockTimeout { .. }), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
}
