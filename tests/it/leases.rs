//! Leases: who may write to a task, and who may not any more.

use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use runjournal::testing::{CountingIds, TestError, TestWorkspace};
use runjournal::{
    Artifact, Event, IdSource, JournalError, Lease, LeaseError, Outcome, RunContext, Signal,
    StepFailure, Task, TaskStatus, Timestamp, Workspace, WorkspaceError,
};
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: i64 = 86_400_000_000;
const NOTE: Artifact<String> = Artifact::json("note.json");

fn is_lost<T: std::fmt::Debug>(result: Result<T, JournalError>) {
    let error = result.expect_err("it was let in");
    assert!(matches!(error, JournalError::LeaseLost { .. }), "{error}");
}

fn is_required<T: std::fmt::Debug>(result: Result<T, JournalError>) {
    let error = result.expect_err("it was let in");
    assert!(matches!(error, JournalError::LeaseRequired { .. }), "{error}");
}

fn types(ctx: &RunContext) -> Vec<String> {
    let records = ctx.events().unwrap().read_all().unwrap().0;
    records.iter().map(|record| record.event_type().to_owned()).collect()
}

#[test]
fn a_claim_binds_every_unfinished_run_and_keeps_others_out() {
    let test = TestWorkspace::new().unwrap();
    let before = test.start_run("RUN-1").unwrap();
    let finished = test.start_run("RUN-2").unwrap();
    finished.run().unwrap().complete(Outcome::Failed, None).unwrap();
    before.append(Event::new("noted")).unwrap();
    let kept = before.journal().unwrap();

    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    assert_eq!(types(&before), ["noted", "lease_bound"]);
    assert_eq!(types(&finished), ["execution_complete"]);
    // Nobody without the lease is let in, whatever he holds open.
    is_required(before.append(Event::new("noted")));
    is_required(kept.append(Event::new("noted")));
    let refused = before.artifacts().write(NOTE, &"x".to_owned()).unwrap_err();
    assert!(refused.to_string().contains("worker-1"), "{refused}");
    assert!(matches!(
        before.step("plan", |_| Ok(Signal::new("never"))),
        Err(StepFailure::Journal { source: JournalError::LeaseRequired { .. }, .. })
    ));
    assert!(matches!(
        before.run().unwrap().complete(Outcome::Success, None),
        Err(WorkspaceError::Journal(JournalError::LeaseRequired { .. }))
    ));
    assert!(matches!(
        test.task().set_status(TaskStatus::InProgress),
        Err(WorkspaceError::Journal(JournalError::LeaseRequired { .. }))
    ));
    assert!(test.start_run("RUN-3").is_err());

    // The holder is, and a run that it starts begins with the binding.
    let mine = lease.task().run("RUN-1").unwrap().context().clone();
    mine.append(Event::new("worked")).unwrap();
    mine.artifacts().write(NOTE, &"mine".to_owned()).unwrap();
    lease.task().set_status(TaskStatus::InProgress).unwrap();
    let new = lease.task().start_run_as("RUN-3").unwrap();
    assert_eq!(types(&new), ["lease_bound"]);
    new.append(Event::new("worked")).unwrap();
    new.run().unwrap().complete(Outcome::Success, None).unwrap();
    assert_eq!(types(&before), ["noted", "lease_bound", "worked", "artifact_written"]);
}

#[test]
fn a_lease_that_is_held_is_not_claimed_and_one_that_expired_is() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let first = test.task().claim("worker-1", MINUTE).unwrap();
    let told = test.task().claim("worker-2", MINUTE).unwrap_err();
    let LeaseError::LeaseHeld { worker, expires_at, .. } = &told else { panic!("{told}") };
    assert_eq!(worker, "worker-1");
    assert_eq!(*expires_at, test.task().lease().unwrap().unwrap().expires_at);
    assert!(told.to_string().starts_with("the task TASK-1 is claimed already"), "{told}");

    test.clock().advance(59_000_000);
    first.renew().unwrap();
    test.clock().advance(59_000_000);
    assert!(test.task().claim("worker-2", MINUTE).is_err());
    test.clock().advance(2_000_000);
    assert!(test.task().lease().unwrap().unwrap().expired);
    // Expired is not lost: nobody else claimed the task.
    let old = first.task().run("RUN-1").unwrap().context().clone();
    let kept = old.journal().unwrap();
    kept.append(Event::new("late")).unwrap();

    let second = test.task().claim("worker-2", MINUTE).unwrap();
    assert!(second.lease_ref().token > first.lease_ref().token);
    is_lost(kept.append(Event::new("too_late")));
    is_lost(old.append(Event::new("too_late")));
    assert!(matches!(first.renew(), Err(LeaseError::Journal(JournalError::LeaseLost { .. }))));
    assert!(matches!(first.release(), Err(LeaseError::Journal(JournalError::LeaseLost { .. }))));
    assert!(first.task().start_run_as("RUN-9").is_err());
    assert_eq!(types(&run), ["lease_bound", "late", "lease_bound"]);
}

#[test]
fn what_is_released_is_free_and_its_runs_stay_closed_to_strangers() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    let mine = lease.task().run("RUN-1").unwrap().context().clone();
    lease.release().unwrap();
    lease.release().unwrap();
    let records = test.task().events().unwrap().of_type("lease_released").count();
    assert_eq!(records, 1);
    assert!(test.task().lease().unwrap().unwrap().released);
    // In a run, who was bound last decides; in the task's journal, that nobody holds it.
    is_required(run.append(Event::new("noted")));
    mine.append(Event::new("still_bound")).unwrap();
    test.task().set_status(TaskStatus::InProgress).unwrap();
    assert!(lease.task().set_status(TaskStatus::Done).is_err());
    assert!(lease.renew().is_err());

    let next = test.task().claim("worker-2", MINUTE).unwrap();
    is_lost(mine.append(Event::new("over")));
    next.task().run("RUN-1").unwrap().context().append(Event::new("worked")).unwrap();
}

#[test]
fn a_closed_run_is_closed_to_later_holders_and_does_not_tell_them_that_they_are_lost() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let first = test.task().claim("worker-1", MINUTE).unwrap();
    let context = |lease: &Lease| lease.task().run("RUN-1").unwrap().context().clone();
    context(&first).run().unwrap().complete(Outcome::Failed, None).unwrap();
    let second = test.task().claim("worker-1", MINUTE).unwrap();
    let error = context(&second).append(Event::new("noted")).unwrap_err();
    assert!(matches!(error, JournalError::Closed { .. }), "{error}");
    // The binding that the run ended with keeps out whoever held it before that.
    let run = test.start_run("RUN-2");
    assert!(run.is_err());
    second.task().start_run_as("RUN-2").unwrap();
    let third = test.task().claim("worker-1", MINUTE).unwrap();
    let run = third.task().run("RUN-2").unwrap();
    run.complete(Outcome::Failed, None).unwrap();
    let of_second = second.task().run("RUN-2").unwrap().context().clone();
    is_lost(of_second.append(Event::new("noted")));
}

#[test]
fn a_worker_that_claims_again_leaves_its_former_self_behind() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let before = test.task().claim("worker-1", MINUTE).unwrap();
    let after = test.task().claim("worker-1", MINUTE).unwrap();
    let run = |lease: &Lease| lease.task().run("RUN-1").unwrap().context().clone();
    is_lost(run(&before).append(Event::new("noted")));
    run(&after).append(Event::new("noted")).unwrap();
}

#[test]
fn clocks_that_jump_by_days_let_nobody_in() {
    for jump in [DAY * 3, -DAY * 3] {
        let test = TestWorkspace::new().unwrap();
        let run = test.start_run("RUN-1").unwrap();
        let first = test.task().claim("worker-1", MINUTE).unwrap();
        let old = first.task().run("RUN-1").unwrap().context().clone();
        test.clock().advance(jump);
        match test.task().claim("worker-2", MINUTE) {
            Ok(second) => {
                is_lost(old.append(Event::new("stale")));
                assert!(first.renew().is_err());
                second.task().run("RUN-1").unwrap().context().append(Event::new("new")).unwrap();
            }
            Err(error) => {
                assert!(matches!(error, LeaseError::LeaseHeld { .. }), "{error}");
                old.append(Event::new("held")).unwrap();
            }
        }
        is_required(run.append(Event::new("stranger")));
    }
}

#[test]
fn whoever_waits_needs_no_clock() {
    let test = TestWorkspace::new().unwrap();
    let short = Duration::from_millis(500);
    // By the clock, it ends in a year.
    test.clock().advance(DAY * 365);
    let lease = test.task().claim("worker-1", short).unwrap();
    test.clock().advance(-DAY * 365);
    assert!(test.task().claim("worker-2", MINUTE).is_err());
    let heartbeat = lease.heartbeat().unwrap();
    let waited = test.task().claim_within("worker-2", MINUTE, short * 3);
    assert!(matches!(waited, Err(LeaseError::LeaseHeld { .. })), "it gave signs of life");
    assert_eq!(heartbeat.lost(), None);
    drop(heartbeat);
    let second = test.task().claim_within("worker-2", MINUTE, short * 20).unwrap();
    assert!(second.lease_ref().token > lease.lease_ref().token);
}

#[test]
fn a_heartbeat_keeps_a_lease_stops_with_its_guard_and_notices_a_loss() {
    let test = TestWorkspace::new().unwrap();
    let ttl = Duration::from_millis(60);
    let lease = test.task().claim("worker-1", ttl).unwrap();
    let hint = test.task().path().join("journal/.lease");
    let heartbeat = lease.heartbeat().unwrap();
    let wait_for = |what: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !what() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never came");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(&|| hint.exists());
    let first = test.task().lease().unwrap().unwrap().expires_at;
    wait_for(&|| test.task().lease().unwrap().unwrap().expires_at > first);
    wait_for(&|| test.task().events().unwrap().of_type("lease_renewed").count() > 0);
    // The hint may be lost, or half: the next beat makes it anew.
    std::fs::write(&hint, "{\"token\":").unwrap();
    assert!(test.task().lease().is_ok());
    std::fs::remove_file(&hint).unwrap();
    wait_for(&|| hint.exists());

    test.clock().advance(DAY);
    let thief = test.task().claim("worker-2", MINUTE).unwrap();
    wait_for(&|| heartbeat.lost().is_some());
    assert!(heartbeat.lost().unwrap().contains("worker-2"));
    drop(heartbeat);
    // A hint of the claim before is passed over.
    let state = test.task().lease().unwrap().unwrap();
    assert_eq!((state.lease, state.worker.as_str()), (thief.lease_ref().clone(), "worker-2"));

    let records = || test.task().events().unwrap().count();
    let heartbeat = thief.heartbeat().unwrap();
    drop(heartbeat);
    let (before, expires_at) = (records(), test.task().lease().unwrap().unwrap().expires_at);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(records(), before);
    assert_eq!(test.task().lease().unwrap().unwrap().expires_at, expires_at);
}

#[test]
fn a_claim_that_died_half_bound_is_finished_by_the_holders_first_write() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let old = test.task().claim("worker-1", MINUTE).unwrap();
    let old_ctx = old.task().run("RUN-1").unwrap().context().clone();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    // A run that was made by somebody without the lease, before it was claimed, and was not seen then.
    let journal = run.run_path().join("journal");
    let lines = std::fs::read_to_string(journal.join("events.jsonl")).unwrap();
    let first: String = lines.split_inclusive('\n').take(1).collect();
    std::fs::write(journal.join("events.jsonl"), first).unwrap();
    let _ = std::fs::remove_file(journal.join(".head"));
    assert_eq!(types(&run), ["lease_bound"]);

    // The former holder is bound there, and lets itself in no further than the task's journal allows.
    let ctx = lease.task().run("RUN-1").unwrap().context().clone();
    ctx.append(Event::new("worked")).unwrap();
    is_lost(old_ctx.append(Event::new("stale")));
    assert_eq!(types(&run), ["lease_bound", "lease_bound", "worked"]);
}

#[test]
fn an_unbound_run_takes_no_lease_that_is_over() {
    let test = TestWorkspace::new().unwrap();
    let old = test.task().claim("worker-1", MINUTE).unwrap();
    old.release().unwrap();
    // Made while nobody held the task.
    let run = test.start_run("RUN-1").unwrap();
    let ctx = old.task().run("RUN-1").unwrap().context().clone();
    is_lost(ctx.append(Event::new("stale")));
    run.append(Event::new("free")).unwrap();
    assert_eq!(types(&run), ["free"]);
}

#[test]
fn a_start_that_died_is_finished_by_the_holder_alone() {
    let test = TestWorkspace::new().unwrap();
    let old = test.task().claim("worker-1", MINUTE).unwrap();
    // What is left where the starter died right after it said so.
    let dir = old.task().start_run_as("RUN-1").unwrap().run_path();
    std::fs::remove_dir_all(&dir).unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();

    let refused = |task: &Task| match task.start_run_as("RUN-1").unwrap_err() {
        WorkspaceError::Journal(error) => error,
        error => panic!("{error}"),
    };
    assert!(matches!(refused(test.task()), JournalError::LeaseRequired { .. }));
    assert!(matches!(refused(old.task()), JournalError::LeaseLost { .. }));
    assert!(!dir.exists());
    let run = lease.task().start_run_as("RUN-1").unwrap();
    assert_eq!(types(&run), ["lease_bound"]);
    // What is there is told of to anybody.
    assert!(matches!(
        test.start_run("RUN-1"),
        Err(TestError::Workspace(WorkspaceError::RunExists { .. }))
    ));
}

/// Ids that take their time, so that somebody who claims the task meanwhile comes in wherever he can.
#[derive(Debug, Default)]
struct Claiming {
    ids: CountingIds,
    claim: Mutex<Option<JoinHandle<Lease>>>,
    task: OnceLock<Task>,
}

impl IdSource for Claiming {
    fn next_id(&self, now: Timestamp) -> Uuid {
        let mut claim = self.claim.lock().unwrap();
        if let (None, Some(task)) = (&*claim, self.task.get().cloned()) {
            *claim = Some(std::thread::spawn(move || task.claim("worker-1", MINUTE).unwrap()));
        }
        drop(claim);
        std::thread::sleep(Duration::from_millis(50));
        self.ids.next_id(now)
    }
}

#[test]
fn no_claim_comes_between_a_start_and_its_run() {
    let test = TestWorkspace::new().unwrap();
    let ids = Arc::new(Claiming::default());
    let workspace = Workspace::open(test.root()).unwrap().with_ids(ids.clone());
    let starter = workspace.task("TASK-1").unwrap();
    ids.task.set(test.task().clone()).unwrap();
    let run = starter.start_run_as("RUN-1").unwrap();
    ids.claim.lock().unwrap().take().unwrap().join().unwrap();
    assert_eq!(types(&run), ["lease_bound"]);
    is_required(run.append(Event::new("stranger")));
}

#[test]
fn a_step_of_a_lease_that_is_over_is_taken_over_though_it_is_alive() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let context = |lease: &Lease| lease.task().run("RUN-1").unwrap().context().clone();
    let first = test.task().claim("worker-1", MINUTE).unwrap();
    let (old, task) = (context(&first), test.task().clone());
    let outcome = old.step("plan", |s| {
        s.write(NOTE, &"old".to_owned())?;
        // While this one lives, its own lease's other process is told so.
        assert!(matches!(
            context(&first).step("plan", |_| Ok(Signal::new("x"))),
            Err(StepFailure::StepTaken { .. })
        ));
        let second = task.claim("worker-1", MINUTE)?;
        let signal = context(&second).step("plan", |s| {
            s.write(NOTE, &"new".to_owned())?;
            Ok(Signal::new("new"))
        })?;
        assert_eq!(signal, "new");
        Ok(Signal::new("old"))
    });
    let failure = outcome.unwrap_err();
    assert!(
        matches!(&failure, StepFailure::Journal { source: JournalError::LeaseLost { .. }, .. }),
        "{failure}"
    );
    assert_eq!(old.artifacts().read(NOTE).unwrap(), "new");
}

#[test]
fn a_claim_fails_while_a_run_cannot_be_bound() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let journal = run.run_path().join("journal/events.jsonl");
    std::fs::write(&journal, "not a record\n").unwrap();
    let error = test.task().claim("worker-1", MINUTE).unwrap_err();
    let LeaseError::NotBound { run: named, .. } = &error else { panic!("{error}") };
    assert_eq!(named.as_str(), "RUN-1");
    std::fs::write(&journal, "").unwrap();
    test.task().claim("worker-1", MINUTE).unwrap();
    assert_eq!(types(&run), ["lease_bound"]);
}

#[test]
fn a_bad_claim_is_refused_and_leaves_nothing() {
    let test = TestWorkspace::new().unwrap();
    for (worker, ttl) in [("", MINUTE), ("a\nb", MINUTE), ("worker-1", Duration::ZERO)] {
        let error = test.task().claim(worker, ttl).unwrap_err();
        assert!(matches!(error, LeaseError::BadClaim { .. }), "{error}");
    }
    assert_eq!(test.task().lease().unwrap(), None);
    test.task().claim("worker-1", Duration::MAX).unwrap();
    assert!(test.task().claim("worker-2", MINUTE).is_err());
}

#[test]
fn a_lease_crosses_to_other_processes_and_stays_with_its_task() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    let ctx = lease.task().run("RUN-1").unwrap().context().clone();
    let json = serde_json::to_string(&ctx).unwrap();
    let travelled: RunContext = serde_json::from_str(&json).unwrap();
    travelled.append(Event::new("noted")).unwrap();
    let env = ctx.env();
    let handed = env.iter().find(|(name, _)| *name == "RUNJOURNAL_LEASE").unwrap();
    assert_eq!(handed.1, lease.lease_ref().to_string());
    assert_eq!(handed.1.parse::<runjournal::LeaseRef>().unwrap(), *lease.lease_ref());
    for bad in ["", "TASK-1", "TASK-1/x", "/3", "TASK-1/-3"] {
        assert!(bad.parse::<runjournal::LeaseRef>().is_err(), "{bad}");
    }
    // On another task it opens nothing.
    let other = test.workspace().create_task("TASK-2", Default::default()).unwrap();
    let run = other.start_run_as("RUN-1").unwrap().with_lease(lease.lease_ref().clone());
    is_lost(run.append(Event::new("noted")));
}

#[test]
fn a_task_whose_journal_was_put_back_from_an_older_copy_gives_no_token_away_twice() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let journal = test.task().path().join("journal/events.jsonl");
    let copy = std::fs::read(&journal).unwrap();
    let claim = |name: &str| {
        test.clock().advance(DAY);
        test.task().claim(name, MINUTE).unwrap()
    };
    let before: Vec<Lease> = ["worker-1", "worker-1", "worker-2"].map(claim).into();
    let stale = |lease: &Lease| lease.task().run("RUN-1").unwrap().context().clone();
    std::fs::write(&journal, copy).unwrap();
    let _ = std::fs::remove_file(test.task().path().join("journal/.head"));

    // The next tokens were given away before, one of them to a worker of this name.
    let lease = claim("worker-1");
    assert!(before.iter().all(|before| before.lease_ref() != lease.lease_ref()));
    stale(&lease).append(Event::new("worked")).unwrap();
    for before in &before {
        is_lost(stale(before).append(Event::new("stale")));
        assert!(before.renew().is_err());
    }
    assert_eq!(types(&run).last().map(String::as_str), Some("worked"));
}

#[test]
fn a_claim_that_cannot_bind_one_run_shuts_older_workers_out_of_the_others_and_keeps_nobody_waiting()
{
    let test = TestWorkspace::new().unwrap();
    let runs = ["RUN-1", "RUN-2"].map(|run| test.start_run(run).unwrap());
    let old = test.task().claim("worker-1", MINUTE).unwrap();
    let journal = runs[0].run_path().join("journal/events.jsonl");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes.extend_from_slice(b"not a record\n");
    std::fs::write(&journal, &bytes).unwrap();
    test.clock().advance(DAY);
    let error = test.task().claim("worker-2", MINUTE).unwrap_err();
    let LeaseError::NotBound { run, .. } = &error else { panic!("{error}") };
    assert_eq!(run.as_str(), "RUN-1");
    is_lost(old.task().run("RUN-2").unwrap().context().append(Event::new("stale")));
    // Nobody holds the task, so that nobody has to wait.
    let again = test.task().claim("worker-3", MINUTE).unwrap_err();
    assert!(matches!(again, LeaseError::NotBound { .. }), "{again}");
}

#[test]
fn a_run_that_was_moved_to_another_task_and_back_obeys_its_own() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let other = test.workspace().create_task("TASK-2", Default::default()).unwrap();
    other.start_run_as("RUN-2").unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    let others = other.claim("worker-2", MINUTE).unwrap();
    let elsewhere = other.path().join("runs/RUN-1");
    std::fs::rename(run.run_path(), &elsewhere).unwrap();
    others.task().run("RUN-1").unwrap().context().append(Event::new("there")).unwrap();
    is_required(other.run("RUN-1").unwrap().context().append(Event::new("stranger")));
    std::fs::rename(&elsewhere, run.run_path()).unwrap();

    lease.task().run("RUN-1").unwrap().context().append(Event::new("back")).unwrap();
    is_lost(run.clone().with_lease(others.lease_ref().clone()).append(Event::new("stray")));
    is_required(run.append(Event::new("stranger")));
}

#[test]
fn nobody_comes_before_the_binding_of_a_run_that_is_started_under_a_lease() {
    let test = TestWorkspace::new().unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    for round in 0..20 {
        let name = format!("RUN-{round}");
        let (task, stranger) = (test.task().clone(), name.clone());
        let thread = std::thread::spawn(move || {
            loop {
                if let Ok(run) = task.run(stranger.as_str()) {
                    return run.context().append(Event::new("stranger"));
                }
            }
        });
        let ctx = lease.task().start_run_as(name.as_str()).unwrap();
        is_required(thread.join().unwrap());
        assert_eq!(types(&ctx), ["lease_bound"]);
    }
}

#[test]
fn a_heartbeat_does_without_the_hint_and_tells_when_it_cannot_renew() {
    let test = TestWorkspace::new().unwrap();
    let ttl = Duration::from_millis(150);
    let lease = test.task().claim("worker-1", ttl).unwrap();
    let journal = test.task().path().join("journal");
    std::fs::create_dir(journal.join(".lease")).unwrap();
    let heartbeat = lease.heartbeat().unwrap();
    let begun = std::time::Instant::now();
    while test.task().events().unwrap().of_type("lease_renewed").count() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never renewed");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(heartbeat.lost(), None);
    std::fs::rename(&journal, journal.with_extension("gone")).unwrap();
    while heartbeat.lost().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(40), "it never told");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_journal_that_stands_under_two_names_is_bound_once() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let copy = run.run_path().with_file_name("RUN-2");
    std::fs::create_dir_all(copy.join("journal")).unwrap();
    for file in ["run.json", "journal/events.jsonl", "journal/.lock"] {
        std::fs::hard_link(run.run_path().join(file), copy.join(file)).unwrap();
    }
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    assert_eq!(types(&run), ["lease_bound"]);
    lease.task().run("RUN-1").unwrap().context().append(Event::new("worked")).unwrap();
}

#[test]
fn a_kept_writer_does_not_follow_its_run_to_another_task() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let other = test.workspace().create_task("TASK-2", Default::default()).unwrap();
    other.start_run_as("RUN-2").unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    let kept = lease.task().run("RUN-1").unwrap().context().journal().unwrap();
    kept.append(Event::new("here")).unwrap();
    let there = other.path().join("runs/RUN-1");
    std::fs::rename(run.run_path(), &there).unwrap();
    let others = other.claim("worker-2", MINUTE).unwrap();
    let ctx = others.task().run("RUN-1").unwrap().context().clone();
    ctx.append(Event::new("there")).unwrap();
    assert!(matches!(kept.append(Event::new("stale")), Err(JournalError::Removed { .. })));
    assert_eq!(types(&ctx), ["lease_bound", "here", "lease_bound", "there"]);
}
