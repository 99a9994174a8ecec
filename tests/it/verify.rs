//! Verify: what it finds, where, and what is none of its business.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{
    ArtifactName, Digest, Event, EventId, Finding, Outcome, Prune, PrunePolicy, ReadData, Repair,
    RunContext, Signal, TaskStatus, Verified, Verify, VerifyProgress,
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

#[test]
fn progress_only_grows_and_ends_at_the_total() {
    let test = TestWorkspace::new().unwrap();
    for run in 0..5 {
        some(&test, &format!("RUN-{run}"));
    }
    let mut told: Vec<VerifyProgress> = Vec::new();
    let verify = Verify::of(test.workspace()).read_data(ReadData::All);
    let verified = verify.run_with(&mut |progress| told.push(*progress)).unwrap();
    for pair in told.windows(2) {
        let each = |it: &VerifyProgress| [it.done, it.known, it.records, it.bytes, it.findings];
        let grows = each(&pair[0]).iter().zip(each(&pair[1])).all(|(before, now)| *before <= now);
        assert!(grows, "{pair:?}");
    }
    assert!(told.iter().all(|progress| progress.done <= progress.known), "{told:?}");
    let last = told.last().unwrap();
    assert_eq!((last.done, last.known), (6, 6));
    assert_eq!((last.records, last.bytes), (verified.records, verified.bytes));
}

#[test]
fn parts_of_a_tree_are_disjoint_and_together_all_of_it() {
    let test = TestWorkspace::new().unwrap();
    for run in 0..4 {
        let ctx = some(&test, &format!("RUN-{run}"));
        // One that is a job of its own.
        ctx.artifacts().write_bytes(name("long.bin"), &vec![b'x'; (1 << 20) + 1]).unwrap();
        for file in 0..4 {
            ctx.artifacts().write_bytes(name(&format!("{file}.txt")), b"content").unwrap();
        }
        // All is changed, and as long as it was.
        for file in walkdir::WalkDir::new(ctx.run_path()) {
            let file = file.unwrap();
            let is_content = file
                .path()
                .components()
                .any(|part| ["artifacts", "objects"].contains(&part.as_os_str().to_str().unwrap()));
            if is_content && file.file_type().is_file() {
                let mut bytes = std::fs::read(file.path()).unwrap();
                bytes[0] ^= 1;
                std::fs::write(file.path(), bytes).unwrap();
            }
        }
    }
    let look = |read_data| {
        let verified = Verify::of(test.workspace()).read_data(read_data).run().unwrap();
        let paths = verified.findings.into_iter().map(|finding: Finding| finding.place.path);
        (paths.collect::<BTreeSet<_>>(), verified.files, verified.bytes)
    };
    let none = look(ReadData::None);
    let all = look(ReadData::All);
    assert_eq!((none.0.len(), none.1), (0, 0));
    assert_eq!((all.0.len(), all.1), (32, 32));
    for of in [1, 2, 5] {
        let (mut seen, mut bytes) = (BTreeSet::new(), 0);
        for part in 1..=of {
            let (paths, files, read) = look(ReadData::Part { part, of });
            assert_eq!(files, paths.len() as u64);
            assert!(seen.is_disjoint(&paths), "part {part} of {of}");
            seen.extend(paths);
            bytes += read - none.2;
        }
        assert_eq!((&seen, bytes), (&all.0, all.2 - none.2), "{of} parts");
    }
    assert_eq!(look(ReadData::Percent(100)).0, all.0);
    let halves: Vec<_> = (0..12).map(|_| look(ReadData::Percent(50)).0).collect();
    assert!(halves.iter().all(|half| half.len() < 32), "{halves:?}");
    assert_eq!(halves.into_iter().flatten().collect::<BTreeSet<_>>(), all.0);
}

/// As a kill leaves it between the record that it goes and its going.
#[test]
fn a_run_that_was_pruned_and_stands_is_no_finding_and_has_succeeded() {
    let test = TestWorkspace::new().unwrap();
    let ctx = some(&test, "RUN-1");
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    for status in [TaskStatus::InProgress, TaskStatus::Done] {
        test.task().set_status(status).unwrap();
    }
    let aside = test.root().with_file_name("aside");
    crate::verify_fixtures::copy(&ctx.run_path(), &aside);
    let policy = PrunePolicy { success: Duration::ZERO, ..Default::default() };
    let plan = Prune::of(test.workspace()).policy(policy).plan().unwrap();
    assert_eq!(plan.apply().unwrap().runs.len(), 1);
    assert_eq!(all(&test), [""; 0]);
    crate::verify_fixtures::copy(&aside, &ctx.run_path());
    assert_eq!(all(&test), [""; 0]);
    std::fs::remove_file(ctx.artifact_path(&name("a.txt"))).unwrap();
    assert!(all(&test).contains(&"artifact_missing TASK-1/runs/RUN-1/artifacts/a.txt".to_owned()));
    std::fs::remove_dir_all(aside).unwrap();
}

#[test]
fn a_checkpoint_that_the_journal_does_not_bear_out_is_left_by_a_repair() {
    let made = crate::verify_fixtures::Made::new();
    made.write("a.txt", "first");
    let path = made.checkpoint(1, "never");
    made.object("never");
    let before = std::fs::read(&path).unwrap();
    let plan = Repair::of(made.test.workspace()).plan().unwrap();
    assert!(plan.mends().iter().all(|mend| mend.finding.place.path != path), "{plan:?}");
    let left = plan.left().iter().find(|left| left.finding.place.path == path).unwrap();
    assert!(left.why.contains("restore the run"), "{}", left.why);
    assert!(plan.apply().failed.is_empty());
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Of what was pruned, nobody can say what it caused; what was made after that was not in it.
#[test]
fn a_cause_that_was_made_after_the_last_prune_is_looked_for() {
    const DAY: i64 = 86_400_000_000;
    let test = TestWorkspace::new().unwrap();
    let open = test.start_run("RUN-1").unwrap();
    let done = test.start_run("RUN-2").unwrap();
    done.run().unwrap().complete(Outcome::Success, None).unwrap();
    let at = |days: i64| {
        let millis = (runjournal::Clock::now(test.clock()).as_microseconds() + days * DAY) / 1000;
        let millis = uuid::Timestamp::from_unix_time(
            u64::try_from(millis / 1000).unwrap(),
            u32::try_from(millis % 1000).unwrap() * 1_000_000,
            0,
            0,
        );
        EventId::from(uuid::Uuid::new_v7(millis))
    };
    for cause in [at(0), at(3)] {
        open.append(Event::new("noted").causation(cause)).unwrap();
    }
    let told = || all(&test).iter().filter(|it| it.starts_with("causation_nowhere")).count();
    assert_eq!(told(), 2);
    test.clock().advance(1_000_000);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let policy = PrunePolicy { success: days(0), abandoned: days(9), ..PrunePolicy::default() };
    assert_eq!(
        Prune::of(test.task()).policy(policy).plan().unwrap().apply().unwrap().runs.len(),
        1
    );
    assert_eq!(told(), 1);
}
