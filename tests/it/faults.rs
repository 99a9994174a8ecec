//! What a writer does when a sync fails. The failure is injected by `strace`; where that is not to be
//! had, the test says that it was skipped.

use std::io::Write as _;
use std::process::{Command, Stdio};

use runjournal::testing::TestWorkspace;
use runjournal::{ArtifactError, ArtifactName, Durability, Event, JournalError, RunContext};

const WORKER: &str = "RUNJOURNAL_TEST_FAULTS";

/// Runs one test of this binary alone as a worker, with the first call of a kind failing; false where
/// that cannot be done.
fn with_failing(call: &str, ctx: &RunContext, worker: &str) -> bool {
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=none", "true"])
        .stderr(Stdio::null())
        .status();
    if !traced.is_ok_and(|status| status.success()) {
        let line = b"skipped: failing syncs: strace is not installed, or must not trace here\n";
        std::io::stderr().write_all(line).unwrap();
        return false;
    }
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error=EIO:when=1")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", worker, "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env(WORKER, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn poisoned_worker() {
    if std::env::var_os(WORKER).is_none() {
        return;
    }
    let ctx = RunContext::from_env().unwrap();
    let journal = ctx.journal().unwrap().durability(Durability::Durable);
    let first = journal.append(Event::new("first"));
    assert!(matches!(first, Err(JournalError::NotDurable { .. })), "{first:?}");
    for durability in [Durability::Durable, Durability::Buffered] {
        let next = journal.clone().durability(durability).append(Event::new("next"));
        assert!(matches!(next, Err(JournalError::Poisoned { .. })), "{next:?}");
    }
    let beside = ctx.append(Event::new("by_another_writer"));
    assert!(matches!(beside, Err(JournalError::Poisoned { .. })), "{beside:?}");
    drop(journal);
    ctx.append(Event::new("by_a_new_writer")).unwrap();
}

#[test]
fn the_first_failed_sync_poisons_the_writer() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    if !with_failing("fdatasync", &ctx, "faults::poisoned_worker") {
        return;
    }
    let types: Vec<_> =
        ctx.events().unwrap().map(|record| record.unwrap().event_type().to_owned()).collect();
    // Appended events count for every reader, also where the caller was told that they may not last.
    assert_eq!(types, ["first", "by_a_new_writer"]);
}

#[test]
fn doubting_worker() {
    if std::env::var_os(WORKER).is_none() {
        return;
    }
    let ctx = RunContext::from_env().unwrap();
    let first = ctx.journal().unwrap().durability(Durability::Durable).append(Event::new("first"));
    assert!(matches!(first, Err(JournalError::NotDurable { .. })), "{first:?}");
}

/// The one that writes again what is in doubt is another process than the one whose sync failed.
#[test]
fn what_a_failed_sync_left_in_doubt_is_settled_by_the_next_writer() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    if !with_failing("fdatasync", &ctx, "faults::doubting_worker") {
        return;
    }
    let home = ctx.root().join("TASK-1/runs/RUN-1");
    let (note, journal) = (home.join("journal/.sync"), home.join("journal/events.jsonl"));
    // How many bytes are on the disk for sure, and whether a sync failed: see docs/format.md.
    let noted = || {
        let bytes = std::fs::read(&note).unwrap();
        [24, 32].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()))
    };
    assert_eq!(noted(), [0, 1]);
    let before = std::fs::read(&journal).unwrap();
    ctx.append(Event::new("second")).unwrap();
    assert_eq!(noted(), [before.len() as u64, 0]);
    let after = std::fs::read(&journal).unwrap();
    assert!(after.starts_with(&before) && after.len() > before.len());
    assert_eq!(ctx.events().unwrap().read_all().unwrap().0.len(), 2);
}

#[test]
fn unapplied_worker() {
    if std::env::var_os(WORKER).is_none() {
        return;
    }
    let ctx = RunContext::from_env().unwrap();
    let store = ctx.artifacts();
    let name = ArtifactName::from_static("a.txt");
    let written = store.write_bytes(&name, b"content");
    assert!(matches!(written, Err(ArtifactError::CommittedNotApplied { .. })), "{written:?}");
    assert!(!store.exists(&name).unwrap());
    // The next call of the same store finishes the work before it does its own.
    store.write_bytes(ArtifactName::from_static("b.txt"), b"other").unwrap();
    assert_eq!(store.read_bytes(&name).unwrap(), b"content");
}

#[test]
fn a_commit_that_could_not_be_applied_is_applied_by_the_next_call() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    if !with_failing("renameat", &ctx, "faults::unapplied_worker") {
        return;
    }
    for entry in ctx.artifacts().list().unwrap() {
        ctx.artifacts().check(&entry.name).unwrap();
    }
}
