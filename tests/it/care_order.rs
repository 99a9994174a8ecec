//! The order of writes and syncs that backup, restore, prune and holds stand on, as `strace` sees it: no kill
//! can show a missing sync.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    ArtifactName, Backup, Event, Outcome, Prune, PrunePolicy, Retention, RunId, Scope, Snapshot,
    Task, TaskId, TaskOptions, Workspace,
};

/// In a worker: the directory of its lab, and what it is to do there.
const LAB: &str = "RUNJOURNAL_TEST_CARE_LAB";
const ACT: &str = "RUNJOURNAL_TEST_CARE_ACT";

/// A workspace with a task and a run, and a backup beside it.
struct Lab(Utf8PathBuf);

impl Lab {
    fn make(dir: &tempfile::TempDir) -> Self {
        let lab = Self(Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap());
        let workspace = Workspace::create(lab.root()).unwrap();
        let task = workspace.create_task("TASK-1", TaskOptions::default()).unwrap();
        let ctx = task.start_run_as("RUN-1").unwrap();
        ctx.artifacts().write_bytes(ArtifactName::from_static("a/b.txt"), b"content").unwrap();
        Backup::create_at(lab.0.join("backup")).unwrap();
        lab
    }

    fn root(&self) -> Utf8PathBuf {
        self.0.join("root")
    }

    fn workspace(&self) -> Workspace {
        Workspace::open(self.root()).unwrap()
    }

    fn task(&self) -> Task {
        self.workspace().task("TASK-1").unwrap()
    }

    fn backup(&self) -> Backup {
        Backup::open(self.0.join("backup")).unwrap()
    }

    fn snapshot(&self) -> Snapshot {
        self.backup().snapshots().unwrap().remove(0)
    }

    fn lose(&self, path: &str) {
        std::fs::remove_dir_all(self.root().join(path)).unwrap();
    }

    /// What a worker does to the disk, in words; `None` where that cannot be seen.
    fn traced(&self, act: &str) -> Option<Vec<String>> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let calls = "trace=write,fsync,fdatasync,syncfs,renameat,renameat2,unlinkat";
        let status = Command::new("strace")
            .args(["-f", "-qq", "-y", "-s", "300", "-e", calls, "-o"])
            .arg(log.path())
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "care_order::worker", "--nocapture", "--test-threads=1"])
            .env(LAB, &self.0)
            .env(ACT, act)
            .stdout(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            let line = b"skipped: order of care: strace is not installed, or must not trace here\n";
            std::io::stderr().write_all(line).unwrap();
            return None;
        }
        let log = std::fs::read_to_string(log.path()).unwrap();
        Some(log.lines().filter_map(|line| self.word(line)).collect())
    }

    /// `write root/..`, `rename root/.. root/..` and so on, with each id as `ID`, and each object as `object`.
    fn word(&self, line: &str) -> Option<String> {
        let (call, arguments) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        let mut opened = arguments.split('<').skip(1).filter_map(|part| part.split_once('>'));
        let place = |(dir, rest): (&str, &str), named: bool| {
            let dir = dir.strip_prefix(self.0.as_str())?;
            let name = rest.split('"').nth(1).filter(|_| named).unwrap_or_default();
            Some(plain(format!("{dir}/{name}").trim_matches('/')))
        };
        match call {
            "renameat" | "renameat2" => {
                let (from, to) = (place(opened.next()?, true)?, place(opened.next()?, true)?);
                Some(format!("rename {from} {to}"))
            }
            "unlinkat" => Some(format!("unlink {}", place(opened.next()?, true)?)),
            _ => Some(format!("{call} {}", place(opened.next()?, false)?)),
        }
    }
}

fn plain(path: &str) -> String {
    let part = |part: &str| match (part.split('.').next(), part.len()) {
        (Some(id), _) if id.len() == 36 => part.replace(id, "ID"),
        (_, 62) => "object".to_owned(),
        _ => part.to_owned(),
    };
    let parts: Vec<_> = path.split('/').map(part).collect();
    match parts.as_slice() {
        [backup, objects, _, object] if objects == "objects" => {
            format!("{backup}/{objects}/{object}")
        }
        _ => parts.join("/"),
    }
}

const NEVER: PrunePolicy = PrunePolicy {
    success: Duration::MAX,
    failed: Duration::MAX,
    abandoned: Duration::MAX,
    leftovers: Duration::MAX,
};

#[test]
fn worker() {
    let (Ok(dir), Ok(act)) = (std::env::var(LAB), std::env::var(ACT)) else { return };
    let lab = Lab(dir.into());
    let run = RunId::new("RUN-1").unwrap();
    match act.as_str() {
        "take" => drop(lab.backup().take(&lab.workspace()).unwrap()),
        "restore" => drop(lab.snapshot().restore_to(lab.root()).plan().unwrap().apply().unwrap()),
        "restore run" => {
            let scope = Scope::run(TaskId::new("TASK-1").unwrap(), run);
            let restore = lab.snapshot().restore_to(lab.root()).scope(scope);
            restore.plan().unwrap().apply().unwrap();
        }
        "prune" => {
            let zero = Duration::ZERO;
            let policy = PrunePolicy { success: zero, abandoned: zero, ..NEVER };
            let plan = Prune::of(&lab.workspace()).policy(policy).plan().unwrap();
            assert_eq!(plan.apply().unwrap().runs.len(), 1);
        }
        "backup prune" => {
            let plan = lab.backup().prune(Retention::default()).plan().unwrap();
            assert_eq!(plan.apply().unwrap().snapshots, 1);
        }
        "hold" => drop(lab.task().hold_run(&run, "an audit").unwrap()),
        "unhold" => drop(lab.task().lift_hold(&run).unwrap()),
        "hold snapshot" => lab.snapshot().hold("an audit").unwrap(),
        "lift snapshot" => lab.snapshot().lift().unwrap(),
        other => panic!("{other}"),
    }
    // So that a trace shows when the call returned.
    std::fs::write(lab.0.join("returned"), "x").unwrap();
}

fn lab() -> (tempfile::TempDir, Lab) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let lab = Lab::make(&dir);
    (dir, lab)
}

/// What follows the sync of all that was made, and that nothing is made before it is told of.
#[track_caller]
fn behind_the_sync<'a>(calls: &'a [String], made: &str) -> &'a [String] {
    let at = calls.iter().position(|call| call.starts_with("syncfs ")).expect("nothing is synced");
    let (before, behind) = calls.split_at(at);
    assert!(before.iter().filter(|call| call.starts_with(made)).count() > 3, "{calls:#?}");
    assert!(!behind.iter().any(|call| call.starts_with(made)), "{calls:#?}");
    behind
}

#[test]
fn a_snapshot_gets_its_name_once_all_that_it_names_was_synced() {
    let (_dir, lab) = lab();
    let Some(calls) = lab.traced("take") else { return };
    let behind = behind_the_sync(&calls, "rename backup/.tmp/ID backup/objects");
    assert_eq!(
        behind,
        [
            "syncfs backup/objects",
            "write backup/.tmp/ID",
            "fsync backup/.tmp/ID",
            "rename backup/.tmp/ID backup/snapshots/ID.json",
            "fsync backup/snapshots",
            "fsync backup",
            "write returned",
        ]
    );
}

/// What is removed in the end, for which deep directories are moved.
fn is_not_of_the_end(call: &&String) -> bool {
    !call.starts_with("unlink ") && !call.ends_with("/.lifted-1")
}

#[test]
fn what_is_restored_gets_its_name_once_all_of_it_was_synced() {
    let (_dir, lab) = lab();
    lab.backup().take(&lab.workspace()).unwrap();
    lab.lose("TASK-1");
    let Some(calls) = lab.traced("restore") else { return };
    let behind = behind_the_sync(&calls, "write root/.restoring/ID");
    assert_eq!(
        behind.iter().filter(is_not_of_the_end).collect::<Vec<_>>(),
        [
            "syncfs root/.restoring/ID",
            // One stands.
            "rename root/.restoring/ID/workspace.json root/workspace.json",
            "fsync root",
            "rename root/.restoring/ID/TASK-1 root/TASK-1",
            "fsync root",
            "fsync root/.restoring/ID",
            "write returned",
        ]
    );
}

#[test]
fn a_run_is_put_back_once_it_was_synced_and_its_task_says_so() {
    let (_dir, lab) = lab();
    lab.backup().take(&lab.workspace()).unwrap();
    let record =
        ["write root/TASK-1/journal/events.jsonl", "fdatasync root/TASK-1/journal/events.jsonl"];
    // The second time for one who was killed in between: the record is there.
    for said in [&record[..], &record[1..]] {
        lab.lose("TASK-1/runs/RUN-1");
        let Some(calls) = lab.traced("restore run") else { return };
        let behind = behind_the_sync(&calls, "write root/.restoring/ID");
        let first = [
            "syncfs root/.restoring/ID",
            "rename root/.restoring/ID/workspace.json root/workspace.json",
            "fsync root",
        ];
        let then = [
            "fsync root/TASK-1",
            "rename root/.restoring/ID/TASK-1/runs/RUN-1 root/TASK-1/runs/RUN-1",
            "fsync root/TASK-1/runs",
            "fsync root/.restoring/ID/TASK-1/runs",
            "write returned",
        ];
        let behind: Vec<_> = behind.iter().filter(is_not_of_the_end).collect();
        assert_eq!(behind, [&first[..], said, &then].concat());
    }
}

#[test]
fn a_run_goes_once_its_word_is_on_the_disk_and_its_files_once_its_name_is_gone() {
    for ended in [false, true] {
        let (_dir, lab) = lab();
        if ended {
            lab.task().run("RUN-1").unwrap().complete(Outcome::Success, None).unwrap();
        }
        let Some(calls) = lab.traced("prune") else { return };
        let journal = |home: &str| {
            let path = format!("{home}/journal/events.jsonl");
            [format!("write {path}"), format!("fdatasync {path}")]
        };
        let mut expected = vec!["fsync root".to_owned()];
        expected.extend(journal("root/TASK-1"));
        if !ended {
            // Its end keeps writers out behind a kill; a power cut ends those too.
            expected.push("write root/TASK-1/runs/RUN-1/journal/events.jsonl".to_owned());
        }
        expected.extend(
            [
                "rename root/TASK-1/runs/RUN-1 root/.trash/ID",
                "fsync root/.trash",
                "fsync root/TASK-1/runs",
                "unlink root/.trash/ID/journal/events.jsonl",
            ]
            .map(str::to_owned),
        );
        let at = expected.len();
        assert_eq!(calls.get(..at).unwrap_or(&calls), expected, "{calls:#?}");
        let removes = |call: &String| {
            ["unlink root/.trash", "rename root/.trash"].iter().any(|start| call.starts_with(start))
        };
        let (last, rest) = calls[at..].split_last().unwrap();
        assert!(last == "write returned" && rest.iter().all(removes), "{calls:#?}");
    }
}

/// For who was killed right behind the word: it is not said again, and made sure before the run goes.
#[test]
fn a_run_goes_again_once_the_word_that_is_there_is_on_the_disk() {
    let (_dir, lab) = lab();
    let (run, aside) = (lab.root().join("TASK-1/runs/RUN-1"), lab.0.join("aside"));
    lab.task().run("RUN-1").unwrap().complete(Outcome::Success, None).unwrap();
    assert!(
        Command::new("cp").args(["-r", run.as_str(), aside.as_str()]).status().unwrap().success()
    );
    if lab.traced("prune").is_none() {
        return;
    }
    std::fs::rename(aside, run).unwrap();
    let Some(calls) = lab.traced("prune") else { return };
    let expected = [
        "fdatasync root/TASK-1/journal/events.jsonl",
        "rename root/TASK-1/runs/RUN-1 root/.trash/ID",
        "fsync root/.trash",
        "fsync root/TASK-1/runs",
    ];
    assert_eq!(calls.get(..4).unwrap_or(&calls), expected, "{calls:#?}");
}

#[test]
fn objects_of_a_backup_go_once_it_is_sure_that_no_snapshot_names_them() {
    let (_dir, lab) = lab();
    lab.backup().take(&lab.workspace()).unwrap();
    lab.task().run("RUN-1").unwrap().context().append(Event::new("noted")).unwrap();
    lab.backup().take(&lab.workspace()).unwrap();
    let Some(calls) = lab.traced("backup prune") else { return };
    let first = ["unlink backup/snapshots/ID.json", "fsync backup/snapshots"];
    // The journal's piece, and the page that named it.
    let then = ["unlink backup/objects/object", "unlink backup/objects/object", "write returned"];
    assert_eq!(calls, [&first[..], &then].concat());
}

#[test]
fn a_hold_is_on_the_disk_before_it_is_told_of() {
    let (_dir, lab) = lab();
    let [write, sync] =
        ["write", "fdatasync"].map(|call| format!("{call} root/TASK-1/journal/events.jsonl"));
    let told = "write returned".to_owned();
    let (said, known) = ([write, sync.clone(), told.clone()], [sync, told]);
    // What somebody placed or lifted who died before he knew is only made sure.
    for (act, expected) in
        [("hold", &said[..]), ("hold", &known), ("unhold", &said), ("unhold", &known)]
    {
        let Some(calls) = lab.traced(act) else { return };
        // The record is synced by who appends it, and once more by who places it.
        let mut calls = calls;
        calls.dedup();
        assert_eq!(calls, expected, "{act}");
    }
}

#[test]
fn a_hold_on_a_snapshot_is_on_the_disk_before_it_is_told_of() {
    let (_dir, lab) = lab();
    lab.backup().take(&lab.workspace()).unwrap();
    let Some(calls) = lab.traced("hold snapshot") else { return };
    assert_eq!(
        calls,
        [
            "write backup/.tmp/ID",
            "fsync backup/.tmp/ID",
            "rename backup/.tmp/ID backup/snapshots/ID.hold",
            "fsync backup/snapshots",
            "fsync backup",
            "write returned",
        ]
    );
    // Also where somebody lifted it who died before he knew.
    for _ in 0..2 {
        let Some(calls) = lab.traced("lift snapshot") else { return };
        let lifted =
            ["unlink backup/snapshots/ID.hold", "fsync backup/snapshots", "write returned"];
        assert_eq!(calls, lifted);
    }
}
