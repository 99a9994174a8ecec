//! Syncs that are shared by threads and by processes, as `strace` sees them: far fewer than appends, and
//! still nothing is acknowledged before a sync that began after its bytes were written.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use runjournal::testing::TestWorkspace;
use runjournal::{Durability, Event, RunContext};

/// In a worker: how many processes it still has to start, 0 where it is to append itself.
const PROCESSES: &str = "RUNJOURNAL_TEST_SYNC_SHARING";
const THREADS: usize = 8;
const EVENTS: usize = 12;

#[test]
fn worker() {
    let Ok(processes) = std::env::var(PROCESSES) else { return };
    let ctx = RunContext::from_env().unwrap();
    if processes != "0" {
        let me = || {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", "sync_sharing::worker", "--nocapture", "--test-threads=1"]);
            command.env(PROCESSES, "0").stdout(Stdio::null()).spawn().unwrap()
        };
        let children: Vec<_> = (0..processes.parse().unwrap()).map(|_| me()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        return;
    }
    let journal = ctx.journal().unwrap().durability(Durability::Durable);
    let acks = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(ctx.run_path().join("acks"))
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EVENTS {
                    // What could not be made durable is not acknowledged.
                    let Ok(appended) = journal.append(Event::new("noted")) else { return };
                    (&acks).write_all(format!("ack {};", appended.seq).as_bytes()).unwrap();
                }
            });
        }
    });
}

/// What `strace` saw, in the order in which it saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Written(u64),
    SyncBegan(u32),
    /// And whether it went well.
    SyncEnded(u32, bool),
    Acknowledged(u64),
}

/// Lines read `<pid> <call>(<arguments>) = <result>`, or are cut in two where another thread came in
/// between: `<pid> <call>(<arguments> <unfinished ...>`, `<pid> <... <call> resumed>) = <result>`.
fn parse(log: &str) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut unfinished = HashMap::<u32, String>::new();
    for line in log.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let pid: u32 = pid.parse().unwrap();
        let rest = rest.trim_start();
        let (call, begins) = match rest.strip_prefix("<... ") {
            Some(_) => (unfinished.remove(&pid).unwrap() + rest, false),
            None => (rest.to_owned(), true),
        };
        let ends = !rest.ends_with("<unfinished ...>");
        let number = |before: &str| -> Option<u64> {
            let digits = call.split_once(before)?.1;
            digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        if call.starts_with("fdatasync(") && call.contains("/journal/events.jsonl>") {
            if begins {
                seen.push(Seen::SyncBegan(pid));
            }
            if ends {
                seen.push(Seen::SyncEnded(pid, rest.contains("= 0")));
            }
        } else if call.starts_with("write(") && call.contains("/journal/events.jsonl>") {
            if ends {
                seen.push(Seen::Written(number(r#"\"seq\":"#).unwrap()));
            }
        } else if call.starts_with("write(") && call.contains("/acks>") && begins {
            seen.push(Seen::Acknowledged(number("ack ").unwrap()));
        }
        if !ends {
            unfinished.insert(pid, call);
        }
    }
    seen
}

/// What so many processes of some threads do that append durably, with something done to each sync;
/// `None` where that cannot be seen.
fn traced(ctx: &RunContext, processes: usize, sync: &str) -> Option<Vec<Seen>> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "120", "-e", "signal=none", "-e", "trace=write,fdatasync"])
        .args(["-e", &format!("inject=fdatasync:{sync}"), "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "sync_sharing::worker", "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env(PROCESSES, if processes == 1 { 0 } else { processes }.to_string())
        .stdout(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        let line = b"skipped: shared syncs: strace is not installed, or must not trace here\n";
        std::io::stderr().write_all(line).unwrap();
        return None;
    }
    Some(parse(&std::fs::read_to_string(log.path()).unwrap()))
}

/// The appends that were acknowledged, each after a sync that went well and began after its write.
fn acknowledged(seen: &[Seen]) -> usize {
    let mut written = HashSet::new();
    let mut running = HashMap::<u32, HashSet<u64>>::new();
    let mut durable = HashSet::new();
    let mut acknowledged = HashSet::new();
    for seen in seen {
        match *seen {
            Seen::Written(seq) => assert!(written.insert(seq), "seq {seq} was written twice"),
            Seen::SyncBegan(pid) => {
                running.insert(pid, written.clone());
            }
            Seen::SyncEnded(pid, went_well) => {
                let covered = running.remove(&pid).unwrap();
                if went_well {
                    durable.extend(covered);
                }
            }
            Seen::Acknowledged(seq) => {
                assert!(durable.contains(&seq), "seq {seq} was acknowledged before it was durable");
                assert!(acknowledged.insert(seq), "seq {seq} was acknowledged twice");
            }
        }
    }
    acknowledged.len()
}

fn syncs(seen: &[Seen]) -> usize {
    seen.iter().filter(|seen| matches!(seen, Seen::SyncBegan(_))).count()
}

#[test]
fn threads_share_their_syncs_and_none_returns_before_one_that_covers_it() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    // A disk that takes its time shows who does not wait for it.
    let Some(seen) = traced(&ctx, 1, "delay_enter=8000") else { return };
    assert_eq!(acknowledged(&seen), THREADS * EVENTS);
    let (syncs, appends) = (syncs(&seen), THREADS * EVENTS);
    assert!(syncs * 3 <= appends, "{syncs} syncs for {appends} appends");
}

#[test]
fn processes_share_their_syncs_and_none_returns_before_one_that_covers_it() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let Some(seen) = traced(&ctx, 2, "delay_enter=8000") else { return };
    let appends = 2 * THREADS * EVENTS;
    assert_eq!(acknowledged(&seen), appends);
    let syncs = syncs(&seen);
    assert!(syncs * 3 <= appends, "{syncs} syncs for {appends} appends");
}

#[test]
fn a_sync_that_fails_fails_everybody_whose_bytes_it_should_have_covered() {
    for processes in [1, 2] {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let Some(seen) = traced(&ctx, processes, "delay_enter=8000:error=EIO") else { return };
        assert!(seen.iter().any(|seen| matches!(seen, Seen::Written(_))));
        assert_eq!(acknowledged(&seen), 0);
        // The third of each thread: those before went well, and what they covered stays acknowledged.
        let ctx = test.start_run("RUN-2").unwrap();
        let third = "delay_enter=8000:error=EIO:when=3";
        let Some(seen) = traced(&ctx, processes, third) else { return };
        let failed = seen.iter().any(|seen| matches!(seen, Seen::SyncEnded(_, false)));
        assert_eq!(failed, acknowledged(&seen) < processes * THREADS * EVENTS);
    }
}
