//! Transactions: whole or not at all, once, and finished by whoever comes next.

use runjournal::testing::TestWorkspace;
use runjournal::*;

const A: ArtifactName = ArtifactName::from_static("a.txt");
const B: ArtifactName = ArtifactName::from_static("dir/b.txt");
const PLAN: Artifact<u64> = Artifact::json("plan.json");

fn stages(ctx: &RunContext) -> usize {
    std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap().count()
}

#[test]
fn a_transaction_reads_what_it_staged_and_commits_whole() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"old").unwrap();
    let mut tx = ctx.transaction();
    tx.write_bytes(A, b"newer").unwrap();
    tx.write_bytes(A, b"newest").unwrap();
    tx.write(PLAN, &7).unwrap();
    tx.write_bytes(B, b"b").unwrap();
    tx.remove(B).unwrap();
    tx.append(Event::new("noted"));
    assert_eq!(tx.read_bytes(A).unwrap(), b"newest");
    assert_eq!(tx.read(PLAN).unwrap(), 7);
    assert!(matches!(tx.read_bytes(B), Err(ArtifactError::NotFound { .. })));
    assert_eq!(ctx.artifacts().read_bytes(A).unwrap(), b"old");
    assert_eq!(ctx.events().unwrap().count(), 1);
    let committed = tx.commit().unwrap();
    assert_eq!(committed.artifacts.len(), 3);
    assert_eq!((committed.artifacts[0].version, committed.events.len()), (1, 1));
    assert_eq!(ctx.artifacts().read_bytes(A).unwrap(), b"newest");
    assert!(!ctx.artifacts().exists(B).unwrap());
    assert_eq!((ctx.events().unwrap().count(), stages(&ctx)), (5, 0));
}

#[test]
fn a_refused_or_dropped_transaction_leaves_nothing() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"old").unwrap();
    let journal = std::fs::read(ctx.journal_path()).unwrap();

    let mut tx = ctx.transaction();
    tx.write_bytes(A, b"new").unwrap();
    tx.write_bytes(B, b"b").unwrap();
    drop(tx);

    let mut tx = ctx.transaction();
    tx.write_bytes(A, b"new").unwrap();
    tx.write_bytes_if(B, b"b", Expect::Version(3)).unwrap();
    assert!(matches!(tx.commit(), Err(ArtifactError::Conflict { .. })));

    let mut tx = ctx.transaction();
    tx.write_bytes(A, b"new").unwrap();
    tx.write_bytes(ArtifactName::new("a.txt/below").unwrap(), b"b").unwrap();
    assert!(matches!(tx.commit(), Err(ArtifactError::PathConflict { .. })));

    let mut tx = ctx.transaction();
    tx.write_bytes(A, b"new").unwrap();
    tx.append(Event::new("Not Snake Case"));
    assert!(matches!(tx.commit(), Err(ArtifactError::Journal(JournalError::BadEvent { .. }))));

    let mut tx = ctx.transaction();
    tx.append(Event::new("artifact_written"));
    assert!(tx.commit().is_err(), "the library's own types are its own in transactions too");

    assert_eq!(std::fs::read(ctx.journal_path()).unwrap(), journal);
    assert_eq!((ctx.artifacts().read_bytes(A).unwrap(), stages(&ctx)), (b"old".to_vec(), 0));
}

#[test]
fn a_key_commits_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let commit = |content: &[u8]| {
        let mut tx = ctx.transaction().key("once");
        tx.write_bytes(A, content)?;
        tx.write_bytes(B, b"same")?;
        tx.append(Event::new("noted"));
        tx.commit()
    };
    ctx.artifacts().write_bytes(B, b"same").unwrap();
    let first = commit(b"1").unwrap();
    assert!(!first.duplicate);
    let again = commit(b"1").unwrap();
    assert!(again.duplicate);
    assert_eq!(again.events[0].seq, first.events[0].seq);
    assert!(matches!(commit(b"2"), Err(ArtifactError::Journal(JournalError::KeyConflict { .. }))));
    assert_eq!(stages(&ctx), 0);
}

#[test]
fn equal_bytes_need_no_record_and_heal_what_was_changed_behind_the_journal() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    store.write_bytes(A, b"same").unwrap();
    std::fs::write(ctx.artifact_path(&A), b"edited").unwrap();
    assert!(matches!(store.check(A), Err(ArtifactError::Changed { .. })));
    let healed = store.write_bytes(A, b"same").unwrap();
    assert!(!healed.changed);
    assert_eq!(store.read_bytes(A).unwrap(), b"same");
    std::fs::remove_file(ctx.artifact_path(&A)).unwrap();
    store.write_bytes(A, b"same").unwrap();
    assert_eq!(store.read_bytes(A).unwrap(), b"same");
    assert_eq!(ctx.events().unwrap().count(), 1);
}

#[test]
fn what_was_committed_and_not_applied_is_applied_by_the_next_and_never_over_another_file() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    store.write_bytes(A, b"old").unwrap();
    store.write_bytes(A, b"new").unwrap();
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let stage = ctx.run_path().join(".tmp").join(last.event_id().to_string());
    let undo = |target: &[u8]| {
        std::fs::write(&stage, b"new").unwrap();
        std::fs::write(ctx.artifact_path(&A), target).unwrap();
    };
    undo(b"old");
    assert_eq!(ctx.catch_up().unwrap(), []);
    assert_eq!((store.read_bytes(A).unwrap(), stages(&ctx)), (b"new".to_vec(), 0));

    undo(b"edited by hand");
    let findings = ctx.catch_up().unwrap();
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, Code::CommitNotApplied);
    assert_eq!((store.read_bytes(A).unwrap(), stages(&ctx)), (b"edited by hand".to_vec(), 1));
    let complete = ctx.run().unwrap().complete(Outcome::Success, None);
    assert!(matches!(complete, Err(WorkspaceError::NotApplied { .. })));

    std::fs::remove_file(ctx.artifact_path(&A)).unwrap();
    assert_eq!(ctx.catch_up().unwrap(), []);
    assert_eq!(store.read_bytes(A).unwrap(), b"new");

    // A removal that was committed and not applied.
    store.remove(A).unwrap();
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let stage = ctx.run_path().join(".tmp").join(last.event_id().to_string());
    std::fs::write(&stage, b"").unwrap();
    std::fs::write(ctx.artifact_path(&A), b"new").unwrap();
    assert_eq!(ctx.catch_up().unwrap(), []);
    assert!(!store.exists(A).unwrap());

    // A stage that rotted is believed by nobody.
    store.write_bytes(A, b"fresh").unwrap();
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    std::fs::remove_file(ctx.artifact_path(&A)).unwrap();
    std::fs::write(ctx.run_path().join(".tmp").join(last.event_id().to_string()), b"rot").unwrap();
    assert_eq!(ctx.catch_up().unwrap()[0].code, Code::StageDamaged);
}

#[test]
fn symbolic_links_are_never_followed() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let outside = test.root().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), b"secret").unwrap();
    let artifacts = ctx.run_path().join("artifacts");
    std::os::unix::fs::symlink(&outside, artifacts.join("linked")).unwrap();
    std::os::unix::fs::symlink(outside.join("secret"), artifacts.join("file")).unwrap();
    let store = ctx.artifacts();
    let (below, file) =
        (ArtifactName::from_static("linked/secret"), ArtifactName::from_static("file"));
    for name in [&below, &file] {
        let refused = [
            store.read_bytes(name).unwrap_err(),
            store.write_bytes(name, b"x").unwrap_err(),
            store.adopt(name).unwrap_err(),
        ];
        for error in refused {
            let text = format!("{error} {:?}", std::error::Error::source(&error));
            assert!(text.contains("link"), "{text}");
        }
    }
    assert_eq!(std::fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(stages(&ctx), 0);
}

#[test]
fn adopting_journals_a_file_as_it_is_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    assert!(matches!(store.adopt(A), Err(ArtifactError::NotFound { .. })));
    std::fs::write(ctx.artifact_path(&A), b"from elsewhere").unwrap();
    let listed = store.list().unwrap();
    assert_eq!((listed.len(), listed[0].digest), (1, None));
    let adopted = store.adopt(A).unwrap();
    assert!(adopted.changed && !store.adopt(A).unwrap().changed);
    assert_eq!(store.list().unwrap()[0].digest, Some(Digest::of(b"from elsewhere")));
    assert_eq!(adopted.seq, 1);
}

#[test]
fn limits_are_typed_errors() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = ctx.journal().unwrap();
    let large = Event::new("large").metadata(&serde_json::json!({"x": "x".repeat(MAX_LINE)}));
    assert!(matches!(
        journal.append(large),
        Err(JournalError::TooLarge { what: TooLarge::Line, .. })
    ));
    let many = vec![Event::new("many"); MAX_BATCH_RECORDS + 1];
    assert!(matches!(
        journal.append_batch(&many),
        Err(JournalError::TooLarge { what: TooLarge::BatchRecords, .. })
    ));
    let heavy = vec![Event::new("heavy").payload(&"x".repeat(60_000)); 300];
    assert!(matches!(
        journal.append_batch(&heavy),
        Err(JournalError::TooLarge { what: TooLarge::BatchBytes, .. })
    ));
    assert_eq!(std::fs::metadata(ctx.journal_path()).unwrap().len(), 0);
    journal.append_batch(&vec![Event::new("many"); MAX_BATCH_RECORDS]).unwrap();
}

#[test]
fn a_removal_and_a_write_beside_it_commit_together() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let (b, c) = (ArtifactName::from_static("a/b"), ArtifactName::from_static("a/c"));
    ctx.artifacts().write_bytes(&b, b"b").unwrap();
    let mut tx = ctx.transaction();
    tx.remove(&b).unwrap();
    tx.write_bytes(&c, b"c").unwrap();
    tx.commit().unwrap();
    assert_eq!(ctx.artifacts().read_bytes(&c).unwrap(), b"c");
    assert!(!ctx.artifacts().exists(&b).unwrap());
    ctx.artifacts().remove(&c).unwrap();
    assert!(!ctx.run_path().join("artifacts/a").exists());
}

#[test]
fn a_later_write_of_a_path_keeps_what_the_earlier_one_expects() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"there").unwrap();
    let mut tx = ctx.transaction();
    tx.write_bytes_if(A, b"1", Expect::Absent).unwrap();
    tx.write_bytes(A, b"2").unwrap();
    assert!(matches!(tx.commit(), Err(ArtifactError::Conflict { .. })));
    let mut tx = ctx.transaction();
    tx.write_if(PLAN, &1, Expect::Absent).unwrap();
    tx.commit().unwrap();
    let other = ctx.artifacts().remove_if(A, Expect::Digest(Digest::of(b"other")));
    assert!(matches!(other, Err(ArtifactError::Conflict { .. })));
    ctx.artifacts().remove_if(A, Expect::Digest(Digest::of(b"there"))).unwrap();
}

#[test]
fn keys_of_the_library_are_its_own() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for key in ["run:complete", "step-end:plan:1", "task:create", "cmd:1"] {
        let refused = ctx.append(Event::new("x").key(key));
        assert!(matches!(refused, Err(JournalError::BadEvent { .. })), "{key}");
        let mut tx = ctx.transaction().key(key);
        tx.write_bytes(A, b"x").unwrap();
        assert!(tx.commit().is_err(), "{key}");
    }
    let mut tx = ctx.transaction();
    tx.append(Event::new("x").key("mine"));
    assert!(tx.commit().is_err(), "the key of a transaction is the transaction's");
    ctx.step("plan", |_| Ok("done".into())).unwrap();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
}

#[test]
fn a_link_in_place_of_artifacts_is_not_followed_by_a_listing() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let outside = test.root().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), b"secret").unwrap();
    let artifacts = ctx.run_path().join("artifacts");
    std::fs::remove_dir(&artifacts).unwrap();
    std::os::unix::fs::symlink(&outside, &artifacts).unwrap();
    assert!(ctx.artifacts().list().is_err() || ctx.artifacts().list().unwrap().is_empty());
}

#[test]
fn a_keyed_transaction_with_a_removal_is_committed_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"a").unwrap();
    let commit = || {
        let mut tx = ctx.transaction().key("move-1");
        tx.write_bytes(B, b"a")?;
        tx.remove(A)?;
        tx.commit()
    };
    assert!(!commit().unwrap().duplicate);
    assert!(commit().unwrap().duplicate);
    let mut tx = ctx.transaction().key("move-2");
    tx.remove(A).unwrap();
    assert!(matches!(tx.commit(), Err(ArtifactError::NotFound { .. })));
}

#[test]
fn a_stage_that_is_gone_is_not_committed() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut tx = ctx.transaction().durability(Durability::Buffered);
    tx.write_bytes(A, b"a").unwrap();
    for entry in std::fs::read_dir(ctx.run_path().join(".tmp")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(matches!(tx.commit(), Err(ArtifactError::StageLost { .. })));
    assert_eq!(ctx.events().unwrap().count(), 0);
}

#[test]
fn a_refused_commit_leaves_no_directories() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let mut tx = ctx.transaction().durability(Durability::Buffered);
    for number in 0..=MAX_BATCH_RECORDS {
        tx.write_bytes(ArtifactName::new(format!("many/{number}/f")).unwrap(), b"").unwrap();
    }
    assert!(tx.commit().is_err());
    ctx.artifacts().write_bytes(ArtifactName::from_static("many"), b"a file").unwrap();
    assert_eq!(stages(&ctx), 0);
}

#[test]
#[cfg(unix)]
fn equal_bytes_leave_the_file_where_it_is_and_others_of_its_length_replace_it() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    let path = ctx.artifact_path(&B);
    let inode = || std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&path).unwrap());
    store.write_bytes(B, b"one").unwrap();
    let first = inode();
    let mut tx = store.transaction();
    tx.write_bytes(A, b"new").unwrap();
    tx.write_bytes(B, b"one").unwrap();
    tx.commit().unwrap();
    assert_eq!((inode(), stages(&ctx)), (first, 0));
    store.write_bytes(B, b"two").unwrap();
    assert_ne!(inode(), first);
    assert_eq!(store.read_bytes(B).unwrap(), b"two");
}

#[test]
fn equal_bytes_of_another_cause_are_another_record() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"same").unwrap();
    ctx.step("work", |s| {
        s.write_bytes(A, b"same")?;
        Ok("done".into())
    })
    .unwrap();
    let written = ctx.events().unwrap().map(Result::unwrap);
    assert_eq!(written.filter(|r| r.event_type() == "artifact_written").count(), 2);
}

#[test]
fn one_strange_stage_is_a_finding_and_does_not_stop_the_run() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"a").unwrap();
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let stage = ctx.run_path().join(".tmp").join(last.event_id().to_string());
    std::fs::create_dir(&stage).unwrap();
    ctx.append(Event::new("goes_on")).unwrap();
    std::fs::remove_file(ctx.artifact_path(&A)).unwrap();
    let findings = ctx.catch_up().unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    ctx.append(Event::new("goes_on")).unwrap();
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_nobody_waits_for_it() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let fifo = |path: &camino::Utf8Path| {
        let made = std::process::Command::new("mkfifo").arg(path.as_str()).status();
        made.is_ok_and(|status| status.success())
    };
    if !fifo(&ctx.artifact_path(&A)) {
        use std::io::Write as _;
        std::io::stderr().write_all(b"skipped: pipes: mkfifo is not there\n").unwrap();
        return;
    }
    assert!(ctx.artifacts().read_bytes(A).is_err());
    assert!(ctx.artifacts().write_bytes(A, b"x").is_err());
    let journal = ctx.journal_path();
    std::fs::remove_file(&journal).unwrap();
    assert!(fifo(&journal));
    assert!(ctx.events().is_err() && ctx.append(Event::new("x")).is_err());
}

/// An event whose line has this many bytes, its line break included.
fn line_of(ctx: &RunContext, bytes: usize) -> Event {
    let event =
        |fill: usize| Event::new("filled").metadata(&serde_json::json!({"x": "x".repeat(fill)}));
    let before = std::fs::metadata(ctx.journal_path()).unwrap().len();
    let test = ctx.journal().unwrap().append(event(1)).unwrap();
    let line = std::fs::metadata(ctx.journal_path()).unwrap().len() - before;
    assert!(test.seq < 9, "the next numbers have as many digits");
    event(bytes + 1 - usize::try_from(line).unwrap())
}

#[test]
fn a_line_of_exactly_the_limit_is_written_and_read_and_one_byte_more_is_refused() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let (exact, over) = (line_of(&ctx, MAX_LINE), line_of(&ctx, MAX_LINE + 1));
    let before = std::fs::metadata(ctx.journal_path()).unwrap().len();
    let refused = ctx.append(over).unwrap_err();
    assert!(matches!(refused, JournalError::TooLarge { size, .. } if size == MAX_LINE + 1));
    ctx.append(exact).unwrap();
    let line = std::fs::metadata(ctx.journal_path()).unwrap().len() - before;
    assert_eq!(line, MAX_LINE as u64);
    let (records, findings) = ctx.events().unwrap().read_all().unwrap();
    assert_eq!((records.len(), findings.len()), (3, 0));
    ctx.append(Event::new("next")).unwrap();
}

/// What a lookup leads to is believed once its whole batch was checked: once for all of its members.
#[cfg(target_os = "linux")]
#[test]
fn what_a_commit_reads_is_about_the_batches_before_and_not_about_them_for_each_member() {
    const MEMBERS: usize = 300;
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let commit = |content: &str, numbers: &mut dyn Iterator<Item = usize>| {
        let mut tx = ctx.transaction().durability(Durability::Buffered);
        for number in numbers {
            let name = ArtifactName::new(format!("{number}.txt")).unwrap();
            tx.write_bytes(name, content.as_bytes()).unwrap();
        }
        let [before, ..] = crate::checkpoints::counted();
        tx.commit().unwrap();
        crate::checkpoints::counted()[0] - before
    };
    commit("first", &mut (0..MEMBERS));
    let journal = std::fs::metadata(ctx.journal_path()).unwrap().len();
    let read = commit("second", &mut (0..MEMBERS));
    assert!(read < 6 * journal, "{read} bytes of a batch of {journal}");
    // The members of two batches in turn.
    commit("third", &mut (0..MEMBERS / 2));
    let read = commit("fourth", &mut (0..MEMBERS).map(|n| n / 2 + n % 2 * (MEMBERS / 2)));
    assert!(read < 12 * journal, "{read} bytes of two batches of {journal}");
}
