//! What was acknowledged after a loss is not lost a second time: by a restore that looks further back than that.

use std::fs;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8Path;
use runjournal::*;

use crate::backups::{Lab, codes};
use crate::checkpoints::ActingClock;

const A: ArtifactName = ArtifactName::from_static("a.txt");

fn journal(home: &Utf8Path) -> camino::Utf8PathBuf {
    home.join("journal/events.jsonl")
}

/// A byte of the last record is another one.
fn harm_the_end(home: &Utf8Path) {
    let mut bytes = fs::read(journal(home)).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(journal(home), bytes).unwrap();
}

/// What is restored to an empty place as the tool does it.
fn restored(lab: &Lab, name: &str) -> (Vec<RestoreItem>, RunContext) {
    let snapshot = lab.backup().snapshots().unwrap().pop().unwrap();
    let to = lab.path(name);
    let plan = snapshot.restore_to(&to).passing_over_errors().plan().unwrap();
    let items = plan.items().to_vec();
    plan.apply().unwrap();
    let task = Workspace::open(&to).unwrap().task("TASK-1").unwrap();
    (items, task.run("RUN-1").unwrap().context().clone())
}

fn has(ctx: &RunContext, event: &str) -> bool {
    ctx.events().unwrap().of_type(event).count() == 1
}

#[test]
fn what_was_written_after_damage_was_closed_off_comes_back() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("one")).unwrap();
    ctx.append(Event::new("two")).unwrap();
    lab.take();
    for home in [ctx.run_path(), lab.test.task().path()] {
        harm_the_end(&home);
        let repaired = Repair::of(lab.test.workspace()).plan().unwrap().apply();
        assert_eq!((repaired.done.len(), repaired.failed.len()), (1, 0), "{repaired:?}");
    }
    ctx.append(Event::new("after")).unwrap();
    // It was told when it was closed off, and is accounted for.
    assert_eq!(codes(lab.take().findings()), [Code::OrphanedRun; 0]);
    let (items, there) = restored(&lab, "all");
    assert!(items.iter().all(|item| item.passed_over.is_empty()), "{items:?}");
    assert!(has(&there, "after"));
    let scope = Scope::run("TASK-1".parse().unwrap(), "RUN-1".parse().unwrap());
    let newest = lab.backup().newest(&scope, None).unwrap();
    let restore = newest.restore_to(lab.path("one")).scope(scope).passing_over_errors();
    let restore = restore.plan().unwrap();
    assert!(restore.items().iter().all(|item| item.snapshot_id == newest.id()));
}

#[test]
fn what_was_written_after_records_were_lost_comes_back() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"first").unwrap();
    let before = fs::read(journal(&ctx.run_path())).unwrap();
    ctx.append(Event::new("lost")).unwrap();
    lab.take();
    fs::write(journal(&ctx.run_path()), before).unwrap();
    let _ = fs::remove_file(ctx.run_path().join("journal/.head"));
    ctx.append(Event::new("after")).unwrap();
    assert_eq!(codes(lab.take().findings()), [Code::JournalShorter]);
    let (items, there) = restored(&lab, "once");
    assert!(has(&there, "after") && !has(&there, "lost"));
    // It is told that an older one has more.
    let run = items.iter().find(|item| item.path.ends_with("RUN-1")).unwrap();
    assert_eq!(codes(&run.findings), [Code::JournalShorter]);
    // Damaged as well: behind the loss lies another history, and nothing is taken from there.
    fs::write(ctx.artifact_path(&A), b"f1rst").unwrap();
    lab.take();
    let (_, there) = restored(&lab, "twice");
    assert!(has(&there, "after") && !has(&there, "lost"));
}

#[test]
fn a_checkpoint_that_is_made_meanwhile_is_no_word_on_the_copy() {
    let readings = Arc::new(AtomicUsize::new(0));
    for at in 1..12 {
        let lab = Lab::new();
        let ctx = lab.test.start_run("RUN-1").unwrap();
        ctx.artifacts().write_bytes(A, b"first").unwrap();
        readings.store(0, Ordering::SeqCst);
        let (seen, writer) = (Arc::clone(&readings), ctx.clone());
        let act = move || {
            if seen.fetch_add(1, Ordering::SeqCst) + 1 == at {
                writer.append(Event::new("noted")).unwrap();
                writer.next_checkpoint().unwrap();
            }
        };
        let backup = lab.backup().with_clock(Arc::new(ActingClock(Mutex::new(act))));
        assert_eq!(backup.take(lab.test.workspace()).unwrap().findings(), []);
        let (_, there) = restored(&lab, "copy");
        let found = Verify::of(&there).read_data(ReadData::All).run().unwrap().findings;
        assert_eq!(found, [], "at reading {at}");
    }
    assert!(readings.load(Ordering::SeqCst) > 3, "nobody came between");
}

/// A new run under the id of one that is lost would hide the loss.
#[test]
fn the_id_of_a_lost_run_is_not_given_away_until_it_is_given_up() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    let (task, run) = (lab.test.task(), ctx.run_id().clone());
    task.hold_run(&run, "an audit").unwrap();
    let snapshot = lab.take();
    fs::remove_dir_all(ctx.run_path()).unwrap();
    for refused in [task.start_run_as("RUN-1"), task.open_or_start_run("RUN-1")] {
        let error = refused.unwrap_err();
        assert!(matches!(error, WorkspaceError::RunLost { .. }), "{error}");
    }
    let scope = Scope::run(task.id().clone(), run.clone());
    let restore = || snapshot.restore_to(lab.test.root()).scope(scope.clone()).plan().unwrap();
    restore().apply().unwrap();
    assert!(Verify::of(task).run().unwrap().is_clean());
    fs::remove_dir_all(ctx.run_path()).unwrap();
    let missing = |code| Verify::of(task).run().unwrap().findings.iter().any(|it| it.code == code);
    assert!(missing(Code::JournalMissing));
    assert!(task.lift_hold(&run).unwrap());
    assert!(!missing(Code::JournalMissing) && missing(Code::UnbornRun));
    task.start_run_as("RUN-1").unwrap();
    assert!(Verify::of(task).run().unwrap().is_clean());
}

#[test]
fn a_task_that_came_between_gets_no_run_of_another() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    let (task, root) = (lab.test.task().path(), lab.test.root());
    fs::remove_dir_all(task.join("runs/RUN-1")).unwrap();
    let scope = Scope::run("TASK-1".parse().unwrap(), "RUN-1".parse().unwrap());
    let plan = snapshot.restore_to(root).scope(scope).plan().unwrap();
    fs::remove_dir_all(&task).unwrap();
    let options = TaskOptions { title: "another".into(), ..TaskOptions::default() };
    let other = lab.test.workspace().create_task("TASK-1", options).unwrap();
    assert!(matches!(plan.apply(), Err(BackupError::CameBetween { .. })));
    assert_eq!(other.runs().unwrap(), []);
    assert_eq!(other.events().unwrap().of_type("run_restored").count(), 0);
}

#[test]
fn tasks_without_their_workspace_do_not_get_another_one() {
    let lab = Lab::with_runs();
    let file = lab.test.root().join("workspace.json");
    let whole = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    for refused in [Workspace::create(lab.test.root()), Workspace::open_or_create(lab.test.root())]
    {
        let error = refused.unwrap_err();
        assert!(matches!(error, WorkspaceError::GenesisLost { .. }), "{error}");
    }
    fs::write(&file, whole).unwrap();
    Workspace::open_or_create(lab.test.root()).unwrap();
}

#[test]
fn what_lost_its_genesis_file_is_trouble() {
    let lab = Lab::with_runs();
    let troubles = || {
        let page = Health::of(lab.test.workspace()).unwrap();
        let paths = page.troubles.into_iter().filter_map(|trouble| match trouble {
            HealthTrouble::Unreadable { path, .. } => Some(path.into_string()),
            _ => None,
        });
        paths.collect::<Vec<_>>()
    };
    assert_eq!(troubles(), Vec::<String>::new());
    fs::remove_file(lab.ctx("RUN-1").run_path().join("run.json")).unwrap();
    assert_eq!(troubles(), ["TASK-1/runs/RUN-1/run.json"]);
    fs::remove_file(lab.test.task().path().join("task.json")).unwrap();
    assert_eq!(troubles(), ["TASK-1/task.json"]);
}
