//! The manifest: a page that is a function of the run, seals itself, and is a witness of what it described.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::*;

use crate::lab::Lab;

const A: ArtifactName = ArtifactName::from_static("a.txt");
const B: ArtifactName = ArtifactName::from_static("dir/b.json");
const C: ArtifactName = ArtifactName::from_static("dir/c 1.md");

fn page(ctx: &RunContext) -> Utf8PathBuf {
    ctx.run_path().join("manifest.json")
}

fn file(ctx: &RunContext, name: &ArtifactName) -> Utf8PathBuf {
    ctx.artifact_path(name)
}

/// A run with three artifacts, one written twice, and one that was removed.
fn run(test: &TestWorkspace, id: &str) -> RunContext {
    let ctx = test.start_run(id).unwrap();
    let store = ctx.artifacts();
    store.write_bytes(A, b"first").unwrap();
    store.write_bytes(C, b"# c").unwrap();
    store.write_bytes(ArtifactName::from_static("gone"), b"gone").unwrap();
    store.remove(ArtifactName::from_static("gone")).unwrap();
    ctx.step("work", |s| {
        s.write_bytes(B, b"{}\n")?;
        Ok(Signal::new("done"))
    })
    .unwrap();
    store.write_bytes(A, b"second").unwrap();
    ctx
}

fn complete(ctx: &RunContext) -> Appended {
    ctx.run().unwrap().complete(Outcome::Success, Some("all is done")).unwrap()
}

/// What `find * -type f | LC_ALL=C sort | xargs -d '\n' b3sum` prints in a directory.
fn b3sum(dir: &Utf8Path) -> String {
    let files = walkdir::WalkDir::new(dir).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let mut lines: Vec<_> = files
        .map(|entry| {
            let hash = blake3::hash(&fs::read(entry.path()).unwrap());
            (entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned(), hash.to_hex())
        })
        .collect();
    lines.sort();
    lines.iter().map(|(path, hex)| format!("{hex}  {path}\n")).collect()
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let target = to.as_std_path().join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a comparison found: codes, and the ends of the paths.
fn found(manifest: &Manifest, ctx: &RunContext) -> Vec<String> {
    let findings = manifest.compare(ctx).unwrap();
    let below = |finding: &Finding| {
        finding.place.path.strip_prefix(ctx.run_path()).unwrap().as_str().to_owned()
    };
    findings.iter().map(|finding| format!("{} {}", finding.code, below(finding))).collect()
}

/// Takes the last commit of an artifact back as if its writer had died before the rename.
fn unapply(ctx: &RunContext, name: &ArtifactName, before: Option<&[u8]>) -> Utf8PathBuf {
    let last = ctx.events().unwrap().in_stream("artifact", name.as_str());
    let last = last.last(1).unwrap().next().unwrap().unwrap();
    let stage = ctx.run_path().join(".tmp").join(last.event_id().to_string());
    match fs::rename(file(ctx, name), &stage) {
        Ok(()) => {}
        Err(_) => fs::write(&stage, b"").unwrap(),
    }
    if let Some(before) = before {
        fs::write(file(ctx, name), before).unwrap();
    }
    stage
}

#[test]
fn a_page_says_what_the_run_is() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    complete(&ctx);
    let text = fs::read_to_string(page(&ctx)).unwrap();
    assert_eq!(text.lines().count(), 1);
    insta::assert_snapshot!(text.replace(",\"", ",\n\""), @r#"
    {"format_version":1,
    "task_id":"TASK-1",
    "run_id":"RUN-1",
    "status":"SUCCESS",
    "created_at":"2026-01-01T00:00:00.004000Z",
    "completed_at":"2026-01-01T00:00:00.026000Z",
    "journal":{"records":10,
    "bytes":5065,
    "last_seq":10,
    "hash":"blake3:4cc8d1e4dceba03227860a19af4156aca2b83ffadd68d5dfc18ac68f247deda2"},
    "artifacts":[{"path":"a.txt",
    "digest":"blake3:cd85637651ec7a557bddd61c5ddd1df21ad8bbbaf6c3c098482b3ed1c1014964",
    "size":6,
    "media_type":"text/plain",
    "version":1,
    "seq":8},{"path":"dir/b.json",
    "digest":"blake3:a7c4d54776fcb179f048728766a52d75dc450cc2a5072b7e2c238aa9b2cff3b6",
    "size":3,
    "media_type":"application/json",
    "version":0,
    "seq":7,
    "step":"work"},{"path":"dir/c 1.md",
    "digest":"blake3:b8701e4ec07f8d7721056fc4df64dcd9bc1ad7d42c61dee2af7d63ab40527f1c",
    "size":3,
    "media_type":"text/markdown",
    "version":0,
    "seq":2}],
    "artifacts_root":"blake3:3ba56e861979db36a47292cedbd0711148d257952b95ab2c9a9f6a37777dd813",
    "root":"blake3:306c7e78df1f1ba261c99ff9029d1d33ebf19b449e4541b9692e26ff21559ff9",
    "hash":"60adf70f6c3d90e6487b8ba3175aac27af2e806ba83959187312d9ba03c74986"}
    "#);

    let manifest = Manifest::read(&ctx).unwrap().unwrap();
    assert_eq!(manifest, ctx.manifest().unwrap());
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    assert_eq!(manifest.cursor(), last.cursor());
    assert_eq!(manifest.completed_at, Some(last.occurred_at()));
    assert_eq!(manifest.journal.records, ctx.events().unwrap().count() as u64);
    assert_eq!(manifest.journal.bytes, fs::metadata(ctx.journal_path()).unwrap().len());
    assert_eq!(ctx.events().unwrap().from(manifest.cursor()).unwrap().count(), 0);
    assert_eq!(manifest.compare(&ctx).unwrap(), []);
}

#[test]
fn a_run_without_records_has_a_page() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let manifest = ctx.manifest().unwrap();
    let genesis = Digest::of(&fs::read(ctx.run_path().join("run.json")).unwrap());
    let ManifestJournal { records, bytes, last_seq, hash, .. } = manifest.journal;
    assert_eq!((records, bytes, last_seq, hash), (0, 0, 0, genesis));
    assert_eq!((manifest.status, manifest.completed_at), (RunStatus::Planning, None));
    assert_eq!(manifest.artifacts_root, Digest::of(b""));
    assert_eq!(Manifest::read(&ctx).unwrap(), None);
    manifest.write(&ctx).unwrap();
    assert!(!fs::read_to_string(page(&ctx)).unwrap().contains("completed_at"));
    assert_eq!(Manifest::read(&ctx).unwrap(), Some(manifest.clone()));
    assert_eq!(manifest.compare(&ctx).unwrap(), []);
    ctx.run().unwrap().set_status(RunStatus::Executing, None).unwrap();
    assert_eq!(ctx.manifest().unwrap().status, RunStatus::Executing);
}

#[test]
fn the_roots_are_what_b3sum_gives() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    complete(&ctx);
    let manifest = Manifest::read(&ctx).unwrap().unwrap();
    let lines = b3sum(&ctx.run_path().join("artifacts"));
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert_eq!(manifest.artifacts_root, Digest::of(lines.as_bytes()));

    let genesis = Digest::of(&fs::read(ctx.run_path().join("run.json")).unwrap());
    let last = fs::read_to_string(ctx.journal_path()).unwrap().lines().last().unwrap().to_owned();
    let last: serde_json::Value = serde_json::from_str(&last).unwrap();
    let lines = format!(
        "{}  run.json\n{}  journal/events.jsonl\n{}  artifacts\n",
        genesis.to_hex(),
        last["hash"].as_str().unwrap(),
        manifest.artifacts_root.to_hex()
    );
    assert_eq!(manifest.root, Digest::of(lines.as_bytes()));
}

#[test]
fn equal_outputs_have_an_equal_root_however_they_came_to_be() {
    let test = TestWorkspace::new().unwrap();
    let (one, two) = (run(&test, "RUN-1"), test.start_run("RUN-2").unwrap());
    let mut all = two.transaction();
    all.write_bytes(B, b"{}\n").unwrap();
    all.write_bytes(C, b"# c").unwrap();
    all.write_bytes(A, b"second").unwrap();
    all.commit().unwrap();
    let (first, second) = (one.manifest().unwrap(), two.manifest().unwrap());
    assert_eq!(first.artifacts_root, second.artifacts_root);
    assert_ne!(first.root, second.root);
    two.artifacts().write_bytes(A, b"third").unwrap();
    assert_ne!(two.manifest().unwrap().artifacts_root, first.artifacts_root);
    two.artifacts().write_bytes(A, b"second").unwrap();
    two.artifacts().write_bytes(ArtifactName::from_static("more"), b"").unwrap();
    assert_ne!(two.manifest().unwrap().artifacts_root, first.artifacts_root);
}

#[test]
fn a_page_can_be_deleted_copied_and_moved_with_its_run() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    complete(&ctx);
    let text = fs::read(page(&ctx)).unwrap();
    let manifest = Manifest::read(&ctx).unwrap().unwrap();
    fs::remove_file(page(&ctx)).unwrap();
    ctx.manifest().unwrap().write(&ctx).unwrap();
    assert_eq!(fs::read(page(&ctx)).unwrap(), text, "equal to the byte");
    fs::remove_file(page(&ctx)).unwrap();
    assert!(complete(&ctx).duplicate);
    assert_eq!(fs::read(page(&ctx)).unwrap(), text, "the duplicate call writes it too");

    let elsewhere = tempfile::tempdir().unwrap();
    let root = Utf8Path::from_path(elsewhere.path()).unwrap().join("workspaces");
    copy(test.root(), &root);
    let copied = Workspace::open(&root).unwrap().task("TASK-1").unwrap().run("RUN-1").unwrap();
    assert_eq!(copied.context().manifest().unwrap(), manifest);
    assert_eq!(manifest.compare(copied.context()).unwrap(), []);

    let other = test.workspace().create_task("TASK-2", TaskOptions::default()).unwrap();
    fs::create_dir_all(other.path().join("runs")).unwrap();
    fs::rename(ctx.run_path(), other.path().join("runs/MOVED")).unwrap();
    let moved = other.run("MOVED").unwrap().context().clone();
    let there = moved.manifest().unwrap();
    assert_eq!((there.task_id.as_str(), there.run_id.as_str()), ("TASK-2", "MOVED"));
    assert_eq!((there.root, there.artifacts_root), (manifest.root, manifest.artifacts_root));
    assert_eq!(Manifest::read(&moved).unwrap(), Some(manifest.clone()));
    assert_eq!(manifest.compare(&moved).unwrap(), []);
    assert!(matches!(manifest.write(&moved), Err(ManifestError::NotThisRun { .. })));
    there.write(&moved).unwrap();
    assert_eq!(Manifest::read(&moved).unwrap(), Some(there));
}

#[test]
fn every_flipped_bit_of_a_page_is_found() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    complete(&ctx);
    let text = fs::read(page(&ctx)).unwrap();
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(page(&ctx), flipped).unwrap();
        let read = Manifest::read(&ctx);
        assert!(matches!(read, Err(ManifestError::Damaged { .. })), "bit {bit}: {read:?}");
    }
    for cut in 0..text.len() {
        fs::write(page(&ctx), &text[..cut]).unwrap();
        assert!(matches!(Manifest::read(&ctx), Err(ManifestError::Damaged { .. })), "{cut} bytes");
    }
    let unsealed = String::from_utf8(text[..text.len() - 76].to_vec()).unwrap();
    fs::write(page(&ctx), format!("{unsealed}}}\n")).unwrap();
    let refused = Manifest::read(&ctx).unwrap_err().to_string();
    let expected = format!(
        "{} is damaged: it does not end in its hash; make a run's own again from the journal with `runjournal repair \
         --apply`, and use another witness in place of a copy that was to be one",
        page(&ctx)
    );
    assert_eq!(refused, expected);
    // Damage is no reason not to write it anew.
    complete(&ctx);
    assert_eq!(fs::read(page(&ctx)).unwrap(), text);

    let newer = unsealed.replacen("\"format_version\":1", "\"format_version\":2,\"new\":[]", 1);
    let newer = newer.replacen("\"status\":\"SUCCESS\"", "\"status\":\"PAUSED\"", 1);
    let hash = Digest::of(newer.as_bytes()).to_hex();
    fs::write(page(&ctx), format!("{newer},\"hash\":\"{hash}\"}}\n")).unwrap();
    let read = Manifest::read(&ctx);
    assert!(
        matches!(read, Err(ManifestError::NewerFormat { found: 2, supported: 1, .. })),
        "{read:?}"
    );
}

#[test]
fn a_page_is_not_written_where_it_is_not_true_and_never_goes_back() {
    let test = TestWorkspace::new().unwrap();
    let (ctx, other) = (run(&test, "RUN-1"), run(&test, "RUN-2"));
    let early = ctx.manifest().unwrap();
    let refused = early.write(&other).unwrap_err();
    assert!(matches!(refused, ManifestError::NotThisRun { .. }), "{refused}");
    let mut forged = early.clone();
    forged.journal.last_seq += 1;
    forged.journal.bytes -= 1;
    assert!(matches!(forged.write(&ctx), Err(ManifestError::NotThisRun { .. })));
    let mut forged = early.clone();
    forged.artifacts_root = Digest::of(b"");
    assert!(matches!(forged.write(&ctx), Err(ManifestError::NotThisRun { .. })));
    assert!(!page(&ctx).exists() && !page(&other).exists());

    complete(&ctx);
    let late = Manifest::read(&ctx).unwrap().unwrap();
    early.write(&ctx).unwrap();
    assert_eq!(Manifest::read(&ctx).unwrap(), Some(late.clone()), "a late writer of an older page");
    // A page of a history that the journal does not have any more is in nobody's way.
    let journal = fs::read(ctx.journal_path()).unwrap();
    let cut = usize::try_from(early.journal.bytes).unwrap();
    fs::write(ctx.journal_path(), &journal[..cut]).unwrap();
    assert!(matches!(late.write(&ctx), Err(ManifestError::NotThisRun { .. })));
    early.write(&ctx).unwrap();
    assert_eq!(Manifest::read(&ctx).unwrap(), Some(early));
}

#[test]
fn a_run_that_newer_code_made_gets_no_page() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    let workspace = test.root().join("workspace.json");
    let text = fs::read_to_string(&workspace).unwrap();
    let body = text[..text.len() - 76].replacen("\"format_version\":1", "\"format_version\":2", 1);
    let hash = Digest::of(body.as_bytes()).to_hex();
    fs::write(&workspace, format!("{body},\"hash\":\"{hash}\"}}\n")).unwrap();
    let manifest = ctx.manifest().unwrap();
    let refused = manifest.write(&ctx).unwrap_err();
    assert!(
        matches!(
            refused,
            ManifestError::Journal(JournalError::Genesis(GenesisError::NewerFormat { .. }))
        ),
        "{refused:?}"
    );
    assert!(!page(&ctx).exists());
    assert_eq!(manifest.compare(&ctx).unwrap(), []);
}

#[test]
fn what_a_killed_writer_left_goes_and_what_cannot_be_written_undoes_nothing() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    let new = ctx.run_path().join(".manifest.json.new");
    fs::write(&new, b"half of a pa").unwrap();
    assert_eq!(Manifest::read(&ctx).unwrap(), None);
    complete(&ctx);
    assert!(!new.exists());
    let manifest = Manifest::read(&ctx).unwrap();

    // A directory in its place is what a writer cannot replace, whoever runs the test.
    fs::remove_file(page(&ctx)).unwrap();
    fs::create_dir(page(&ctx)).unwrap();
    let refused = ctx.manifest().unwrap().write(&ctx).unwrap_err();
    assert!(matches!(refused, ManifestError::Io(_)), "{refused}");
    assert!(!new.exists(), "a failed writer cleans up");
    assert!(complete(&ctx).duplicate);
    let other = run(&test, "RUN-2");
    fs::create_dir(page(&other)).unwrap();
    assert!(!complete(&other).duplicate);
    assert_eq!(other.run().unwrap().state().unwrap().status, RunStatus::Success);
    fs::remove_dir(page(&ctx)).unwrap();
    complete(&ctx);
    assert_eq!(Manifest::read(&ctx).unwrap(), manifest);
}

#[test]
fn what_differs_from_the_page_is_found() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    complete(&ctx);
    let manifest = Manifest::read(&ctx).unwrap().unwrap();
    fs::write(file(&ctx, &A), b"Second").unwrap();
    assert_eq!(found(&manifest, &ctx), ["artifact_changed artifacts/a.txt"]);
    fs::remove_file(file(&ctx, &A)).unwrap();
    fs::create_dir(file(&ctx, &A)).unwrap();
    assert_eq!(found(&manifest, &ctx), ["artifact_changed artifacts/a.txt"]);
    fs::remove_dir(file(&ctx, &A)).unwrap();
    assert_eq!(found(&manifest, &ctx), ["artifact_missing artifacts/a.txt"]);
    fs::write(ctx.run_path().join("artifacts/dir/new.txt"), b"").unwrap();
    fs::write(ctx.run_path().join("artifacts/gone"), b"gone").unwrap();
    fs::write(ctx.run_path().join("artifacts/.hidden"), b"").unwrap();
    assert_eq!(
        found(&manifest, &ctx),
        [
            "artifact_unjournaled artifacts/.hidden",
            "artifact_missing artifacts/a.txt",
            "artifact_unjournaled artifacts/dir/new.txt",
            "artifact_unjournaled artifacts/gone",
        ]
    );
    let findings = manifest.compare(&ctx).unwrap();
    let severities: Vec<_> = findings.iter().map(|finding| finding.code.severity()).collect();
    use Severity::{Error, Warning};
    assert_eq!(severities, [Warning, Error, Warning, Warning]);
    let reasons: Vec<_> = findings.iter().map(|finding| finding.reason.as_str()).collect();
    insta::assert_snapshot!(reasons.join("\n"), @"
    no artifact can have this name: a segment starts with a dot, and such names belong to the library
    nothing stands there
    no record names it
    the artifact was removed
    ");
    fs::remove_dir_all(ctx.run_path().join("artifacts")).unwrap();
    assert_eq!(
        found(&manifest, &ctx),
        [
            "artifact_missing artifacts/a.txt",
            "artifact_missing artifacts/dir/b.json",
            "artifact_missing artifacts/dir/c 1.md"
        ]
    );
}

#[cfg(unix)]
#[test]
fn nothing_odd_is_followed_or_opened() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    complete(&ctx);
    let manifest = Manifest::read(&ctx).unwrap().unwrap();
    let artifacts = ctx.run_path().join("artifacts");
    // A link to equal content is not the artifact.
    fs::rename(file(&ctx, &A), ctx.run_path().join("elsewhere")).unwrap();
    symlink(ctx.run_path().join("elsewhere"), file(&ctx, &A)).unwrap();
    symlink("/etc", artifacts.join("etc")).unwrap();
    let bad = std::ffi::OsStr::from_bytes(b"bad\xff");
    fs::write(artifacts.as_std_path().join(bad), b"").unwrap();
    let pipe = artifacts.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Who opens a pipe to write waits until somebody opens it to read.
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::OpenOptions::new().write(true).open(pipe).map(drop)
    });
    assert_eq!(
        found(&manifest, &ctx),
        [
            "artifact_changed artifacts/a.txt",
            "artifact_unjournaled artifacts/bad\u{fffd}",
            "artifact_unjournaled artifacts/etc",
            "artifact_unjournaled artifacts/pipe",
        ]
    );
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!writer.is_finished(), "somebody opened the pipe");
    drop(fs::File::open(&pipe).unwrap());
    writer.join().unwrap().unwrap();

    // A directory, and all of artifacts/, swapped for a link to equal content.
    fs::rename(artifacts.join("dir"), ctx.run_path().join("dir")).unwrap();
    symlink(ctx.run_path().join("dir"), artifacts.join("dir")).unwrap();
    let found_now = found(&manifest, &ctx);
    assert!(found_now.contains(&"artifact_unjournaled artifacts/dir".to_owned()), "{found_now:?}");
    assert!(found_now.contains(&"artifact_changed artifacts/dir/b.json".to_owned()));
    fs::rename(&artifacts, ctx.run_path().join("moved")).unwrap();
    symlink(ctx.run_path().join("moved"), &artifacts).unwrap();
    assert_eq!(
        found(&manifest, &ctx),
        [
            "artifact_unjournaled artifacts",
            "artifact_changed artifacts/a.txt",
            "artifact_changed artifacts/dir/b.json",
            "artifact_changed artifacts/dir/c 1.md",
        ]
    );
    // Neither is the page read through a link.
    fs::rename(page(&ctx), ctx.run_path().join("page")).unwrap();
    symlink(ctx.run_path().join("page"), page(&ctx)).unwrap();
    assert!(matches!(Manifest::read(&ctx), Err(ManifestError::Io(_))));
}

#[test]
fn a_commit_that_waits_is_told_from_damage() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    let manifest = ctx.manifest().unwrap();
    let stage = unapply(&ctx, &A, Some(b"first"));
    assert_eq!(found(&manifest, &ctx), ["commit_not_applied artifacts/a.txt"]);
    fs::remove_file(file(&ctx, &A)).unwrap();
    assert_eq!(found(&manifest, &ctx), ["commit_not_applied artifacts/a.txt"]);
    // A stage that is not whole saves nothing.
    let content = fs::read(&stage).unwrap();
    fs::write(&stage, b"secon").unwrap();
    assert_eq!(found(&manifest, &ctx), ["artifact_missing artifacts/a.txt"]);
    fs::write(&stage, content).unwrap();

    // A later record that waits, in a run that went on.
    ctx.artifacts().remove(C).unwrap();
    assert_eq!(manifest.compare(&ctx).unwrap(), [], "a word that came later holds");
    unapply(&ctx, &C, Some(b"# c"));
    assert_eq!(found(&manifest, &ctx), ["commit_not_applied artifacts/dir/c 1.md"]);
    assert_eq!(found(&ctx.manifest().unwrap(), &ctx), ["commit_not_applied artifacts/dir/c 1.md"]);
    assert_eq!(ctx.catch_up().unwrap(), []);
    assert_eq!(manifest.compare(&ctx).unwrap(), []);
}

#[test]
fn a_page_is_a_witness_of_a_tail_that_was_lost() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    let early = ctx.manifest().unwrap();
    complete(&ctx);
    let manifest = Manifest::read(&ctx).unwrap().unwrap();
    let journal = fs::read(ctx.journal_path()).unwrap();
    let short = &journal[..usize::try_from(early.journal.bytes).unwrap()];
    fs::write(ctx.journal_path(), short).unwrap();
    assert_eq!(ctx.run().unwrap().state().unwrap().findings, [], "nothing else tells");
    assert_eq!(found(&manifest, &ctx), ["journal_shorter journal/events.jsonl"]);
    assert_eq!(early.compare(&ctx).unwrap(), []);
    // Another history, with other artifacts, that is longer by now.
    fs::write(ctx.journal_path(), b"").unwrap();
    for n in 0..30_u32 {
        ctx.append(Event::new("noted").payload(&n)).unwrap();
    }
    ctx.artifacts().write_bytes(ArtifactName::from_static("new"), b"new").unwrap();
    fs::remove_file(file(&ctx, &A)).unwrap();
    assert_eq!(
        found(&manifest, &ctx),
        ["journal_shorter journal/events.jsonl", "artifact_missing artifacts/a.txt"]
    );
    let other = test.start_run("RUN-2").unwrap();
    assert!(found(&manifest, &other).contains(&"journal_shorter journal/events.jsonl".to_owned()));
}

#[test]
fn a_page_knows_what_damage_took_from_the_journal() {
    let lab = Lab::new();
    let store = lab.ctx.artifacts();
    store.write_bytes(A, b"a").unwrap();
    store.write_bytes(B, b"b").unwrap();
    store.remove(B).unwrap();
    complete(&lab.ctx);
    let manifest = Manifest::read(&lab.ctx).unwrap().unwrap();
    let lines: Vec<usize> = lab.bytes().split_inclusive(|b| *b == b'\n').map(<[u8]>::len).collect();
    // The record that wrote A, and the one that removed B: the chain goes on behind both.
    lab.flip(lines[0] / 2, 1);
    lab.flip(lines[0] + lines[1] + lines[2] / 2, 1);
    assert_eq!(lab.ctx.run().unwrap().state().unwrap().findings.len(), 2);
    assert_eq!(manifest.compare(&lab.ctx).unwrap(), []);
    fs::write(file(&lab.ctx, &A), b"A").unwrap();
    assert_eq!(found(&manifest, &lab.ctx), ["artifact_changed artifacts/a.txt"]);
}

#[test]
fn a_run_is_compared_while_others_write_to_it() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    let manifest = ctx.manifest().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let store = ctx.artifacts().durability(Durability::Buffered);
            for n in 0..400_u32 {
                store.write_bytes(A, n.to_string().as_bytes()).unwrap();
                match n % 2 {
                    0 => store.remove(B).unwrap(),
                    _ => store.write_bytes(B, n.to_string().as_bytes()).unwrap(),
                };
            }
        });
        while !writer.is_finished() {
            assert_eq!(manifest.compare(&ctx).unwrap(), []);
            let now = ctx.manifest().unwrap();
            assert_eq!(now.compare(&ctx).unwrap(), []);
            now.write(&ctx).unwrap();
        }
        writer.join().unwrap();
    });
    assert_eq!(ctx.manifest().unwrap().compare(&ctx).unwrap(), []);
}

#[derive(Debug, Clone)]
enum Change {
    Write(u8, u8),
    Remove(u8),
    Step(u8, u8),
    Note,
    Page,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..5_u8, 0..4_u8).prop_map(|(name, content)| Change::Write(name, content)),
        2 => (0..5_u8).prop_map(Change::Remove),
        1 => (0..5_u8, 0..4_u8).prop_map(|(name, content)| Change::Step(name, content)),
        1 => Just(Change::Note),
        1 => Just(Change::Page),
    ]
}

fn name(number: u8) -> ArtifactName {
    ArtifactName::new(["a", "a b/c", "a.txt", "b/ä.json", "Z"][usize::from(number)]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]
    #[test]
    fn a_page_is_what_was_written_last(changes in prop::collection::vec(change(), 0..25)) {
        let test = TestWorkspace::new().unwrap();
        let ctx = test.start_run("RUN-1").unwrap();
        let store = ctx.artifacts().durability(Durability::Buffered);
        let mut oracle: BTreeMap<String, (Vec<u8>, Option<String>)> = BTreeMap::new();
        let mut pages = vec![ctx.manifest().unwrap()];
        for (n, change) in changes.iter().enumerate() {
            match change {
                // A file cannot be where a directory is.
                Change::Write(number, content) => {
                    let (name, content) = (name(*number), vec![*content; usize::from(*content)]);
                    if store.write_bytes(&name, &content).unwrap().changed {
                        oracle.insert(name.to_string(), (content, None));
                    }
                }
                Change::Remove(number) => {
                    let name = name(*number);
                    prop_assert_eq!(store.remove(&name).is_ok(), oracle.remove(name.as_str()).is_some());
                }
                Change::Step(number, content) => {
                    let (name, step) = (name(*number), format!("step-{n}"));
                    let content = vec![*content; usize::from(*content)];
                    ctx.step(step.as_str(), |s| {
                        s.write_bytes(&name, &content)?;
                        Ok(Signal::new("done"))
                    }).unwrap();
                    oracle.insert(name.to_string(), (content, Some(step)));
                }
                Change::Note => drop(ctx.append(Event::new("noted")).unwrap()),
                Change::Page => {
                    let page = ctx.manifest().unwrap();
                    page.write(&ctx).unwrap();
                    prop_assert_eq!(Manifest::read(&ctx).unwrap(), Some(page.clone()));
                    pages.push(page);
                }
            }
        }
        complete(&ctx);
        let manifest = Manifest::read(&ctx).unwrap().unwrap();
        prop_assert_eq!(&ctx.manifest().unwrap(), &manifest);
        let told: BTreeMap<_, _> = manifest.artifacts.iter().map(|artifact| {
            let step = artifact.step.as_ref().map(ToString::to_string);
            (artifact.path.to_string(), (artifact.digest, artifact.size, step))
        }).collect();
        let expected: BTreeMap<_, _> = oracle.iter().map(|(path, (content, step))| {
            (path.clone(), (Digest::of(content), content.len() as u64, step.clone()))
        }).collect();
        prop_assert_eq!(told, expected);
        prop_assert!(manifest.artifacts.is_sorted_by(|a, b| a.path.as_str() < b.path.as_str()));
        let lines = b3sum(&ctx.run_path().join("artifacts"));
        prop_assert_eq!(manifest.artifacts_root, Digest::of(lines.as_bytes()));
        for page in pages {
            prop_assert_eq!(page.compare(&ctx).unwrap(), []);
        }
        for artifact in &manifest.artifacts {
            let said = ctx.events().unwrap().in_stream("artifact", artifact.path.as_str());
            let last = said.last(1).unwrap().next().unwrap().unwrap();
            prop_assert_eq!((last.seq(), last.stream_version()), (artifact.seq, artifact.version));
        }
    }
}

#[test]
fn a_page_that_is_longer_than_any_is_not_read_to_its_end() {
    let test = TestWorkspace::new().unwrap();
    let ctx = run(&test, "RUN-1");
    ctx.manifest().unwrap().write(&ctx).unwrap();
    fs::File::options().write(true).open(page(&ctx)).unwrap().set_len(1 << 40).unwrap();
    match Manifest::read(&ctx).unwrap_err() {
        ManifestError::Damaged { reason, .. } => {
            assert_eq!(reason, "it is longer than any manifest");
        }
        other => panic!("{other:?}"),
    }
}
