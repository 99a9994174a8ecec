//! Repair: what is damaged comes back, what stood there is kept, and the second time changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::TestWorkspace;
use runjournal::{
    Backup, Code, Durability, Event, LeaseRef, Means, Origin, Outcome, Prune, ReadData, Repair,
    RepairPlan, RunContext, Verify,
};

/// A run with two artifacts of the same content, one of its own, and a large payload.
fn run() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let artifacts = ctx.artifacts().durability(Durability::Buffered);
    artifacts.write_bytes(name("plan.json"), b"the plan\n").unwrap();
    artifacts.write_bytes(name("copies/plan.json"), b"the plan\n").unwrap();
    artifacts.write_bytes(name("only.txt"), b"there is one of it\n").unwrap();
    (test, ctx)
}

fn name(name: &str) -> runjournal::ArtifactName {
    name.parse().unwrap()
}

/// Every file below a directory, by its path.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let path = entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            files.insert(path, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// All that stood anywhere stands somewhere.
#[track_caller]
fn assert_kept(before: &BTreeMap<String, Vec<u8>>, after: &BTreeMap<String, Vec<u8>>) {
    for (path, content) in before {
        let grew = path.ends_with("events.jsonl");
        let kept =
            |found: &Vec<u8>| if grew { found.starts_with(content) } else { found == content };
        let derived = path.contains("journal/.") || path.contains("manifest.json");
        assert!(derived || after.values().any(kept), "{path} is lost");
    }
}

fn means(plan: &RepairPlan) -> Vec<(Code, Means)> {
    plan.mends().iter().map(|mend| (mend.finding.code, mend.means.clone())).collect()
}

/// Plans, applies, and looks that nothing was lost, all is well, and a second time changes nothing.
#[track_caller]
fn repair(test: &TestWorkspace, ctx: &RunContext) -> RepairPlan {
    let root = test.workspace().root().as_std_path();
    let before = files(root);
    let plan = Repair::of(ctx).plan().unwrap();
    assert_eq!(files(root), before, "a plan changed something");
    let repaired = plan.clone().apply();
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    let after = files(root);
    assert_kept(&before, &after);
    assert!(Repair::of(ctx).plan().unwrap().is_empty());
    let again = Repair::of(ctx).plan().unwrap().apply();
    assert!(again.done.is_empty());
    assert_eq!(files(root), after, "a second repair changed something");
    plan
}

#[track_caller]
fn assert_well(ctx: &RunContext) {
    let verified = Verify::of(ctx).read_data(ReadData::All).run().unwrap();
    assert!(verified.is_clean(), "{:#?}", verified.findings);
}

fn artifact(ctx: &RunContext, path: &str) -> Utf8PathBuf {
    ctx.run_path().join("artifacts").join(path)
}

#[test]
fn a_lost_or_changed_artifact_comes_back_from_one_with_the_same_content() {
    type Harm = (&'static str, fn(&Utf8Path));
    let harm: [Harm; 5] = [
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("changed", |path| fs::write(path, "somebody's").unwrap()),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("inside"), "kept").unwrap();
        }),
        ("a link", |path| {
            fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", path).unwrap();
        }),
    ];
    for (what, harm) in harm {
        let (test, ctx) = run();
        harm(&artifact(&ctx, "plan.json"));
        let plan = repair(&test, &ctx);
        let digest = runjournal::Digest::of(b"the plan\n");
        let from = Origin::Artifact(name("copies/plan.json"));
        let first = plan.mends().iter().find(|mend| mend.means != Means::CloseOff).unwrap();
        assert_eq!(first.means, Means::PutBack { digest, from }, "{what}");
        assert_eq!(fs::read(artifact(&ctx, "plan.json")).unwrap(), b"the plan\n", "{what}");
        assert_well(&ctx);
        ctx.append(Event::new("went_on")).unwrap();
    }
}

#[test]
fn what_no_bytes_are_left_of_is_told_and_left() {
    let (test, ctx) = run();
    fs::write(artifact(&ctx, "only.txt"), "somebody's").unwrap();
    let plan = repair(&test, &ctx);
    assert_eq!((plan.mends().len(), plan.left().len()), (0, 1));
    assert_eq!(plan.left()[0].finding.code, Code::ArtifactChanged);
    assert!(plan.left()[0].why.contains("backup"), "{}", plan.left()[0].why);
    assert_eq!(fs::read(artifact(&ctx, "only.txt")).unwrap(), b"somebody's");
}

#[test]
fn a_closed_run_is_mended_and_its_journal_does_not_grow() {
    let (test, ctx) = run();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    let journal = fs::read(ctx.journal_path()).unwrap();
    fs::remove_file(artifact(&ctx, "copies/plan.json")).unwrap();
    fs::write(ctx.run_path().join("manifest.json"), "{}\n").unwrap();
    let plan = repair(&test, &ctx);
    let codes: Vec<_> = means(&plan).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [Code::ArtifactMissing, Code::ManifestDamaged]);
    assert_well(&ctx);
    assert_eq!(fs::read(ctx.journal_path()).unwrap(), journal);

    let told = ctx.task().unwrap().events().unwrap().of_type("repair_started");
    let told: Vec<_> = told.map(Result::unwrap).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].stream_id(), "RUN-1");
    let payload: serde_json::Value = told[0].payload().unwrap();
    assert_eq!(payload["mends"][0]["path"], "artifacts/copies/plan.json");
    assert_eq!(payload["mends"][0]["means"], "put_back");
    let aside = ctx.run_path().join(".quarantine").join(told[0].event_id().to_string());
    assert_eq!(fs::read_to_string(aside.join("manifest.json")).unwrap(), "{}\n");
    let note = fs::read_to_string(aside.join("note.json")).unwrap();
    let note: serde_json::Value = serde_json::from_str(&note).unwrap();
    let finding = note["mends"][0]["finding"].as_object().unwrap();
    assert_eq!(finding.keys().collect::<Vec<_>>(), ["code", "place", "reason"]);
}

#[test]
fn a_commit_that_a_strange_file_stands_in_the_way_of_is_put_in_place() {
    let (test, ctx) = run();
    // As a crash between record and rename, and then somebody's editor, would leave it.
    let record = ctx.events().unwrap().in_stream("artifact", "only.txt").next().unwrap().unwrap();
    let stage = ctx.run_path().join(".tmp").join(record.event_id().to_string());
    fs::copy(artifact(&ctx, "only.txt"), stage).unwrap();
    fs::write(artifact(&ctx, "only.txt"), "an editor's").unwrap();
    let plan = repair(&test, &ctx);
    assert_eq!(means(&plan), [(Code::CommitNotApplied, Means::PutInPlace)]);
    assert_eq!(fs::read(artifact(&ctx, "only.txt")).unwrap(), b"there is one of it\n");
    assert_well(&ctx);
}

#[test]
fn a_file_where_a_directory_belongs_is_set_aside() {
    let (test, ctx) = run();
    fs::remove_dir_all(artifact(&ctx, "copies")).unwrap();
    fs::write(artifact(&ctx, "copies"), "no directory").unwrap();
    let _ = repair(&test, &ctx);
    assert_eq!(fs::read(artifact(&ctx, "copies/plan.json")).unwrap(), b"the plan\n");
    assert_well(&ctx);
}

#[test]
fn a_damaged_stage_is_replaced_where_the_bytes_are_elsewhere() {
    let (test, ctx) = run();
    let record = ctx.events().unwrap().in_stream("artifact", "plan.json").next().unwrap().unwrap();
    let stage = ctx.run_path().join(".tmp").join(record.event_id().to_string());
    fs::write(&stage, "half of it").unwrap();
    fs::remove_file(artifact(&ctx, "plan.json")).unwrap();
    let _ = repair(&test, &ctx);
    assert_eq!(fs::read(artifact(&ctx, "plan.json")).unwrap(), b"the plan\n");
    assert!(!stage.exists());
    assert_well(&ctx);
}

#[test]
fn a_checkpoint_that_is_gone_with_what_it_names_comes_back_at_once() {
    let (test, ctx) = run();
    let turn = ctx.next_checkpoint().unwrap();
    fs::remove_dir_all(ctx.run_path().join("checkpoints")).unwrap();
    fs::remove_dir_all(ctx.run_path().join("objects")).unwrap();
    let plan = repair(&test, &ctx);
    assert_eq!(plan.mends().len(), 3); // the page, and its two objects
    assert_well(&ctx);
    let kept = turn.artifacts().unwrap().read_bytes(name("only.txt")).unwrap();
    assert_eq!(kept, b"there is one of it\n");
}

#[test]
fn an_object_that_was_mended_meanwhile_is_left_alone() {
    let (_test, ctx) = run();
    ctx.next_checkpoint().unwrap();
    let digest = runjournal::Digest::of(b"the plan\n").to_hex();
    let object = ctx.run_path().join("objects").join(&digest[..2]).join(&digest[2..]);
    fs::write(&object, "rot").unwrap();
    let plan = Repair::of(&ctx).plan().unwrap();
    assert_eq!(plan.mends().len(), 1);
    // Somebody puts it right, and then what the plan would take it from rots.
    fs::write(&object, "the plan\n").unwrap();
    for path in ["plan.json", "copies/plan.json"] {
        fs::write(artifact(&ctx, path), "rot").unwrap();
    }
    let _ = plan.apply();
    assert_eq!(fs::read(&object).unwrap(), b"the plan\n");
}

#[test]
fn a_plan_that_somebody_else_was_faster_with_takes_nothing_away() {
    let (_test, ctx) = run();
    ctx.next_checkpoint().unwrap();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    for path in ["manifest.json", "checkpoints/1.json"] {
        fs::write(ctx.run_path().join(path), "{}\n").unwrap();
    }
    let plan = Repair::of(&ctx).plan().unwrap();
    assert!(plan.clone().apply().failed.is_empty());
    let right = files(ctx.run_path().as_std_path());
    let repaired = plan.apply();
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    let after = files(ctx.run_path().as_std_path());
    let set_aside = |files: &BTreeMap<String, Vec<u8>>| {
        let aside = |path: &&String| path.contains(".quarantine") && !path.ends_with("note.json");
        files.keys().filter(aside).count()
    };
    assert_eq!((set_aside(&right), set_aside(&after)), (2, 2));
    assert_well(&ctx);
}

#[test]
fn files_are_adopted_on_request_alone() {
    let (test, ctx) = run();
    fs::write(artifact(&ctx, "by-hand.txt"), "mine").unwrap();
    let plan = repair(&test, &ctx);
    assert_eq!((plan.mends().len(), plan.left().len()), (0, 1));
    let plan = Repair::of(&ctx).adopting(true).plan().unwrap();
    assert_eq!(means(&plan), [(Code::ArtifactUnjournaled, Means::Adopt)]);
    let repaired = plan.apply();
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    assert_well(&ctx);
    assert!(!ctx.run_path().join(".quarantine").exists());
}

#[test]
fn a_task_that_somebody_holds_is_repaired_all_the_same() {
    let (test, ctx) = run();
    let task = ctx.task().unwrap();
    let lease = task.claim("worker-7", std::time::Duration::from_secs(60)).unwrap();
    fs::remove_file(artifact(&ctx, "plan.json")).unwrap();
    let _ = repair(&test, &ctx);
    assert_well(&ctx);
    // Adoption is a write, and the holder's alone.
    fs::write(artifact(&ctx, "by-hand.txt"), "mine").unwrap();
    let refused = Repair::of(&ctx).adopting(true).plan().unwrap().apply();
    assert_eq!((refused.done.len(), refused.failed.len()), (0, 1));
    let holder = Repair::of(&ctx.with_lease(LeaseRef::clone(lease.lease_ref())));
    assert_eq!(holder.adopting(true).plan().unwrap().apply().done.len(), 1);
}

#[test]
fn what_was_put_right_meanwhile_is_left_alone() {
    let (_test, ctx) = run();
    fs::remove_file(artifact(&ctx, "plan.json")).unwrap();
    let plan = Repair::of(&ctx).plan().unwrap();
    ctx.artifacts().write_bytes(name("plan.json"), b"a newer plan\n").unwrap();
    let _ = plan.apply();
    assert_eq!(fs::read(artifact(&ctx, "plan.json")).unwrap(), b"a newer plan\n");
    assert_well(&ctx);
}

/// A run with everything that can be damaged, and all its files as they are to be.
fn full(seed: u64, complete: bool) -> (TestWorkspace, RunContext, BTreeMap<String, Vec<u8>>) {
    let (test, ctx) = run();
    let artifacts = ctx.artifacts().durability(Durability::Buffered);
    for turn in 0..2 {
        artifacts
            .write_bytes(name("turn.txt"), format!("turn {turn} of {seed}").as_bytes())
            .unwrap();
        ctx.next_checkpoint().unwrap();
    }
    let large = Event::new("told").payload(&"x".repeat(70_000 + seed as usize));
    ctx.append(large).unwrap();
    if complete {
        ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    }
    let files = files(ctx.run_path().as_std_path());
    let is_truth = |path: &str| !path.starts_with("journal/.") && !path.starts_with(".tmp");
    let truth = files.into_iter().filter(|(path, _)| is_truth(path)).collect();
    (test, ctx, truth)
}

#[test]
fn everything_but_a_journal_comes_back_from_a_backup() {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};
    let harm = (any::<prop::sample::Index>(), 0..5_u8, any::<u16>());
    let cases = (any::<u8>(), any::<bool>(), proptest::collection::vec(harm, 1..6));
    let mut runner = TestRunner::new(Config { cases: 16, ..Config::default() });
    runner
        .run(&cases, |(seed, complete, harms)| {
            let (test, ctx, truth) = full(seed.into(), complete);
            let dir = tempfile::tempdir().unwrap();
            let dest = Utf8Path::from_path(dir.path()).unwrap().join("backup");
            let backup = Backup::create_at(&dest).unwrap();
            backup.take(test.workspace()).unwrap();
            let can_be: Vec<_> =
                truth.keys().filter(|path| !path.starts_with("journal/")).cloned().collect();
            for (index, how, at) in harms {
                let path = ctx.run_path().join(index.get(&can_be));
                damage(path.as_std_path(), how, at.into());
            }
            let before = files(test.root().as_std_path());
            // What a damaged genesis file hides shows once it is back.
            loop {
                let plan = Repair::of(&ctx).from_backup(&backup).plan().unwrap();
                if plan.is_empty() {
                    break;
                }
                let repaired = plan.apply();
                prop_assert!(!repaired.done.is_empty());
                prop_assert!(repaired.failed.is_empty(), "{:?}", repaired.failed);
            }
            let after = files(ctx.run_path().as_std_path());
            for (path, content) in truth.iter().filter(|(path, _)| *path != "manifest.json") {
                prop_assert_eq!(after.get(path), Some(content), "{}", path);
            }
            let verified = Verify::of(&ctx).read_data(ReadData::All).run().unwrap();
            prop_assert!(verified.is_clean(), "{:#?}", verified.findings);
            assert_kept(&before, &files(test.root().as_std_path()));
            Ok(())
        })
        .unwrap();
}

/// Harms a file, if it is there still.
fn damage(path: &Path, how: u8, at: usize) {
    let Ok(mut content) = fs::read(path) else { return };
    match how {
        0 => fs::remove_file(path).unwrap(),
        1 => fs::write(path, &content[..at % (content.len() + 1)]).unwrap(),
        2 if !content.is_empty() => {
            let at = at % content.len();
            content[at] ^= 1 << (at % 8);
            fs::write(path, content).unwrap();
        }
        3 => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
            fs::write(path.join("inside"), "kept").unwrap();
        }
        _ => fs::write(path, [&content[..], b"more"].concat()).unwrap(),
    }
}

/// A backup of the damage has the garbage as the newest of that file.
#[test]
fn a_genesis_file_comes_back_past_snapshots_of_damage() {
    let (test, ctx) = run();
    let dir = tempfile::tempdir().unwrap();
    let backup = Backup::create_at(Utf8Path::from_path(dir.path()).unwrap().join("b")).unwrap();
    backup.take(test.workspace()).unwrap();
    let of_run = ctx.run_path().join("run.json");
    let of_task = test.task().path().join("task.json");
    let whole = [&of_run, &of_task].map(|file| fs::read(file).unwrap());
    for garbage in ["{}\n", "", "{}\n"] {
        fs::write(&of_run, garbage).unwrap();
        fs::write(&of_task, garbage).unwrap();
        backup.take(test.workspace()).unwrap();
    }
    let plan = Repair::of(test.workspace()).from_backup(&backup).plan().unwrap();
    assert_eq!(plan.mends().len(), 2, "{:?}", plan.left());
    let repaired = plan.apply();
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    assert_eq!([&of_run, &of_task].map(|file| fs::read(file).unwrap()), whole);
    assert!(Verify::of(test.workspace()).run().unwrap().is_clean());
}

#[test]
fn a_task_gets_its_genesis_file_back() {
    let (test, ctx) = run();
    let dir = tempfile::tempdir().unwrap();
    let backup = Backup::create_at(Utf8Path::from_path(dir.path()).unwrap().join("b")).unwrap();
    backup.take(test.workspace()).unwrap();
    let file = test.task().path().join("task.json");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, "{}\n").unwrap();
    let without = Repair::of(test.workspace()).plan().unwrap();
    assert!(without.is_empty() && without.left()[0].why.contains("backup"));
    let plan = Repair::of(test.workspace()).from_backup(&backup).plan().unwrap();
    assert_eq!(plan.mends().len(), 1);
    let repaired = plan.apply();
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    assert_eq!(fs::read(&file).unwrap(), whole);
    assert!(Verify::of(test.workspace()).run().unwrap().is_clean());
    ctx.append(Event::new("went_on")).unwrap();
}

/// The types of the task's records about repairs, and what each was to mend.
fn told(test: &TestWorkspace) -> Vec<(String, Vec<String>)> {
    let about = |record: &runjournal::Record| record.event_type().contains("repair");
    let records = test.task().events().unwrap().map(Result::unwrap).filter(about);
    let told = records.map(|record| {
        let payload: serde_json::Value = record.payload().unwrap();
        let mends = payload["mends"].as_array().into_iter().flatten();
        let paths = mends.map(|mend| mend["path"].as_str().unwrap().to_owned()).collect();
        (record.event_type().to_owned(), paths)
    });
    told.collect()
}

#[test]
fn what_failed_is_told_as_begun_and_never_as_done() {
    let (test, ctx) = run();
    fs::remove_file(artifact(&ctx, "plan.json")).unwrap();
    let plan = Repair::of(&ctx).plan().unwrap();
    // What it would come from goes meanwhile.
    fs::remove_file(artifact(&ctx, "copies/plan.json")).unwrap();
    let repaired = plan.apply();
    assert_eq!((repaired.done.len(), repaired.failed.len()), (0, 1));
    assert_eq!(told(&test), [("repair_started".into(), vec!["artifacts/plan.json".into()])]);
}

/// Also where the task's own genesis file is what is mended, and its journal ends in damage that nobody saw.
#[test]
fn a_repair_of_a_task_is_told_before_its_genesis_file_is_back() {
    let (test, _ctx) = run();
    let dir = tempfile::tempdir().unwrap();
    let backup = Backup::create_at(Utf8Path::from_path(dir.path()).unwrap().join("b")).unwrap();
    backup.take(test.workspace()).unwrap();
    let file = test.task().path().join("task.json");
    let journal = test.task().path().join("journal/events.jsonl");
    let whole = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let damaged = [fs::read(&journal).unwrap(), b"rot\n".to_vec()].concat();
    fs::write(&journal, damaged).unwrap();
    let plan = Repair::of(test.workspace()).from_backup(&backup).plan().unwrap();
    let repaired = plan.apply();
    assert!(repaired.failed.is_empty(), "{repaired:?}");
    assert_eq!(fs::read(&file).unwrap(), whole);
    let expected =
        [("task_repaired".into(), vec![]), ("repair_started".into(), vec!["task.json".into()])];
    assert_eq!(told(&test), expected);
    assert!(Verify::of(test.workspace()).run().unwrap().is_clean());
}

/// What becomes of a place of the library's in which something else stands.
#[derive(Debug, PartialEq, Clone, Copy)]
enum Cleared {
    /// It is set aside, and all that belongs there comes back.
    Wholly,
    /// It is set aside; of one object there are no bytes any more.
    AllButAnObject,
    /// It is told of, and left.
    Never,
}

#[test]
fn what_stands_in_a_place_of_the_library_and_does_not_belong_there_is_told_and_set_aside() {
    use Cleared::{AllButAnObject, Never, Wholly};
    let odd = |path: &Utf8Path, kind: &str| match kind {
        "file" => fs::write(path, "odd").unwrap(),
        "link" => std::os::unix::fs::symlink("odd", path).unwrap(),
        _ => {
            fs::create_dir(path).unwrap();
            fs::write(path.join("inside"), "odd").unwrap();
        }
    };
    for (place, kind, code, cleared) in [
        ("manifest.json", "directory", Code::ManifestDamaged, Wholly),
        ("manifest.json", "link", Code::ManifestDamaged, Wholly),
        (".tmp", "file", Code::WrongKind, Wholly),
        (".tmp", "link", Code::SymbolicLink, Wholly),
        ("objects", "file", Code::WrongKind, AllButAnObject),
        ("objects", "link", Code::SymbolicLink, AllButAnObject),
        ("checkpoints", "file", Code::WrongKind, Wholly),
        ("checkpoints", "link", Code::SymbolicLink, Wholly),
        ("checkpoints/1.json", "directory", Code::CheckpointDamaged, Wholly),
        ("artifacts", "file", Code::WrongKind, Wholly),
        ("artifacts", "link", Code::SymbolicLink, Wholly),
        ("journal/.head", "directory", Code::WrongKind, Wholly),
        ("journal/.head", "link", Code::SymbolicLink, Wholly),
        // Somebody may hold it.
        ("journal/.sync", "directory", Code::WrongKind, Never),
        (".quarantine", "file", Code::WrongKind, Never),
    ] {
        let what = format!("{place}, a {kind}");
        let (test, ctx) = run();
        ctx.append(Event::new("told").payload(&"x".repeat(70_000))).unwrap();
        ctx.next_checkpoint().unwrap();
        ctx.manifest().unwrap().write(&ctx).unwrap();
        let truth = files(&ctx.run_path().join("artifacts").into_std_path_buf());
        let path = ctx.run_path().join(place);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        odd(&path, kind);

        let found = Verify::of(&ctx).read_data(ReadData::All).run().unwrap().findings;
        assert!(
            found.iter().any(|it| it.code == code && it.place.path == path),
            "{what}: {found:?}"
        );
        let before = files(test.root().as_std_path());
        // What was behind it shows once it is gone.
        loop {
            let plan = Repair::of(&ctx).plan().unwrap();
            if plan.is_empty() {
                break;
            }
            let repaired = plan.apply();
            assert!(repaired.failed.is_empty(), "{what}: {repaired:?}");
        }
        assert_kept(&before, &files(test.root().as_std_path()));
        let left = Verify::of(&ctx).read_data(ReadData::All).run().unwrap().findings;
        let left: Vec<_> = left.iter().map(|found| found.code).collect();
        match cleared {
            Wholly => assert_eq!(left, [], "{what}"),
            AllButAnObject => assert_eq!(left, [Code::ObjectMissing], "{what}"),
            Never => assert_eq!(left, [code], "{what}"),
        }
        if cleared != Never {
            let aside = walkdir::WalkDir::new(ctx.run_path().join(".quarantine"));
            let mut aside = aside.into_iter().map(Result::unwrap);
            assert!(aside.any(|entry| entry.path().ends_with(place)), "{what} is nowhere");
        }
        assert_eq!(files(&ctx.run_path().join("artifacts").into_std_path_buf()), truth, "{what}");
        ctx.artifacts().write_bytes(name("later.txt"), b"later").unwrap();
        ctx.next_checkpoint().unwrap();
    }
}

/// A plan to put `plan.json` back, where something else stands.
fn stale(ctx: &RunContext) -> RepairPlan {
    fs::write(artifact(ctx, "plan.json"), "somebody's").unwrap();
    let plan = Repair::of(ctx).plan().unwrap();
    assert_eq!(plan.mends().len(), 1);
    plan
}

/// What stands in the quarantine, without the notes.
fn set_aside(ctx: &RunContext) -> Vec<Vec<u8>> {
    let files = files(ctx.run_path().as_std_path()).into_iter();
    let aside =
        |(path, _): &(String, _)| path.contains(".quarantine/") && !path.ends_with("note.json");
    files.filter(aside).map(|(_, content)| content).collect()
}

#[test]
fn a_stale_plan_does_not_put_back_what_was_written_over_meanwhile() {
    let (_test, ctx) = run();
    let plan = stale(&ctx);
    ctx.artifacts().write_bytes(name("plan.json"), b"a newer plan\n").unwrap();
    let repaired = plan.apply();
    assert_eq!(repaired.failed.len(), 1, "{repaired:?}");
    let why = repaired.failed[0].error.to_string();
    assert!(why.contains("the journal names another content"), "{why}");
    assert_eq!(fs::read(artifact(&ctx, "plan.json")).unwrap(), b"a newer plan\n");
    assert_eq!(set_aside(&ctx), [] as [Vec<u8>; 0]);
}

#[test]
fn a_stale_plan_keeps_what_an_editor_left_since_it_was_made() {
    let (_test, ctx) = run();
    let plan = stale(&ctx);
    fs::write(artifact(&ctx, "plan.json"), "somebody's second thought").unwrap();
    assert!(plan.apply().failed.is_empty());
    assert_eq!(fs::read(artifact(&ctx, "plan.json")).unwrap(), b"the plan\n");
    assert_eq!(set_aside(&ctx), [b"somebody's second thought".to_vec()]);
}

#[test]
fn a_stale_plan_sets_nothing_aside_that_is_right_by_now() {
    let (_test, ctx) = run();
    let plan = stale(&ctx);
    fs::write(artifact(&ctx, "plan.json"), "the plan\n").unwrap();
    assert!(plan.apply().failed.is_empty());
    assert_eq!(set_aside(&ctx), [] as [Vec<u8>; 0]);
    assert_well(&ctx);
}

#[test]
fn a_stale_plan_adopts_nothing_in_a_run_that_ended_meanwhile() {
    let (_test, ctx) = run();
    fs::write(artifact(&ctx, "by-hand.txt"), "mine").unwrap();
    let plan = Repair::of(&ctx).adopting(true).plan().unwrap();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    let journal = fs::read(ctx.journal_path()).unwrap();
    let repaired = plan.apply();
    assert_eq!((repaired.done.len(), repaired.failed.len()), (0, 1));
    assert!(repaired.failed[0].error.to_string().contains("complete"), "{repaired:?}");
    assert_eq!(fs::read(ctx.journal_path()).unwrap(), journal);
    assert_eq!(fs::read(artifact(&ctx, "by-hand.txt")).unwrap(), b"mine");
}

#[test]
fn a_stale_plan_does_not_raise_a_run_that_was_pruned_meanwhile() {
    let (test, ctx) = run();
    ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
    let plan = stale(&ctx);
    // A run that is not as its journal says is not pruned.
    fs::write(artifact(&ctx, "plan.json"), "the plan\n").unwrap();
    test.clock().advance(60 * 24 * 3600 * 1_000_000);
    let pruned = Prune::of(test.workspace()).plan().unwrap().apply().unwrap();
    assert_eq!(pruned.runs.len(), 1);
    assert!(!ctx.run_path().exists());
    let repaired = plan.apply();
    assert_eq!((repaired.done.len(), repaired.failed.len()), (0, 1));
    assert!(!ctx.run_path().exists());
    assert_eq!(told(&test), []);
}

/// Flips a bit in the last record of a journal.
fn flip_last(journal: &Utf8Path) {
    let mut bytes = fs::read(journal).unwrap();
    let end = bytes.len() - 1;
    let last = bytes[..end].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    bytes[last + 60] ^= 1;
    fs::write(journal, bytes).unwrap();
}

/// The run's page knows that it ended: closed off, it would go on, and give a number out again.
#[test]
fn a_run_that_ended_is_not_reopened_by_a_repair() {
    let (_test, ctx) = run();
    ctx.run().unwrap().complete(Outcome::Failed, Some("it broke")).unwrap();
    flip_last(&ctx.journal_path());
    let journal = fs::read(ctx.journal_path()).unwrap();
    let repaired = Repair::of(&ctx).run().unwrap();
    assert!(repaired.done.is_empty() && repaired.failed.is_empty(), "{repaired:?}");
    let left = |code| repaired.left.iter().find(|left| left.finding.code == code).unwrap().why;
    assert!(left(Code::BrokenChain).contains("others know"), "{repaired:?}");
    assert!(left(Code::JournalShorter).contains("restore"), "{repaired:?}");
    assert_eq!(fs::read(ctx.journal_path()).unwrap(), journal);
    ctx.append(Event::new("went_on")).unwrap_err();
}

/// A backup from before the damage knows the record; one from before the record does not.
#[test]
fn what_a_backup_knows_is_not_closed_off() {
    let (test, ctx) = run();
    let dir = tempfile::tempdir().unwrap();
    let backup = Backup::create_at(Utf8Path::from_path(dir.path()).unwrap().join("b")).unwrap();
    backup.take(test.workspace()).unwrap();
    ctx.append(Event::new("told")).unwrap();
    let whole = fs::read(ctx.journal_path()).unwrap();
    flip_last(&ctx.journal_path());
    let plan = || Repair::of(&ctx).from_backup(&backup).plan().unwrap();
    assert_eq!(means(&plan()), [(Code::BrokenChain, Means::CloseOff)]);

    let damaged = fs::read(ctx.journal_path()).unwrap();
    fs::write(ctx.journal_path(), whole).unwrap();
    backup.take(test.workspace()).unwrap();
    fs::write(ctx.journal_path(), &damaged).unwrap();
    backup.take(test.workspace()).unwrap();
    let plan = plan();
    assert!(plan.is_empty(), "{plan:?}");
    assert!(plan.left()[0].why.contains("others know"), "{plan:?}");
    // Without it nobody knows.
    assert_eq!(means(&Repair::of(&ctx).plan().unwrap()), [(Code::BrokenChain, Means::CloseOff)]);
}

/// As above where the damage shows only with the backup's copy of the genesis file.
#[test]
fn what_a_backup_knows_of_a_task_is_not_closed_off_to_tell_of_its_genesis_file() {
    let (test, _ctx) = run();
    let dir = tempfile::tempdir().unwrap();
    let backup = Backup::create_at(Utf8Path::from_path(dir.path()).unwrap().join("b")).unwrap();
    backup.take(test.workspace()).unwrap();
    let journal = test.task().path().join("journal/events.jsonl");
    flip_last(&journal);
    fs::remove_file(test.task().path().join("task.json")).unwrap();
    let before = fs::read(&journal).unwrap();
    let repaired = Repair::of(test.workspace()).from_backup(&backup).run().unwrap();
    assert_eq!((repaired.done.len(), repaired.failed.len()), (0, 1), "{repaired:?}");
    let error = repaired.failed[0].error.to_string();
    assert!(error.contains("others know"), "{error}");
    assert_eq!(fs::read(&journal).unwrap(), before);
}

/// The record that is damaged may be the one that wrote what stands there.
#[test]
fn an_artifact_is_left_where_its_newest_record_may_be_damaged() {
    let (_test, ctx) = run();
    let path = artifact(&ctx, "plan.json");
    ctx.artifacts().write_bytes(name("plan.json"), b"a better plan\n").unwrap();
    flip_last(&ctx.journal_path());
    let repaired = Repair::of(&ctx).run().unwrap();
    let done: Vec<_> = repaired.done.iter().map(|mend| &mend.means).collect();
    assert_eq!(done, [&Means::CloseOff], "{repaired:?}");
    assert_eq!(repaired.left[0].finding.code, Code::ArtifactChanged);
    assert!(repaired.left[0].why.contains("settle the journal first"), "{repaired:?}");
    assert_eq!(fs::read(&path).unwrap(), b"a better plan\n");
    // Told and planned on its own, it is done.
    let plan = Repair::of(&ctx).plan().unwrap();
    assert!(matches!(means(&plan)[..], [(Code::ArtifactChanged, Means::PutBack { .. })]));
}

/// What stands in the journal's place cannot be read: all that it held is out of reach.
#[test]
fn a_journal_in_whose_place_something_else_stands_is_missing() {
    for what in ["a directory", "a link"] {
        let (_test, ctx) = run();
        ctx.manifest().unwrap().write(&ctx).unwrap();
        let journal = ctx.journal_path();
        fs::rename(&journal, ctx.run_path().join("journal/moved")).unwrap();
        match what {
            "a link" => std::os::unix::fs::symlink("moved", &journal).unwrap(),
            _ => fs::create_dir(&journal).unwrap(),
        }
        let plan = Repair::of(&ctx).plan().unwrap();
        let [left] = plan.left() else { panic!("{what}: {plan:?}") };
        assert_eq!(left.finding.code, Code::JournalMissing, "{what}");
        let reason = &left.finding.reason;
        assert!(reason.starts_with(what) && reason.contains("the manifest knows"), "{reason}");
        assert!(plan.is_empty() && left.why.contains("restore"), "{plan:?}");
    }
}

#[test]
fn a_file_in_place_of_a_run_is_told_and_left() {
    let (test, ctx) = run();
    fs::remove_dir_all(ctx.run_path()).unwrap();
    fs::write(ctx.run_path(), "odd").unwrap();
    let plan = Repair::of(test.workspace()).plan().unwrap();
    let left = plan.left().iter().find(|left| left.finding.code == Code::WrongKind).unwrap();
    assert_eq!(left.finding.place.path, ctx.run_path());
    assert!(plan.is_empty() && left.why.contains("by hand"), "{plan:?}");
}

/// What would fail each time is not promised.
#[test]
fn what_cannot_be_carried_out_is_not_planned() {
    let in_task = |test: &TestWorkspace, path: &str| test.task().path().join(path);
    let make_dir = |path: &Utf8Path| {
        let _ = fs::remove_file(path);
        fs::create_dir(path).unwrap();
    };
    type Harm<'a> = (&'a str, &'a str, &'a dyn Fn(&TestWorkspace, &RunContext));
    let harms: [Harm<'_>; 5] = [
        ("the task's journal is gone", "its task's journal", &|test, _| {
            fs::remove_file(in_task(test, "journal/events.jsonl")).unwrap();
        }),
        ("the task's journal is damaged", "its task's journal", &|test, _| {
            let path = in_task(test, "journal/events.jsonl");
            let damaged = [fs::read(&path).unwrap(), b"rot\n".to_vec()].concat();
            fs::write(path, damaged).unwrap();
        }),
        ("the task's lock", "journal/.lock", &|test, _| make_dir(&in_task(test, "journal/.lock"))),
        ("the run's lock", "journal/.lock", &|_, ctx| {
            make_dir(&ctx.run_path().join("journal/.lock"));
        }),
        ("the quarantine", ".quarantine", &|_, ctx| {
            fs::write(ctx.run_path().join(".quarantine"), "odd").unwrap();
        }),
    ];
    for (what, why, harm) in &harms {
        let (test, ctx) = run();
        fs::write(artifact(&ctx, "plan.json"), "somebody's").unwrap();
        assert_eq!(Repair::of(&ctx).plan().unwrap().mends().len(), 1);
        harm(&test, &ctx);
        let plan = Repair::of(&ctx).plan().unwrap();
        assert!(plan.is_empty(), "{what}: {plan:?}");
        let left = |it: &&runjournal::Left| it.finding.code == Code::ArtifactChanged;
        let left = plan.left().iter().find(left).unwrap();
        assert!(left.why.contains(why), "{what}: {left:?}");
    }
    // With the task, its journal's end is closed off first.
    let (test, ctx) = run();
    fs::write(artifact(&ctx, "plan.json"), "somebody's").unwrap();
    harms[1].2(&test, &ctx);
    let repaired = Repair::of(test.workspace()).run().unwrap();
    assert_eq!((repaired.done.len(), repaired.failed.len()), (2, 0), "{repaired:?}");
    assert_well(&ctx);
}
