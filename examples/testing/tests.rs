//! How a node, a whole flow and a crash in the middle are tested: `cargo test --features insta,testing --test
//! testing`. In a crate of your own this is a file below `tests/`.

use std::error::Error;

use runjournal::testing::{self, TestWorkspace};
use runjournal::{
    Artifact, ArtifactName, Flow, Outcome, Signal, StepContext, StepResult, assert_run_snapshot,
    tree,
};

const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
const REPORT: ArtifactName = ArtifactName::from_static("reports/report.md");

fn plan(s: &StepContext) -> StepResult {
    s.write(PLAN, &vec!["fetch".into(), "build".into()])?;
    Ok(Signal::new("planned"))
}

fn execute(s: &StepContext) -> StepResult {
    let done = s.read(PLAN)?.len();
    s.write_bytes(REPORT, format!("# Report\n{done} done, seed 17\n").as_bytes())?;
    Ok(Signal::new("success"))
}

#[test]
fn a_node_alone() -> Result<(), Box<dyn Error>> {
    let test = TestWorkspace::new()?; // gone with its directory when it is dropped
    let ctx = test.start_run("RUN-1")?;
    assert_eq!(ctx.step("plan", plan)?, "planned");
    assert_run_snapshot!(ctx, @r#"
    TASK-1/[run-1] PLANNING
    artifacts/
      plan.json
        [
          "fetch",
          "build"
        ]
    events.jsonl
      1  step_started  step/plan  {"attempt":1,"inputs":[]}
      2  step_completed  step/plan  {"attempt":1,"duration_ms":"[duration]","inputs":[],"outputs":[{"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","path":"plan.json"}],"signal":"planned"}
      3  artifact_written  artifact/plan.json  {"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","media_type":"application/json","path":"plan.json","size":25,"step":"plan"}
    "#);
    Ok(())
}

#[test]
fn a_whole_flow() -> Result<(), Box<dyn Error>> {
    let flow = Flow::new("pipeline")
        .node("plan", plan)
        .on("planned", "execute")
        .node("execute", execute)
        .on("success", Outcome::Success)
        .build()?;
    let test = TestWorkspace::new()?;
    let ctx = test.start_run("RUN-1")?;
    assert_eq!(flow.run(&ctx)?, Outcome::Success);
    // Say the seed is another one in each run: then the report is no part of the snapshot.
    let options = tree::Options::new().redact("reports/*.md", "", "[report]");
    let options = options.redact("events.jsonl", "/payload/definition", "[nodes and edges]");
    assert_run_snapshot!(ctx, &options, @r#"
    TASK-1/[run-1] SUCCESS
    artifacts/
      plan.json
        [
          "fetch",
          "build"
        ]
      reports/
        report.md
          [report]
    events.jsonl
      1  lease_bound  lease/TASK-1  {"resource":"TASK-1","token":3,"worker_id":"runjournal flow"}  actor worker/runjournal flow
      2  flow_started  flow/[run-1]  {"definition":"[nodes and edges]"}
      3  run_status_changed  run/[run-1]  {"from":"PLANNING","to":"EXECUTING"}
      4  step_started  step/plan  {"attempt":1,"inputs":[]}  metadata {"flow":"pipeline"}
      5  step_completed  step/plan  {"attempt":1,"duration_ms":"[duration]","inputs":[],"outputs":[{"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","path":"plan.json"}],"signal":"planned"}
      6  artifact_written  artifact/plan.json  {"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","media_type":"application/json","path":"plan.json","size":25,"step":"plan"}
      7  step_started  step/execute  {"attempt":1,"inputs":[]}  metadata {"flow":"pipeline","from":"plan","signal":"planned"}
      8  step_completed  step/execute  {"attempt":1,"duration_ms":"[duration]","inputs":[{"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","path":"plan.json","version":0}],"outputs":[{"digest":"[digest-1]","path":"reports/report.md"}],"signal":"success"}
      9  artifact_written  artifact/reports/report.md  {"digest":"[digest-1]","media_type":"text/markdown","path":"reports/report.md","size":"[size]","step":"execute"}
      10  execution_complete  run/[run-1]  {"counts":{"steps_completed":2,"steps_failed":0},"status":"SUCCESS"}
    "#);
    Ok(())
}

#[test]
fn a_crash_in_the_middle() -> Result<(), Box<dyn Error>> {
    let test = TestWorkspace::new()?;
    let ctx = test.start_run("RUN-1")?;
    ctx.step("plan", plan)?;
    let crashed = ctx.step("execute", |s| {
        execute(s)?;
        Err(testing::crash()) // as if the process was killed here
    });
    assert!(crashed.is_err());
    // It started and did not end; what it staged is not there.
    assert_run_snapshot!(ctx, @r#"
    TASK-1/[run-1] PLANNING
    artifacts/
      plan.json
        [
          "fetch",
          "build"
        ]
    events.jsonl
      1  step_started  step/plan  {"attempt":1,"inputs":[]}
      2  step_completed  step/plan  {"attempt":1,"duration_ms":"[duration]","inputs":[],"outputs":[{"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","path":"plan.json"}],"signal":"planned"}
      3  artifact_written  artifact/plan.json  {"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","media_type":"application/json","path":"plan.json","size":25,"step":"plan"}
      4  step_started  step/execute  {"attempt":1,"inputs":[]}
    "#);

    assert_eq!(ctx.step("execute", execute)?, "success");
    // A second attempt took it over.
    assert_run_snapshot!(ctx, @r#"
    TASK-1/[run-1] PLANNING
    artifacts/
      plan.json
        [
          "fetch",
          "build"
        ]
      reports/
        report.md
          # Report
          2 done, seed 17
    events.jsonl
      1  step_started  step/plan  {"attempt":1,"inputs":[]}
      2  step_completed  step/plan  {"attempt":1,"duration_ms":"[duration]","inputs":[],"outputs":[{"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","path":"plan.json"}],"signal":"planned"}
      3  artifact_written  artifact/plan.json  {"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","media_type":"application/json","path":"plan.json","size":25,"step":"plan"}
      4  step_started  step/execute  {"attempt":1,"inputs":[]}
      5  step_started  step/execute  {"attempt":2,"inputs":[]}
      6  step_completed  step/execute  {"attempt":2,"duration_ms":"[duration]","inputs":[{"digest":"blake3:5ac16694433d5cf52b1b799ca81a60934b5bcd8e5d0684e8f21ccc231f0613e0","path":"plan.json","version":0}],"outputs":[{"digest":"blake3:99738e4aa37074e27c2bdf0535accb94bedc5f37dc72614bde107ce012c6037c","path":"reports/report.md"}],"signal":"success"}
      7  artifact_written  artifact/reports/report.md  {"digest":"blake3:99738e4aa37074e27c2bdf0535accb94bedc5f37dc72614bde107ce012c6037c","media_type":"text/markdown","path":"reports/report.md","size":25,"step":"execute"}
    "#);
    Ok(())
}
