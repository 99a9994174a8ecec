//! The states of tasks and runs, all moves; and the gate of a run's success.

use std::io::Write as _;
use std::process::Child;

use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::{Value, json};

use crate::concurrency::{start, worker_number};
use crate::worker;

const VERIFIER: Artifact<Value> = Artifact::json("verifier_report.json");
const GATE: Artifact<Value> = Artifact::json("gate_report.json");

fn count(ctx: &RunContext) -> usize {
    ctx.events().unwrap().count()
}

const RUN_STATES: [RunStatus; 5] = [
    RunStatus::Planning,
    RunStatus::Executing,
    RunStatus::Verifying,
    RunStatus::Success,
    RunStatus::Failed,
];

/// A run that got into this state by legal moves.
fn run_in(test: &TestWorkspace, id: &str, state: RunStatus) -> Run {
    let run = test.start_run(id).unwrap().run().unwrap();
    match state {
        RunStatus::Planning => {}
        RunStatus::Executing => run.set_status(state, None).unwrap(),
        RunStatus::Verifying => {
            run.set_status(RunStatus::Executing, None).unwrap();
            run.set_status(state, None).unwrap();
        }
        RunStatus::Success => drop(run.complete(Outcome::Success, None).unwrap()),
        RunStatus::Failed => drop(run.complete(Outcome::Failed, None).unwrap()),
        other => panic!("{other}"),
    }
    assert_eq!(run.state().unwrap().status, state);
    run
}

#[test]
fn a_run_makes_all_moves_of_the_table_and_no_other() {
    use RunStatus::{Executing, Failed, Planning, Success, Verifying};
    let legal = [
        (Planning, Executing),
        (Planning, Failed),
        (Executing, Planning),
        (Executing, Verifying),
        (Executing, Success),
        (Executing, Failed),
        (Verifying, Planning),
        (Verifying, Executing),
        (Verifying, Success),
        (Verifying, Failed),
    ];
    let test = TestWorkspace::new().unwrap();
    for from in RUN_STATES {
        for to in RUN_STATES {
            assert_eq!(from.next().contains(&to), legal.contains(&(from, to)), "{from} {to}");
            let run = run_in(&test, &format!("{from}-{to}"), from);
            let before = count(run.context());
            let is_end = matches!(to, Success | Failed);
            let moved = run.set_status(to, None);
            if legal.contains(&(from, to)) && !is_end {
                moved.unwrap();
            } else {
                let refused = moved.unwrap_err();
                let told = (from, to);
                assert!(
                    matches!(refused, WorkspaceError::IllegalRunMove { from, to } if (from, to) == told),
                    "{from} {to}: {refused}"
                );
                assert_eq!(count(run.context()), before);
            }
        }
    }
    for from in RUN_STATES {
        for (outcome, end) in [(Outcome::Success, Success), (Outcome::Failed, Failed)] {
            let run = run_in(&test, &format!("{from}-ends-{end}"), from);
            let ended = run.complete(outcome, None);
            match (from, ended) {
                (Success | Failed, ended) if from == end => assert!(ended.unwrap().duplicate),
                (Success | Failed, ended) => {
                    let refused = ended.unwrap_err();
                    assert!(
                        matches!(refused, WorkspaceError::EndedOtherwise { status, .. } if status == from),
                        "{refused}"
                    );
                }
                (_, ended) => assert!(!ended.unwrap().duplicate),
            }
            // Each move that its journal tells of is one of the table.
            let mut at = Planning;
            for record in run.context().events().unwrap() {
                let payload: Value = record.unwrap().payload().unwrap();
                let to = payload.get("to").unwrap_or(&payload["status"]).clone();
                let to: RunStatus = serde_json::from_value(to).unwrap();
                assert!(legal.contains(&(at, to)), "{at} {to}");
                at = to;
            }
        }
    }
}

#[test]
fn a_task_makes_all_moves_of_the_table_and_no_other() {
    use TaskStatus::{Archived, Done, InProgress, Todo};
    let all = [Todo, InProgress, Done, Archived];
    let legal = [
        (Todo, InProgress),
        (Todo, Archived),
        (InProgress, Done),
        (InProgress, Todo),
        (InProgress, Archived),
        (Done, InProgress),
        (Done, Archived),
    ];
    let test = TestWorkspace::new().unwrap();
    for from in all {
        for to in all {
            let id = format!("{from}-{to}");
            let task = test.workspace().create_task(id.as_str(), TaskOptions::default()).unwrap();
            let way: &[TaskStatus] = match from {
                InProgress => &[InProgress],
                Done => &[InProgress, Done],
                Archived => &[Archived],
                _ => &[],
            };
            way.iter().for_each(|status| task.set_status(*status).unwrap());
            assert_eq!(task.status().unwrap(), from);
            let moved = task.set_status(to);
            if legal.contains(&(from, to)) {
                moved.unwrap();
                assert_eq!(task.status().unwrap(), to);
            } else {
                let told = (from, to);
                assert!(
                    matches!(moved, Err(WorkspaceError::IllegalTaskMove { from, to }) if (from, to) == told),
                    "{from} {to}"
                );
                assert_eq!(task.status().unwrap(), from);
            }
        }
    }
}

#[test]
fn completing_worker() {
    let Some(number) = worker_number() else { return };
    let run = worker::context().run().unwrap();
    let (outcome, reason) = ending(number);
    let told = match run.complete(outcome, Some(&reason)) {
        Ok(appended) => {
            assert!(!appended.duplicate);
            format!("won {} {reason}", RunStatus::from(outcome))
        }
        Err(WorkspaceError::EndedOtherwise { status, reason, .. }) => {
            format!("lost {status} {}", reason.unwrap())
        }
        Err(error) => panic!("{error}"),
    };
    writeln!(std::io::stdout(), "told {told}.").unwrap();
}

fn ending(number: usize) -> (Outcome, String) {
    let outcome = if number.is_multiple_of(2) { Outcome::Success } else { Outcome::Failed };
    (outcome, format!("by worker {number}"))
}

#[test]
fn one_of_eight_ends_holds_and_the_others_are_told_which() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let workers: Vec<Child> =
        (0..8).map(|number| start("completion::completing_worker", &ctx, number)).collect();
    let mut told = Vec::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success());
        let out = String::from_utf8(output.stdout).unwrap();
        let said = out.split("told ").nth(1).unwrap().split('.').next().unwrap();
        told.push(said.to_owned());
    }
    let state = ctx.run().unwrap().state().unwrap();
    let holds = format!("{} {}", state.status, state.reason.unwrap());
    told.sort();
    assert_eq!(told[..7], vec![format!("lost {holds}"); 7]);
    assert_eq!(told[7], format!("won {holds}"));
    assert_eq!(ctx.events().unwrap().of_type("execution_complete").count(), 1);
}

fn gate() -> Completion {
    Completion::success().require(VERIFIER).require(GATE)
}

/// What keeps the run from success, in words; nothing was appended.
fn faults(ctx: &RunContext) -> Vec<UnmetReport> {
    let before = count(ctx);
    let refused = ctx.run().unwrap().complete_with(&gate()).unwrap_err();
    assert_eq!(count(ctx), before);
    match refused {
        WorkspaceError::NotPassed { reports, .. } => reports,
        other => panic!("{other}"),
    }
}

#[test]
fn success_requires_the_reports_that_were_named() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    let both =
        |a: ReportFault, b: ReportFault| [("verifier_report.json", a), ("gate_report.json", b)];
    let told = |ctx: &RunContext| -> Vec<(String, ReportFault)> {
        faults(ctx).into_iter().map(|unmet| (unmet.report.to_string(), unmet.fault)).collect()
    };
    let same = |told: Vec<(String, ReportFault)>, expected: &[(&str, ReportFault)]| {
        let told: Vec<_> =
            told.iter().map(|(name, fault)| (name.as_str(), fault.clone())).collect();
        assert_eq!(told, expected);
    };
    same(told(&ctx), &both(ReportFault::Missing, ReportFault::Missing));

    store.write(VERIFIER, &json!({"status": "Passed", "checks": [1, 2]})).unwrap();
    let file = ctx.artifact_path(&GATE.into());
    std::fs::write(&file, r#"{"status":"passed"}"#).unwrap();
    let gate_alone = |fault: ReportFault| vec![("gate_report.json", fault)];
    same(told(&ctx), &gate_alone(ReportFault::Unjournaled));

    store.write(GATE, &json!({"status": "failed"})).unwrap();
    same(told(&ctx), &gate_alone(ReportFault::Status { status: "failed".into() }));
    let expected = store.check(GATE).unwrap();
    let forged = b"{\"status\":\"passed\"}\n";
    std::fs::write(&file, forged).unwrap();
    let found = Digest::of(forged);
    same(told(&ctx), &gate_alone(ReportFault::Changed { expected, found }));
    std::fs::remove_file(&file).unwrap();
    same(told(&ctx), &gate_alone(ReportFault::FileGone));
    for bad in ["passed", r#"["passed"]"#, r#"{"status":1}"#, "{}"] {
        store.write_bytes(GATE, bad.as_bytes()).unwrap();
        let told = told(&ctx);
        assert!(matches!(told[..], [(_, ReportFault::NotAReport { .. })]), "{bad}: {told:?}");
    }
    let long = format!(r#"{{"status":"passed","log":"{}"}}"#, "x".repeat(4 << 20));
    store.write_bytes(GATE, long.as_bytes()).unwrap();
    same(told(&ctx), &gate_alone(ReportFault::TooLong { most: 4 << 20 }));
    let most = format!(r#"{{"log":"{}","status":"failed"}}"#, "x".repeat((4 << 20) - 28));
    assert_eq!(most.len(), 4 << 20);
    store.write_bytes(GATE, most.as_bytes()).unwrap();
    same(told(&ctx), &gate_alone(ReportFault::Status { status: "failed".into() }));
    store.remove(GATE).unwrap();
    same(told(&ctx), &gate_alone(ReportFault::Missing));
    assert_eq!(ctx.run().unwrap().state().unwrap().status, RunStatus::Planning);

    store.write(GATE, &json!({"status": "SUCCESS"})).unwrap();
    let run = ctx.run().unwrap();
    let end = run.complete_with(&gate()).unwrap();
    assert!(!end.duplicate);
    // What becomes of the reports later does not undo it.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(run.complete_with(&gate()).unwrap().seq, end.seq);
    assert!(run.complete(Outcome::Success, None).unwrap().duplicate);
    let other = run.complete_with(&Completion::failure().require(GATE)).unwrap_err();
    assert!(matches!(other, WorkspaceError::EndedOtherwise { .. }), "{other}");
}

#[test]
fn the_last_record_names_the_reports_that_were_required_as_they_were() {
    let test = TestWorkspace::new().unwrap();
    let end_of = |ctx: &RunContext| -> Value {
        let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
        assert_eq!(last.event_type(), "execution_complete");
        last.payload().unwrap()
    };
    let counts = json!({"steps_completed": 0, "steps_failed": 0});
    let ctx = test.start_run("RUN-1").unwrap();
    let passed = [VERIFIER, GATE].map(|report| {
        let name = report.name().clone();
        ctx.artifacts().write(report, &json!({"status": "ok", "of": name})).unwrap();
        let digest = ctx.artifacts().check(name.clone()).unwrap();
        json!({"path": name, "digest": digest})
    });
    // A report that is required twice is named once.
    let run = ctx.run().unwrap();
    let end = run.complete_with(&gate().require(GATE)).unwrap();
    let told = json!({"status": "SUCCESS", "counts": counts, "required": passed});
    assert_eq!(end_of(&ctx), told);
    // The same end, whatever is required of it now.
    for again in [Completion::success(), Completion::success().require(GATE), gate()] {
        let again = run.complete_with(&again).unwrap();
        assert_eq!((again.seq, again.duplicate), (end.seq, true));
    }
    assert_eq!(run.state().unwrap().status, RunStatus::Success);

    let failure = Completion::failure().require(GATE);
    for (id, end, status) in
        [("RUN-2", Completion::success(), "SUCCESS"), ("RUN-3", failure, "FAILED")]
    {
        let run = test.start_run(id).unwrap().run().unwrap();
        run.complete_with(&end).unwrap();
        assert_eq!(end_of(run.context()), json!({"status": status, "counts": counts}));
    }
    assert!(test.task().run("RUN-2").unwrap().complete_with(&gate()).unwrap().duplicate);
}

#[test]
fn each_report_is_named_with_its_fault() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write(GATE, &json!({"status": "failed"})).unwrap();
    let refused = ctx.run().unwrap().complete_with(&gate()).unwrap_err();
    insta::assert_snapshot!(
        refused.to_string(),
        @r#"TASK-1/RUN-1 cannot succeed: verifier_report.json is no artifact of the run, and gate_report.json has the status "failed"; write reports that pass, or complete it as failed"#
    );
}

#[test]
fn a_failure_requires_nothing_and_a_gate_is_only_where_it_was_asked_for() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let end = Completion::failure().because("cancelled").require(GATE);
    ctx.run().unwrap().complete_with(&end).unwrap();
    let state = ctx.run().unwrap().state().unwrap();
    assert_eq!((state.status, state.reason.as_deref()), (RunStatus::Failed, Some("cancelled")));
    assert!(ctx.run().unwrap().complete(Outcome::Failed, Some("cancelled")).unwrap().duplicate);
    let ctx = test.start_run("RUN-2").unwrap();
    ctx.artifacts().write(GATE, &json!({"status": "failed"})).unwrap();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
}

#[cfg(unix)]
#[test]
fn a_report_that_is_no_file_is_told_of_with_the_others() {
    const DEEP: Artifact<Value> = Artifact::json("reports/deep/gate.json");
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let passed = json!({"status": "ok"});
    for report in [GATE, DEEP] {
        ctx.artifacts().write(report, &passed).unwrap();
    }
    let elsewhere = test.root().join("elsewhere");
    let (file, deep) = (ctx.artifact_path(&GATE.into()), ctx.artifact_path(&DEEP.into()));
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    let link = |from: &camino::Utf8Path, to: &camino::Utf8Path| {
        std::fs::rename(to, from).unwrap();
        std::os::unix::fs::symlink(from, to).unwrap();
    };
    link(&test.root().join("deep"), deep.parent().unwrap());
    let told = |name: &str| {
        let end = Completion::success().require(GATE).require(DEEP).require(VERIFIER);
        match ctx.run().unwrap().complete_with(&end).unwrap_err() {
            WorkspaceError::NotPassed { reports, .. } => {
                let faults: Vec<_> = reports.into_iter().map(|unmet| unmet.fault).collect();
                let not = ReportFault::NotAFile;
                assert_eq!(faults, [not.clone(), not, ReportFault::Missing], "{name}");
            }
            other => panic!("{name}: {other}"),
        }
        std::fs::remove_file(&file).unwrap();
    };
    told("link");
    std::os::unix::fs::symlink("nothing", &file).unwrap();
    told("link to nothing");
    let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    told("pipe");
    let socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    told("socket");
    drop(socket);
    std::fs::create_dir(&file).unwrap();
    std::fs::rename(deep.parent().unwrap(), test.root().join("link")).unwrap();
    let unknown = Completion::success().require(GATE).require(DEEP);
    let refused = ctx.run().unwrap().complete_with(&unknown).unwrap_err();
    let WorkspaceError::NotPassed { reports, .. } = refused else { panic!("{refused}") };
    let faults: Vec<_> = reports.into_iter().map(|unmet| unmet.fault).collect();
    assert_eq!(faults, [ReportFault::NotAFile, ReportFault::FileGone]);
    assert_eq!(ctx.run().unwrap().state().unwrap().status, RunStatus::Planning);
}

/// Who may not write is told that first, and not what else stands in the way.
#[test]
fn who_has_no_lease_or_lost_it_is_told_so_before_anything_else() {
    use std::time::Duration;
    let test = TestWorkspace::new().unwrap();
    let stranger = test.start_run("RUN-1").unwrap();
    let claim = || test.task().claim("worker-1", Duration::from_secs(60)).unwrap();
    let run_of = |lease: &Lease| lease.task().run("RUN-1").unwrap();
    let first = claim();
    let stale = run_of(&first);
    stale.set_status(RunStatus::Executing, None).unwrap();
    let holder = claim();
    let illegal = RunStatus::Executing;
    let before = count(&stranger);
    for (run, task, lost) in
        [(&stale, first.task(), true), (&stranger.run().unwrap(), test.task(), false)]
    {
        let ends: [Result<(), WorkspaceError>; 4] = [
            run.set_status(illegal, None),
            run.complete_with(&gate()).map(|_| ()),
            run.complete(Outcome::Failed, None).map(|_| ()),
            task.set_status(TaskStatus::Done),
        ];
        for (at, end) in ends.into_iter().enumerate() {
            match end.unwrap_err() {
                WorkspaceError::Journal(JournalError::LeaseLost { .. }) if lost => {}
                WorkspaceError::Journal(JournalError::LeaseRequired { .. }) if !lost => {}
                error => panic!("{at}, {lost}: {error}"),
            }
        }
    }
    assert_eq!(count(&stranger), before);
    // The holder is told of what is in his way.
    let run = run_of(&holder);
    assert!(matches!(run.set_status(illegal, None), Err(WorkspaceError::IllegalRunMove { .. })));
    assert!(matches!(run.complete_with(&gate()), Err(WorkspaceError::NotPassed { .. })));
    let end = run.complete(Outcome::Success, None).unwrap();
    // Of a run that ended, the same end is told to anybody.
    let again = stranger.run().unwrap().complete(Outcome::Success, None).unwrap();
    assert_eq!((again.seq, again.duplicate), (end.seq, true));
    let refused = run.set_status(RunStatus::Planning, None).unwrap_err();
    assert!(matches!(refused, WorkspaceError::IllegalRunMove { from: RunStatus::Success, .. }));
}
