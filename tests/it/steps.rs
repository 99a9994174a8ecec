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
    assert_eq!(ctx.step("plan", plan).unwrap(), "planned");
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
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    assert!(matches!(ctx.append(Event::new("late")), Err(JournalError::Closed { .. })));
    eprintln!("{}", std::fs::read_to_string(ctx.journal_path()).unwrap());
    assert_eq!(std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count(), 0);
}
