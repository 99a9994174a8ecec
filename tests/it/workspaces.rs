//! Workspaces, tasks and runs: creation, states, completion, versions.

use runjournal::testing::TestWorkspace;
use runjournal::*;

/// Writes a genesis file again with another version, with a right hash.
fn rewrite_version(path: &camino::Utf8Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    let body = text[..text.len() - 76].replacen(from, to, 1);
    assert_ne!(body, text[..text.len() - 76]);
    let hash = Digest::of(body.as_bytes()).to_hex();
    std::fs::write(path, format!("{body},\"hash\":\"{hash}\"}}\n")).unwrap();
}

#[test]
fn what_exists_is_found_and_what_does_not_is_named() {
    let test = TestWorkspace::new().unwrap();
    let workspace = Workspace::open(test.root()).unwrap();
    assert_eq!(workspace.genesis(), test.workspace().genesis());
    assert!(matches!(Workspace::create(test.root()), Err(WorkspaceError::WorkspaceExists { .. })));
    assert_eq!(workspace.tasks().unwrap(), ["TASK-1".parse().unwrap()]);
    let again = workspace.create_task("TASK-1", TaskOptions::default());
    assert!(matches!(again, Err(WorkspaceError::TaskExists { .. } | WorkspaceError::Journal(_))));
    assert!(matches!(workspace.task("TASK-2"), Err(WorkspaceError::TaskNotFound { .. })));
    let task = workspace.task("TASK-1").unwrap();
    assert!(matches!(task.run("R"), Err(WorkspaceError::RunNotFound { .. })));
    let ctx = task.start_run().unwrap();
    assert!(matches!(
        task.start_run_as(ctx.run_id().clone()),
        Err(WorkspaceError::RunExists { .. })
    ));
    let parent = Some((task.id().clone(), "OTHER".parse().unwrap()));
    let with_parent = RunOptions { run_id: Some(ctx.run_id().clone()), parent };
    assert!(matches!(task.start_run_with(with_parent), Err(WorkspaceError::RunExists { .. })));
    assert_eq!(task.runs().unwrap(), [ctx.run_id().clone()]);
    let reopened = task.open_or_start_run(ctx.run_id().clone()).unwrap();
    assert_eq!(reopened.run_path(), ctx.run_path());
    let started = task.open_or_start_run("RUN-2").unwrap();
    started.append(Event::new("x")).unwrap();
    let options = TaskOptions::default();
    workspace.open_or_create_task("TASK-1", options.clone()).unwrap();
    workspace.open_or_create_task("TASK-2", options).unwrap().start_run().unwrap();
    let above = test.root().parent().unwrap();
    assert_eq!(Workspace::find(above).unwrap().root(), test.root());
    assert!(matches!(Workspace::open(above), Err(WorkspaceError::NotAWorkspace { .. })));
}

#[test]
fn a_context_is_a_value_that_travels() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let json = serde_json::to_string(&ctx).unwrap();
    let back: RunContext = serde_json::from_str(&json).unwrap();
    assert_eq!(back.journal_path(), ctx.journal_path());
    back.append(Event::new("arrived")).unwrap();
    let run = ctx.run_path();
    assert_eq!(ctx.plan_path(), run.join("artifacts/plan.json"));
    assert_eq!(ctx.executor_report_path(), run.join("artifacts/executor_report.json"));
    assert_eq!(ctx.verifier_report_path(), run.join("artifacts/verifier_report.json"));
    assert_eq!(ctx.gate_report_path(), run.join("artifacts/gate_report.json"));
}

#[test]
fn a_newer_workspace_is_read_only() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("before")).unwrap();
    rewrite_version(
        &test.root().join("workspace.json"),
        "\"format_version\":1",
        "\"format_version\":2",
    );
    let workspace = Workspace::open(test.root()).unwrap();
    assert!(workspace.is_read_only());
    let before: Vec<_> = walk(test.root());
    assert_eq!(ctx.events().unwrap().count(), 1);
    let refused = [
        ctx.append(Event::new("after")).unwrap_err().to_string(),
        ctx.artifacts().write_bytes(ArtifactName::from_static("a"), b"x").unwrap_err().to_string(),
        ctx.step("s", |_| unreachable!()).unwrap_err().to_string(),
        test.task().start_run().unwrap_err().to_string(),
        workspace.create_task("T", TaskOptions::default()).unwrap_err().to_string(),
    ];
    for message in refused.iter().filter(|m| !m.starts_with("step")) {
        assert!(message.contains("version 2") && message.contains("version 1"), "{message}");
    }
    assert_eq!(walk(test.root()), before, "not a byte was written");
}

#[test]
fn a_newer_task_or_run_in_an_old_workspace_is_read_only_too() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let version = ("\"format_version\":1", "\"format_version\":7");
    rewrite_version(&ctx.run_path().join("run.json"), version.0, version.1);
    let refused = ctx.append(Event::new("x")).unwrap_err();
    assert!(
        matches!(refused, JournalError::Genesis(GenesisError::NewerFormat { found: 7, .. })),
        "{refused}"
    );
    assert_eq!(ctx.events().unwrap().count(), 0);
    let task = test.task().path().join("task.json");
    rewrite_version(&task, "\"schema_version\":1", "\"schema_version\":7");
    let refused = test.task().set_status(TaskStatus::InProgress).unwrap_err().to_string();
    assert!(refused.contains("version 7") && refused.contains("version 1"), "{refused}");
}

fn walk(root: &camino::Utf8Path) -> Vec<(std::path::PathBuf, u64)> {
    let entries = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    entries.map(|e| (e.path().to_owned(), e.metadata().unwrap().len())).collect()
}

#[test]
fn a_run_moves_as_the_table_says_and_ends_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let run = ctx.run().unwrap();
    assert_eq!(run.state().unwrap().status, RunStatus::Planning);
    assert!(matches!(
        run.set_status(RunStatus::Verifying, None),
        Err(WorkspaceError::IllegalRunMove { .. })
    ));
    assert!(matches!(
        run.set_status(RunStatus::Failed, None),
        Err(WorkspaceError::IllegalRunMove { .. })
    ));
    run.set_status(RunStatus::Executing, Some("planned")).unwrap();
    run.set_status(RunStatus::Verifying, None).unwrap();
    let first = run.complete(Outcome::Success, None).unwrap();
    let again = run.complete(Outcome::Success, None).unwrap();
    assert!(again.duplicate && again.seq == first.seq);
    assert!(matches!(
        run.complete(Outcome::Failed, Some("cancelled")),
        Err(WorkspaceError::EndedOtherwise { status: RunStatus::Success, .. })
    ));
    assert_eq!(run.state().unwrap().status, RunStatus::Success);
    for late in [
        ctx.append(Event::new("late")).is_err(),
        ctx.artifacts().write_bytes(ArtifactName::from_static("late"), b"x").is_err(),
        run.set_status(RunStatus::Executing, None).is_err(),
        ctx.step("late", |_| unreachable!()).is_err(),
    ] {
        assert!(late, "closed is closed");
    }
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    assert_eq!(last.event_type(), "execution_complete");
}

/// Completes a run whose journal is changed after it was read and before its lock is to be had: the
/// steps that the end of the run says completed and failed.
fn counts_of_a_run_completed_between(ctx: &RunContext, before: &[u8], after: &[u8]) -> [u64; 2] {
    let lock = std::fs::File::open(ctx.run_path().join("journal/.lock")).unwrap();
    std::fs::write(ctx.journal_path(), before).unwrap();
    lock.lock().unwrap();
    std::thread::scope(|scope| {
        let end = scope.spawn(|| ctx.run().unwrap().complete(Outcome::Failed, None).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!end.is_finished());
        std::fs::write(ctx.journal_path(), after).unwrap();
        lock.unlock().unwrap();
        assert!(!end.join().unwrap().duplicate);
    });
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let payload: serde_json::Value = last.payload().unwrap();
    ["steps_completed", "steps_failed"].map(|name| payload["counts"][name].as_u64().unwrap())
}

#[test]
fn a_run_ends_with_the_counts_of_its_journal_whatever_became_of_that_since_it_was_read() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = || std::fs::read(ctx.journal_path()).unwrap();
    let complete = |step: &str| assert!(ctx.step(step, |_| Ok("done".into())).is_ok());
    let empty = journal();
    complete("one");
    let one = journal();
    complete("two");
    let two = journal();
    complete("three");
    complete("four");
    let four = journal();
    std::fs::write(ctx.journal_path(), &one).unwrap();
    assert!(ctx.step("two", |_| Err(std::fmt::Error.into())).is_err());
    assert!(ctx.step("two", |_| Err(std::fmt::Error.into())).is_err());
    let other = journal();
    for (before, after, counts) in [
        (&two, &two, [2, 0]),
        (&two, &four, [4, 0]),
        (&empty, &four, [4, 0]),
        (&two, &other, [1, 2]),
        (&four, &other, [1, 2]),
        (&other, &four, [4, 0]),
        (&four, &one, [1, 0]),
    ] {
        assert_eq!(counts_of_a_run_completed_between(&ctx, before, after), counts);
    }
}

#[test]
fn a_task_moves_as_the_table_says() {
    let test = TestWorkspace::new().unwrap();
    let task = test.task();
    assert_eq!(task.status().unwrap(), TaskStatus::Todo);
    assert!(task.set_status(TaskStatus::Done).is_err());
    for to in [TaskStatus::InProgress, TaskStatus::Done, TaskStatus::InProgress, TaskStatus::Todo] {
        task.set_status(to).unwrap();
    }
    task.set_status(TaskStatus::Archived).unwrap();
    let error = task.set_status(TaskStatus::Todo).unwrap_err();
    assert_eq!(error.to_string(), "a task cannot go from ARCHIVED to TODO: ARCHIVED is final");
}

#[test]
fn damage_to_a_genesis_file_is_found() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("x")).unwrap();
    let path = ctx.run_path().join("run.json");
    let good = std::fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, &bad).unwrap();
        assert!(ctx.events().is_err(), "bit {bit}");
        assert!(ctx.append(Event::new("x")).is_err(), "bit {bit}");
    }
    std::fs::write(&path, &good).unwrap();
    assert_eq!(ctx.events().unwrap().count(), 1);
}

#[test]
fn a_removed_run_takes_no_more() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let journal = ctx.journal().unwrap();
    std::fs::remove_dir_all(ctx.run_path()).unwrap();
    assert!(matches!(journal.append(Event::new("x")), Err(JournalError::Removed { .. })));
}

#[test]
fn a_run_whose_maker_died_is_finished_by_the_same_call() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    // As if it had died before the last step: everything but run.json.
    std::fs::remove_file(ctx.run_path().join("run.json")).unwrap();
    assert!(test.task().runs().unwrap().is_empty());
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("x")).unwrap();
    assert_eq!(test.task().events().unwrap().count(), 2, "run_started stands once");
    std::fs::remove_file(ctx.run_path().join("run.json")).unwrap();
    assert!(test.start_run("RUN-1").is_err(), "a journal with records and no run.json is damage");
}

#[test]
fn an_id_may_be_given_as_a_text_and_a_bad_one_is_named() {
    let test = TestWorkspace::new().unwrap();
    let id: TaskId = "TASK-1".parse().unwrap();
    assert_eq!(test.workspace().task(&id).unwrap().id(), &id);
    assert_eq!(test.workspace().task("TASK-1").unwrap().id(), &id);
    let error = test.workspace().task("../TASK-1").unwrap_err();
    assert!(matches!(error, WorkspaceError::Id(_)), "{error}");
    assert!(test.task().start_run_as("CON").is_err());
}

#[test]
fn a_genesis_file_is_never_longer_than_can_be_read() {
    let test = TestWorkspace::new().unwrap();
    let options = |length| TaskOptions { objective: "x".repeat(length), ..TaskOptions::default() };
    let refused = test.workspace().create_task("TASK-2", options(1 << 20)).unwrap_err();
    assert!(
        matches!(refused, WorkspaceError::Genesis(GenesisError::TooLong { most: 0x10_0000, .. })),
        "{refused:?}"
    );
    assert!(!test.root().join("TASK-2").exists());
    let long = options((1 << 20) - 300);
    test.workspace().create_task("TASK-2", long.clone()).unwrap();
    let task = test.workspace().task("TASK-2").unwrap();
    assert_eq!(task.genesis().objective, long.objective);
    // What somebody else made so long is not read to its end.
    let file = std::fs::File::options().write(true).open(test.root().join("TASK-2/task.json"));
    file.unwrap().set_len(1 << 40).unwrap();
    match test.workspace().task("TASK-2").unwrap_err() {
        WorkspaceError::Genesis(GenesisError::Damaged { reason, .. }) => {
            assert_eq!(reason, "it is longer than any genesis file");
        }
        other => panic!("{other:?}"),
    }
}
