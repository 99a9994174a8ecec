//! Verify: what it finds, where, and what is none of its business.

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{ArtifactName, Event, Outcome, ReadData, RunContext, Signal, Verified, Verify};
use serde_json::json;

/// Codes and paths below the root, in order.
pub(crate) fn told(root: &Utf8Path, verified: &Verified) -> Vec<String> {
    let findings = verified.findings.iter();
    let told = findings.map(|finding| {
        let path = finding.place.path.strip_prefix(root).unwrap();
        format!("{} {}", finding.code, path)
    });
    told.collect()
}

fn all(test: &TestWorkspace) -> Vec<String> {
    let verify = Verify::workspace(test.workspace()).read_data(ReadData::All);
    told(test.root(), &verify.run().unwrap())
}

fn name(text: &str) -> ArtifactName {
    ArtifactName::new(text).unwrap()
}

/// A run in which there is some of everything.
fn some(test: &TestWorkspace, run: &str) -> RunContext {
    let ctx = test.start_run(run).unwrap();
    ctx.append(Event::new("note_taken").payload(&json!({"n": 1}))).unwrap();
    ctx.artifacts().write_bytes(name("a.txt"), b"first").unwrap();
    ctx.step("plan", |s| {
        s.write_bytes(name("dir/b.txt"), b"second")?;
        Ok(Signal::new("success"))
    })
    .unwrap();
    ctx.append(Event::new("large").payload(&"x".repeat(70_000))).unwrap();
    ctx
}

#[test]
fn a_good_workspace_has_no_findings() {
    let test = TestWorkspace::new().unwrap();
    let ctx = some(&test, "RUN-1");
    some(&test, "RUN-2").run().unwrap().complete(Outcome::Success, None).unwrap();
    assert_eq!(all(&test), [""; 0]);
    let verified = Verify::workspace(test.workspace()).read_data(ReadData::All).run().unwrap();
    assert!(verified.is_clean());
    assert_eq!((verified.tasks, verified.runs, verified.files), (1, 2, 6));
    let of_run = Verify::run_of(&ctx).run().unwrap();
    assert_eq!((of_run.tasks, of_run.runs, of_run.files), (0, 1, 0));
    let of_task = Verify::task(&ctx.task().unwrap()).run().unwrap();
    assert_eq!((of_task.tasks, of_task.runs), (1, 2));
}
