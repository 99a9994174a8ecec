//! A queue of work: each item is added once, claimed by one worker at a time, and completes once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::{
    ClaimRef, Durability, Event, JournalError, Queue, RunContext, Timestamp, Work, WorkError,
    WorkItem, WorkState,
};

use crate::lab::shown;
use crate::worker;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: i64 = 86_400_000_000;

fn fast(queue: Queue) -> Queue {
    queue.durability(Durability::Buffered)
}

/// A queue of the test's task, where nothing waits for the disk.
fn queue(test: &TestWorkspace) -> Queue {
    fast(test.task().queue())
}

/// Claims the next item; its id and attempt.
fn claim(queue: &Queue, owner: &str) -> Option<(String, u64)> {
    let claim = queue.next(owner, HOUR).unwrap()?;
    Some((claim.item.to_owned(), claim.attempt))
}

fn states(queue: &Queue) -> Vec<(String, WorkState)> {
    queue.items().unwrap().into_iter().map(|item| (item.item, item.state)).collect()
}

fn state(queue: &Queue, item: &str) -> WorkItem {
    queue.item(item).unwrap().unwrap()
}

fn records(test: &TestWorkspace) -> usize {
    test.task().events().unwrap().count()
}

#[test]
fn the_greatest_priority_then_the_oldest_comes_first() {
    let test = TestWorkspace::new().unwrap();
    let queue = test.task().queue();
    for (item, priority) in [("a", 0), ("b", 5), ("c", -1), ("d", 5), ("e", 0)] {
        let work = Work::new(item).priority(priority).input(&serde_json::json!({"is": item}));
        assert!(!queue.add(work).unwrap().duplicate);
    }
    let mut order = String::new();
    while let Some(claim) = queue.next("w", MINUTE).unwrap() {
        let input: BTreeMap<String, String> = claim.input().unwrap();
        assert_eq!((&input["is"], claim.owner.as_str()), (&claim.item, "w"));
        assert_eq!(claim.attempt, 1);
        order += &claim.item;
        assert!(!queue.done(&claim).unwrap().duplicate);
    }
    assert_eq!(order, "bdaec");
    let over: Vec<_> = "abcde".chars().map(|c| (c.to_string(), WorkState::Completed)).collect();
    assert_eq!(states(&queue), over);
    assert_eq!(queue.due().unwrap(), None);
}

#[test]
fn an_item_is_added_once() {
    let test = TestWorkspace::new().unwrap();
    let queue = queue(&test);
    let work = || Work::new("a").priority(2).input(&[1, 2]).attempts(3);
    let first = queue.add(work()).unwrap();
    // Another time is no other meaning.
    let again = queue.add(work().not_before(Timestamp::from_microseconds(DAY))).unwrap();
    assert_eq!((again.seq, again.duplicate), (first.seq, true));
    for (other, what) in [
        (work().priority(3), "priority"),
        (work().input(&[1]), "input"),
        (work().attempts(4), "number of attempts"),
        (Work::new("a").priority(2).attempts(3), "input"),
        (Work::new("a").priority(3).attempts(3), "priority and input"),
    ] {
        match queue.add(other).unwrap_err() {
            WorkError::Conflict { seq, difference, .. } => {
                assert_eq!((seq, difference.as_str()), (first.seq, what));
            }
            other => panic!("{other}"),
        }
    }
    let claim = queue.next("w", MINUTE).unwrap().unwrap();
    queue.done(&claim).unwrap();
    assert!(queue.add(work()).unwrap().duplicate, "what is over is not done again");
    assert_eq!(claim_any(&queue), None);
}

fn claim_any(queue: &Queue) -> Option<(String, u64)> {
    claim(queue, "any")
}

#[test]
fn what_cannot_be_is_refused() {
    let test = TestWorkspace::new().unwrap();
    let queue = queue(&test);
    let before = records(&test);
    for item in ["", "a\nb", "a\u{7f}", &"x".repeat(1025)] {
        let refused = queue.add(Work::new(item));
        let refused = refused.unwrap_err();
        assert!(matches!(refused, WorkError::BadName { what: "work item", .. }), "{refused}");
        let told = refused.to_string();
        let item = shown(item);
        assert!(told.starts_with(&format!("the work item {item:?} cannot be used: ")), "{told}");
    }
    let none = queue.add(Work::new("a").attempts(0));
    assert!(matches!(none, Err(WorkError::NoAttempts { .. })));
    let no_json = queue.add(Work::new("a").input(&BTreeMap::from([(vec![1], 1)])));
    assert!(matches!(no_json, Err(WorkError::BadInput { .. })), "{no_json:?}");
    assert!(matches!(queue.next("", MINUTE), Err(WorkError::BadName { what: "owner", .. })));
    assert!(matches!(queue.next("w", Duration::ZERO), Err(WorkError::NoTime)));
    let nobodys = ClaimRef::new("a", "w", 1);
    assert!(matches!(queue.done(&nobodys), Err(WorkError::NotFound { .. })));
    assert!(matches!(queue.renew(&nobodys, Duration::ZERO), Err(WorkError::NoTime)));
    assert_eq!(records(&test), before);
    // The longest id there may be, and times beyond the end of time.
    let long = "\u{e9}".repeat(512);
    queue.add(Work::new(long.as_str()).attempts(u64::MAX).priority(i64::MIN)).unwrap();
    let claim = queue.next("w", Duration::MAX).unwrap().unwrap();
    assert_eq!(claim.item, long);
    assert_eq!(queue.renew(&claim, Duration::MAX).unwrap(), claim.expires_at());
    queue.fail(&claim, "later", Duration::MAX).unwrap();
    assert_eq!(state(&queue, &long).not_before, Some(claim.expires_at()));
    assert_eq!(claim_any(&queue), None);
    let moved = queue.due().unwrap();
    assert_eq!(moved, Some(claim.expires_at()));
}

#[test]
fn what_is_not_due_is_not_handed_out() {
    let test = TestWorkspace::new().unwrap();
    let queue = queue(&test);
    let start = queue_time(&test);
    let at = |hours: i64| Timestamp::from_microseconds(start + hours * 3_600_000_000);
    queue.add(Work::new("late").priority(9).not_before(at(2))).unwrap();
    queue.add(Work::new("soon").not_before(at(1))).unwrap();
    assert_eq!(claim_any(&queue), None);
    assert_eq!(queue.due().unwrap(), Some(at(1)));
    test.clock().advance(3_600_000_000);
    assert_eq!(claim_any(&queue), Some(("soon".into(), 1)));
    queue.fail(&ClaimRef::new("soon", "any", 1), "no", 2 * HOUR).unwrap();
    assert_eq!(claim_any(&queue), None);
    test.clock().advance(3_600_000_000);
    assert_eq!(claim_any(&queue), Some(("late".into(), 1)));
    test.clock().advance(3_600_000_000);
    // The claim of `late` is over by now as well, and it has the greater priority.
    assert_eq!(claim_any(&queue), Some(("late".into(), 2)));
    assert_eq!(claim_any(&queue), Some(("soon".into(), 2)));
}

fn queue_time(test: &TestWorkspace) -> i64 {
    runjournal::Clock::now(test.clock()).as_microseconds()
}

#[test]
fn an_item_whose_attempts_are_used_up_is_dead() {
    let test = TestWorkspace::new().unwrap();
    let queue = queue(&test);
    queue.add(Work::new("a").attempts(2)).unwrap();
    queue.add(Work::new("b").attempts(1)).unwrap();
    let first = queue.next("w", MINUTE).unwrap().unwrap();
    queue.fail(&first, "first", Duration::ZERO).unwrap();
    let failed = state(&queue, "a");
    assert_eq!((failed.state, failed.error.as_deref()), (WorkState::Failed, Some("first")));
    let second = queue.next("w", MINUTE).unwrap().unwrap();
    assert_eq!((second.item.as_str(), second.attempt), ("a", 2));
    queue.fail(&second, "second", HOUR).unwrap();
    let dead = state(&queue, "a");
    assert_eq!((dead.state, dead.not_before), (WorkState::Dead, None));
    assert!(queue.fail(&second, "second", HOUR).unwrap().duplicate);
    // An attempt that nobody ends is used up as well.
    assert_eq!(claim_any(&queue), Some(("b".into(), 1)));
    test.clock().advance(DAY);
    assert_eq!(queue.reap().unwrap(), 1);
    let dead = state(&queue, "b");
    assert_eq!((dead.state, dead.error.as_deref()), (WorkState::Dead, Some("claim expired")));
    assert_eq!((claim_any(&queue), queue.due().unwrap()), (None, None));
}

#[test]
fn only_the_owner_of_the_newest_attempt_is_let_in() {
    let test = TestWorkspace::new().unwrap();
    let queue = queue(&test);
    queue.add(Work::new("a")).unwrap();
    let lost = queue.next("first", MINUTE).unwrap().unwrap();
    let not_owner = |queue: &Queue, claim: &ClaimRef, wanted: &str| {
        let before = records(&test);
        let refused = [
            queue.done(claim).unwrap_err(),
            queue.fail(claim, "x", MINUTE).unwrap_err(),
            queue.renew(claim, MINUTE).unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, WorkError::NotOwner { .. }), "{error:?}");
            assert!(error.to_string().contains(wanted), "{error}");
        }
        assert_eq!(records(&test), before);
    };
    not_owner(&queue, &ClaimRef::new("a", "other", 1), "\"first\" has it in attempt 1");
    not_owner(&queue, &ClaimRef::new("a", "first", 2), "\"first\" has it in attempt 1");
    // A claim that is over and was not reaped holds: no clock has a say.
    test.clock().advance(DAY);
    queue.renew(&lost, MINUTE).unwrap();
    test.clock().advance(DAY);
    assert_eq!(queue.reap().unwrap(), 1);
    not_owner(&queue, &lost, "failed (claim expired), and it waits for the next");
    // The same owner, another attempt.
    let held = queue.next("first", MINUTE).unwrap().unwrap();
    not_owner(&queue, &lost, "\"first\" has it in attempt 2");
    queue.done(&held).unwrap();
    assert!(queue.done(&held).unwrap().duplicate);
    not_owner(&queue, &lost, "\"first\" completed it in attempt 2");
    assert!(matches!(queue.fail(&held, "x", MINUTE), Err(WorkError::NotOwner { .. })));
}

#[test]
fn a_claim_from_a_clock_that_was_days_ahead_holds_nothing_for_ever() {
    let test = TestWorkspace::new().unwrap();
    let (queue, short) = (queue(&test), Duration::from_millis(60));
    for item in ["held", "renewed", "delayed"] {
        queue.add(Work::new(item)).unwrap();
    }
    test.clock().advance(3 * DAY);
    let held = queue.next("ahead", short).unwrap().unwrap();
    let renewed = queue.next("ahead", short).unwrap().unwrap();
    let delayed = queue.next("ahead", short).unwrap().unwrap();
    queue.fail(&delayed, "later", short).unwrap();
    test.clock().advance(-3 * DAY);

    let start = Instant::now();
    assert_eq!(claim_any(&queue), None);
    let mut handed_out = Vec::new();
    while handed_out.len() < 2 {
        assert!(start.elapsed() < MINUTE, "an item is held for ever");
        // What is renewed keeps its owner.
        queue.renew(&renewed, 10 * HOUR).unwrap();
        handed_out.extend(claim_any(&queue));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(start.elapsed() >= short);
    handed_out.sort();
    assert_eq!(handed_out, [("delayed".to_owned(), 2), ("held".to_owned(), 2)]);
    assert!(matches!(queue.done(&held), Err(WorkError::NotOwner { .. })));
    queue.done(&renewed).unwrap();
}

#[test]
fn more_claims_than_a_batch_holds_are_reaped() {
    let test = TestWorkspace::new().unwrap();
    let queue = queue(&test);
    for number in 0..1100 {
        queue.add(Work::new(format!("item-{number}"))).unwrap();
        let _ = queue.next("w", MINUTE).unwrap().unwrap();
    }
    test.clock().advance(DAY);
    let other = fast(test.task().queue());
    assert_eq!(other.reap().unwrap(), 1100);
    assert_eq!(other.reap().unwrap(), 0);
    assert_eq!(claim_any(&queue), Some(("item-0".into(), 2)));
}

#[test]
fn what_work_leads_to_is_committed_with_its_end() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let queue = ctx.queue();
    queue.add(Work::new("a").input(&"x".repeat(100_000))).unwrap();
    let claim = queue.next("w", MINUTE).unwrap().unwrap();
    assert_eq!(claim.input::<String>().unwrap().len(), 100_000);
    let result = || Event::new("computed").stream("result", "a").payload(&42);
    // What cannot be appended leaves the claim as it was.
    for bad in [Event::new("Bad"), Event::new("work_dead"), result().key("mine")] {
        let refused = queue.done_with(&claim, [result(), bad]);
        assert!(matches!(refused, Err(WorkError::Journal(JournalError::BadEvent { .. }))));
    }
    assert_eq!(state(&queue, "a").state, WorkState::Claimed);
    queue.done_with(&claim, [result(), result()]).unwrap();
    assert!(queue.done_with(&claim, [result(), result()]).unwrap().duplicate);
    let batch: Vec<_> = ctx.events().unwrap().map(Result::unwrap).skip(2).collect();
    let told: Vec<_> = batch.iter().map(|r| (r.event_type(), r.batch_index())).collect();
    assert_eq!(told, [("work_completed", Some(0)), ("computed", Some(1)), ("computed", Some(2))]);
    assert_eq!((batch[0].actor_kind(), batch[0].actor_id()), ("worker", Some("w")));
}

#[test]
fn threads_that_share_a_handle_and_handles_of_their_own() {
    const ITEMS: usize = 60;
    let test = TestWorkspace::new().unwrap();
    let shared = queue(&test);
    for number in 0..ITEMS {
        shared.add(Work::new(format!("item-{number}"))).unwrap();
    }
    let claimed: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|number| {
                let queue = if number % 2 == 0 { shared.clone() } else { queue(&test) };
                scope.spawn(move || {
                    let mut claimed = Vec::new();
                    while let Some(claim) = queue.next(&format!("w{number}"), HOUR).unwrap() {
                        queue.done(&claim).unwrap();
                        claimed.push(claim.item.to_owned());
                    }
                    claimed
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(claimed.len(), ITEMS);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), ITEMS);
}

/// In a worker process: drains the queue, and appends a result with each completion.
/// One thread is in the journal's lock and wants to know what the handle knows; another one, which has
/// just come by damage, knows and wants that lock.
#[test]
fn threads_that_share_a_handle_do_not_wait_for_each_other_in_a_circle() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap().with_lock_timeout(Duration::from_secs(3));
    fast(ctx.queue()).add(Work::new("a")).unwrap();
    let journal = ctx.journal().unwrap();
    let many: Vec<Event> =
        (0..1000).map(|_| Event::new("noted").payload(&"x".repeat(8000))).collect();
    (0..4).for_each(|_| drop(journal.append_batch(&many).unwrap()));
    drop(journal);
    let dir = ctx.run_path().join("journal");
    // Without the head, the first append scans all of it under the lock, which takes its time.
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(".head") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let queue = fast(ctx.queue());
    let lock = std::fs::File::open(dir.join(".lock")).unwrap();
    std::thread::scope(|scope| {
        let other = queue.clone();
        let claiming = scope.spawn(move || other.next("w", HOUR).map(drop));
        while lock.try_lock().is_ok() {
            lock.unlock().unwrap();
            if claiming.is_finished() {
                break; // So slow is this machine.
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        let mut file =
            std::fs::File::options().append(true).open(dir.join("events.jsonl")).unwrap();
        file.write_all(b"damage\n").unwrap();
        assert!(queue.due().unwrap().is_some());
        let _ = claiming.join().unwrap();
    });
}

#[test]
fn draining_worker() {
    let Ok(owner) = std::env::var("RUNJOURNAL_TEST_DRAINER") else { return };
    let queue = fast(worker::context().queue());
    loop {
        let Some(claim) = queue.next(&owner, Duration::from_millis(150)).unwrap() else {
            if queue.due().unwrap().is_none() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let number: u64 = claim.input().unwrap();
        std::thread::sleep(Duration::from_millis(number % 4));
        let result = Event::new("computed").stream("result", &claim.item).payload(&number);
        match queue.done_with(&claim, [result]) {
            Ok(_) | Err(WorkError::NotOwner { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn drainer(ctx: &RunContext, owner: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "work::draining_worker", "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env("RUNJOURNAL_TEST_DRAINER", owner)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn eight_processes_some_of_them_killed_complete_each_item_once() {
    const ITEMS: u64 = 300;
    const KILLS: usize = 12;
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    // Workers have the system's clock.
    let queue = fast(ctx.queue());
    for number in 0..ITEMS {
        let work = Work::new(format!("item-{number}")).input(&number).attempts(1000);
        queue.add(work).unwrap();
    }
    let mut workers: Vec<Child> = (0..8).map(|n| drainer(&ctx, &format!("w{n}"))).collect();
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_millis(40 + 7 * kill as u64 % 20));
        let next = drainer(&ctx, &format!("w{}", 8 + kill));
        let mut victim = std::mem::replace(&mut workers[kill % 8], next);
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    assert!(findings.iter().all(|f| f.code.severity() == runjournal::Severity::Note));
    let mut completed = BTreeSet::new();
    let (mut sum, mut attempts) = (0, BTreeSet::new());
    for record in &records {
        let stream = record.stream();
        match record.event_type() {
            "work_completed" => assert!(completed.insert(stream), "{record:?}"),
            "computed" => sum += record.payload::<u64>().unwrap(),
            "work_claimed" => {
                let said: serde_json::Value = record.payload().unwrap();
                let attempt = said["attempt"].as_u64().unwrap();
                assert!(attempts.insert((stream, attempt)), "an attempt was given twice");
            }
            _ => {}
        }
    }
    assert_eq!((completed.len() as u64, sum), (ITEMS, ITEMS * (ITEMS - 1) / 2));
    assert!(attempts.len() > completed.len(), "no claim expired, so that nothing was shown");
}

/// What a queue does, told as plainly as can be: a list of items, all looked at each time.
#[derive(Debug, Clone)]
struct Item {
    name: usize,
    priority: i64,
    max_attempts: u64,
    attempt: u64,
    state: WorkState,
    /// Minutes; what is past when it is looked at is due, for that handle, from then on.
    not_before: Option<i64>,
    due: [bool; 2],
    expires_at: i64,
    expired: bool,
}

impl Item {
    fn wait(&mut self, state: WorkState, not_before: Option<i64>) {
        let over = self.attempt >= self.max_attempts;
        self.state = if over { WorkState::Dead } else { state };
        self.not_before = not_before;
        self.due = [not_before.is_none(); 2];
    }

    fn waits(&self) -> bool {
        matches!(self.state, WorkState::Waiting | WorkState::Failed)
    }
}

#[derive(Debug, Clone)]
enum Op {
    Add { name: usize, priority: i64, attempts: u64, delay: Option<i64> },
    Next { handle: usize, ttl: i64 },
    Done { claim: usize },
    Fail { claim: usize, delay: Option<i64> },
    Renew { claim: usize, ttl: i64 },
    Impostor { claim: usize },
    Reap { handle: usize },
    Reopen { handle: usize },
    Clock { hours: i64 },
}

/// Half an hour apart from all moves of the clock.
fn span() -> impl Strategy<Value = i64> {
    (0_i64..5).prop_map(|hours| hours * 60 + 30)
}

fn op() -> impl Strategy<Value = Op> {
    let (handle, claim) = (0_usize..2, 0_usize..6);
    prop_oneof![
        3 => (0_usize..6, 0_i64..3, 1_u64..4, proptest::option::weighted(0.3, span())).prop_map(
            |(name, priority, attempts, delay)| Op::Add { name, priority, attempts, delay }
        ),
        6 => (handle.clone(), span()).prop_map(|(handle, ttl)| Op::Next { handle, ttl }),
        2 => claim.clone().prop_map(|claim| Op::Done { claim }),
        3 => (claim.clone(), proptest::option::of(span()))
            .prop_map(|(claim, delay)| Op::Fail { claim, delay }),
        2 => (claim.clone(), span()).prop_map(|(claim, ttl)| Op::Renew { claim, ttl }),
        1 => claim.prop_map(|claim| Op::Impostor { claim }),
        1 => handle.clone().prop_map(|handle| Op::Reap { handle }),
        1 => handle.prop_map(|handle| Op::Reopen { handle }),
        3 => (-30_i64..40).prop_map(|hours| Op::Clock { hours }),
    ]
}

struct Model {
    items: Vec<Item>,
    /// Minutes.
    now: i64,
    claims: Vec<ClaimRef>,
}

impl Model {
    fn reap(&mut self) -> usize {
        let over =
            |item: &&mut Item| item.state == WorkState::Claimed && item.expires_at <= self.now;
        let expired: Vec<_> = self.items.iter_mut().filter(over).collect();
        let count = expired.len();
        for item in expired {
            item.wait(WorkState::Failed, None);
            item.expired = true;
        }
        count
    }

    fn next(&mut self, handle: usize, ttl: i64) -> Option<(usize, u64)> {
        self.reap();
        for item in &mut self.items {
            item.due[handle] |= item.not_before.is_some_and(|time| time <= self.now);
        }
        let now = self.now;
        let due = self.items.iter_mut().filter(|item| item.waits() && item.due[handle]);
        // The first of the greatest: `max_by_key` would give the last.
        let best = due.rev().max_by_key(|item| item.priority)?;
        best.attempt += 1;
        best.state = WorkState::Claimed;
        best.expires_at = now + ttl;
        (best.not_before, best.expired) = (None, false);
        Some((best.name, best.attempt))
    }

    fn item(&mut self, claim: &ClaimRef) -> Option<&mut Item> {
        let item = self.items.iter_mut().find(|item| name(item.name) == claim.item)?;
        (item.attempt == claim.attempt).then_some(item)
    }
}

fn name(number: usize) -> String {
    format!("item-{number}")
}

fn minutes(minutes: i64) -> Duration {
    Duration::from_secs(60 * minutes.unsigned_abs())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]
    #[test]
    fn a_queue_does_what_a_list_would(ops in proptest::collection::vec(op(), 1..60)) {
        let test = TestWorkspace::new().unwrap();
        let mut handles = [queue(&test), queue(&test)];
        let mut model = Model { items: Vec::new(), now: 0, claims: Vec::new() };
        for op in ops {
            check_op(&test, &mut handles, &mut model, &op)?;
            let wanted: Vec<_> = model
                .items
                .iter()
                .map(|item| (name(item.name), item.state, item.attempt))
                .collect();
            let items = handles[0].items().unwrap().into_iter();
            let found: Vec<_> = items.map(|i| (i.item, i.state, i.attempt)).collect();
            prop_assert_eq!(found, wanted, "after {:?}", op);
        }
    }
}

fn check_op(
    test: &TestWorkspace,
    handles: &mut [Queue; 2],
    model: &mut Model,
    op: &Op,
) -> Result<(), TestCaseError> {
    let newest_first = |claim: usize| {
        let at = model.claims.len().checked_sub(claim + 1)?;
        model.claims.get(at).cloned()
    };
    match op {
        Op::Add { name: number, priority, attempts, delay } => {
            let mut work = Work::new(name(*number)).priority(*priority).attempts(*attempts);
            let not_before = delay.map(|delay| model.now + delay);
            if let Some(delay) = delay {
                let time = queue_time(test) + delay * 60_000_000;
                work = work.not_before(Timestamp::from_microseconds(time));
            }
            let added = handles[0].add(work);
            match model.items.iter().find(|item| item.name == *number) {
                None => {
                    prop_assert!(!added.unwrap().duplicate);
                    model.items.push(Item {
                        name: *number,
                        priority: *priority,
                        max_attempts: *attempts,
                        attempt: 0,
                        state: WorkState::Waiting,
                        not_before,
                        due: [not_before.is_none(); 2],
                        expires_at: 0,
                        expired: false,
                    });
                }
                Some(item) if (item.priority, item.max_attempts) == (*priority, *attempts) => {
                    prop_assert!(added.unwrap().duplicate);
                }
                Some(_) => {
                    let is_conflict = matches!(added, Err(WorkError::Conflict { .. }));
                    prop_assert!(is_conflict);
                }
            }
        }
        Op::Next { handle, ttl } => {
            let owner = format!("w{handle}");
            let claim = handles[*handle].next(&owner, minutes(*ttl)).unwrap();
            let found = claim.as_ref().map(|claim| (claim.item.to_owned(), claim.attempt));
            let wanted = model.next(*handle, *ttl).map(|(item, attempt)| (name(item), attempt));
            prop_assert_eq!(found, wanted);
            model.claims.extend(claim.map(|claim| (*claim).clone()));
        }
        Op::Done { claim } => {
            let Some(claim) = newest_first(*claim) else { return Ok(()) };
            let done = handles[0].done(&claim);
            match model.item(&claim) {
                Some(item) if item.state == WorkState::Claimed => {
                    prop_assert!(!done.unwrap().duplicate);
                    item.state = WorkState::Completed;
                }
                Some(item) if item.state == WorkState::Completed => {
                    prop_assert!(done.unwrap().duplicate);
                }
                _ => prop_assert!(matches!(done, Err(WorkError::NotOwner { .. })), "{:?}", done),
            }
        }
        Op::Fail { claim, delay } => {
            let Some(claim) = newest_first(*claim) else { return Ok(()) };
            let failed = handles[1].fail(&claim, "no", delay.map_or(Duration::ZERO, minutes));
            let not_before = delay.map(|delay| model.now + delay);
            match model.item(&claim) {
                Some(item) if item.state == WorkState::Claimed => {
                    prop_assert!(!failed.unwrap().duplicate);
                    item.wait(WorkState::Failed, not_before);
                }
                Some(item)
                    if matches!(item.state, WorkState::Failed | WorkState::Dead)
                        && !item.expired =>
                {
                    prop_assert!(failed.unwrap().duplicate);
                }
                _ => {
                    prop_assert!(matches!(failed, Err(WorkError::NotOwner { .. })), "{:?}", failed)
                }
            }
        }
        Op::Renew { claim, ttl } => {
            let Some(claim) = newest_first(*claim) else { return Ok(()) };
            let renewed = handles[1].renew(&claim, minutes(*ttl));
            let now = model.now;
            match model.item(&claim) {
                Some(item) if item.state == WorkState::Claimed => {
                    renewed.unwrap();
                    item.expires_at = now + ttl;
                }
                _ => prop_assert!(
                    matches!(renewed, Err(WorkError::NotOwner { .. })),
                    "{:?}",
                    renewed
                ),
            }
        }
        Op::Impostor { claim } => {
            let Some(mut claim) = newest_first(*claim) else { return Ok(()) };
            claim.owner.push('x');
            let done = handles[0].done(&claim);
            prop_assert!(matches!(done, Err(WorkError::NotOwner { .. })), "{:?}", done);
        }
        Op::Reap { handle } => prop_assert_eq!(handles[*handle].reap().unwrap(), model.reap()),
        Op::Reopen { handle } => {
            handles[*handle] = queue(test);
            for item in &mut model.items {
                item.due[*handle] = item.not_before.is_none();
            }
        }
        Op::Clock { hours } => {
            test.clock().advance(hours * 3_600_000_000);
            model.now += hours * 60;
        }
    }
    Ok(())
}

/// What only forged journals hold, and what the index makes of a queue.
#[cfg(all(feature = "sqlite", unix))]
mod forged {
    use runjournal::LeaseRef;
    use runjournal::index::Index;

    use super::*;
    use crate::index_lab::{Forger, assert_equal, open, rows};

    #[test]
    fn a_foreign_journal_is_an_error_and_no_panic() {
        let claimed =
            |said: &str| [("work_enqueued", SAID.to_owned()), ("work_claimed", said.into())];
        const SAID: &str = r#"{"priority":1,"max_attempts":2}"#;
        let cases = [
            vec![("work_enqueued", r#"{"priority":"high","max_attempts":2}"#.to_owned())],
            vec![("work_enqueued", "7".to_owned())],
            vec![("work_enqueued", r#"{"priority":1}"#.to_owned())],
            claimed(r#"{"priority":1,"max_attempts":2,"attempt":1}"#).to_vec(),
            claimed(r#"{"priority":1,"max_attempts":2,"attempt":1,"owner":"w","ttl_ms":1,"expires_at":"x"}"#)
                .to_vec(),
        ];
        for case in cases {
            let test = TestWorkspace::new().unwrap();
            let ctx = test.start_run("RUN-1").unwrap();
            let mut forger = Forger::behind(&ctx.run_path());
            for (event_type, said) in &case {
                forger.payload(event_type, ("work", "a"), said);
            }
            forger.write();
            let queue = fast(ctx.queue());
            let errors = [
                queue.next("w", MINUTE).map(|_| ()).unwrap_err(),
                queue.items().map(|_| ()).unwrap_err(),
                queue.item("a").map(|_| ()).unwrap_err(),
                queue.due().map(|_| ()).unwrap_err(),
                queue.reap().map(|_| ()).unwrap_err(),
                queue.done(&ClaimRef::new("a", "w", 1)).map(|_| ()).unwrap_err(),
            ];
            for error in errors {
                let is_payload = matches!(error, WorkError::Journal(JournalError::Payload { .. }));
                assert!(is_payload, "{case:?}: {error:?}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_not_handed_out() {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let queue = fast(ctx.queue());
        queue.add(Work::new("a")).unwrap();
        let said = r#"{"priority":0,"max_attempts":10}"#;
        Forger::behind(&ctx.run_path())
            .payload("work_cancelled", ("work", "a"), "{}")
            .payload("work_claimed", ("work", "unknown"), said)
            .write();
        let unread = queue.next("w", MINUTE).unwrap_err();
        assert!(matches!(unread, WorkError::Journal(JournalError::Payload { .. })));
        let ctx = test.start_run("RUN-2").unwrap();
        let queue = fast(ctx.queue());
        queue.add(Work::new("a")).unwrap();
        Forger::behind(&ctx.run_path()).payload("work_cancelled", ("work", "a"), "{}").write();
        assert_eq!(claim_any(&queue), None);
        assert_eq!(state(&queue, "a").state, WorkState::Waiting);
        let done = queue.done(&ClaimRef::new("a", "w", 1)).unwrap_err();
        assert!(matches!(done, WorkError::Foreign { .. }), "{done:?}");
        // Put in without its key.
        Forger::behind(&ctx.run_path()).payload("work_enqueued", ("work", "b"), said).write();
        assert!(matches!(queue.next("w", MINUTE), Err(WorkError::Foreign { .. })));
    }

    #[test]
    fn a_queue_under_a_lease_refuses_who_does_not_have_the_newest() {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        fast(ctx.queue()).add(Work::new("a")).unwrap();
        let mut forger = Forger::behind(test.root().join("TASK-1").as_path());
        let lease = || ("lease", "TASK-1");
        let said = |worker: &str| {
            format!(r#"{{"worker_id":"{worker}","ttl_ms":1,"expires_at":"2026-01-01T00:00:00Z"}}"#)
        };
        let token = forger.seq;
        forger.payload("lease_claimed", lease(), &said("one")).write();
        let held = |token| {
            let task =
                test.task().clone().with_lease(LeaseRef::new(test.task().id().clone(), token));
            let run = task.run("RUN-1").unwrap().context().clone();
            (fast(task.queue()), fast(run.queue()))
        };
        let (task_queue, run_queue) = held(token);
        task_queue.add(Work::new("of-the-task")).unwrap();
        let claim = run_queue.next("w", HOUR).unwrap().unwrap();
        // Bound by that write: without the lease nobody gets in.
        let outside = fast(ctx.queue());
        let required = outside.done(&claim).unwrap_err();
        let is_required = |error: &WorkError| {
            matches!(error, WorkError::Journal(JournalError::LeaseRequired { .. }))
        };
        assert!(is_required(&required), "{required:?}");
        assert!(is_required(&outside.add(Work::new("b")).unwrap_err()));
        assert!(is_required(&queue(&test).next("w", HOUR).unwrap_err()));
        // A newer claim takes over.
        let mut forger = Forger::behind(test.root().join("TASK-1").as_path());
        let newer = forger.seq;
        forger.payload("lease_claimed", lease(), &said("two")).write();
        let (_, new_queue) = held(newer);
        new_queue.renew(&claim, HOUR).unwrap();
        let is_lost =
            |error: &WorkError| matches!(error, WorkError::Journal(JournalError::LeaseLost { .. }));
        assert!(is_lost(&run_queue.done(&claim).unwrap_err()));
        // Neither "there is nothing to do" nor "there is no such item" is what it should hear.
        new_queue.add(Work::new("c")).unwrap();
        assert!(is_lost(&run_queue.next("w", HOUR).unwrap_err()));
        assert!(is_lost(&run_queue.done(&ClaimRef::new("unknown", "w", 1)).unwrap_err()));
        assert!(is_lost(&task_queue.next("w", HOUR).unwrap_err()));
        new_queue.done(&claim).unwrap();
    }

    #[test]
    fn the_index_says_what_the_queue_says() {
        let test = TestWorkspace::new().unwrap();
        let queue = queue(&test);
        let soon = Timestamp::from_microseconds(queue_time(&test) + DAY);
        for item in ["completed", "dead", "failed", "claimed"] {
            queue.add(Work::new(item).priority(3).attempts(2)).unwrap();
        }
        queue.add(Work::new("waiting").not_before(soon).input(&1)).unwrap();
        let done = queue.next("w1", HOUR).unwrap().unwrap();
        queue.done(&done).unwrap();
        for delay in [Duration::ZERO, HOUR] {
            let dead = queue.next("w2", HOUR).unwrap().unwrap();
            queue.fail(&dead, "it \"broke\"", delay).unwrap();
        }
        let failed = queue.next("w3", HOUR).unwrap().unwrap();
        queue.fail(&failed, "later", HOUR).unwrap();
        let claimed = queue.next("w4", HOUR).unwrap().unwrap();
        queue.renew(&claimed, 2 * HOUR).unwrap();
        let index = Index::of(test.workspace());
        index.refresh().unwrap();
        let found = rows(
            &open(&index),
            "SELECT item, state, priority, not_before, attempt, max_attempts, owner, expires_at, error, seq \
             FROM work WHERE task_id = 'TASK-1' AND run_id = '' ORDER BY item",
        );
        let text = |value: Option<String>| value.map_or("NULL".into(), |text| format!("{text:?}"));
        let time = |time: Option<Timestamp>| text(time.map(|time| time.to_string()));
        let mut items = queue.items().unwrap();
        assert_eq!(items.len(), 5);
        items.sort_by(|a, b| a.item.cmp(&b.item));
        let wanted: Vec<_> = items
            .into_iter()
            .map(|i| {
                format!(
                    "item={:?} state=\"{}\" priority=Integer({}) not_before={} attempt={} \
                     max_attempts=Integer({}) owner={} expires_at={} error={} seq=Integer({})",
                    i.item,
                    i.state,
                    i.priority,
                    time(i.not_before),
                    if i.attempt == 0 { "NULL".into() } else { format!("Integer({})", i.attempt) },
                    i.max_attempts,
                    text(i.owner),
                    time(i.expires_at),
                    text(i.error),
                    i.seq
                )
            })
            .collect();
        assert_eq!(found, wanted);
        let states: BTreeSet<_> = wanted.iter().map(|row| row.split(' ').nth(1)).collect();
        assert_eq!(states.len(), 5, "{wanted:?}");
        assert_equal(&index, test.workspace());
    }
}
