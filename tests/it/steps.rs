use runjournal::testing::TestWorkspace;
use runjournal::*;

const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
const OUT: Artifact<usize> = Artifact::json("out.json");

#[test]
fn a_step_is_done_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let plan = |s: &StepContext| {
        s.write(PLAN, &vec!["a".into()])?;
        s.append(Event::new("tool_called"))?;
        Ok(Signal::new("planned"))
    };
    assert_eq!(ctx.signal("plan").unwrap(), None);
    assert_eq!(ctx.step("plan", plan).unwrap(), "planned");
    assert_eq!(ctx.signal("plan").unwrap(), Some(Signal::new("planned")));
    assert_eq!(ctx.step("plan", |_| unreachable!()).unwrap(), "planned");
    let failed = ctx.step("execute", |s| {
        s.write(OUT, &1)?;
        Err(StepError::message("no"))
    });
    assert!(matches!(failed, Err(StepFailure::Failed { attempt: 1, .. })));
    assert!(!ctx.artifacts().exists(OUT).unwrap());
    let panicked = ctx.step("execute", |_| panic!("oh"));
    assert!(matches!(panicked, Err(StepFailure::Panicked { attempt: 2, .. })));
    ctx.step(Step::new("execute").input(PLAN).config(&7), |s| {
        let n = s.read(PLAN)?.len();
        s.write(OUT, &(n + s.config::<usize>()?))?;
        Ok("success".into())
    })
    .unwrap();
    assert_eq!(ctx.artifacts().read(OUT).unwrap(), 8);
    let completed = ctx.events().unwrap().map(Result::unwrap);
    let completed = completed.filter(|r| r.event_type() == "step_completed").last().unwrap();
    let payload: serde_json::Value = completed.payload().unwrap();
    assert_eq!(payload["inputs"][0]["path"], "plan.json");
    assert_eq!(payload["inputs"][0]["version"], 0);
    assert_eq!(payload["outputs"][0]["path"], "out.json");
    assert_eq!(payload["attempt"], 3);
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    assert!(matches!(ctx.append(Event::new("late")), Err(JournalError::Closed { .. })));
    assert_run_snapshot!(ctx);
    assert_eq!(std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
}

#[test]
fn an_attempt_that_is_alive_is_not_taken_over() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.step("work", |_| {
        let taken = ctx.step("work", |_| unreachable!("the first attempt is alive"));
        assert!(matches!(taken, Err(StepFailure::StepTaken { attempt: 1, .. })), "{taken:?}");
        Ok("done".into())
    })
    .unwrap();
}

#[test]
fn a_late_commit_of_a_superseded_attempt_is_refused() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let late = ctx.step("work", |s| {
        s.write(OUT, &1)?;
        // As if this process had been taken for dead: its liveness file is gone.
        for entry in std::fs::read_dir(ctx.run_path().join(".tmp"))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "live") {
                std::fs::remove_file(path)?;
            }
        }
        ctx.step("work", |s| {
            assert_eq!(s.attempt(), 2);
            s.write(OUT, &2)?;
            Ok("second".into())
        })?;
        assert!(matches!(
            s.append_now(Event::new("late")),
            Err(JournalError::StepSuperseded { .. })
        ));
        Ok("first".into())
    });
    assert!(
        matches!(
            late,
            Err(StepFailure::Journal { source: JournalError::StepSuperseded { .. }, .. })
        ),
        "{late:?}"
    );
    assert_eq!(ctx.artifacts().read(OUT).unwrap(), 2);
    assert_eq!(ctx.step("work", |_| unreachable!()).unwrap(), "second");
    let completed =
        ctx.events().unwrap().filter(|r| r.as_ref().unwrap().event_type() == "step_completed");
    assert_eq!(completed.count(), 1);
}

#[test]
fn declared_inputs_are_all_that_is_read() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let missing = ctx.step(Step::new("work").input(PLAN), |_| unreachable!());
    assert!(matches!(missing, Err(StepFailure::InputMissing { .. })));
    ctx.artifacts().write(PLAN, &vec!["a".into()]).unwrap();
    ctx.artifacts().write(OUT, &1).unwrap();
    ctx.step(Step::new("work").input(PLAN), |s| {
        assert!(matches!(s.read(OUT), Err(ArtifactError::Undeclared { .. })));
        ctx.artifacts().write(PLAN, &vec!["b".into()])?;
        assert!(matches!(s.read(PLAN), Err(ArtifactError::Changed { .. })));
        Ok("done".into())
    })
    .unwrap();
}

#[test]
fn what_is_left_of_an_ended_attempt_writes_no_more() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut left = None;
    ctx.step("work", |s| {
        left = Some(s.context().clone());
        s.write(OUT, &1)?;
        Ok("done".into())
    })
    .unwrap();
    let left = left.unwrap();
    ctx.step("other", |s| {
        assert!(s.append(Event::new("x").key("mine")).is_err());
        assert!(!s.append_now(Event::new("x").key("mine"))?.duplicate);
        let success = ctx.run()?.complete(Outcome::Success, None);
        assert!(matches!(success, Err(WorkspaceError::StepsOpen { .. })));
        Ok("done".into())
    })
    .unwrap();
    assert!(matches!(left.append(Event::new("late")), Err(JournalError::StepSuperseded { .. })));
    assert!(left.artifacts().write(OUT, &2).is_err());
    assert_eq!(ctx.artifacts().read(OUT).unwrap(), 1);
}

#[test]
fn a_value_may_read_the_step_while_it_is_written() {
    struct Nosy<'a>(&'a StepContext);
    impl serde::Serialize for Nosy<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let plan = self.0.read(PLAN).map_err(serde::ser::Error::custom)?;
            plan.serialize(serializer)
        }
    }
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write(PLAN, &vec!["a".into()]).unwrap();
    ctx.step("work", |s| {
        s.write(Artifact::named(ArtifactName::new("copy.json")?), &Nosy(s))?;
        Ok("done".into())
    })
    .unwrap();
}
