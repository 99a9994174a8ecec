//! Plans and reports: what the roles write, read, signal, and refuse.

use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::{Value, json};

/// Code that exists, as it is.
struct Bridge;

struct Generated {
    goal: &'static str,
    tasks: [(&'static str, &'static str); 2],
}

impl Bridge {
    fn generate_plan(&self, wish: &str) -> Result<Generated, std::io::Error> {
        if wish.is_empty() {
            return Err(std::io::Error::other("the bridge has no wish"));
        }
        let tasks = [("fetch", "Fetch the page"), ("build", "Build the site")];
        Ok(Generated { goal: "A page that loads", tasks })
    }
}

struct Crew {
    legacy: Bridge,
    wish: &'static str,
}

impl Planner for Crew {
    fn plan(&self, _: &StepContext) -> Result<Plan, StepError> {
        let old = self.legacy.generate_plan(self.wish)?;
        let plan = Plan::new(old.goal).metric("tokens", 1200).warning("the model was slow");
        Ok(old.tasks.into_iter().fold(plan, |plan, (name, what)| plan.step(name, what)))
    }
}

fn crew() -> Crew {
    Crew { legacy: Bridge, wish: "a page" }
}

fn run(ctx: &RunContext, step: &str, node: impl Node) -> Signal {
    ctx.step(step, |s| node.run(s)).unwrap_or_else(|error| panic!("{step}: {error:?}"))
}

/// An executor that reports each step of the plan, of which one may fail.
fn doer(fails: Option<&'static str>) -> impl Executor {
    move |_: &StepContext, plan: &Plan| {
        let report = ExecutorReport::new().metric("score", 0.5);
        let steps = plan.steps.iter().map(|step| step.name.as_str());
        Ok(steps.fold(report, |report, name| report.check(name, fails != Some(name))))
    }
}

fn checker(accepts: bool) -> impl Verifier {
    move |_: &StepContext, plan: &Plan, done: &ExecutorReport| {
        let report =
            VerifierReport::new().check("all is done", plan.steps.len() == done.checks.len());
        Ok(if accepts { report } else { report.error("the page is empty") })
    }
}

fn text(ctx: &RunContext, name: &ArtifactName) -> String {
    String::from_utf8(ctx.artifacts().read_bytes(name).unwrap()).unwrap()
}

/// What the last `step_completed` says it read.
fn inputs(ctx: &RunContext) -> Vec<String> {
    let completed = ctx.events().unwrap().map(Result::unwrap);
    let completed = completed.filter(|r| r.event_type() == "step_completed").last().unwrap();
    let payload: Value = completed.payload().unwrap();
    let inputs = payload["inputs"].as_array().unwrap().iter();
    inputs.map(|input| input["path"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn four_roles_hand_on_by_the_disk_and_the_run_ends_through_the_gate() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    assert_eq!(run(&ctx, "plan", planner(crew())), "planned");
    assert_eq!(inputs(&ctx), [""; 0]);
    assert_eq!(run(&ctx, "execute", executor(doer(None))), "success");
    assert_eq!(inputs(&ctx), ["plan.json"]);
    assert_eq!(run(&ctx, "verify", verifier(checker(true))), "verified");
    assert_eq!(inputs(&ctx), ["plan.json", "executor_report.json"]);
    assert_eq!(run(&ctx, "gate", gate()), "passed");
    assert_eq!(inputs(&ctx), ["executor_report.json", "verifier_report.json"]);

    insta::assert_snapshot!(text(&ctx, Plan::ARTIFACT.name()), @r#"
    {
      "errors": [],
      "goal": "A page that loads",
      "metrics": {
        "tokens": 1200
      },
      "run_created_at": "2026-01-01T00:00:00.004000Z",
      "run_id": "RUN-1",
      "schema_version": 1,
      "status": "passed",
      "steps": [
        {
          "name": "fetch",
          "summary": "Fetch the page"
        },
        {
          "name": "build",
          "summary": "Build the site"
        }
      ],
      "task_id": "TASK-1",
      "warnings": [
        "the model was slow"
      ]
    }
    "#);
    insta::assert_snapshot!(text(&ctx, ExecutorReport::ARTIFACT.name()), @r#"
    {
      "checks": [
        {
          "name": "fetch",
          "status": "passed"
        },
        {
          "name": "build",
          "status": "passed"
        }
      ],
      "errors": [],
      "metrics": {
        "score": 0.5
      },
      "run_created_at": "2026-01-01T00:00:00.004000Z",
      "run_id": "RUN-1",
      "schema_version": 1,
      "status": "passed",
      "task_id": "TASK-1",
      "warnings": []
    }
    "#);
    insta::assert_snapshot!(text(&ctx, VerifierReport::ARTIFACT.name()), @r#"
    {
      "checks": [
        {
          "name": "all is done",
          "status": "passed"
        }
      ],
      "errors": [],
      "metrics": {},
      "run_created_at": "2026-01-01T00:00:00.004000Z",
      "run_id": "RUN-1",
      "schema_version": 1,
      "status": "passed",
      "task_id": "TASK-1",
      "warnings": []
    }
    "#);
    insta::assert_snapshot!(text(&ctx, GateReport::ARTIFACT.name()), @r#"
    {
      "checks": [
        {
          "digest": "blake3:43ebd3fd74149b9768f3b9427c4ef7239f5a94c4f3aa11166df5fbb2d539c979",
          "name": "executor_report.json",
          "status": "passed"
        },
        {
          "digest": "blake3:ae4728a638051c062e9f2297897d05d14dc691be79785072594857c12459ebed",
          "name": "verifier_report.json",
          "status": "passed"
        }
      ],
      "errors": [],
      "metrics": {},
      "run_created_at": "2026-01-01T00:00:00.004000Z",
      "run_id": "RUN-1",
      "schema_version": 1,
      "status": "passed",
      "task_id": "TASK-1",
      "warnings": []
    }
    "#);

    let end = Completion::success().require(GateReport::ARTIFACT);
    ctx.run().unwrap().complete_with(&end).unwrap();
}

#[test]
fn each_stands_where_the_context_says_and_has_its_phase() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for (name, path) in [
        (Plan::ARTIFACT.name(), ctx.plan_path()),
        (ExecutorReport::ARTIFACT.name(), ctx.executor_report_path()),
        (VerifierReport::ARTIFACT.name(), ctx.verifier_report_path()),
        (GateReport::ARTIFACT.name(), ctx.gate_report_path()),
    ] {
        assert_eq!(ctx.artifact_path(name), path);
    }
    assert_eq!(planner(crew()).phase(), RunStatus::Planning);
    assert_eq!(executor(doer(None)).phase(), RunStatus::Executing);
    assert_eq!(verifier(checker(true)).phase(), RunStatus::Verifying);
    assert_eq!(gate().phase(), RunStatus::Verifying);
}

/// Killed anywhere and gone on with, a run has the artifacts that it would have had: other attempts, at
/// other times, write the same bytes.
#[test]
fn later_attempts_write_the_same_bytes() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut seen: Vec<Vec<String>> = Vec::new();
    for turn in 1..=3 {
        for _ in 1..turn {
            test.clock().advance(86_400_000_000);
            ctx.step(format!("plan-{turn}"), |s| {
                planner(crew()).run(s)?;
                Err(StepError::message("died"))
            })
            .unwrap_err();
        }
        run(&ctx, &format!("plan-{turn}"), planner(crew()));
        run(&ctx, &format!("execute-{turn}"), executor(doer(None)));
        run(&ctx, &format!("verify-{turn}"), verifier(checker(true)));
        run(&ctx, &format!("gate-{turn}"), gate());
        let written = ctx.manifest().unwrap().artifacts;
        seen.push(written.iter().map(|artifact| text(&ctx, &artifact.path)).collect());
    }
    assert_eq!(seen[0].len(), 4);
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
}

#[test]
fn a_planner_that_fails_leaves_no_plan_and_is_asked_again() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let failed = ctx.step("plan", |s| planner(Crew { legacy: Bridge, wish: "" }).run(s));
    let Err(StepFailure::Failed { attempt: 1, source, .. }) = failed else { panic!("{failed:?}") };
    assert_eq!(source.to_string(), "the bridge has no wish");
    assert!(matches!(ctx.artifacts().read(Plan::ARTIFACT), Err(ArtifactError::NotFound { .. })));
    let without = ctx.step("execute", |s| executor(doer(None)).run(s)).unwrap_err();
    assert!(matches!(without, StepFailure::Failed { .. }), "{without:?}");
    assert_eq!(run(&ctx, "plan", planner(|_: &StepContext| Ok(Plan::new("a goal")))), "planned");
    assert_eq!(ctx.artifacts().read(Plan::ARTIFACT).unwrap().goal, "a goal");
}

#[test]
fn a_plan_that_does_not_pass_signals_so_and_stands_to_be_read() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let pushed = |mut plan: Plan| {
        plan.errors.push("no page is named".to_owned());
        plan
    };
    let refused = |mut plan: Plan| {
        plan.status = ReportStatus::Failed;
        plan
    };
    type Why = fn(Plan) -> Plan;
    let whys: [(&str, Why, &[&str]); 3] = [
        ("by-error", |plan| plan.error("no page is named"), &["no page is named"]),
        ("by-hand", pushed, &["no page is named"]),
        ("by-status", refused, &[]),
    ];
    for (step, why, errors) in whys {
        let node = planner(move |_: &StepContext| Ok(why(Plan::new("a goal"))));
        assert_eq!(run(&ctx, step, node), "plan_failed", "{step}");
        let plan = ctx.artifacts().read(Plan::ARTIFACT).unwrap();
        assert_eq!((plan.status, plan.passed()), (ReportStatus::Failed, false), "{step}");
        assert_eq!(plan.errors, errors, "{step}");
    }
    // Another program's word is read by the same rule.
    for (json, passes) in [
        (r#"{"goal": "a goal"}"#, true),
        (r#"{"goal": "a goal", "status": "OK", "errors": []}"#, true),
        (r#"{"goal": "a goal", "status": "draft"}"#, false),
        (r#"{"goal": "a goal", "status": "passed", "errors": ["the disk is full"]}"#, false),
    ] {
        ctx.artifacts().write_bytes(Plan::ARTIFACT, json.as_bytes()).unwrap();
        assert_eq!(ctx.artifacts().read(Plan::ARTIFACT).unwrap().passed(), passes, "{json}");
    }
}

/// The members are public: what is put there by hand counts like what the methods add.
#[test]
fn a_report_that_is_made_by_hand_fails_by_its_checks_and_errors() {
    fn with_error<A: Author>(mut report: Report<A>) -> Report<A> {
        report.errors.push("the disk is full".to_owned());
        report
    }
    fn with_check<A: Author>(mut report: Report<A>) -> Report<A> {
        report.checks.push(Check::new("x", false));
        report
    }
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    run(&ctx, "plan", planner(crew()));
    type Made<A> = fn(Report<A>) -> Report<A>;
    let executing: [(&str, Made<_>); 2] = [("execute-1", with_error), ("execute-2", with_check)];
    for (step, made) in executing {
        let node = executor(move |_: &StepContext, _: &Plan| Ok(made(ExecutorReport::new())));
        assert_eq!(run(&ctx, step, node), "failed");
        let read = ctx.artifacts().read(ExecutorReport::ARTIFACT).unwrap();
        assert_eq!(read.status, ReportStatus::Failed, "{step}");
    }
    let verifying: [(&str, Made<_>); 2] = [("verify-1", with_error), ("verify-2", with_check)];
    for (step, made) in verifying {
        let made = move |_: &StepContext, _: &Plan, _: &ExecutorReport| Ok(made(Report::new()));
        assert_eq!(run(&ctx, step, verifier(made)), "verify_failed");
        // So the end of the run, which reads the status alone, is told the same.
        let end = Completion::success().require(VerifierReport::ARTIFACT);
        let ended = ctx.run().unwrap().complete_with(&end);
        assert!(matches!(ended, Err(WorkspaceError::NotPassed { .. })), "{step}: {ended:?}");
    }
}

#[test]
fn what_fails_signals_so_and_keeps_the_gate_shut() {
    let test = TestWorkspace::new().unwrap();
    for (id, fails, accepts, signals) in [
        ("A", Some("build"), true, ["failed", "verified", "blocked"]),
        ("B", None, false, ["success", "verify_failed", "blocked"]),
        ("C", None, true, ["success", "verified", "passed"]),
    ] {
        let ctx = test.start_run(id).unwrap();
        run(&ctx, "plan", planner(crew()));
        assert_eq!(run(&ctx, "execute", executor(doer(fails))), signals[0], "{id}");
        assert_eq!(run(&ctx, "verify", verifier(checker(accepts))), signals[1], "{id}");
        assert_eq!(run(&ctx, "gate", gate()), signals[2], "{id}");
        let end = Completion::success().require(GateReport::ARTIFACT);
        let ended = ctx.run().unwrap().complete_with(&end);
        assert_eq!(ended.is_ok(), signals[2] == "passed", "{id}: {ended:?}");
    }
}

#[test]
fn a_gate_is_shut_by_what_is_missing_or_no_report() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let other = ArtifactName::from(ExecutorReport::ARTIFACT);
    ctx.artifacts().write_bytes(VerifierReport::ARTIFACT, br#"{"status": "OK"}"#).unwrap();
    let denied = "its status is passed, and a failed check or an error says otherwise";
    let cases: [(&[u8], &str); 9] = [
        (b"", "it is not there"),
        (br#"["passed"]"#, "it does not read as a report: it does not begin with a brace"),
        (b"{}", "it does not read as a report: missing field `status` at line 1 column 2"),
        (
            br#"{"status": "passed", "schema_version": 2}"#,
            "it has schema version 2, and 1 is the newest that is read",
        ),
        (br#"{"status": "skipped"}"#, ""),
        (
            br#"{"status":"passed","checks":[{"name":"x","status":"failed"}],"errors":["the disk is full"]}"#,
            denied,
        ),
        (br#"{"status": "passed", "checks": [{"name": "x", "status": "failed"}]}"#, denied),
        (br#"{"status": "passed", "errors": ["the disk is full"]}"#, denied),
        (br#"{"status": "failed", "errors": ["the disk is full"]}"#, ""),
    ];
    for (turn, (bytes, why)) in cases.into_iter().enumerate() {
        if !bytes.is_empty() {
            ctx.artifacts().write_bytes(&other, bytes).unwrap();
        }
        assert_eq!(run(&ctx, &format!("gate-{turn}"), gate()), "blocked", "{why}");
        let report = ctx.artifacts().read(GateReport::ARTIFACT).unwrap();
        assert_eq!(report.status, ReportStatus::Failed);
        let [executor, verifier] = report.checks.as_slice() else { panic!("{report:?}") };
        assert_eq!(executor.note.as_deref().unwrap_or_default(), why);
        assert_eq!(executor.digest, (!bytes.is_empty()).then(|| Digest::of(bytes)));
        assert_eq!(
            (executor.name.as_str(), executor.status),
            (other.as_str(), ReportStatus::Failed)
        );
        assert_eq!(verifier.status, ReportStatus::Passed);
    }
    ctx.artifacts().write_bytes(&other, br#"{"status": "success", "pages": [1]}"#).unwrap();
    assert_eq!(run(&ctx, "gate", gate()), "passed");
}

#[test]
fn what_newer_code_wrote_is_refused_with_both_versions_and_the_path() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    // Nothing else of it has the shape of version 1.
    let newer = json!({"aims": [], "goal": 7, "schema_version": 2});
    ctx.artifacts().write_bytes(Plan::ARTIFACT, newer.to_string().as_bytes()).unwrap();
    let failed = ctx.step("execute", |s| executor(doer(None)).run(s)).unwrap_err();
    let StepFailure::Failed { source, .. } = failed else { panic!("{failed:?}") };
    let Some(ContractError::NewerSchema { path, found, supported }) = source.downcast_ref() else {
        panic!("{source:?}")
    };
    assert_eq!((path, *found, *supported), (&ctx.plan_path(), 2, 1));
    assert_eq!(
        source.to_string().replace(ctx.root().as_str(), "ROOT"),
        "ROOT/TASK-1/runs/RUN-1/artifacts/plan.json has schema version 2, and this runjournal reads \
         version 1; use a newer runjournal"
    );
    // Read as any JSON is, it is refused as well.
    for version in [0, 2] {
        let other = json!({"goal": "a goal", "schema_version": version});
        ctx.artifacts().write_bytes(Plan::ARTIFACT, other.to_string().as_bytes()).unwrap();
        let Err(ArtifactError::Json { source, .. }) = ctx.artifacts().read(Plan::ARTIFACT) else {
            panic!("version {version} was read")
        };
        let told = format!("schema version {version}, and this runjournal reads 1");
        assert!(source.to_string().starts_with(&told), "{source}");
    }
}

#[test]
fn the_least_that_another_program_has_to_write() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let artifacts = ctx.artifacts();
    artifacts.write_bytes(Plan::ARTIFACT, br#"{"goal": "a goal"}"#).unwrap();
    assert_eq!(artifacts.read(Plan::ARTIFACT).unwrap(), Plan::new("a goal"));
    artifacts
        .write_bytes(ExecutorReport::ARTIFACT, br#"{"status": "passed", "mine": {}}"#)
        .unwrap();
    assert_eq!(artifacts.read(ExecutorReport::ARTIFACT).unwrap(), ExecutorReport::new());
    assert_eq!(run(&ctx, "verify", verifier(checker(true))), "verified");
    for refused in ["{}", r#"{"status": true}"#, r#"{"status": "ok", "errors": null}"#] {
        artifacts.write_bytes(ExecutorReport::ARTIFACT, refused.as_bytes()).unwrap();
        assert!(artifacts.read(ExecutorReport::ARTIFACT).is_err(), "{refused}");
    }
}

#[test]
fn a_figure_that_is_no_number_is_refused() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for bad in [f64::NAN, f64::INFINITY] {
        let bad = move |_: &StepContext| Ok(Plan::new("a goal").metric("speed", bad));
        let failed = ctx.step("plan", |s| planner(bad).run(s)).unwrap_err();
        let StepFailure::Failed { source, .. } = failed else { panic!("{failed:?}") };
        let why = source.source().unwrap().to_string();
        assert!(why.starts_with("the metric \"speed\" is "), "{why}");
    }
}

prop_compose! {
    fn reports()(
        checks in prop::collection::vec((".*", any::<bool>(), prop::option::of(".*")), 0..4),
        metrics in prop::collection::btree_map(".*", numbers(), 0..4),
        warnings in prop::collection::vec(".*", 0..3),
        errors in prop::collection::vec(".*", 0..3),
        status in prop_oneof![Just(ReportStatus::Passed), Just(ReportStatus::Failed)],
        by_hand in any::<bool>(),
    ) -> (VerifierReport, ReportStatus) {
        let fails = !errors.is_empty() || checks.iter().any(|(_, passed, _)| !passed);
        let checks = checks.into_iter().map(|(name, passed, note)| {
            let check = Check::new(&name, passed).digest(Digest::of(name.as_bytes()));
            match note { Some(note) => check.note(note), None => check }
        });
        let mut report = VerifierReport::new();
        report.status = status;
        if by_hand {
            (report.checks, report.errors) = (checks.collect(), errors);
            (report.metrics, report.warnings) = (metrics, warnings);
        } else {
            report = checks.fold(report, VerifierReport::with_check);
            report = metrics.into_iter().fold(report, |report, (name, value)| report.metric(name, value));
            report = warnings.into_iter().fold(report, VerifierReport::warning);
            report = errors.into_iter().fold(report, VerifierReport::error);
        }
        (report, if fails { ReportStatus::Failed } else { status })
    }
}

fn numbers() -> impl Strategy<Value = f64> {
    let whole = any::<i64>().prop_map(|number| number as f64);
    prop_oneof![any::<f64>().prop_filter("finite", |number| number.is_finite()), whole]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// What is written is read back, with whose it is and the status that follows from it, and equal
    /// reports are equal bytes.
    #[test]
    fn a_report_is_read_as_it_was_written((report, status) in reports()) {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let mut expected = report.clone();
        expected.status = status;
        expected.task_id = Some(ctx.task_id().clone());
        expected.run_id = Some(ctx.run_id().clone());
        expected.run_created_at = Some(ctx.run().unwrap().genesis().created_at);
        ctx.artifacts().write(Plan::ARTIFACT, &Plan::new("a goal")).unwrap();
        ctx.artifacts().write(ExecutorReport::ARTIFACT, &ExecutorReport::new()).unwrap();
        let signal = if status == ReportStatus::Passed { "verified" } else { "verify_failed" };
        let node = verifier(move |_: &StepContext, _: &Plan, _: &ExecutorReport| Ok(report.clone()));
        prop_assert_eq!(run(&ctx, "verify", node), signal);
        let written = text(&ctx, VerifierReport::ARTIFACT.name());
        let read = ctx.artifacts().read(VerifierReport::ARTIFACT).unwrap();
        prop_assert_eq!(&read, &expected);
        ctx.artifacts().write(VerifierReport::ARTIFACT, &read).unwrap();
        prop_assert_eq!(text(&ctx, VerifierReport::ARTIFACT.name()), written);
    }
}
