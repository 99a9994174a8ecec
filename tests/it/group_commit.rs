//! Threads that share a durable writer hand their events to the one that has the journal: each gets back what became of
//! its own, whatever became of the others'.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fs2::FileExt;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Appended, Durability, Event, ExpectedVersion, IdSource, JournalError, JournalWriter, Record,
    RunContext, Timestamp, Workspace,
};
use uuid::Uuid;

const THREADS: usize = 8;

fn writer(ctx: &RunContext) -> JournalWriter {
    ctx.journal().unwrap().durability(Durability::Durable)
}

/// What each thread got, of appends that all come while another process has the journal: the first of them waits for it,
/// and the others hand theirs over.
fn behind_a_lock<T: Send>(
    ctx: &RunContext,
    held: Duration,
    append: impl Fn(usize) -> T + Sync,
) -> Vec<std::thread::Result<T>> {
    behind_a_lock_with(ctx, THREADS, held, append)
}

fn behind_a_lock_with<T: Send>(
    ctx: &RunContext,
    threads: usize,
    held: Duration,
    append: impl Fn(usize) -> T + Sync,
) -> Vec<std::thread::Result<T>> {
    let lock = File::open(ctx.run_path().join("journal/.lock")).unwrap();
    lock.lock_exclusive().unwrap();
    std::thread::scope(|scope| {
        let append = &append;
        let threads: Vec<_> = (0..threads).map(|n| scope.spawn(move || append(n))).collect();
        std::thread::sleep(held);
        FileExt::unlock(&lock).unwrap();
        threads.into_iter().map(|thread| thread.join()).collect()
    })
}

fn records(ctx: &RunContext) -> HashMap<u64, Record> {
    let records = ctx.events().unwrap().map(Result::unwrap);
    records.map(|record| (record.seq(), record)).collect()
}

#[test]
fn each_thread_gets_what_became_of_its_own_events() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = writer(&ctx);
    let before = records(&ctx).len() as u64;
    for round in 0..20_usize {
        // All want to be the first of the stream; three of them would be in any case.
        let batch = |thread: usize| {
            let stream = format!("{round}-{}", if thread < 3 { thread } else { 3 });
            let first = Event::new("noted").payload(&(round * THREADS + thread));
            let first = first.stream("note", stream).expect(ExpectedVersion::NoStream);
            [first, Event::new("more").payload(&thread)]
        };
        let append = |thread| journal.append_batch(&batch(thread));
        let outcomes = behind_a_lock(&ctx, Duration::from_millis(20), append);
        let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
        let records = records(&ctx);
        let mut appended = 0;
        for (thread, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Ok(own) => {
                    let of = |own: &Appended| &records[&own.seq];
                    assert_eq!(own[1].seq, own[0].seq + 1);
                    assert_eq!(of(&own[0]).event_id(), own[0].event_id);
                    let payload = of(&own[0]).payload::<usize>().unwrap();
                    assert_eq!(payload, round * THREADS + thread);
                    assert_eq!(of(&own[1]).payload::<usize>().unwrap(), thread);
                    appended += 1;
                }
                Err(JournalError::VersionConflict { .. }) if thread >= 3 => {}
                Err(error) => panic!("thread {thread}: {error}"),
            }
        }
        assert_eq!(appended, 4);
        assert_eq!(records.len() as u64, before + (round as u64 + 1) * 8);
    }
}

#[test]
fn a_key_that_two_threads_hand_over_is_used_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = writer(&ctx);
    let append = |thread: usize| {
        journal.append(Event::new("noted").key("once").payload(&(thread / 4))).map(|own| own.seq)
    };
    let outcomes = behind_a_lock(&ctx, Duration::from_millis(50), append);
    let outcomes: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    let seqs: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    // Four threads say the same, and the other four something else by that key.
    assert_eq!(seqs.len(), 4, "{outcomes:?}");
    assert!(seqs.iter().all(|seq| *seq == seqs[0]), "{outcomes:?}");
    let conflicts = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(conflicts.into_iter().all(|error| matches!(error, JournalError::KeyConflict { .. })));
}

#[test]
fn who_cannot_have_the_journal_is_told_so_and_so_are_those_who_relied_on_him() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let workspace = Workspace::open(test.root()).unwrap();
    let workspace = workspace.with_lock_timeout(Duration::from_millis(50));
    let run = workspace.task("TASK-1").unwrap().run("RUN-1").unwrap();
    let ctx = run.context();
    let journal = writer(ctx);
    let append = |_| journal.append(Event::new("noted"));
    let outcomes = behind_a_lock(ctx, Duration::from_secs(2), append);
    for outcome in outcomes {
        let error = outcome.unwrap().unwrap_err();
        assert!(matches!(error, JournalError::LockTimeout { .. }), "{error}");
    }
    journal.append(Event::new("noted")).unwrap();
}

/// Ids that are none for one caller.
#[derive(Debug)]
struct Panicking {
    left: AtomicUsize,
}

impl IdSource for Panicking {
    fn next_id(&self, _now: Timestamp) -> Uuid {
        assert_ne!(self.left.fetch_sub(1, Ordering::Relaxed), 0, "there are no ids any more");
        Uuid::now_v7()
    }
}

#[test]
fn a_thread_that_panics_leaves_nobody_waiting() {
    for left in 0..THREADS {
        // All others have to come before the journal is free; where this machine was too busy for that, once more.
        let all_came = [50, 200, 1000, 4000].into_iter().any(|held| one_panics(left, held));
        assert!(all_came, "{left}");
    }
}

/// A thread finds no id after so many. True if it was the first, or its own event was in by then.
fn one_panics(left: usize, held: u64) -> bool {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let ids = Arc::new(Panicking { left: AtomicUsize::new(usize::MAX) });
    let source = Arc::clone(&ids) as Arc<dyn IdSource>;
    let workspace = Workspace::open(test.root()).unwrap().with_ids(source);
    let run = workspace.task("TASK-1").unwrap().run("RUN-1").unwrap();
    let ctx = run.context();
    let journal = writer(ctx);
    journal.append(Event::new("first")).unwrap();
    let before = records(ctx).len();
    ids.left.store(left, Ordering::Relaxed);
    let append = |thread: usize| journal.append(Event::new("noted").payload(&thread));
    let outcomes = behind_a_lock(ctx, Duration::from_millis(held), append);
    let (mut panicked, mut appended) = (0, 0);
    let records = records(ctx);
    for (thread, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Err(_) => panicked += 1,
            Ok(own) => {
                let own = own.unwrap();
                assert_eq!(records[&own.seq].event_id(), own.event_id);
                assert_eq!(records[&own.seq].payload::<usize>().unwrap(), thread);
                appended += 1;
            }
        }
    }
    // One thread panicked, with its own event in hand, or with another's after its own was in.
    assert_eq!((panicked, appended), (1, THREADS - 1), "{left}");
    let more = records.len() - before - appended;
    journal.append(Event::new("last")).unwrap();
    more == usize::from(left > 0)
}

#[test]
fn who_is_refused_leaves_the_sync_to_those_whom_it_appended_for() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = writer(&ctx);
    journal.append(Event::new("first").stream("note", "1")).unwrap();
    let first = AtomicBool::new(true);
    let outcomes = behind_a_lock(&ctx, Duration::from_millis(100), |_| {
        let event = Event::new("second").stream("note", "1");
        if first.swap(false, Ordering::Relaxed) {
            return journal.append(event.expect(ExpectedVersion::NoStream)).is_ok();
        }
        // Behind it.
        std::thread::sleep(Duration::from_millis(30));
        journal.append(event).is_ok()
    });
    let appended = outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap()).count();
    assert_eq!(appended, THREADS - 1);
}

#[test]
fn more_threads_than_a_turn_has_room_for_are_all_served() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = writer(&ctx);
    let before = records(&ctx).len();
    let all = behind_a_lock_with(&ctx, 150, Duration::from_millis(300), |thread| {
        journal.append(Event::new("noted").payload(&thread)).unwrap().seq
    });
    let seqs: BTreeSet<u64> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!((seqs.len(), records(&ctx).len()), (150, before + 150));
}
