//! Snapshots of what others write to: each journal ends in a record, each artifact is as that says, and the
//! restored tree goes on by itself.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use runjournal::testing::TestWorkspace;
use runjournal::*;

use crate::backups::{Lab, pattern};
use crate::checkpoints::ActingClock;

/// What a restored run says, checked: every counted artifact is in place, and nothing else is.
fn check(run: &Run) -> u64 {
    let state = run.state().unwrap();
    assert_eq!(state.findings, []);
    let ctx = run.context();
    assert_eq!(ctx.manifest().unwrap().compare(ctx).unwrap(), []);
    // Each commit has these two of one number: all of it is there, or none.
    let pair = |name: &str| fs::read_to_string(ctx.run_path().join("artifacts").join(name));
    let (left, right) = (pair("pair/left"), pair("pair/right"));
    assert_eq!(left.ok(), right.ok());
    state.last_seq
}

/// So many rounds of a snapshot each.
const ROUNDS: u64 = 6;

/// How far somebody may go who writes while snapshots are taken: so much in each round, however fast the machine.
struct Pace<'a> {
    round: &'a AtomicU64,
    ends: &'a AtomicBool,
    in_a_round: u64,
    done: AtomicU64,
}

impl<'a> Pace<'a> {
    fn new(round: &'a AtomicU64, ends: &'a AtomicBool, in_a_round: u64) -> Self {
        Self { round, ends, in_a_round, done: AtomicU64::new(0) }
    }

    /// The number of what is to be done next; it waits for the next round where this one is over, and in the end
    /// there is nothing.
    fn next(&self, done: u64) -> Option<u64> {
        self.done.store(done, Ordering::Relaxed);
        while !self.ends.load(Ordering::Relaxed) {
            if done < self.round.load(Ordering::Relaxed) * self.in_a_round {
                return Some(done + 1);
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// True once it is in the midst of a round.
    fn is_in(&self, round: u64) -> bool {
        self.done.load(Ordering::Relaxed) >= (round - 1) * self.in_a_round + 2
    }
}

/// Writes single artifacts, pairs of them, removals, large files and events, until it is told to end.
fn write(ctx: &RunContext, pace: &Pace<'_>) -> u64 {
    let artifacts = ctx.artifacts().durability(Durability::Buffered);
    let name = |text: String| ArtifactName::new(text).unwrap();
    let large = pattern(3 << 19);
    let mut number = 0;
    while let Some(next) = pace.next(number) {
        number = next;
        thread::sleep(Duration::from_millis(1));
        let content = format!("{number}");
        match number % 6 {
            0 => drop(ctx.append(Event::new("worked").payload(&number)).unwrap()),
            1 | 4 => {
                let mut tx = ctx.transaction().durability(Durability::Buffered);
                tx.write_bytes(name("pair/left".into()), content.as_bytes()).unwrap();
                tx.write_bytes(name("pair/right".into()), content.as_bytes()).unwrap();
                tx.commit().unwrap();
            }
            2 => {
                let at = usize::try_from(number).unwrap() % 1000;
                drop(
                    artifacts
                        .write_bytes(name(format!("large/{}", number % 3)), &large[at..])
                        .unwrap(),
                );
            }
            3 => {
                drop(artifacts.write_bytes(name(format!("d{}/f", number % 7)), content.as_bytes()))
            }
            _ => drop(artifacts.remove(name(format!("d{}/f", (number + 4) % 7)))),
        }
        ctx.append(Event::new("noted").payload(&"x".repeat(number as usize % 900))).unwrap();
    }
    number
}

/// Has the writers end where the test fails, so that it does not wait for them.
struct EndsOnDrop<'a>(&'a AtomicBool);

impl Drop for EndsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts runs of another task under a lease, and removes some.
fn start_and_remove(lab: &Lab, pace: &Pace<'_>) -> u64 {
    let task = lab.test.workspace().create_task("TASK-2", TaskOptions::default()).unwrap();
    let mut number = 0;
    while let Some(next) = pace.next(number) {
        number = next;
        let lease = task.claim("worker", Duration::from_secs(60)).unwrap();
        let ctx = lease.task().start_run_as(format!("SHORT-{number}").as_str()).unwrap();
        ctx.append(Event::new("one")).unwrap();
        ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
        lease.release().unwrap();
        if number % 3 == 0 {
            // At once: half of a run is damage, also where somebody is about to remove the rest.
            let gone = lab.test.root().join("../gone");
            fs::rename(ctx.run_path(), &gone).unwrap();
            fs::remove_dir_all(gone).unwrap();
        }
    }
    number
}

#[test]
fn snapshots_of_what_is_written_are_whole() {
    let lab = Lab::new();
    let (round, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    let paces = [20, 20, 3].map(|in_a_round| Pace::new(&round, &ends, in_a_round));
    let runs: Vec<_> = (0..2).map(|n| lab.test.start_run(&format!("RUN-{n}")).unwrap()).collect();
    thread::scope(|scope| {
        let [first, second, starts] = &paces;
        let threads = [
            scope.spawn(|| write(&runs[0], first)),
            scope.spawn(|| write(&runs[1], second)),
            scope.spawn(|| start_and_remove(&lab, starts)),
        ];
        let _ends = EndsOnDrop(&ends);
        let mut seen: BTreeMap<String, u64> = BTreeMap::new();
        for number in 1..=ROUNDS {
            round.store(number, Ordering::Relaxed);
            while !paces.iter().all(|pace| pace.is_in(number)) {
                assert!(!threads.iter().any(|thread| thread.is_finished()), "a writer failed");
                thread::sleep(Duration::from_millis(1));
            }
            let snapshot = lab.take();
            // What was removed with no prune is told, once a snapshot had it.
            let removed = |finding: &&Finding| {
                let run = finding.place.path.as_str().strip_prefix("TASK-2/runs/SHORT-");
                let number = run.and_then(|run| run.split('/').next()?.parse::<u64>().ok());
                finding.code == Code::JournalMissing && number.is_some_and(|n| n % 3 == 0)
            };
            let others: Vec<_> = snapshot.findings().iter().filter(|f| !removed(f)).collect();
            assert!(others.is_empty(), "round {number}: {others:?}");
            let root = lab.path(&format!("elsewhere-{number}"));
            snapshot.restore_to(&root).plan().unwrap().apply().unwrap();
            let workspace = Workspace::open(&root).unwrap();
            for task in workspace.tasks().unwrap() {
                let task = workspace.task(task).unwrap();
                let started = task.events().unwrap().of_type("run_started").map(Result::unwrap);
                let started: Vec<_> = started.map(|event| event.stream_id().to_owned()).collect();
                for id in task.runs().unwrap() {
                    assert!(started.contains(&id.to_string()), "{id} is not known to its task");
                    let last = check(&task.run(id.clone()).unwrap());
                    let before = seen.insert(id.to_string(), last);
                    assert!(before.is_none_or(|before| before <= last), "{id} went back");
                }
            }
            let task = workspace.task("TASK-1").unwrap();
            // Whoever claims the task there, writes to all of its runs.
            let lease = task.claim("other", Duration::from_secs(60)).unwrap();
            let run = lease.task().run("RUN-0").unwrap();
            run.context().append(Event::new("went_on")).unwrap();
            lease.release().unwrap();
            fs::remove_dir_all(&root).unwrap();
        }
        ends.store(true, Ordering::Relaxed);
        for thread in threads {
            assert!(thread.join().unwrap() >= 2);
        }
        // The two that go on, and what was started in each round but for what is removed again.
        assert!(seen.len() as u64 > 2 + ROUNDS, "{seen:?}");
    });
    assert_eq!(lab.backup().verify(true).unwrap().findings, []);
}

/// The task's journal is copied after those of its runs: a claim that lands between the two is in both copies,
/// or in that of the task alone. Else a run would be bound to a lease that nobody knows.
#[test]
fn a_task_knows_every_lease_that_a_copied_run_is_bound_to() {
    let lab = Lab::new();
    lab.test.start_run("RUN-1").unwrap();
    let task = lab.test.task().clone();
    let claim = move || task.claim("worker", Duration::from_secs(60)).unwrap().release().unwrap();
    let backup = lab.backup().with_clock(Arc::new(ActingClock(Mutex::new(claim))));
    let snapshot = backup.take(lab.test.workspace()).unwrap();
    let root = lab.path("elsewhere");
    snapshot.restore_to(&root).plan().unwrap().apply().unwrap();

    let task = Workspace::open(&root).unwrap().task("TASK-1").unwrap();
    let claims = task.events().unwrap().of_type("lease_claimed").map(Result::unwrap);
    let known: Vec<_> = claims.map(|claim| claim.seq()).collect();
    let run = task.run("RUN-1").unwrap();
    let bound = run.context().events().unwrap().of_type("lease_bound").map(Result::unwrap);
    let bound: Vec<_> = bound
        .map(|bound| bound.payload::<serde_json::Value>().unwrap()["token"].as_u64().unwrap())
        .collect();
    assert!(!bound.is_empty(), "nobody claimed the task meanwhile");
    assert!(bound.iter().all(|token| known.contains(token)), "{bound:?} of {known:?}");
}

/// A journal that stays locked ends the backup with the name of who holds it; nothing is half.
#[test]
fn who_waits_for_a_lock_says_so() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let backup = Backup::create_at(camino::Utf8Path::from_path(dir.path()).unwrap()).unwrap();
    fs::write(ctx.run_path().join("artifacts/more.txt"), "unjournaled").unwrap();
    let lock = fs::File::open(ctx.journal_path().with_file_name(".lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let patient = test.workspace().clone().with_lock_timeout(Duration::from_millis(20));
    let refused = backup.take(&patient);
    assert!(matches!(refused, Err(BackupError::Journal(JournalError::LockTimeout { .. }))));
    assert_eq!(backup.snapshots().unwrap().len(), 0);
    drop(lock);
    assert_eq!(backup.take(&patient).unwrap().findings()[0].code, Code::ArtifactUnjournaled);
}
