//! Verify: what it finds, where, and what is none of its business.

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{
    ArtifactName, Event, EventId, Outcome, ReadData, RunContext, Signal, Verified, Verify,
};
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
    let verify = Verify::of(test.workspace()).read_data(ReadData::All);
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
    let verified = Verify::of(test.workspace()).read_data(ReadData::All).run().unwrap();
    assert!(verified.is_clean());
    assert_eq!((verified.tasks, verified.runs, verified.files), (1, 2, 6));
    let of_run = Verify::of(&ctx).run().unwrap();
    assert_eq!((of_run.tasks, of_run.runs, of_run.files), (0, 1, 0));
    let of_task = Verify::of(&ctx.task().unwrap()).run().unwrap();
    assert_eq!((of_task.tasks, of_task.runs), (1, 2));
}

#[test]
fn a_run_without_its_genesis_file_and_its_journal_is_not_taken_for_none() {
    let harm: [fn(&Utf8Path); 3] = [
        |dir| std::fs::write(dir.join("journal/events.jsonl"), "").unwrap(),
        |dir| std::fs::remove_file(dir.join("journal/events.jsonl")).unwrap(),
        |dir| std::fs::remove_dir_all(dir.join("journal")).unwrap(),
    ];
    for harm in harm {
        let test = TestWorkspace::new().unwrap();
        let ctx = some(&test, "RUN-1");
        std::fs::remove_file(ctx.run_path().join("run.json")).unwrap();
        harm(&ctx.run_path());
        let path = "TASK-1/runs/RUN-1/run.json";
        assert!(all(&test).contains(&format!("genesis_damaged {path}")), "{:?}", all(&test));

        let task = test.task().path();
        std::fs::remove_file(task.join("task.json")).unwrap();
        harm(&task);
        assert!(all(&test).contains(&"genesis_damaged TASK-1/task.json".to_owned()));
    }
}

#[test]
fn a_folder_that_is_no_task_and_no_run_hides_nothing() {
    let test = TestWorkspace::new().unwrap();
    let ctx = some(&test, "RUN-1");
    let nowhere = Event::new("noted").causation(EventId::from(uuid::Uuid::from_u128(7)));
    ctx.append(nowhere).unwrap();
    let journal = "causation_nowhere TASK-1/runs/RUN-1/journal/events.jsonl";
    assert_eq!(all(&test), [journal]);
    std::fs::create_dir_all(test.root().join("docs/inside")).unwrap();
    std::fs::create_dir_all(test.task().path().join("runs/half")).unwrap();
    assert_eq!(all(&test), [journal]);
}

#[test]
fn what_cannot_be_looked_at_again_is_told_as_it_was_seen() {
    let test = TestWorkspace::new().unwrap();
    let ctx = some(&test, "RUN-1");
    let objects = walkdir::WalkDir::new(ctx.run_path().join("objects")).into_iter();
    let object = objects.map(Result::unwrap).find(|entry| entry.file_type().is_file()).unwrap();
    std::fs::write(object.path(), "rot").unwrap();
    let lock = ctx.run_path().join("journal/.lock");
    std::fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink("elsewhere", &lock).unwrap();
    let found = all(&test);
    assert!(found.iter().any(|found| found.starts_with("object_changed ")), "{found:?}");
}
