//! Drills: random trees, backed up (some while written), damaged in every way, restored: identical to the byte,
//! or refused with the reason.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::*;

use crate::backups::{Lab, assert_same, truth};

const DRILLS: u64 = 200;

/// Numbers that are the same in every run of a drill.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.next(most);
        (0..length).map(|_| self.next(256) as u8).collect()
    }
}

fn tree(lab: &Lab, dice: &mut Dice) {
    for run in 0..1 + dice.next(3) {
        let ctx = lab.test.start_run(&format!("RUN-{run}")).unwrap();
        work(&ctx, dice, 6);
        if dice.next(3) == 0 {
            ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
        }
    }
    if dice.next(3) == 0 {
        let workspace = lab.test.workspace();
        let task = workspace.create_task("OTHER", TaskOptions::default()).unwrap();
        work(&task.start_run_as("RUN-9").unwrap(), dice, 2);
    }
}

fn work(ctx: &RunContext, dice: &mut Dice, most: usize) {
    let store = ctx.artifacts().durability(Durability::Buffered);
    for _ in 0..dice.next(most) {
        let name = ArtifactName::new(format!("d{}/f{}", dice.next(2), dice.next(3))).unwrap();
        match dice.next(5) {
            0 => drop(
                ctx.append(Event::new("said").payload(&"x".repeat(dice.next(80_000)))).unwrap(),
            ),
            1 => drop(store.remove(name)),
            2 => drop(ctx.append(Event::new("noted").payload(&dice.next(99))).unwrap()),
            _ => drop(store.write_bytes(name, &dice.bytes(3000)).unwrap()),
        }
    }
}

fn files(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let all = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(Result::unwrap);
    let files = all.filter(|entry| entry.file_type().is_file());
    files.map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).unwrap()).collect()
}

/// Hurts a file: bits, its end, all of it, what stands in its place.
fn hurt(path: &Utf8Path, dice: &mut Dice) {
    let mut bytes = fs::read(path).unwrap();
    match dice.next(5) {
        0 if !bytes.is_empty() => {
            let at = dice.next(bytes.len());
            bytes[at] ^= 1 << dice.next(8);
            fs::write(path, bytes).unwrap();
        }
        1 if !bytes.is_empty() => {
            bytes.truncate(dice.next(bytes.len()));
            fs::write(path, bytes).unwrap();
        }
        2 => {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }
        3 => {
            bytes.extend_from_slice(b"more\n");
            fs::write(path, bytes).unwrap();
        }
        _ => fs::remove_file(path).unwrap(),
    }
}

/// Loses directories whole, as far as they are tasks or runs; then what is left is as it was.
fn lose(lab: &Lab, dice: &mut Dice) {
    let task = lab.test.task();
    match dice.next(3) {
        0 => fs::remove_dir_all(lab.test.root()).unwrap(),
        1 => fs::remove_dir_all(task.path()).unwrap(),
        _ => {
            let runs = task.runs().unwrap();
            let run = &runs[dice.next(runs.len())];
            fs::remove_dir_all(task.path().join("runs").join(run.as_str())).unwrap();
        }
    }
}

/// What was appended to the task's journal by restores is no difference.
fn without_tasks(tree: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    tree.into_iter().filter(|(path, _)| path != "TASK-1/journal/events.jsonl").collect()
}

fn drill(seed: u64) -> &'static str {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let lab = Lab::new();
    tree(&lab, &mut dice);
    if dice.next(4) == 0 {
        return live(&lab, &mut dice);
    }
    let snapshot = lab.take();
    assert_eq!(snapshot.findings(), []);
    let before = truth(lab.test.root());
    match dice.next(4) {
        // The workspace is lost, in whole or in part: all of it comes back.
        0 => {
            lose(&lab, &mut dice);
            let plan = snapshot.restore_to(lab.test.root()).plan().unwrap();
            plan.apply().unwrap();
            assert_eq!(without_tasks(truth(lab.test.root())), without_tasks(before));
            "lost"
        }
        // It is damaged: restored elsewhere it is whole, and over itself it is refused, or was not truth.
        1 | 2 => {
            for _ in 0..1 + dice.next(3) {
                let files = files(lab.test.root());
                hurt(&files[dice.next(files.len())], &mut dice);
            }
            let root = lab.path("elsewhere");
            snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
            let restored = truth(&root);
            assert_eq!(restored, before);
            let damaged = truth(lab.test.root());
            let over = snapshot.restore_to(lab.test.root()).plan().and_then(RestorePlan::apply);
            match over {
                // Lines behind the last record are no part of what was.
                Ok(done) => assert!(damaged.keys().eq(before.keys()) || !done.put.is_empty()),
                Err(error) => assert_ne!(damaged, before, "{error}"),
            }
            // It may not have touched what it refused.
            for (path, content) in &damaged {
                assert_eq!(
                    fs::read(lab.test.root().join(path)).unwrap()[..content.len()],
                    *content
                );
            }
            "workspace damaged"
        }
        // The backup is damaged: whole, or refused with nothing in place.
        _ => {
            for _ in 0..1 + dice.next(2) {
                let mut files = files(&lab.path("backup"));
                files.retain(|path| !path.as_str().ends_with(".lock"));
                hurt(&files[dice.next(files.len())], &mut dice);
            }
            let root = lab.path("elsewhere");
            let restored = Backup::open(lab.path("backup"))
                .and_then(|backup| backup.snapshot(&snapshot.id().to_string()))
                .and_then(|snapshot| snapshot.restore_to(&root).plan())
                .and_then(RestorePlan::apply);
            let error = restored.expect_err("every file of it is needed");
            assert!(!error.to_string().is_empty());
            let left =
                if root.exists() { truth(&root) } else { truth(&lab.path("backup/snapshots")) };
            assert!(
                !left.keys().any(|path| path.starts_with("TASK-1") || path == "workspace.json")
            );
            "backup damaged"
        }
    }
}

/// Backed up while somebody writes: what is restored is whole, and a beginning of what was.
fn live(lab: &Lab, dice: &mut Dice) -> &'static str {
    let ends = AtomicBool::new(false);
    let ctx = lab.test.start_run("LIVE").unwrap();
    let seed = dice.next(1 << 20) as u64;
    let snapshot = thread::scope(|scope| {
        scope.spawn(|| {
            let mut dice = Dice(seed);
            while !ends.load(Ordering::Relaxed) {
                work(&ctx, &mut dice, 4);
            }
        });
        let snapshot = lab.take();
        ends.store(true, Ordering::Relaxed);
        snapshot
    });
    assert_eq!(snapshot.findings(), []);
    let root = lab.path("elsewhere");
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
    let restored = Workspace::open(&root).unwrap().task("TASK-1").unwrap().run("LIVE").unwrap();
    assert_eq!(restored.state().unwrap().findings, []);
    let page = restored.context().manifest().unwrap();
    assert_eq!(page.compare(restored.context()).unwrap(), []);
    let journal = fs::read(restored.context().journal_path()).unwrap();
    assert!(fs::read(ctx.journal_path()).unwrap().starts_with(&journal));
    fs::remove_dir_all(root.join("TASK-1/runs/LIVE")).unwrap();
    fs::remove_dir_all(ctx.run_path()).unwrap();
    fs::write(lab.test.task().path().join("journal/events.jsonl"), "").unwrap();
    fs::write(root.join("TASK-1/journal/events.jsonl"), "").unwrap();
    assert_same(lab.test.root(), &root);
    "live"
}

#[test]
fn what_is_restored_is_identical_or_refused() {
    let mut kinds = std::collections::BTreeMap::new();
    for seed in 0..DRILLS {
        let kind = std::panic::catch_unwind(|| drill(seed));
        let kind = kind.unwrap_or_else(|_| panic!("drill {seed} failed"));
        *kinds.entry(kind).or_insert(0) += 1;
    }
    assert!(kinds.values().all(|count| *count > 20) && kinds.len() == 4, "{kinds:?}");
}
