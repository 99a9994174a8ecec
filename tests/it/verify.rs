//! Verify: what it finds, where, and what is none of its business.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{
    ArtifactName, Digest, Event, EventId, Outcome, ReadData, RunContext, Signal, Verified, Verify,
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

#[test]
fn writers_need_not_wait_while_a_long_damaged_object_is_hashed() {
    const LONG: u64 = 256 << 20;
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(name("a.txt"), b"first").unwrap();
    ctx.checkpoint(1).unwrap();
    let objects = walkdir::WalkDir::new(ctx.run_path().join("objects")).into_iter();
    let object = objects.map(Result::unwrap).find(|entry| entry.file_type().is_file()).unwrap();
    std::fs::File::create(object.path()).unwrap().set_len(LONG).unwrap();
    let lock = std::fs::File::open(ctx.run_path().join("journal/.lock")).unwrap();
    let (longest, all) = std::thread::scope(|scope| {
        let verify = scope.spawn(|| {
            let start = Instant::now();
            let verify = Verify::of(test.workspace()).read_data(ReadData::All);
            (verify.run().unwrap(), start.elapsed())
        });
        let (mut longest, mut since) = (Duration::ZERO, None);
        while !verify.is_finished() {
            if lock.try_lock().is_ok() {
                lock.unlock().unwrap();
                since = None;
            } else {
                longest = longest.max(since.get_or_insert_with(Instant::now).elapsed());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let (verified, all) = verify.join().unwrap();
        let [finding] = &*verified.findings else { panic!("{:?}", verified.findings) };
        // All processors come to the digest that one would.
        let digest = Digest::of_reader(std::fs::File::open(object.path()).unwrap()).unwrap();
        assert!(finding.reason.contains(&digest.to_string()), "{}", finding.reason);
        (longest, all)
    });
    assert!(longest < all / 10, "the lock was held for {longest:?} of {all:?}");
}

#[test]
fn each_of_many_files_that_differ_is_told_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut transaction = ctx.transaction();
    for n in 0..30 {
        transaction.write_bytes(name(&format!("{n}.txt")), b"as it was").unwrap();
    }
    transaction.commit().unwrap();
    let mut expected = Vec::new();
    let mut told = |code: &str, file: &str| {
        expected.push(format!("{code} TASK-1/runs/RUN-1/artifacts/{file}"));
        ctx.artifact_path(&name(file))
    };
    for n in 0..25 {
        std::fs::write(told("artifact_changed", &format!("{n}.txt")), b"it is not").unwrap();
    }
    std::fs::remove_file(told("artifact_missing", "25.txt")).unwrap();
    for n in 0..600 {
        std::fs::write(told("artifact_unjournaled", &format!("more-{n}")), b"more").unwrap();
    }
    expected.sort_by(|a, b| a.split(' ').next_back().cmp(&b.split(' ').next_back()));
    assert_eq!(all(&test), expected);
    // What is told of as unjournaled was not read.
    let verified = Verify::of(test.workspace()).read_data(ReadData::All).run().unwrap();
    assert_eq!(verified.files, 29);
}
