//! Runs at a glance: their signs of life, why they failed, and how much of a journal is read for it.

use std::fs;
use std::time::Duration;

use runjournal::testing::TestWorkspace;
use runjournal::{Event, Glance, Outcome, Overview, RunContext, RunStatus, Sign};

use crate::prune::{DAY, complete, id};

fn glance(test: &TestWorkspace, run: &str) -> Glance {
    Glance::of(test.task(), &id(run)).unwrap()
}

fn sign(test: &TestWorkspace, run: &str) -> Option<Sign> {
    let open = Overview::of(test.workspace()).unwrap().open;
    open.into_iter().find(|open| open.run.run_id == id(run)).map(|open| open.sign)
}

fn fail(ctx: &RunContext, step: &str, why: &str) {
    ctx.step(step, |_| Err(std::io::Error::other(why.to_owned()).into())).unwrap_err();
}

/// More than what is read of a journal's end.
fn fill(ctx: &RunContext) {
    let journal = ctx.journal().unwrap();
    for _ in 0..200 {
        journal.append(Event::new("noted").payload(&"x".repeat(1000))).unwrap();
    }
}

#[test]
fn a_run_gives_signs_of_life() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    assert_eq!(sign(&test, "RUN-1"), Some(Sign::Idle));
    ctx.step("work", |_| {
        assert_eq!(sign(&test, "RUN-1"), Some(Sign::Running));
        let open = &glance(&test, "RUN-1").open_steps[0];
        assert_eq!((open.step.as_str(), open.attempt), ("work", Some(1)));
        assert!(open.runner.as_ref().unwrap().contains("which is this one"));
        // One that runs is not abandoned, however long it is silent.
        test.clock().advance(30 * DAY);
        assert_eq!(sign(&test, "RUN-1"), Some(Sign::Running));
        Ok("done".into())
    })
    .unwrap();
    ctx.request_approval("go", "Go on?", &[]).unwrap();
    test.clock().advance(30 * DAY);
    assert_eq!(sign(&test, "RUN-1"), Some(Sign::Waiting));
    ctx.resolve_approval("go", "yes", "ada").unwrap();
    assert_eq!(sign(&test, "RUN-1"), Some(Sign::Idle));
    test.clock().advance(7 * DAY - 60_000_000);
    assert_eq!(sign(&test, "RUN-1"), Some(Sign::Idle));
    test.clock().advance(60_000_000);
    assert_eq!(sign(&test, "RUN-1"), Some(Sign::Abandoned));
    let lease = test.task().claim("worker-1", Duration::from_secs(60)).unwrap();
    test.clock().advance(8 * DAY);
    assert_eq!(sign(&test, "RUN-1"), Some(Sign::Abandoned), "the lease is over");
    lease.renew().unwrap();
    test.clock().advance(1);
    assert_eq!(sign(&test, "RUN-1"), Some(Sign::Idle), "somebody holds the task");
    lease.task().run("RUN-1").unwrap().complete(Outcome::Success, None).unwrap();
    assert_eq!(sign(&test, "RUN-1"), None);
}

#[test]
fn why_a_run_failed_is_told() {
    let test = TestWorkspace::new().unwrap();
    for long in [false, true] {
        let run = |name: &str| test.start_run(&format!("{name}-{long}")).unwrap();
        let (failed, mended, plain) = (run("FAILED"), run("MENDED"), run("PLAIN"));
        fail(&failed, "plan", "no plan");
        fail(&failed, "build", "no compiler");
        fail(&mended, "build", "no compiler");
        mended.step("build", |_| Ok("built".into())).unwrap();
        for ctx in [&failed, &mended, &plain] {
            if long {
                fill(ctx);
            }
            complete(ctx, false);
        }
        let told = glance(&test, failed.run_id().as_str());
        let step = told.failed_step.unwrap();
        let said = (step.step.as_str(), step.attempt, step.error.as_str());
        assert_eq!(said, ("build", Some(1), "no compiler"));
        for ctx in [&mended, &plain] {
            assert_eq!(glance(&test, ctx.run_id().as_str()).failed_step, None);
        }
        test.clock().advance(1);
    }
    let newest: Vec<_> = Overview::of(test.workspace()).unwrap().failed;
    assert_eq!(newest.len(), 5, "the newest of six");
    assert!(newest[0].run_id.as_str().ends_with("true"));
}

#[test]
fn of_a_long_journal_of_a_run_that_ended_the_end_is_read() {
    let test = TestWorkspace::new().unwrap();
    let (ended, open) = (test.start_run("ENDED").unwrap(), test.start_run("OPEN").unwrap());
    for ctx in [&ended, &open] {
        fill(ctx);
    }
    complete(&ended, true);
    for ctx in [&ended, &open] {
        let mut bytes = fs::read(ctx.journal_path()).unwrap();
        bytes[70_000] ^= 1;
        fs::write(ctx.journal_path(), bytes).unwrap();
    }
    let told = glance(&test, "ENDED");
    assert_eq!((told.status, told.last_seq), (RunStatus::Success, 202));
    assert!(told.findings.is_empty(), "{:?}", told.findings);
    assert!(!glance(&test, "OPEN").findings.is_empty());
    // Damage in what is read is told, and an end that does not count is none.
    let mut bytes = fs::read(ended.journal_path()).unwrap();
    let len = bytes.len();
    bytes[len - 20] ^= 1;
    fs::write(ended.journal_path(), bytes).unwrap();
    let told = glance(&test, "ENDED");
    assert_eq!(told.status, RunStatus::Executing);
    assert!(!told.findings.is_empty());
}

#[test]
fn all_runs_of_a_task_are_looked_at() {
    let test = TestWorkspace::new().unwrap();
    for number in 0..20 {
        test.start_run(&format!("RUN-{number:02}")).unwrap();
    }
    let lost = test.task().run("RUN-07").unwrap().context().journal_path();
    fs::remove_file(lost).unwrap();
    let told = Glance::all(test.task()).unwrap();
    let names: Vec<_> = told.iter().map(|(run, _)| run.to_string()).collect();
    assert!(names.is_sorted() && names.len() == 20);
    let unreadable: Vec<_> = told.iter().filter(|(_, told)| told.is_err()).collect();
    assert_eq!((unreadable.len(), unreadable[0].0.as_str()), (1, "RUN-07"));
    let like: Vec<_> = test.task().runs_like("RUN-1").unwrap();
    assert_eq!(like.len(), 10);
}
