//! What a task's journal says of its runs: verify and the index read it alike, whatever happened.

use std::collections::BTreeSet;
use std::fs;

use runjournal::index::Index;
use runjournal::{
    Backup, Code, Outcome, Prune, PrunePolicy, Snapshot, Task, TaskStatus, Verify, Workspace,
};

use crate::backups::Lab;
use crate::index_lab::{Chance, assert_equal, open, rows};
use crate::prune::{DAY, days, id};

const CODES: [Code; 4] =
    [Code::OrphanedRun, Code::UnbornRun, Code::JournalMissing, Code::DoneWithoutSuccess];
const RUNS: [&str; 4] = ["RUN-1", "RUN-2", "RUN-3", "RUN-4"];

/// Code and path of what verify says of runs.
fn verified(workspace: &Workspace) -> BTreeSet<String> {
    let findings = Verify::of(workspace).run().unwrap().findings;
    let of_runs = findings.into_iter().filter(|finding| CODES.contains(&finding.code));
    let said = of_runs.map(|finding| {
        let path = finding.place.path.strip_prefix(workspace.root()).unwrap();
        format!("{} {path}", finding.code)
    });
    said.collect()
}

/// The same from the index.
fn indexed(index: &Index) -> BTreeSet<String> {
    index.refresh().unwrap();
    let codes = CODES.map(|code| format!("'{code}'")).join(", ");
    let sql = format!("SELECT code || ' ' || path AS said FROM findings WHERE code IN ({codes})");
    let rows = rows(&open(index), &sql).into_iter();
    rows.map(|row| row.trim_start_matches("said=").trim_matches('"').to_owned()).collect()
}

struct History {
    lab: Lab,
    chance: Chance,
    backup: Backup,
    snapshots: Vec<Snapshot>,
    done: Vec<String>,
}

impl History {
    fn task(&self) -> &Task {
        self.lab.test.task()
    }

    fn other(&self) -> Task {
        let task = self.lab.test.workspace().open_or_create_task("TASK-2", Default::default());
        task.unwrap()
    }

    fn prune(&self) {
        self.lab.test.clock().advance(2 * DAY);
        let (success, failed, abandoned) = (days(1), days(3), days(5));
        let policy = PrunePolicy { success, failed, abandoned, ..PrunePolicy::default() };
        let plan = Prune::of(self.lab.test.workspace()).policy(policy).plan().unwrap();
        plan.apply().unwrap();
    }

    fn step(&mut self) {
        let run = RUNS[self.chance.below(RUNS.len())];
        let what = self.chance.below(12);
        self.done.push(format!("{what} {run}"));
        let path = self.task().path().join("runs").join(run);
        // What is refused is no step.
        match what {
            0 | 1 => drop(self.lab.test.start_run(run)),
            2 => {
                if let Ok(found) = self.task().run(run) {
                    let _ = found.complete(Outcome::Success, None);
                }
            }
            3 => self.prune(),
            4 => {
                if let Ok(taken) = self.backup.take(self.task()) {
                    self.snapshots.push(taken);
                }
            }
            5 => {
                if let Some(snapshot) = self.chance.pick(&self.snapshots) {
                    let scope = runjournal::Scope::run(self.task().id().clone(), id(run));
                    let restore = snapshot.restore_to(self.lab.test.root()).scope(scope);
                    let _ = restore.plan().and_then(runjournal::RestorePlan::apply);
                }
            }
            6 => drop(self.task().hold_run(&id(run), "an audit")),
            7 => drop(self.task().lift_hold(&id(run))),
            // Away and back, by the word of both tasks.
            10 | 11 => {
                let (here, there) = (self.task().clone(), self.other());
                let (from, to) = if what == 10 { (here, there) } else { (there, here) };
                if let Ok(found) = from.run(run) {
                    let _ = found.move_to(&to);
                }
            }
            8 => drop(fs::rename(&path, path.with_file_name("MOVED"))),
            _ => {
                let _ = fs::remove_dir_all(&path);
                if self.chance.one_in(3) {
                    // As a start leaves it that was interrupted.
                    fs::create_dir_all(path.join("journal")).unwrap();
                    fs::write(path.join("journal/events.jsonl"), "").unwrap();
                }
            }
        }
    }
}

#[test]
fn verify_and_the_index_say_the_same_of_runs() {
    let mut seen = BTreeSet::new();
    for seed in 0..6 {
        let lab = Lab::new();
        let (backup, chance) = (lab.backup(), Chance(seed));
        let index = Index::of(lab.test.workspace());
        index.rebuild().unwrap();
        for status in [TaskStatus::InProgress, TaskStatus::Done] {
            lab.test.task().set_status(status).unwrap();
        }
        let mut history = History { lab, chance, backup, snapshots: Vec::new(), done: Vec::new() };
        for _ in 0..24 {
            history.step();
            let workspace = history.lab.test.workspace();
            let verified = verified(workspace);
            assert_eq!(verified, indexed(&index), "seed {seed}: {:?}", history.done);
            seen.extend(
                verified.into_iter().filter_map(|said| said.split(' ').next().map(str::to_owned)),
            );
        }
        assert_equal(&index, history.lab.test.workspace());
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        ["done_without_success", "journal_missing", "orphaned_run", "unborn_run"]
    );
}

#[test]
fn a_restored_run_is_known_held_and_may_be_what_made_a_task_done() {
    let lab = Lab::with_runs();
    let (task, index) = (lab.test.task(), Index::of(lab.test.workspace()));
    index.rebuild().unwrap();
    for status in [TaskStatus::InProgress, TaskStatus::Done] {
        task.set_status(status).unwrap();
    }
    let snapshot = lab.take();
    let said = || {
        let said = verified(lab.test.workspace());
        assert_eq!(said, indexed(&index));
        said
    };
    // The only run that succeeded went for its age: the task was done all the same.
    lab.test.clock().advance(2 * DAY);
    let policy = PrunePolicy { success: days(1), ..PrunePolicy::default() };
    let prune = || Prune::of(lab.test.workspace()).policy(policy).plan().unwrap();
    assert_eq!(prune().apply().unwrap().runs.len(), 1);
    assert!(said().is_empty());
    let scope = || runjournal::Scope::run(task.id().clone(), id("RUN-1"));
    let restore = || snapshot.restore_to(lab.test.root()).scope(scope()).plan().unwrap();
    restore().apply().unwrap();
    assert!(said().is_empty());
    // Held, lost, and put back: the hold is still there.
    task.hold_run(&id("RUN-1"), "an audit").unwrap();
    fs::remove_dir_all(task.path().join("runs/RUN-1")).unwrap();
    let lost = ["done_without_success TASK-1", "journal_missing TASK-1/runs/RUN-1"];
    assert_eq!(said().into_iter().collect::<Vec<_>>(), lost);
    restore().apply().unwrap();
    assert_eq!(task.holds().unwrap()[0].run, id("RUN-1"));
    assert!(prune().runs.is_empty() && said().is_empty());
    // In a task whose own journal never knew it, `run_restored` alone makes it known.
    let elsewhere = Workspace::create(lab.path("elsewhere")).unwrap();
    let other = elsewhere.create_task("TASK-1", runjournal::TaskOptions::default()).unwrap();
    let restore = snapshot.restore_to(elsewhere.root()).scope(scope()).plan().unwrap();
    if !restore.is_refused() {
        restore.apply().unwrap();
        assert_eq!(other.runs().unwrap(), [id("RUN-1")]);
        assert!(verified(&elsewhere).is_empty());
        let index = Index::of(&elsewhere);
        index.rebuild().unwrap();
        assert!(indexed(&index).is_empty());
    }
}
