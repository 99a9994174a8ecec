//! Holds: a person's word that a run stays.

use std::time::Duration;

use runjournal::testing::TestWorkspace;
use runjournal::{Keep, Prune, RunId, WorkspaceError};

use crate::prune::{DAY, complete, days, id};

fn types(test: &TestWorkspace) -> Vec<String> {
    let records = test.task().events().unwrap().read_all().unwrap().0;
    records.iter().map(|record| record.event_type().to_owned()).collect()
}

#[test]
fn a_hold_is_placed_once_replaced_and_lifted() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let (task, run) = (test.task(), id("RUN-1"));
    assert_eq!(task.holds().unwrap(), []);

    let first = task.hold_run(&run, "the customer asked").unwrap();
    assert_eq!((first.reason.as_str(), &first.by), ("the customer asked", &None));
    let same = task.hold_run(&run, "the customer asked").unwrap();
    assert_eq!(same, first, "nothing new is said");
    let named = task.hold_run_by(&run, "the customer asked", "Ada").unwrap();
    assert_eq!(named.by.as_deref(), Some("Ada"));
    assert_eq!(task.hold_run(&run, "the customer asked").unwrap(), named);
    let other = task.hold_run_by(&run, "an audit", "Bob").unwrap();
    assert_eq!(task.holds().unwrap(), [other]);

    assert!(task.lift_hold(&run).unwrap());
    assert!(!task.lift_hold(&run).unwrap());
    assert_eq!(task.holds().unwrap(), []);
    let said: Vec<_> = types(&test).into_iter().filter(|said| said.starts_with("hold_")).collect();
    assert_eq!(said, ["hold_placed", "hold_placed", "hold_placed", "hold_lifted"]);

    let records = task.events().unwrap().of_type("hold_placed").read_all().unwrap().0;
    let whole: Vec<_> = records
        .iter()
        .map(|record| {
            let payload: serde_json::Value = record.payload().unwrap();
            let (kind, stream) = (record.aggregate_kind(), record.stream_id());
            format!("{kind}/{stream} {} {:?} {payload}", record.actor_kind(), record.actor_id())
        })
        .collect();
    assert_eq!(whole[0], r#"run/RUN-1 system None {"reason":"the customer asked"}"#);
    assert_eq!(whole[2], r#"run/RUN-1 human Some("Bob") {"by":"Bob","reason":"an audit"}"#);
}

#[test]
fn what_cannot_be_held_is_told() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let (task, run) = (test.task(), id("RUN-1"));
    for (reason, told) in [
        ("", "the reason is empty"),
        ("a\nb", "the reason has line breaks or control characters"),
        (&"x".repeat(1025), "the reason has more than 1,024 bytes"),
    ] {
        let error = task.hold_run(&run, reason).unwrap_err();
        assert!(matches!(error, WorkspaceError::BadHold { .. }));
        assert_eq!(error.to_string(), format!("the run TASK-1/RUN-1 cannot be held: {told}"));
    }
    let error = task.hold_run_by(&run, "x", "").unwrap_err();
    assert!(error.to_string().ends_with("who places it is empty"), "{error}");
    task.hold_run(&run, &"x".repeat(1024)).unwrap();
    let error = task.hold_run(&id("RUN-2"), "x").unwrap_err();
    assert!(matches!(error, WorkspaceError::RunNotFound { .. }), "{error}");
    assert!(!task.lift_hold(&id("RUN-2")).unwrap());
}

#[test]
fn no_lease_stands_in_the_way_of_a_hold() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let lease = test.task().claim("worker-1", Duration::from_secs(60)).unwrap();
    test.task().hold_run(&id("RUN-1"), "an audit").unwrap();
    assert_eq!(test.task().holds().unwrap().len(), 1);
    test.task().lift_hold(&id("RUN-1")).unwrap();
    // The worker is not disturbed.
    let ctx = lease.task().run("RUN-1").unwrap().context().clone();
    ctx.append(runjournal::Event::new("worked")).unwrap();
}

#[test]
fn a_held_run_stays_until_the_hold_is_lifted() {
    let test = TestWorkspace::new().unwrap();
    for run in ["RUN-1", "RUN-2", "RUN-3"] {
        complete(&test.start_run(run).unwrap(), true);
    }
    let task = test.task();
    task.hold_run(&id("RUN-1"), "an audit").unwrap();
    task.hold_run(&id("RUN-2"), "a bug").unwrap();
    task.lift_hold(&id("RUN-2")).unwrap();
    test.clock().advance(100 * DAY);
    let plan = Prune::of(test.workspace()).plan().unwrap();
    let goes: Vec<&RunId> = plan.runs.iter().map(|run| &run.run).collect();
    assert_eq!(goes, [&id("RUN-2"), &id("RUN-3")]);
    assert_eq!(plan.kept.len(), 1);
    assert_eq!(plan.kept[0].why, Keep::Held { reason: "an audit".into() });
    // One that is held since the plan was made stays as well.
    task.hold_run(&id("RUN-3"), "seen in the plan").unwrap();
    let pruned = plan.apply().unwrap();
    assert_eq!(pruned.runs.len(), 1);
    assert_eq!(task.runs().unwrap(), [id("RUN-1"), id("RUN-3")]);
    assert_eq!(pruned.kept[1].why, Keep::Held { reason: "seen in the plan".into() });

    task.lift_hold(&id("RUN-1")).unwrap();
    Prune::of(task).plan().unwrap().apply().unwrap();
    assert_eq!(task.runs().unwrap(), [id("RUN-3")]);
    let error = task.hold_run(&id("RUN-1"), "too late").unwrap_err();
    assert!(matches!(error, WorkspaceError::RunPruned { .. }), "{error}");
    assert!(days(1) < days(2));
}
