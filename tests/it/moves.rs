//! Runs that go to another task: all of them arrives, once, whatever comes between.

use std::fs;
use std::sync::Barrier;
use std::time::Duration;

use camino::Utf8PathBuf;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, ArtifactName, Backup, Event, JournalError, Outcome, Prune, ReadData, Run, RunContext,
    Signal, Step, Task, TaskOptions, TaskStatus, Verify, WorkspaceError,
};

use crate::cli::Shell;
use crate::prune::{DAY, complete, id};

const PLAN: Artifact<String> = Artifact::json("plan.json");
const REPORT: Artifact<String> = Artifact::json("report.json");

/// `TASK-1` with a run that has something of each kind, and other tasks.
fn lab() -> (TestWorkspace, RunContext) {
    let test = TestWorkspace::new().unwrap();
    for task in ["TASK-2", "TASK-3"] {
        test.workspace().create_task(task, TaskOptions::default()).unwrap();
    }
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("noted").payload(&"x".repeat(70_000))).unwrap();
    ctx.artifacts().write(PLAN, &"fetch".to_owned()).unwrap();
    report(&ctx);
    ctx.next_checkpoint().unwrap();
    (test, ctx)
}

fn report(ctx: &RunContext) {
    ctx.step(Step::new("report").input(PLAN), |s| {
        s.write(REPORT, &(s.read(PLAN)? + ", then build"))?;
        Ok(Signal::new("done"))
    })
    .unwrap();
}

fn task(test: &TestWorkspace, id: &str) -> Task {
    test.workspace().task(id).unwrap()
}

fn run_of(test: &TestWorkspace, task: &str) -> Run {
    self::task(test, task).run("RUN-1").unwrap()
}

/// What the journal of a task says of runs.
fn said(task: &Task) -> Vec<String> {
    let records = task.events().unwrap().read_all().unwrap().0;
    let of_runs = records.iter().filter(|record| record.aggregate_kind() == "run");
    of_runs
        .map(|record| {
            let payload: serde_json::Value = record.payload().unwrap();
            let place = payload.get("from").or(payload.get("to")).cloned().unwrap_or_default();
            format!("{} {place}", record.event_type())
        })
        .collect()
}

/// Each file of a run, but for locks and what is derived.
fn files(dir: &camino::Utf8Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
        let is_derived = path.contains("/.") || path == "manifest.json";
        if entry.file_type().is_file() && !is_derived {
            found.push((path, fs::read(entry.path()).unwrap()));
        }
    }
    found
}

/// Nothing but notes, contents and index included.
fn assert_good(test: &TestWorkspace) -> Vec<String> {
    let verified = Verify::of(test.workspace()).read_data(ReadData::All).run().unwrap();
    let codes: Vec<_> = verified.findings.iter().map(|found| found.code.to_string()).collect();
    let notes = ["identity_differs", "unborn_run"];
    assert!(codes.iter().all(|code| notes.contains(&code.as_str())), "{:#?}", verified.findings);
    #[cfg(feature = "sqlite")]
    {
        let index = runjournal::index::Index::of(test.workspace());
        index.refresh().unwrap();
        crate::index::check(&index);
    }
    codes
}

#[test]
fn a_run_goes_back_and_forth_with_all_that_it_holds() {
    let (test, ctx) = lab();
    let before = files(&ctx.run_path());
    let mut at = "TASK-1";
    for to in ["TASK-2", "TASK-1", "TASK-3", "TASK-2", "TASK-1"] {
        let moved = run_of(&test, at).move_to(&task(&test, to)).unwrap();
        assert_eq!(moved.context().task_id().as_str(), to);
        assert_eq!(files(&moved.context().run_path()), before);
        assert_eq!(task(&test, at).runs().unwrap(), []);
        assert_eq!(task(&test, to).runs().unwrap(), [id("RUN-1")]);
        let refused = task(&test, at).start_run_as("RUN-1").unwrap_err();
        let told = format!("the run {at}/RUN-1 was moved to {to}/RUN-1 at ");
        assert!(refused.to_string().starts_with(&told), "{refused}");
        let gone = ctx.run().err().map(|error| error.to_string());
        assert_eq!(gone.is_some(), to != "TASK-1", "{gone:?}");
        let there = moved.context().clone().task().unwrap().start_run_as("RUN-1").unwrap_err();
        assert!(matches!(there, WorkspaceError::RunExists { .. }), "{there}");
        let codes = assert_good(&test);
        let expected: &[&str] = if to == "TASK-1" { &[] } else { &["identity_differs"] };
        assert_eq!(codes, expected);
        at = to;
    }
    let (first, second) = (said(&task(&test, "TASK-1")), said(&task(&test, "TASK-2")));
    assert_eq!(
        first,
        [
            "run_started null",
            r#"run_pruned "TASK-2/RUN-1""#,
            r#"run_started "TASK-2/RUN-1""#,
            r#"run_pruned "TASK-3/RUN-1""#,
            r#"run_started "TASK-2/RUN-1""#,
        ]
    );
    assert_eq!(second.len(), 4, "{second:?}");
    ctx.append(Event::new("home")).unwrap();
}

#[test]
fn what_stands_in_the_way_of_a_move_is_told() {
    let (test, ctx) = lab();
    let (run, to) = (ctx.run().unwrap(), task(&test, "TASK-2"));
    let told = |refused: Result<Run, WorkspaceError>| refused.unwrap_err().to_string();

    test.task().hold_run(&id("RUN-1"), "an audit").unwrap();
    let held = told(run.move_to(&to));
    assert!(held.starts_with("the run TASK-1/RUN-1 is held: an audit; let go of it"), "{held}");
    test.task().lift_hold(&id("RUN-1")).unwrap();

    let same = told(run.move_to(test.task()));
    assert!(same.contains("cannot be moved to TASK-1: it is there"), "{same}");
    let elsewhere = TestWorkspace::new().unwrap();
    let other = told(run.move_to(elsewhere.task()));
    assert!(other.contains("is a task of another workspace"), "{other}");

    task(&test, "TASK-3").archive().unwrap();
    let archived = told(run.move_to(&task(&test, "TASK-3")));
    assert!(archived.contains("that task is archived"), "{archived}");

    ctx.step("inside", |s| {
        let busy = told(s.context().run().unwrap().move_to(&to));
        assert!(busy.starts_with("a step of the run TASK-1/RUN-1 runs now: "), "{busy}");
        Ok(Signal::new("done"))
    })
    .unwrap();

    let theirs = to.start_run_as("RUN-1").unwrap();
    let exists = run.move_to(&to).unwrap_err();
    assert!(matches!(exists, WorkspaceError::RunExists { .. }), "{exists}");
    fs::remove_dir_all(theirs.run_path()).unwrap();
    let known = told(run.move_to(&to));
    assert!(known.contains("that task knows another run of this id"), "{known}");

    assert_eq!(said(test.task()), ["run_started null", "hold_placed null", "hold_lifted null"]);
    assert_eq!(run.state().unwrap().steps_open, [""; 0]);
}

#[test]
fn a_run_whose_namesake_was_pruned_stays() {
    let (test, ctx) = lab();
    let to = task(&test, "TASK-2");
    complete(&to.start_run_as("RUN-1").unwrap(), true);
    test.clock().advance(100 * DAY);
    assert_eq!(Prune::of(&to).plan().unwrap().apply().unwrap().runs.len(), 1);
    let pruned = ctx.run().unwrap().move_to(&to).unwrap_err();
    assert!(matches!(pruned, WorkspaceError::RunPruned { .. }), "{pruned}");
    assert!(ctx.run().is_ok());
}

#[test]
fn a_lease_keeps_a_run_from_others_and_follows_it_to_its_holder() {
    let (test, ctx) = lab();
    let (from, to) = (test.task().clone(), task(&test, "TASK-2"));
    let minute = Duration::from_secs(60);
    let lease = from.claim("worker-1", minute).unwrap();
    let refused = ctx.run().unwrap().move_to(&to).unwrap_err();
    assert!(
        matches!(refused, WorkspaceError::Journal(JournalError::LeaseRequired { .. })),
        "{refused}"
    );
    let there = to.claim("worker-2", minute).unwrap();
    let mine = lease.task().run("RUN-1").unwrap();
    let refused = mine.move_to(&to).unwrap_err();
    assert!(
        matches!(refused, WorkspaceError::Journal(JournalError::LeaseRequired { .. })),
        "{refused}"
    );
    let moved = mine.move_to(there.task()).unwrap();
    // Who had it before writes to it no more, before its holder does, and its holder can.
    let last = moved.context().events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    assert_eq!((last.event_type(), last.stream_id()), ("lease_bound", "TASK-2"));
    moved.context().append(Event::new("noted")).unwrap();
    let nobody = to.run("RUN-1").unwrap().context().append(Event::new("late")).unwrap_err();
    assert!(matches!(nobody, JournalError::LeaseRequired { .. }), "{nobody}");
}

/// What a crash leaves between the records and the rename.
#[test]
fn a_move_that_was_interrupted_loses_nothing_and_goes_on() {
    let (test, ctx) = lab();
    let to = task(&test, "TASK-2");
    let moved = ctx.run().unwrap().move_to(&to).unwrap();
    fs::rename(moved.context().run_path(), ctx.run_path()).unwrap();

    assert_eq!(assert_good(&test), ["unborn_run"]);
    let refused = to.start_run_as("RUN-1").unwrap_err().to_string();
    let told = "the run TASK-2/RUN-1 was to be moved there from TASK-1/RUN-1, and is not there; `runjournal run move \
                TASK-1/RUN-1 TASK-2` moves it";
    assert!(refused.starts_with(told), "{refused}");
    let exists = test.task().start_run_as("RUN-1").unwrap_err();
    assert!(matches!(exists, WorkspaceError::RunExists { .. }), "{exists}");

    // It is worked on, and backed up, as before.
    ctx.append(Event::new("more")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dest = Utf8PathBuf::from_path_buf(dir.path().join("backup")).unwrap();
    let snapshot = Backup::create_at(&dest).unwrap().take(test.workspace()).unwrap();
    let restored = Utf8PathBuf::from_path_buf(dir.path().join("restored")).unwrap();
    snapshot.restore_to(&restored).plan().unwrap().apply().unwrap();
    assert!(restored.join("TASK-1/runs/RUN-1/run.json").exists());

    ctx.run().unwrap().move_to(&to).unwrap();
    assert_eq!(assert_good(&test), ["identity_differs"]);
    assert_eq!(said(test.task()), ["run_started null", r#"run_pruned "TASK-2/RUN-1""#]);
    assert_eq!(said(&to), [r#"run_started "TASK-1/RUN-1""#]);
}

/// A run that was to be moved, and grows old where it is, is pruned as any other, and says so.
#[test]
fn a_move_that_nobody_finishes_is_no_prune() {
    let (test, ctx) = lab();
    complete(&ctx, true);
    let moved = ctx.run().unwrap().move_to(&task(&test, "TASK-2")).unwrap();
    fs::rename(moved.context().run_path(), ctx.run_path()).unwrap();
    test.clock().advance(DAY);
    assert!(Prune::of(test.workspace()).plan().unwrap().runs.is_empty());
    test.clock().advance(100 * DAY);
    assert_eq!(Prune::of(test.workspace()).plan().unwrap().apply().unwrap().runs.len(), 1);
    let told: Vec<_> = said(test.task());
    assert_eq!(told[1..], [r#"run_pruned "TASK-2/RUN-1""#, "run_pruned null"]);
}

#[test]
fn the_success_of_a_run_goes_with_it() {
    let (test, ctx) = lab();
    complete(&ctx, true);
    for task in [test.task(), &task(&test, "TASK-2")] {
        task.set_status(TaskStatus::InProgress).unwrap();
        task.set_status(TaskStatus::Done).unwrap();
    }
    let lacks = || {
        let verified = Verify::of(test.workspace()).run().unwrap();
        let lacks = verified.findings.into_iter();
        let lacks = lacks.filter(|found| found.code.to_string() == "done_without_success");
        lacks.map(|found| found.place.path.file_name().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lacks(), ["TASK-2"]);
    let moved = ctx.run().unwrap().move_to(&task(&test, "TASK-2")).unwrap();
    assert_eq!(lacks(), ["TASK-1"]);
    let page = runjournal::Manifest::read(moved.context()).unwrap().unwrap();
    assert_eq!(page.task_id.as_str(), "TASK-2");
}

#[test]
fn of_several_movers_one_has_it_and_those_that_cross_do_not_wait() {
    for _ in 0..8 {
        let (test, ctx) = lab();
        let other = task(&test, "TASK-2").start_run_as("RUN-2").unwrap();
        let start = Barrier::new(4);
        let go = |ctx: &RunContext, to: &str| {
            let (run, to) = (ctx.run().unwrap(), task(&test, to));
            start.wait();
            run.move_to(&to).map(|run| run.context().task_id().to_string())
        };
        let (go, ctx, other) = (&go, &ctx, &other);
        let (moved, crossed) = std::thread::scope(|scope| {
            let movers: Vec<_> = ["TASK-2", "TASK-2", "TASK-3"]
                .map(|to| scope.spawn(move || go(ctx, to)))
                .into_iter()
                .collect();
            let crossed = scope.spawn(move || go(other, "TASK-1"));
            let moved: Vec<_> = movers.into_iter().map(|mover| mover.join().unwrap()).collect();
            (moved, crossed.join().unwrap())
        });
        crossed.unwrap();
        let won: Vec<_> = moved.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{moved:?}");
        for lost in moved.iter().filter_map(|moved| moved.as_ref().err()) {
            assert!(matches!(lost, WorkspaceError::RunMoved { .. }), "{lost}");
        }
        let there = task(&test, won[0]).run("RUN-1").unwrap();
        assert_eq!(there.context().artifacts().read(PLAN).unwrap(), "fetch");
    }
}

/// Whoever writes meanwhile is told, or finds it written.
#[test]
fn nothing_that_is_acknowledged_during_a_move_is_lost() {
    let (test, ctx) = lab();
    let told: usize = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut told = 0;
            for _ in 0..200 {
                told += usize::from(ctx.append(Event::new("counted")).is_ok());
            }
            told
        });
        let mut at = "TASK-1";
        for to in ["TASK-2", "TASK-1", "TASK-2", "TASK-1"] {
            run_of(&test, at).move_to(&task(&test, to)).unwrap();
            at = to;
        }
        writer.join().unwrap()
    });
    let found = ctx.events().unwrap().of_type("counted").read_all().unwrap().0;
    assert_eq!(found.len(), told);
    assert_good(&test);
}

#[test]
fn what_asks_a_run_asks_it_where_it_is() {
    let (test, ctx) = lab();
    let dir = tempfile::tempdir().unwrap();
    let dest = Utf8PathBuf::from_path_buf(dir.path().join("backup")).unwrap();
    let backup = Backup::create_at(&dest).unwrap();
    backup.take(test.workspace()).unwrap();
    let moved = ctx.run().unwrap().move_to(&task(&test, "TASK-2")).unwrap();
    let ctx = moved.context();

    // What is not done again is what was done before.
    report(ctx);
    assert_eq!(moved.state().unwrap().steps_completed, 1);
    ctx.artifacts().write(PLAN, &"skip".to_owned()).unwrap();
    let stale = ctx.lineage().unwrap().stale().to_string();
    assert!(stale.contains("report"), "{stale}");

    assert_eq!(ctx.next_checkpoint().unwrap().turn, 2);
    ctx.checkpoint_at(1).unwrap().artifacts().unwrap().restore(ctx).unwrap();
    assert_eq!(ctx.artifacts().read(PLAN).unwrap(), "fetch");

    let snapshot = backup.take(test.workspace()).unwrap();
    let findings: Vec<_> = snapshot.findings().iter().map(|found| found.code).collect();
    assert!(findings.is_empty(), "{findings:?}");
    let root = Utf8PathBuf::from_path_buf(dir.path().join("restored")).unwrap();
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    assert_eq!(files(&root.join("TASK-2/runs/RUN-1")), files(&ctx.run_path()));
    assert!(!root.join("TASK-1/runs/RUN-1").exists());
    assert_good(&test);
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    let name = ArtifactName::from_static("late.txt");
    assert!(ctx.artifacts().write_bytes(name, b"late").is_err());
}

#[test]
fn the_tool_moves_a_run_and_says_why_not() {
    let shell = Shell::in_run();
    shell.write("plan", "fetch\n");
    shell.ok(&["artifact", "put", "plan.txt", "plan"]);
    let none = shell.refused(3, &["run", "move", "TASK-1/RUN-1", "TASK-2"]);
    assert!(none.starts_with("error: there is no task TASK-2"), "{none}");
    shell.ok(&["task", "create", "TASK-2"]);
    shell.ok(&["run", "hold", "--reason", "audit"]);
    let held = shell.refused(4, &["run", "move", "RUN-1", "TASK-2"]);
    assert!(held.contains("  to do: let go of it with `runjournal run unhold"), "{held}");
    shell.ok(&["run", "unhold"]);
    assert_eq!(shell.ok(&["run", "move", "RUN-1", "TASK-2"]), "TASK-2/RUN-1\n");
    assert_eq!(shell.ok(&["artifact", "cat", "plan.txt", "-r", "TASK-2/RUN-1"]), "fetch\n");
    // A program that was told of the old place is told that it is not there.
    let gone = shell.refused(3, &["artifact", "cat", "plan.txt"]);
    assert!(gone.contains("TASK-1/RUN-1"), "{gone}");
    let back = shell.json(&["run", "move", "TASK-2/RUN-1", "TASK-1"]);
    assert_eq!((&back["run"], &back["from"]), (&"TASK-1/RUN-1".into(), &"TASK-2/RUN-1".into()));
    assert_eq!(shell.ok(&["artifact", "cat", "plan.txt"]), "fetch\n");
    shell.ok(&["verify"]);
}
