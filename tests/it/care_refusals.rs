//! What backup, restore and prune refuse or leave alone: another one at the same work, what came between a look
//! and a deed, forged pages, journals that changed or were damaged meanwhile.

use std::fs;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::TestWorkspace;
use runjournal::*;

use crate::backups::{Lab, assert_same, codes, pattern, reseal, truth};
use crate::checkpoints::ActingClock;
use crate::prune::{DAY, complete, id};

const A: ArtifactName = ArtifactName::from_static("a.txt");
const SHORT: Duration = Duration::from_millis(20);

/// A clock that does something at its readings, but not at those that this itself makes.
fn acting(act: impl FnMut() + Send + 'static) -> Arc<dyn Clock> {
    Arc::new(ActingClock(Mutex::new(act)))
}

fn only(run: &str) -> Scope {
    Scope::run("TASK-1".parse().unwrap(), run.parse().unwrap())
}

/// A lab with a run that has an artifact.
fn lab_with(runs: &[&str]) -> Lab {
    let lab = Lab::new();
    for run in runs {
        let content = format!("content of {run}");
        lab.test.start_run(run).unwrap().artifacts().write_bytes(A, content.as_bytes()).unwrap();
    }
    lab
}

#[test]
fn a_backup_that_is_being_taken_is_not_pruned() {
    let lab = lab_with(&["RUN-1"]);
    lab.take();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (backup, tell) = (lab.backup().with_lock_timeout(SHORT), Arc::clone(&seen));
    let prune = move || {
        tell.lock().unwrap().push(backup.prune(Retention::default()).plan().unwrap().apply())
    };
    lab.ctx("RUN-1").append(Event::new("noted")).unwrap();
    lab.backup().with_clock(acting(prune)).take(lab.test.workspace()).unwrap();
    let seen = seen.lock().unwrap();
    // It was tried at the beginning, and before each new object.
    assert!(seen.len() > 2);
    for pruned in seen.iter() {
        assert!(matches!(pruned, Err(BackupError::Busy { .. })), "{pruned:?}");
    }
    assert_eq!(lab.backup().verify(true).unwrap().findings, []);
}

#[test]
fn two_restores_into_one_root_wait_for_each_other() {
    let lab = lab_with(&["RUN-1", "RUN-2"]);
    lab.take();
    let other = lab.backup().with_lock_timeout(SHORT).snapshots().unwrap().remove(0);
    let before = truth(&lab.ctx("RUN-1").run_path());
    for run in ["RUN-1", "RUN-2"] {
        fs::remove_dir_all(lab.ctx(run).run_path()).unwrap();
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (root, tell) = (lab.test.root().to_owned(), Arc::clone(&seen));
    let restore = move || {
        let plan = other.restore_to(&root).scope(only("RUN-2")).plan().unwrap();
        tell.lock().unwrap().push(plan.apply());
    };
    let backup = lab.backup().with_clock(acting(restore));
    let snapshot = backup.snapshots().unwrap().remove(0);
    let plan = snapshot.restore_to(lab.test.root()).scope(only("RUN-1")).plan().unwrap();
    plan.apply().unwrap();
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty());
    for restored in seen.iter() {
        assert!(matches!(restored, Err(BackupError::Busy { .. })), "{restored:?}");
    }
    assert_eq!(truth(&lab.ctx("RUN-1").run_path()), before);
    assert!(!lab.test.root().join(".restoring").exists());
}

/// Also an empty directory, which a plain rename would replace.
#[test]
fn nothing_that_came_between_is_replaced() {
    let lab = lab_with(&["RUN-1"]);
    let snapshot = lab.take();
    let run = lab.ctx("RUN-1").run_path();
    fs::remove_dir_all(&run).unwrap();
    // Once the restore has looked whether the place is free, while it says in the journal that it is used.
    let made = run.clone();
    let make = move || drop(fs::create_dir(&made));
    let backup = lab.backup().with_clock(acting(make));
    let acting = backup.snapshot(&snapshot.id().to_string()).unwrap();
    let plan = acting.restore_to(lab.test.root()).scope(only("RUN-1")).plan().unwrap();
    assert!(!run.exists(), "it was made too early");
    assert!(matches!(plan.apply(), Err(BackupError::CameBetween { .. })));
    assert_eq!(fs::read_dir(&run).unwrap().count(), 0);

    let root = lab.path("elsewhere");
    let plan = snapshot.restore_to(&root).plan().unwrap();
    let other = Workspace::create(&root).unwrap();
    fs::create_dir(root.join("TASK-1")).unwrap();
    assert!(matches!(plan.apply(), Err(BackupError::CameBetween { .. })));
    assert_eq!(fs::read_dir(root.join("TASK-1")).unwrap().count(), 0);
    // Nor does it become another workspace.
    assert_eq!(Workspace::open(&root).unwrap().genesis(), other.genesis());
    assert_ne!(other.genesis(), lab.test.workspace().genesis());
    assert!(!root.join(".restoring").exists());
}

/// Where the object with this digest lies.
fn object(lab: &Lab, digest: Digest) -> Utf8PathBuf {
    let hex = digest.to_hex();
    lab.path("backup/objects").join(&hex[..2]).join(&hex[2..])
}

/// The page of a run: its digest in the newest snapshot.
fn page(lab: &Lab, run: &str) -> Digest {
    let id = lab.backup().snapshots().unwrap().pop().unwrap().id();
    let text = fs::read_to_string(lab.path(&format!("backup/snapshots/{id}.json"))).unwrap();
    let behind = text.split(&format!("runs/{run}\",\"page\":\"")).nth(1).unwrap();
    behind.split('"').next().unwrap().parse().unwrap()
}

/// Has the newest snapshot name another page for a run.
fn point(lab: &Lab, run: &str, to: Digest) -> Snapshot {
    let id = lab.backup().snapshots().unwrap().pop().unwrap().id().to_string();
    let named = |digest: Digest| format!("runs/{run}\",\"page\":\"{digest}");
    let file = lab.path(&format!("backup/snapshots/{id}.json"));
    reseal(&file, &named(page(lab, run)), &named(to));
    lab.backup().snapshot(&id).unwrap()
}

/// Forges a page of a run, with a right seal and under its right digest.
fn forged(lab: &Lab, run: &str, from: &str, to: &str) -> Snapshot {
    let forged = lab.path("page");
    fs::copy(object(lab, page(lab, run)), &forged).unwrap();
    reseal(&forged, from, to);
    let bytes = fs::read(&forged).unwrap();
    let place = object(lab, Digest::of(&bytes));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place, &bytes).unwrap();
    point(lab, run, Digest::of(&bytes))
}

fn restore(lab: &Lab, snapshot: &Snapshot) -> Result<Restored, BackupError> {
    let root = lab.path("elsewhere");
    let restored = snapshot.restore_to(&root).plan().and_then(RestorePlan::apply);
    if restored.is_err() {
        assert!(!root.join("TASK-1").exists(), "something was put in place");
    }
    restored
}

/// Its seal is right, and it is not what its name says.
#[test]
fn a_page_is_read_only_under_its_own_digest() {
    let lab = lab_with(&["RUN-1"]);
    let snapshot = lab.take();
    let place = object(&lab, page(&lab, "RUN-1"));
    reseal(&place, "artifacts/a.txt", "artifacts/b.txt");
    let (task, run) = ("TASK-1".parse().unwrap(), "RUN-1".parse().unwrap());
    let known = snapshot.home(&task, Some(&run));
    assert!(matches!(known, Err(BackupError::Damaged { .. })), "{known:?}");
    let restored = restore(&lab, &snapshot);
    assert!(matches!(restored, Err(BackupError::Damaged { .. })), "{restored:?}");
    // It is told, and nothing of it is used by the next.
    assert!(!lab.backup().verify(false).unwrap().findings.is_empty());
    assert!(lab.backup().prune(Retention::default()).plan().is_err());
}

/// The records have to lead to where the page says that they do.
#[test]
fn a_journal_that_does_not_end_where_its_page_says_is_not_restored() {
    for (from, to) in [("\"seq\":1,", "\"seq\":2,"), ("\"offset\":", "\"offset\":1")] {
        let lab = lab_with(&["RUN-1"]);
        lab.take();
        let snapshot = forged(&lab, "RUN-1", from, to);
        let restored = restore(&lab, &snapshot);
        assert!(matches!(restored, Err(BackupError::Damaged { .. })), "{from}: {restored:?}");
    }
}

/// Each file is whole, and one belongs to another run: the journal does not go on from it.
#[test]
fn a_run_is_not_restored_with_the_genesis_file_of_another() {
    let lab = lab_with(&["RUN-1", "RUN-2"]);
    lab.take();
    let genesis =
        |run: &str| Digest::of(&fs::read(lab.ctx(run).run_path().join("run.json")).unwrap());
    let (own, other) = (genesis("RUN-1").to_string(), genesis("RUN-2").to_string());
    let snapshot = forged(&lab, "RUN-1", &own, &other);
    let restored = restore(&lab, &snapshot);
    assert!(matches!(restored, Err(BackupError::Damaged { .. })), "{restored:?}");
}

/// Whatever becomes of a journal while it is copied, a snapshot holds what can be restored.
#[test]
fn a_journal_that_becomes_another_while_it_is_copied_is_told() {
    let mut told = [0, 0];
    for at in 1..7 {
        for (how, told) in told.iter_mut().enumerate() {
            let lab = lab_with(&["RUN-1"]);
            lab.ctx("RUN-1").append(Event::new("noted")).unwrap();
            let journal = lab.ctx("RUN-1").journal_path();
            let mut readings = 0;
            let change = move || {
                readings += 1;
                if readings != at {
                    return;
                }
                let mut bytes = fs::read(&journal).unwrap();
                if how == 0 {
                    // Of the same length: its last hash is another one.
                    let last = bytes.len() - 10;
                    bytes[last] = if bytes[last] == b'0' { b'1' } else { b'0' };
                } else {
                    bytes.truncate(bytes.len() / 2);
                }
                let other = journal.with_file_name("other");
                fs::write(&other, bytes).unwrap();
                fs::rename(other, &journal).unwrap();
            };
            match lab.backup().with_clock(acting(change)).take(lab.test.workspace()) {
                Ok(snapshot) => drop(restore(&lab, &snapshot).unwrap()),
                Err(BackupError::Changed { .. }) => *told += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(told.iter().all(|told| *told > 0), "{told:?}");
}

#[test]
fn the_newest_snapshot_stays_whatever_the_count() {
    let lab = lab_with(&["RUN-1"]);
    let good = lab.take();
    fs::write(lab.ctx("RUN-1").run_path().join("artifacts/a.txt"), "harmed").unwrap();
    let newest = lab.take();
    assert_eq!(codes(newest.findings()), [Code::ArtifactChanged]);
    let plan = lab.backup().prune(Retention::default().keep_last(0)).plan().unwrap();
    let kept: Vec<_> = plan.keep().iter().map(|(snapshot, why)| (snapshot.id(), *why)).collect();
    let expected = [(good.id(), SnapshotKept::NewestGood), (newest.id(), SnapshotKept::Newest)];
    assert_eq!(kept, expected);
}

/// A crash between the word and the deed: it stands, so it is in the backup.
#[test]
fn a_run_that_is_said_to_be_pruned_and_stands_is_backed_up() {
    let lab = lab_with(&["RUN-1", "RUN-2"]);
    let run = lab.ctx("RUN-1").run_path();
    complete(&lab.ctx("RUN-1"), true);
    let aside = lab.path("aside");
    lab.take().restore_to(&aside).plan().unwrap().apply().unwrap();
    lab.test.clock().advance(100 * DAY);
    lab.ctx("RUN-2").append(Event::new("noted")).unwrap();
    let pruned = Prune::of(lab.test.workspace()).plan().unwrap().apply().unwrap();
    assert_eq!(pruned.runs.len(), 1);
    assert_eq!(lab.take().homes().count(), 2, "the task, and the run that is left");
    // Another file system than the workspace's, perhaps: copied, not moved.
    for (path, bytes) in truth(&aside.join("TASK-1/runs/RUN-1")) {
        let path = run.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let snapshot = lab.take();
    assert_eq!(snapshot.homes().count(), 3);
    restore(&lab, &snapshot).unwrap();
    assert_same(lab.test.root(), &lab.path("elsewhere"));
}

fn plan(test: &TestWorkspace) -> PrunePlan {
    Prune::of(test.workspace()).plan().unwrap()
}

fn said(test: &TestWorkspace) -> usize {
    test.task().events().unwrap().of_type("run_pruned").count()
}

#[test]
fn no_run_goes_where_the_trash_is_no_directory() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    complete(&ctx, true);
    test.clock().advance(100 * DAY);
    let before = truth(&ctx.run_path());
    fs::write(test.root().join(".trash"), "somebody's").unwrap();
    let pruned = plan(&test).apply().unwrap();
    assert!(pruned.runs.is_empty());
    let kept = pruned.kept.first().expect("nothing is said of it");
    assert!(matches!(kept.why, Keep::Failed { .. }), "{}", kept.why);
    assert!(kept.why.to_string().contains(".trash"), "{}", kept.why);
    assert_eq!((said(&test), truth(&ctx.run_path())), (0, before));
    assert_eq!(fs::read(test.root().join(".trash")).unwrap(), b"somebody's");
    fs::remove_file(test.root().join(".trash")).unwrap();
    assert_eq!(plan(&test).apply().unwrap().runs.len(), 1);
}

/// Adds a whole line to a journal that is no record.
fn damage_behind(ctx: &RunContext) {
    let text = fs::read_to_string(ctx.journal_path()).unwrap();
    let last = text.split_inclusive('\n').next_back().unwrap();
    // A record that says its own seq again, and was changed by a letter.
    let changed = last.replacen("event_type", "event_tipe", 1);
    assert_ne!(changed, last);
    let mut file = fs::File::options().append(true).open(ctx.journal_path()).unwrap();
    file.write_all(changed.as_bytes()).unwrap();
}

#[test]
fn a_run_that_was_damaged_since_the_plan_stays() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("noted")).unwrap();
    complete(&ctx, true);
    test.clock().advance(100 * DAY);
    let planned = plan(&test);
    assert_eq!(planned.runs.len(), 1);
    damage_behind(&ctx);
    let before = truth(&ctx.run_path());
    let pruned = planned.apply().unwrap();
    assert_eq!((pruned.runs.len(), pruned.kept.len(), said(&test)), (0, 1, 0), "{:?}", pruned.kept);
    assert_eq!(truth(&ctx.run_path()), before);
    assert_eq!(test.task().runs().unwrap(), [id("RUN-1")]);
}

/// Puts an object into a home that nobody named, and says where.
fn stray(home: &Utf8Path, bytes: &[u8]) -> Utf8PathBuf {
    let hex = Digest::of(bytes).to_hex();
    let path = home.join("objects").join(&hex[..2]).join(&hex[2..]);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn objects_stay_once_the_journal_was_damaged_that_may_name_them() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("noted")).unwrap();
    let stray = stray(&ctx.run_path(), b"nobody's");
    // The times of files are those of the system.
    test.clock().advance(3650 * DAY);
    ctx.append(Event::new("noted")).unwrap();
    let planned = plan(&test);
    assert_eq!(planned.leftovers.len(), 1);
    damage_behind(&ctx);
    let pruned = planned.apply().unwrap();
    assert!(pruned.leftovers.is_empty(), "{:?}", pruned.leftovers);
    assert!(stray.exists());
}

#[test]
fn objects_stay_while_a_checkpoint_is_missing_that_may_name_them() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, &pattern(100)).unwrap();
    ctx.checkpoint(1).unwrap();
    let strays = [stray(&ctx.run_path(), b"nobody's"), stray(&ctx.run_path(), &pattern(100))];
    let page = ctx.run_path().join("checkpoints/1.json");
    let bytes = fs::read(&page).unwrap();
    test.clock().advance(3650 * DAY);
    ctx.append(Event::new("noted")).unwrap();
    let found = |plan: &PrunePlan| plan.leftovers.iter().map(|left| left.kind).collect::<Vec<_>>();
    assert_eq!(found(&plan(&test)), [LeftoverKind::Object]);
    let planned = plan(&test);
    // It can be made again, as long as what it names is there.
    fs::remove_file(&page).unwrap();
    assert_eq!(found(&plan(&test)), []);
    assert!(planned.apply().unwrap().leftovers.is_empty());
    assert!(strays.iter().all(|stray| stray.exists()));
    fs::write(&page, bytes).unwrap();
    assert_eq!(plan(&test).apply().unwrap().leftovers.len(), 1);
    assert_eq!(strays.map(|stray| stray.exists()), [false, true]);
}
