//! Snapshots: what goes in comes out to the byte, and what cannot is told.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::TestWorkspace;
use runjournal::*;
use serde_json::json;

const A: ArtifactName = ArtifactName::from_static("a.txt");
const DEEP: ArtifactName = ArtifactName::from_static("deep/below/b.json");
const LARGE: ArtifactName = ArtifactName::from_static("large.bin");
const GONE: ArtifactName = ArtifactName::from_static("gone.txt");

/// A workspace, and a directory beside it for the backup and for what is restored.
pub(crate) struct Lab {
    pub(crate) test: TestWorkspace,
    pub(crate) dir: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        // In memory where that can be had: to sync a whole disk takes as long as others write to it.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        Self { test: TestWorkspace::new().unwrap(), dir: dir.unwrap() }
    }

    /// A task with a complete run and an open one, and a second task.
    pub(crate) fn with_runs() -> Self {
        let lab = Self::new();
        let done = lab.run("RUN-1");
        done.run().unwrap().complete(Outcome::Success, None).unwrap();
        lab.run("RUN-2");
        let options = TaskOptions { title: "Another".into(), ..TaskOptions::default() };
        lab.test.workspace().create_task("TASK-2", options).unwrap();
        lab
    }

    /// A run with all that a run can have.
    pub(crate) fn run(&self, id: &str) -> RunContext {
        let ctx = self.test.start_run(id).unwrap();
        let store = ctx.artifacts();
        store.write_bytes(A, b"first").unwrap();
        store.write_bytes(GONE, b"to be removed").unwrap();
        store.write_bytes(LARGE, &pattern(5 << 18)).unwrap();
        ctx.step("work", |s| {
            s.write_bytes(DEEP, b"{}\n")?;
            Ok(Signal::new("done"))
        })
        .unwrap();
        store.write_bytes(A, format!("second, of {id}").as_bytes()).unwrap();
        store.remove(GONE).unwrap();
        ctx.append(Event::new("said").payload(&"x".repeat(100_000))).unwrap();
        ctx
    }

    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.dir.path()).unwrap().join(name)
    }

    pub(crate) fn backup(&self) -> Backup {
        Backup::create_at(self.path("backup")).unwrap()
    }

    pub(crate) fn take(&self) -> Snapshot {
        self.backup().take(self.test.workspace()).unwrap()
    }

    pub(crate) fn ctx(&self, run: &str) -> RunContext {
        self.test.task().run(run).unwrap().context().clone()
    }
}

/// Bytes that no compression and no accident makes.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Every file of the truth below a root, by its path.
pub(crate) fn truth(root: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file());
    let truth = files.filter_map(|entry| {
        let path = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        let derived = |part: &str| {
            part.starts_with(".head")
                || matches!(part, ".lock" | ".sync" | ".lease" | ".flow" | ".tmp")
        };
        let derived = path.split('/').any(derived) || path.ends_with("/manifest.json");
        (!derived).then(|| (path, fs::read(entry.path()).unwrap()))
    });
    truth.collect()
}

#[track_caller]
pub(crate) fn assert_same(left: &Utf8Path, right: &Utf8Path) {
    let (left, right) = (truth(left), truth(right));
    let names = |tree: &BTreeMap<String, Vec<u8>>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for (path, content) in &left {
        assert!(right[path] == *content, "{path} differs");
    }
}

pub(crate) fn codes(findings: &[Finding]) -> Vec<Code> {
    findings.iter().map(|finding| finding.code).collect()
}

fn flip(path: &Utf8Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_goes_in_comes_out_and_works() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    assert_eq!(snapshot.findings(), []);
    let totals = snapshot.totals();
    assert_eq!((totals.tasks, totals.runs), (2, 2));
    let objects = walkdir::WalkDir::new(lab.path("backup/objects")).into_iter();
    let sizes = objects.map(|object| object.unwrap().metadata().unwrap().len());
    assert_eq!(sizes.filter(|size| *size == 5 << 18).count(), 1, "the large file of both runs");
    let verified = lab.backup().verify(true).unwrap();
    assert_eq!((verified.findings.as_slice(), verified.snapshots), ([].as_slice(), 1));

    let root = lab.path("deep/elsewhere");
    let plan = snapshot.restore_to(&root).plan().unwrap();
    assert!(!root.exists(), "a plan changes nothing");
    let restored = plan.apply().unwrap();
    assert_eq!(restored.put.len(), 4);
    assert_same(lab.test.root(), &root);
    assert!(!root.join(".restoring").exists());

    let workspace = Workspace::open(&root).unwrap();
    assert_eq!(workspace.genesis(), lab.test.workspace().genesis());
    let task = workspace.task("TASK-1").unwrap();
    let done = task.run("RUN-1").unwrap();
    assert_eq!(done.state().unwrap().findings, []);
    let page = Manifest::read(done.context()).unwrap().unwrap();
    assert_eq!(Some(page.clone()), Manifest::read(&lab.ctx("RUN-1")).unwrap());
    assert_eq!(page.compare(done.context()).unwrap(), []);
    let open = task.run("RUN-2").unwrap();
    assert_eq!(Manifest::read(open.context()).unwrap(), None);
    assert_eq!(open.context().manifest().unwrap().compare(open.context()).unwrap(), []);
    let events = open.context().events().unwrap().of_type("said");
    assert_eq!(
        events.map(|e| e.unwrap().payload::<String>().unwrap().len()).sum::<usize>(),
        100_000
    );

    // It goes on like the original.
    open.context().append(Event::new("went_on")).unwrap();
    open.context().step("work", |_| unreachable!("it is complete")).unwrap();
    open.context().step("more", |_| Ok(Signal::new("done"))).unwrap();
    task.start_run_as("RUN-3").unwrap();
    let lease = task.claim("worker", Duration::from_secs(60)).unwrap();
    lease.task().run("RUN-2").unwrap().context().append(Event::new("held")).unwrap();
    lease.release().unwrap();
}

#[test]
fn what_did_not_change_is_not_written_again() {
    let lab = Lab::with_runs();
    let first = lab.take();
    let second = lab.take();
    assert_eq!(second.totals().new_bytes, 0);
    assert_eq!(second.parent(), Some(first.id()));
    lab.ctx("RUN-2").append(Event::new("one")).unwrap();
    lab.ctx("RUN-2").artifacts().write_bytes(A, b"third").unwrap();
    let third = lab.take();
    let changed = third.totals().new_bytes;
    assert!((1..20_000).contains(&changed), "{changed}");
    let root = lab.path("elsewhere");
    third.restore_to(&root).plan().unwrap().apply().unwrap();
    assert_same(lab.test.root(), &root);
    // The first is what it was.
    let old = lab.path("old");
    first.restore_to(&old).plan().unwrap().apply().unwrap();
    assert_eq!(
        fs::read(old.join("TASK-1/runs/RUN-2/artifacts/a.txt")).unwrap(),
        b"second, of RUN-2"
    );
}

#[test]
fn a_long_journal_grows_by_its_last_piece() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    let journal = ctx.journal().unwrap();
    let event = || Event::new("said").payload(&"x".repeat(50_000));
    for _ in 0..50 {
        journal.append(event()).unwrap();
    }
    lab.take();
    journal.append(event()).unwrap();
    let snapshot = lab.take();
    let length = fs::metadata(ctx.journal_path()).unwrap().len();
    assert!(length > 2 << 20 && snapshot.totals().new_bytes < (1 << 20) + 10_000);
    let root = lab.path("elsewhere");
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    assert_same(lab.test.root(), &root);
    let known = snapshot.home(lab.test.task().id(), Some(ctx.run_id())).unwrap().unwrap();
    assert_eq!(known.cursor, Some(ctx.manifest().unwrap().cursor()));
}

#[test]
fn a_backup_stands_apart_and_among_nothing_else() {
    let lab = Lab::with_runs();
    let workspace = lab.test.workspace();
    let within = lab.test.root().join("TASK-1/backup");
    let inside = Backup::create_at(&within);
    assert!(matches!(inside, Err(BackupError::Inside { .. })), "{inside:?}");
    assert!(!within.exists());
    // One that was moved there.
    let moved = lab.test.root().with_file_name("moved");
    Backup::create_at(&moved).unwrap();
    fs::rename(&moved, &within).unwrap();
    let inside = Backup::open(&within).unwrap().take(workspace);
    assert!(matches!(inside, Err(BackupError::Inside { .. })), "{inside:?}");
    #[cfg(unix)]
    {
        let link = lab.path("link");
        std::os::unix::fs::symlink(&within, &link).unwrap();
        let inside = Backup::open(&link).unwrap().take(workspace);
        assert!(matches!(inside, Err(BackupError::Inside { .. })), "{inside:?}");
    }
    fs::write(lab.path("something"), "else").unwrap();
    let among = Backup::create_at(lab.path(""));
    assert!(matches!(among, Err(BackupError::NotEmpty { .. })), "{among:?}");
    let none = Backup::open(lab.path("nowhere"));
    assert!(matches!(none, Err(BackupError::NotABackup { .. })), "{none:?}");
    assert!(!lab.path("nowhere").exists());

    let snapshot = lab.take();
    let into = snapshot.restore_to(lab.path("backup/objects")).plan();
    assert!(matches!(into, Err(BackupError::Inside { .. })), "{into:?}");
    let among = snapshot.restore_to(lab.path("")).plan();
    assert!(matches!(among, Err(BackupError::Inside { .. })), "{among:?}");
    fs::create_dir(lab.path("mine")).unwrap();
    fs::write(lab.path("mine/file"), "of mine").unwrap();
    let among = snapshot.restore_to(lab.path("mine")).plan();
    assert!(matches!(among, Err(BackupError::Refused { .. })), "{among:?}");
}

/// Puts a member of another value into a sealed line, whose hash fits again.
pub(crate) fn reseal(path: &Utf8Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    let body = text.rsplit_once(",\"hash\"").unwrap().0;
    assert!(body.contains(from), "{body}");
    let body = body.replacen(from, to, 1);
    let hash = Digest::of(body.as_bytes()).to_hex();
    fs::write(path, format!("{body},\"hash\":\"{hash}\"}}\n")).unwrap();
}

#[test]
fn newer_formats_are_left_alone() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    let file = lab.path(&format!("backup/snapshots/{}.json", snapshot.id()));
    let (one, two) = ("\"format_version\":1", "\"format_version\":2");
    reseal(&file, one, two);
    let newer = lab.backup().snapshot(&snapshot.id().to_string());
    assert!(matches!(newer, Err(BackupError::NewerFormat { found: 2, .. })), "{newer:?}");
    assert_eq!(lab.backup().snapshots().unwrap().len(), 0);
    assert_eq!(codes(&lab.backup().verify(false).unwrap().findings), [Code::NewerFormat]);
    // What it names is not known, so nothing is removed.
    let prune = lab.backup().prune(Retention::default()).plan();
    assert!(matches!(prune, Err(BackupError::NewerFormat { .. })), "{prune:?}");
    // A snapshot beside it is no trouble.
    assert_eq!(lab.take().totals().new_bytes, 0);

    reseal(&lab.path("backup/backup.json"), one, two);
    let newer = Backup::create_at(lab.path("backup"));
    assert!(matches!(newer, Err(BackupError::NewerFormat { found: 2, .. })), "{newer:?}");
    let other = Backup::create_at(lab.path("other")).unwrap();
    let snapshot = other.take(lab.test.workspace()).unwrap();
    reseal(&lab.test.root().join("workspace.json"), one, two);
    let newer = other.take(lab.test.workspace());
    assert!(matches!(newer, Err(BackupError::Genesis(_))), "{newer:?}");
    let newer = snapshot.restore_to(lab.test.root()).plan();
    assert!(matches!(newer, Err(BackupError::Genesis(_))), "{newer:?}");
}

#[test]
fn a_lost_run_comes_back_into_its_task() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    let run = lab.ctx("RUN-2").run_path();
    let before = truth(&run);
    fs::remove_dir_all(&run).unwrap();
    let restore = || snapshot.restore_to(lab.test.root());
    let restored = restore().plan().unwrap().apply().unwrap();
    assert_eq!(restored.put, ["TASK-1/runs/RUN-2"]);
    assert_eq!(restored.same, ["TASK-1", "TASK-1/runs/RUN-1", "TASK-2"]);
    assert_eq!(truth(&run), before);
    lab.ctx("RUN-2").append(Event::new("went_on")).unwrap();
    let said = || {
        let events = lab.test.task().events().unwrap().of_type("run_restored");
        events.map(|e| e.unwrap().payload::<serde_json::Value>().unwrap()).collect::<Vec<_>>()
    };
    let home =
        snapshot.home(lab.test.task().id(), Some(lab.ctx("RUN-2").run_id())).unwrap().unwrap();
    let at = home.cursor.unwrap();
    let journal = json!({"bytes": at.offset(), "last_seq": at.seq(), "hash": at.hash()});
    let record = json!({"run_id": "RUN-2", "snapshot_id": snapshot.id(), "journal": journal});
    assert_eq!(said(), [record]);

    // It went on since, so it is not what the snapshot has.
    let plan = restore().plan().unwrap();
    assert!(plan.is_refused());
    fs::remove_dir_all(lab.ctx("RUN-1").run_path()).unwrap();
    let refused = restore().plan().unwrap().apply();
    assert!(matches!(refused, Err(BackupError::Refused { .. })), "{refused:?}");
    assert!(lab.test.task().run("RUN-1").is_err(), "nothing is put in place");
    // A scope leaves the other alone.
    let only = Scope::run(lab.test.task().id().clone(), RunId::new("RUN-1").unwrap());
    let restored = restore().scope(only.clone()).plan().unwrap().apply().unwrap();
    assert_eq!(restored.put, ["TASK-1/runs/RUN-1"]);
    let again = restore().scope(only).plan().unwrap().apply().unwrap();
    assert_eq!((again.put.len(), again.same.len()), (0, 2));
    assert_eq!(said().len(), 2);
    assert!(Manifest::read(&lab.ctx("RUN-1")).unwrap().is_some());
}

#[test]
fn a_lost_task_comes_back_whole() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    let before = truth(lab.test.root());
    fs::remove_dir_all(lab.test.task().path()).unwrap();
    let scope = Scope::task(lab.test.task().id().clone());
    let restored =
        snapshot.restore_to(lab.test.root()).scope(scope).plan().unwrap().apply().unwrap();
    assert_eq!(restored.put, ["TASK-1", "TASK-1/runs/RUN-1", "TASK-1/runs/RUN-2"]);
    assert_eq!(truth(lab.test.root()), before);
    // Another history of a task is not gone on from.
    fs::remove_dir_all(lab.test.task().path()).unwrap();
    lab.test.workspace().create_task("TASK-1", TaskOptions::default()).unwrap();
    let plan = snapshot.restore_to(lab.test.root()).plan().unwrap();
    assert!(matches!(plan.items()[0].action, RestoreAction::Refused(_)), "{:?}", plan.items()[0]);
}

#[test]
fn a_run_takes_its_task_along() {
    let lab = Lab::with_runs();
    let snapshot = lab.backup().take(&lab.ctx("RUN-2")).unwrap();
    let homes: Vec<_> = snapshot.homes().map(|(_, run)| run.map(RunId::as_str)).collect();
    assert_eq!(homes, [None, Some("RUN-2")]);
    for snapshot in [snapshot, lab.take()] {
        let root = lab.path(&format!("elsewhere-{}", snapshot.id()));
        let scope = Scope::run(lab.test.task().id().clone(), RunId::new("RUN-2").unwrap());
        let plan = snapshot.restore_to(&root).scope(scope).plan().unwrap();
        assert_eq!(plan.apply().unwrap().put, ["TASK-1", "TASK-1/runs/RUN-2"]);
        let run = root.join("TASK-1/runs/RUN-2");
        assert_eq!(truth(&run), truth(&lab.ctx("RUN-2").run_path()));
        let task = Workspace::open(&root).unwrap().task("TASK-1").unwrap();
        task.run("RUN-2").unwrap().context().append(Event::new("went_on")).unwrap();
        task.open_or_start_run("RUN-1").unwrap();
    }
    let none = Scope::run(lab.test.task().id().clone(), RunId::new("RUN-9").unwrap());
    let missing = lab.take().restore_to(lab.path("no")).scope(none).plan();
    assert!(matches!(missing, Err(BackupError::NotInSnapshot { .. })), "{missing:?}");
}

#[test]
fn who_holds_the_task_is_asked() {
    let lab = Lab::with_runs();
    let lease = lab.test.task().claim("one", Duration::from_secs(60)).unwrap();
    let snapshot = lab.take();
    lease.release().unwrap();
    fs::remove_dir_all(lab.ctx("RUN-2").run_path()).unwrap();
    let lease = lab.test.task().claim("two", Duration::from_secs(60)).unwrap();
    let plan = || snapshot.restore_to(lab.test.root());
    let refused = plan().plan().unwrap().apply();
    let reason = refused.unwrap_err().to_string();
    assert!(reason.contains("held by \"two\""), "{reason}");
    let held = lease.lease_ref().clone();
    plan().with_lease(held).plan().unwrap().apply().unwrap();
    // Bound to the first claim still; the holder's first write binds it to his.
    let run = lease.task().run("RUN-2").unwrap();
    run.context().append(Event::new("went_on")).unwrap();
    lease.release().unwrap();
    let mut last = lab.ctx("RUN-2").events().unwrap().of_type("lease_bound").last(1).unwrap();
    let bound: serde_json::Value = last.next().unwrap().unwrap().payload().unwrap();
    assert_eq!(bound["worker_id"], "two");
}

#[test]
fn commits_that_wait_for_their_rename_are_in_place_in_the_copy() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts();
    store.write_bytes(A, b"old").unwrap();
    store.write_bytes(GONE, b"old").unwrap();
    let stored = store.write_bytes(A, b"new").unwrap();
    let removed = store.remove(GONE).unwrap();
    let stage = |seq: u64| {
        let event = ctx.events().unwrap().map(Result::unwrap).find(|e| e.seq() == seq).unwrap();
        ctx.run_path().join(".tmp").join(event.event_id().to_string())
    };
    let (a, gone) = (ctx.artifact_path(&A), ctx.artifact_path(&GONE));
    // As a kill before the renames leaves them.
    fs::write(stage(stored.seq), "new").unwrap();
    fs::write(stage(removed.seq), "").unwrap();
    fs::write(&a, "old").unwrap();
    fs::write(&gone, "old").unwrap();
    let snapshot = lab.take();
    assert_eq!(snapshot.findings(), []);
    let root = lab.path("elsewhere");
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    let copy = root.join("TASK-1/runs/RUN-1");
    assert_eq!(fs::read(copy.join("artifacts/a.txt")).unwrap(), b"new");
    assert!(!copy.join("artifacts/gone.txt").exists());

    // Somebody else's file is not replaced here, nor there.
    fs::write(&a, "mine").unwrap();
    let snapshot = lab.take();
    assert_eq!(codes(snapshot.findings()), [Code::CommitNotApplied]);
    let file = lab.backup().path().join(format!("snapshots/{}.json", snapshot.id()));
    let file: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let kept = file["findings"][0].as_object().unwrap();
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["code", "place", "reason"]);
    // What is told has more, and is read back as what was found.
    let told = serde_json::to_value(&snapshot.findings()[0]).unwrap();
    assert_eq!((&told["severity"], told["advice"].is_string()), (&"error".into(), true));
    let read: Finding = serde_json::from_value(told).unwrap();
    assert_eq!(read, snapshot.findings()[0]);
    let root = lab.path("mine");
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    let copy = root.join("TASK-1/runs/RUN-1");
    assert_eq!(fs::read(copy.join("artifacts/a.txt")).unwrap(), b"mine");
    let name = stage(stored.seq).file_name().unwrap().to_owned();
    assert_eq!(fs::read(copy.join(".tmp").join(name)).unwrap(), b"new");
    let again = snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    assert_eq!(again.put.len(), 0);
}

#[test]
fn what_is_not_as_it_should_be_is_copied_as_it_is_and_told() {
    let lab = Lab::with_runs();
    let changed = lab.ctx("RUN-2");
    fs::write(changed.artifact_path(&A), "changed").unwrap();
    fs::remove_file(changed.artifact_path(&DEEP)).unwrap();
    fs::write(changed.run_path().join("artifacts/more.txt"), "unjournaled").unwrap();
    let journal = lab.run("RUN-3").journal_path();
    flip(&journal, 700);
    let tail = lab.run("RUN-4").journal_path();
    let length = fs::read(&tail).unwrap().len();
    flip(&tail, length - 100);
    flip(&lab.run("RUN-5").run_path().join("run.json"), 30);
    fs::remove_file(lab.run("RUN-6").run_path().join("run.json")).unwrap();
    fs::remove_file(lab.run("RUN-7").journal_path()).unwrap();
    let objects = lab.run("RUN-8").run_path().join("objects");
    fs::remove_dir_all(objects).unwrap();

    let snapshot = lab.take();
    let mut found: Vec<_> = snapshot
        .findings()
        .iter()
        .map(|finding| format!("{} {}", finding.place.path, finding.code))
        .collect();
    found.dedup();
    let run = "TASK-1/runs/RUN-";
    let object = found.last().unwrap().clone();
    assert_eq!(
        found[..found.len() - 1],
        [
            format!("{run}2/artifacts/a.txt artifact_changed"),
            format!("{run}2/artifacts/deep/below/b.json artifact_missing"),
            format!("{run}2/artifacts/more.txt artifact_unjournaled"),
            format!("{run}3/journal/events.jsonl broken_chain"),
            format!("{run}3/journal/events.jsonl sequence_gap"),
            format!("{run}4/journal/events.jsonl broken_chain"),
            format!("{run}5/run.json genesis_damaged"),
            format!("{run}6/run.json genesis_damaged"),
            format!("{run}7/journal/events.jsonl journal_missing"),
        ]
    );
    assert!(object.starts_with(&format!("{run}8/objects/")), "{object}");
    assert!(object.ends_with(" object_missing"), "{object}");
    let root = lab.path("elsewhere");
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    assert_same(lab.test.root(), &root);
    // What refuses appends here, refuses them there.
    let task = Workspace::open(&root).unwrap().task("TASK-1").unwrap();
    let refused = task.run("RUN-4").unwrap().context().append(Event::new("on"));
    assert!(matches!(refused, Err(JournalError::DamagedTail { .. })), "{refused:?}");
    let again = snapshot.restore_to(&root).plan().unwrap();
    assert!(!again.is_refused(), "{:?}", again.items());
}

#[cfg(unix)]
#[test]
fn links_pipes_and_odd_names_are_told_and_left() {
    use std::os::unix::ffi::OsStrExt as _;
    let lab = Lab::with_runs();
    let run = lab.ctx("RUN-2").run_path();
    std::os::unix::fs::symlink("/etc/passwd", run.join("artifacts/link")).unwrap();
    std::os::unix::fs::symlink("/etc", run.join("artifacts/dir")).unwrap();
    std::os::unix::fs::symlink(&run, run.with_file_name("RUN-9")).unwrap();
    let pipe = std::process::Command::new("mkfifo").arg(run.join("artifacts/pipe")).status();
    assert!(pipe.unwrap().success());
    let odd = std::ffi::OsStr::from_bytes(b"not\xffutf8");
    fs::write(run.join("artifacts").as_std_path().join(odd), "x").unwrap();
    fs::write(run.join("artifacts/back\\slash"), "x").unwrap();
    fs::write(run.join("artifacts/.hidden"), "x").unwrap();
    fs::create_dir(run.with_file_name("not an id")).unwrap();
    std::os::unix::fs::symlink("/etc", run.join("checkpoints")).unwrap();
    let snapshot = lab.take();
    let found: Vec<_> = snapshot
        .findings()
        .iter()
        .map(|finding| format!("{} {}", finding.place.path, finding.code))
        .collect();
    assert_eq!(
        found,
        [
            "TASK-1/runs/RUN-2/artifacts/.hidden artifact_unjournaled",
            "TASK-1/runs/RUN-2/artifacts/back\\slash unreadable",
            "TASK-1/runs/RUN-2/artifacts/dir symbolic_link",
            "TASK-1/runs/RUN-2/artifacts/link symbolic_link",
            "TASK-1/runs/RUN-2/artifacts/not\u{fffd}utf8 unreadable",
            "TASK-1/runs/RUN-2/artifacts/pipe symbolic_link",
            "TASK-1/runs/RUN-2/checkpoints symbolic_link",
            "TASK-1/runs/RUN-9 symbolic_link",
            "TASK-1/runs/not an id bad_id",
        ]
    );
    let root = lab.path("elsewhere");
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    let copied = truth(&root);
    assert_eq!(copied["TASK-1/runs/RUN-2/artifacts/.hidden"], b"x");
    assert!(!copied.keys().any(|path| path.contains("passwd") || path.contains("RUN-9")));
}

#[test]
fn two_workspaces_share_a_backup() {
    let (one, two) = (Lab::with_runs(), Lab::new());
    two.run("RUN-1");
    let backup = one.backup();
    let first = backup.take(one.test.workspace()).unwrap();
    // Ids of test workspaces are counted, so these two would be one.
    let genesis = two.test.root().join("workspace.json");
    let id = two.test.workspace().genesis().workspace_id.to_string();
    reseal(&genesis, &id, "99999999-0000-7000-8000-000000000001");
    let second = backup.take(&Workspace::open(two.test.root()).unwrap()).unwrap();
    assert_eq!((first.parent(), second.parent()), (None, None));
    assert_ne!(first.workspace_id(), second.workspace_id());
    let root = one.path("elsewhere");
    second.restore_to(&root).plan().unwrap().apply().unwrap();
    assert_same(two.test.root(), &root);
}

/// Every file of a backup but its lock, hurt in two ways: it is found, and a restore puts nothing in place.
#[test]
fn nothing_damaged_is_restored() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"content").unwrap();
    ctx.append(Event::new("said").payload(&"x".repeat(70_000))).unwrap();
    let snapshot = lab.take();
    let files = walkdir::WalkDir::new(lab.path("backup")).into_iter().map(Result::unwrap);
    let files = files.filter(|entry| entry.file_type().is_file() && entry.file_name() != ".lock");
    let mut tried = 0;
    for (number, file) in files.enumerate() {
        let path = Utf8Path::from_path(file.path()).unwrap();
        let whole = fs::read(path).unwrap();
        let hurts: [&dyn Fn(); 3] = [
            &|| flip(path, (number * 37) % whole.len()),
            &|| fs::write(path, &whole[..whole.len() - 1]).unwrap(),
            &|| fs::remove_file(path).unwrap(),
        ];
        for (way, hurt) in hurts.iter().enumerate() {
            hurt();
            let found = || {
                let backup = Backup::open(lab.path("backup")).ok()?;
                let snapshot = backup.snapshot(&snapshot.id().to_string()).ok()?;
                let is_clean = backup.verify(true).ok()?.findings.is_empty();
                let root = lab.path(&format!("elsewhere-{number}-{way}"));
                let restored = snapshot.restore_to(&root).plan().and_then(RestorePlan::apply);
                let leftover = root.join("TASK-1").exists() || root.join("workspace.json").exists();
                assert!(restored.is_ok() || !leftover, "{path}: a part was put in place");
                Some((is_clean, restored.is_ok()))
            };
            assert!(matches!(found(), None | Some((false, false))), "{path} {way}: {:?}", found());
            tried += 1;
        }
        fs::write(path, whole).unwrap();
    }
    assert!(tried >= 24, "{tried}");
    assert_eq!(lab.backup().verify(true).unwrap().findings, []);
}

/// A page that was forged reaches nothing outside of the run.
#[test]
fn forged_pages_do_not_reach_out() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"content").unwrap();
    let snapshot = lab.take();
    let file = lab.path(&format!("backup/snapshots/{}.json", snapshot.id()));
    let whole = fs::read_to_string(&file).unwrap();
    let objects = lab.path("backup/objects");
    let page = walkdir::WalkDir::new(&objects).into_iter().map(Result::unwrap).find(|entry| {
        entry.file_type().is_file()
            && fs::read_to_string(entry.path())
                .unwrap_or_default()
                .contains("artifacts/a.txt\",\"digest")
    });
    let page = Utf8PathBuf::from_path_buf(page.unwrap().into_path()).unwrap();
    let text = fs::read_to_string(&page).unwrap();
    let old = Digest::of(text.as_bytes());
    for path in [
        "../../../../escaped",
        "/escaped",
        "artifacts/../../escaped",
        "journal/.lock",
        "artifacts//a",
    ] {
        let forged = lab.path("page");
        fs::write(&forged, &text).unwrap();
        reseal(&forged, "\"artifacts/a.txt\"", &format!("\"{path}\""));
        let bytes = fs::read(&forged).unwrap();
        let digest = Digest::of(&bytes);
        let hex = digest.to_hex();
        fs::create_dir_all(objects.join(&hex[..2])).unwrap();
        fs::write(objects.join(&hex[..2]).join(&hex[2..]), bytes).unwrap();
        fs::write(&file, &whole).unwrap();
        reseal(&file, &old.to_string(), &digest.to_string());
        let snapshot = lab.backup().snapshot(&snapshot.id().to_string()).unwrap();
        let plan = snapshot.restore_to(lab.path("elsewhere")).plan();
        assert!(matches!(plan, Err(BackupError::Damaged { .. })), "{path}: {plan:?}");
    }
}

#[test]
fn an_object_that_rotted_is_made_anew_once_it_is_gone() {
    let lab = Lab::with_runs();
    lab.take();
    let digest = Digest::of(b"second, of RUN-2").to_hex();
    let object = lab.path("backup/objects").join(&digest[..2]).join(&digest[2..]);
    // One that no snapshot before names is looked at before it is used.
    let other = Backup::create_at(lab.path("other")).unwrap();
    let stray = lab.path("other/objects").join(&digest[..2]).join(&digest[2..]);
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, "half of it").unwrap();
    other.take(lab.test.workspace()).unwrap();
    assert_eq!(fs::read(&stray).unwrap(), b"second, of RUN-2");
    fs::remove_file(&object).unwrap();
    lab.take();
    assert_eq!(fs::read(&object).unwrap(), b"second, of RUN-2");
    let mut content = Vec::new();
    let digest = Digest::of(b"second, of RUN-2");
    let mut opened = lab.backup().object(digest).unwrap().unwrap();
    std::io::Read::read_to_end(&mut opened, &mut content).unwrap();
    assert_eq!(content, b"second, of RUN-2");
    assert!(lab.backup().object(Digest::of(b"nowhere")).unwrap().is_none());
}

#[test]
fn a_missing_object_of_a_checkpoint_is_told() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"first").unwrap();
    ctx.next_checkpoint().unwrap();
    ctx.artifacts().write_bytes(A, b"second").unwrap();
    ctx.next_checkpoint().unwrap();
    assert_eq!(lab.take().findings(), [], "all of it is there");
    let hex = Digest::of(b"first").to_hex();
    let object = format!("objects/{}/{}", &hex[..2], &hex[2..]);
    fs::remove_file(ctx.run_path().join(&object)).unwrap();
    let snapshot = lab.take();
    assert_eq!(codes(snapshot.findings()), [Code::ObjectMissing]);
    let place = &snapshot.findings()[0].place.path;
    assert_eq!(*place, format!("TASK-1/runs/RUN-1/{object}"));
}

#[test]
fn what_came_between_plan_and_restore_stays() {
    let lab = Lab::with_runs();
    let run = lab.test.task().path().join("runs/RUN-1");
    let snapshot = lab.take();
    let scope = Scope::run("TASK-1".parse().unwrap(), "RUN-1".parse().unwrap());
    fs::remove_dir_all(&run).unwrap();
    let plan = || snapshot.restore_to(lab.test.root()).scope(scope.clone()).plan().unwrap();
    let (first, second) = (plan(), plan());
    first.apply().unwrap();
    let said = || lab.test.task().events().unwrap().of_type("run_restored").count();
    assert_eq!(said(), 1);
    assert!(matches!(second.apply(), Err(BackupError::CameBetween { .. })));
    assert_eq!(said(), 1, "it said that it put back what it did not");
    assert!(!lab.test.root().join(".restoring").exists());

    let elsewhere = lab.path("elsewhere");
    let plan = || snapshot.restore_to(&elsewhere).plan().unwrap();
    let (first, second) = (plan(), plan());
    first.apply().unwrap();
    assert!(matches!(second.apply(), Err(BackupError::CameBetween { .. })));
    assert!(!elsewhere.join(".restoring").exists());
    assert!(plan().apply().unwrap().put.is_empty());
}

#[test]
fn a_run_is_not_put_into_another_task_of_the_same_name() {
    let (lab, other) = (Lab::with_runs(), Lab::with_runs());
    let other_task = other.test.task().path().join("task.json");
    let genesis = fs::read_to_string(lab.test.task().path().join("task.json")).unwrap();
    assert_eq!(
        genesis,
        fs::read_to_string(&other_task).unwrap(),
        "the tests are the same to the byte"
    );
    let snapshot = lab.take();
    fs::remove_dir_all(other.test.task().path()).unwrap();
    let options = TaskOptions { title: "another".into(), ..TaskOptions::default() };
    other.test.workspace().create_task("TASK-1", options).unwrap();
    let scope = Scope::run("TASK-1".parse().unwrap(), "RUN-1".parse().unwrap());
    let plan = snapshot.restore_to(other.test.root()).scope(scope).plan().unwrap();
    assert!(plan.is_refused(), "{:?}", plan.items());
}

#[test]
fn what_is_no_snapshot_keeps_prune_from_removing_what_it_may_name() {
    let harm: [fn(&Utf8Path, &str); 4] = [
        |dir, id| {
            fs::rename(dir.join(format!("{id}.json")), dir.join(format!("{id}.JSON"))).unwrap()
        },
        |dir, id| {
            let file = dir.join(format!("{id}.json"));
            fs::rename(&file, dir.with_file_name("elsewhere")).unwrap();
            std::os::unix::fs::symlink("../elsewhere", file).unwrap();
        },
        |dir, id| {
            fs::rename(dir.join(format!("{id}.json")), dir.join(format!("{id}.hold"))).unwrap();
        },
        |dir, _| {
            fs::rename(dir, dir.with_file_name("moved")).unwrap();
            fs::write(dir, "").unwrap();
        },
    ];
    for harm in harm {
        let lab = Lab::with_runs();
        let id = lab.take().id().to_string();
        harm(&lab.path("backup/snapshots"), &id);
        let objects = truth(&lab.path("backup/objects"));
        let backup = lab.backup();
        assert!(matches!(
            backup.prune(Retention::default()).plan(),
            Err(BackupError::PruneStopped { .. })
        ));
        assert_eq!(truth(&lab.path("backup/objects")), objects);
        assert_eq!(backup.unreadable().unwrap().len(), 1);
        assert_eq!(backup.verify(false).unwrap().findings.len(), 1);
    }
}

#[test]
fn a_task_that_is_damaged_is_not_there_already() {
    let lab = Lab::with_runs();
    let snapshot = lab.take();
    let journal = lab.test.task().path().join("journal/events.jsonl");
    flip(&journal, 300);
    let plan = snapshot.restore_to(lab.test.root()).plan().unwrap();
    assert!(plan.is_refused());
}

#[test]
fn a_directory_with_something_in_it_is_told_of() {
    let lab = Lab::with_runs();
    let run = lab.test.task().path().join("runs/RUN-1");
    fs::remove_file(run.join("run.json")).unwrap();
    fs::remove_dir_all(run.join("journal")).unwrap();
    let snapshot = lab.take();
    assert!(
        codes(snapshot.findings()).contains(&Code::GenesisDamaged),
        "{:?}",
        snapshot.findings()
    );
}

#[test]
fn a_clock_that_was_ahead_once_takes_no_later_snapshot_away() {
    let lab = Lab::with_runs();
    lab.take();
    let ahead = Timestamp::from_microseconds(4_102_444_800_000_000);
    let clock = std::sync::Arc::new(testing::FixedClock::starting_at(ahead));
    lab.backup().with_clock(clock).take(lab.test.workspace()).unwrap();
    let last = lab.take();
    assert_eq!(lab.backup().snapshots().unwrap().last().map(Snapshot::id), Some(last.id()));
}

/// What is told while something is done: it only grows, and ends at the total.
fn told<T>(work: impl FnOnce(&mut dyn FnMut(&BackupProgress)) -> T) -> (BackupProgress, T) {
    let mut told: Vec<BackupProgress> = Vec::new();
    let done = work(&mut |progress| told.push(*progress));
    for pair in told.windows(2) {
        let each = |it: &BackupProgress| [it.done, it.known, it.bytes, it.findings];
        let grows = each(&pair[0]).iter().zip(each(&pair[1])).all(|(before, now)| *before <= now);
        assert!(grows, "{pair:?}");
    }
    assert!(told.iter().all(|progress| progress.done <= progress.known), "{told:?}");
    (*told.last().unwrap(), done)
}

#[test]
fn progress_ends_at_the_total() {
    let lab = Lab::with_runs();
    fs::write(lab.ctx("RUN-2").run_path().join("artifacts/a.txt"), "harmed").unwrap();
    let backup = lab.backup();
    let (end, snapshot) = told(|progress| backup.take_with(lab.test.workspace(), progress));
    let totals = snapshot.unwrap().totals();
    assert_eq!((end.done, end.known, end.findings), (4, 4, 1));
    // Pages are content as well.
    assert!(end.bytes >= totals.bytes, "{end:?}");

    let (end, verified) = told(|progress| backup.verify_with(true, progress));
    let verified = verified.unwrap();
    assert_eq!((end.done, end.known, end.findings), (verified.objects, verified.objects, 0));
    assert!(end.bytes >= verified.bytes, "{end:?}");
    let (end, _) = told(|progress| backup.verify_with(false, progress));
    assert_eq!((end.done, end.known, end.bytes), (verified.objects, verified.objects, 0));

    let restore = lab.backup().newest(&Scope::workspace(), None).unwrap();
    let restore = restore.restore_to(lab.path("restored"));
    let (end, _) = told(|progress| restore.clone().reading_data().plan_with(progress).unwrap());
    assert_eq!((end.done, end.known), (8, 8));
    assert!(end.bytes > 0);
    let plan = restore.plan().unwrap();
    let (end, restored) = told(|progress| plan.apply_with(progress));
    assert_eq!((end.done, end.known), (4, 4));
    assert!(end.bytes >= restored.unwrap().bytes, "{end:?}");
}

#[test]
fn who_is_told_slowly_does_not_keep_a_backup_waiting() {
    let lab = Lab::with_runs();
    let backup = lab.backup();
    // Nothing is copied before the first is told.
    let lock = fs::File::create(lab.path("backup/.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let (mut lock, mut came) = (Some(lock), false);
    let snapshot = backup.take_with(lab.test.workspace(), &mut |_| {
        if lock.take().is_some() {
            let until = std::time::Instant::now() + Duration::from_secs(5);
            while !came && std::time::Instant::now() < until {
                came = !backup.snapshots().unwrap().is_empty();
            }
        }
    });
    snapshot.unwrap();
    assert!(came, "the snapshot was made while somebody took his time");
}
