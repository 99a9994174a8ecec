//! What stands in a workspace or in a backup and should not: told, never followed, and no hindrance.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::*;

use crate::backups::{Lab, assert_same, codes, pattern};

const A: ArtifactName = ArtifactName::from_static("a.txt");

fn object(lab: &Lab, content: &[u8]) -> Utf8PathBuf {
    let hex = Digest::of(content).to_hex();
    lab.path("backup/objects").join(&hex[..2]).join(&hex[2..])
}

fn told(snapshot: &Snapshot) -> Vec<String> {
    let findings = snapshot.findings().iter();
    findings.map(|finding| format!("{} {}", finding.place.path, finding.code)).collect()
}

#[test]
fn runs_without_their_task_are_copied_and_told() {
    let lab = Lab::with_runs();
    let task = lab.test.task().path();
    fs::remove_file(task.join("task.json")).unwrap();
    fs::remove_dir_all(task.join("journal")).unwrap();
    let snapshot = lab.take();
    assert_eq!(told(&snapshot), ["TASK-1/task.json genesis_damaged"]);
    assert_eq!(snapshot.totals().runs, 2);
    snapshot.restore_to(lab.path("elsewhere")).plan().unwrap().apply().unwrap();
    assert_same(lab.test.root(), &lab.path("elsewhere"));

    for run in ["RUN-1", "RUN-2"] {
        fs::remove_file(task.join("runs").join(run).join("run.json")).unwrap();
    }
    let snapshot = lab.take();
    let runs = ["RUN-1", "RUN-2"].map(|run| format!("TASK-1/runs/{run}/run.json genesis_damaged"));
    assert_eq!(told(&snapshot)[..2], runs);
    snapshot.restore_to(lab.path("again")).plan().unwrap().apply().unwrap();
    assert_same(lab.test.root(), &lab.path("again"));
    // All that is left of a task is the journal of a run.
    fs::remove_dir_all(task.join("runs/RUN-2")).unwrap();
    for gone in ["artifacts", "objects", "checkpoints"] {
        let _ = fs::remove_dir_all(task.join("runs/RUN-1").join(gone));
    }
    let snapshot = lab.take();
    assert_eq!(
        told(&snapshot),
        [
            "TASK-1/runs/RUN-1/run.json genesis_damaged",
            "TASK-1/runs/RUN-2/journal/events.jsonl journal_missing",
            "TASK-1/task.json genesis_damaged"
        ]
    );
    snapshot.restore_to(lab.path("rest")).plan().unwrap().apply().unwrap();
    assert_same(lab.test.root(), &lab.path("rest"));
}

#[test]
fn what_stands_in_the_place_of_a_task_is_told() {
    let lab = Lab::with_runs();
    let root = lab.test.root();
    let elsewhere = root.with_file_name("elsewhere");
    fs::rename(root.join("TASK-2"), &elsewhere).unwrap();
    symlink(&elsewhere, root.join("TASK-2")).unwrap();
    fs::create_dir(root.join("not a task")).unwrap();
    fs::create_dir(root.join("a task")).unwrap();
    fs::write(root.join("a task/task.json"), "").unwrap();
    let snapshot = lab.take();
    assert_eq!(told(&snapshot), ["TASK-2 symbolic_link", "a task bad_id"]);
    assert_eq!(snapshot.totals().tasks, 1);
}

#[test]
fn what_stands_in_the_place_of_an_object_is_not_followed() {
    let large = pattern(3 << 20);
    let harm: [fn(&Utf8Path, &Utf8Path); 2] = [
        |object, kept| symlink(kept, object).unwrap(),
        |object, _| assert!(Command::new("mkfifo").arg(object).status().unwrap().success()),
    ];
    for harm in harm {
        for content in [b"small".as_slice(), &large] {
            let lab = Lab::new();
            let ctx = lab.test.start_run("RUN-1").unwrap();
            ctx.artifacts().write_bytes(A, content).unwrap();
            lab.take();
            let (object, kept) = (object(&lab, content), lab.path("kept"));
            for of_a_known_run in [true, false] {
                fs::remove_file(&object).unwrap();
                fs::write(&kept, content).unwrap();
                harm(&object, &kept);
                let backup = lab.backup();
                assert_eq!(codes(&backup.verify(true).unwrap().findings), [Code::ObjectChanged]);
                if of_a_known_run {
                    lab.take();
                } else {
                    // What nobody trusts to be there.
                    for entry in fs::read_dir(lab.path("backup/snapshots")).unwrap() {
                        fs::remove_file(entry.unwrap().path()).unwrap();
                    }
                    lab.take();
                }
                assert_eq!(backup.verify(true).unwrap().findings, []);
                assert!(fs::symlink_metadata(&object).unwrap().is_file());
                assert_eq!(fs::read(&kept).unwrap(), content);
            }
        }
    }
}

#[test]
fn directories_among_the_objects_are_left() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"small").unwrap();
    let first = lab.take();
    ctx.artifacts().write_bytes(A, b"other").unwrap();
    lab.take();
    let (named, unnamed) = (object(&lab, b"other"), object(&lab, b"nobody's"));
    fs::create_dir_all(unnamed.join("below")).unwrap();
    fs::create_dir_all(lab.path("backup/.tmp/somebody's/below")).unwrap();
    let prune = lab.backup().prune(Retention::default().keep_last(1)).plan().unwrap();
    assert_eq!(prune.remove()[0].id(), first.id());
    prune.apply().unwrap();
    assert!(unnamed.join("below").exists());
    assert!(lab.path("backup/.tmp/somebody's/below").exists());
    assert!(!object(&lab, b"small").exists());

    fs::remove_file(&named).unwrap();
    fs::create_dir(&named).unwrap();
    let refused = lab.backup().take(lab.test.workspace()).unwrap_err();
    assert!(refused.to_string().contains(named.as_str()), "{refused}");
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("move it away"), "{cause}");
}

#[test]
fn what_stops_a_prune_says_what_to_do() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    let taken = [(); 3].map(|()| {
        ctx.append(Event::new("went_on")).unwrap();
        lab.take()
    });
    let file = lab.path(&format!("backup/snapshots/{}.json", taken[1].id()));
    let whole = fs::read(&file).unwrap();
    fs::write(&file, "rot").unwrap();
    let refused = lab.backup().prune(Retention::default()).plan().unwrap_err().to_string();
    assert!(refused.contains(file.as_str()) && refused.contains("out of"), "{refused}");
    // That is what to do.
    fs::rename(&file, lab.path("moved")).unwrap();
    let plan = lab.backup().prune(Retention::default()).plan().unwrap();
    fs::write(&file, "rot").unwrap();
    let refused = plan.apply().unwrap_err().to_string();
    assert!(refused.contains(file.as_str()) && refused.contains("out of"), "{refused}");
    fs::write(&file, whole).unwrap();
    assert_eq!(lab.backup().verify(true).unwrap().findings, []);
}

#[test]
fn one_odd_thing_stops_no_backup() {
    type Harm = fn(&Utf8Path);
    let harms: [Harm; 3] = [
        |place| fs::create_dir(place).unwrap(),
        |place| symlink("/etc", place).unwrap(),
        |place| assert!(Command::new("mkfifo").arg(place).status().unwrap().success()),
    ];
    let (genesis, missing, link) = (Code::GenesisDamaged, Code::JournalMissing, Code::SymbolicLink);
    let places = [
        ("task.json", 0, genesis, 2),
        ("runs/RUN-1/run.json", 0, genesis, 2),
        ("journal/events.jsonl", 0, missing, 2),
        ("runs/RUN-1/journal/events.jsonl", 0, missing, 2),
        ("journal", 1, missing, 2),
        ("runs/RUN-1/journal", 1, missing, 2),
        ("runs/RUN-1/.tmp", 1, link, 2),
        ("runs", 1, link, 0),
    ];
    for (place, from, code, runs) in places {
        for harm in &harms[from..] {
            let lab = Lab::with_runs();
            let path = lab.test.task().path().join(place);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            harm(&path);
            let snapshot = lab.take();
            assert_eq!(
                told(&snapshot),
                [format!("TASK-1/{place} {code}")
                    .replace("journal journal", "journal/events.jsonl journal")],
                "{place}"
            );
            assert_eq!((snapshot.totals().tasks, snapshot.totals().runs), (2, runs), "{place}");
            assert_eq!(lab.backup().verify(true).unwrap().findings, []);
            // The rest is whole.
            let other = Scope::run(TaskId::new("TASK-1").unwrap(), RunId::new("RUN-2").unwrap());
            let root = lab.path("elsewhere");
            if runs > 0 && !place.starts_with("task.json") {
                snapshot.restore_to(&root).scope(other).plan().unwrap().apply().unwrap();
                let run = "TASK-1/runs/RUN-2";
                assert_same(&lab.test.root().join(run), &root.join(run));
            }
        }
    }
}
