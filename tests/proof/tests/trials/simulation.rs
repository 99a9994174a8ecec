//! The whole library by seed: see `simulation` of the crate.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8Path;
use runjournal::proof::{Call, Verdict, Watch};
use runjournal::{Durability, Event, TaskOptions, Workspace};
use runjournal_proof::Rng;
use runjournal_proof::disk::{NEVER_MADE, Trace};
use runjournal_proof::simulation::try_seeds;

const SEEDS: u64 = 1000;

/// About how many acts the plans have.
const LENGTH: usize = 14;

#[test]
fn seeds() {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let row = try_seeds(0, SEEDS, LENGTH, threads, || false).unwrap();
    println!("{} seeds, {}", row.tried, row.notes.join(", "));
    row.into_outcome().unwrap();
}

/// The simulation finds out what is wrong on purpose.
#[test]
fn planted_bugs_are_caught() {
    for bug in ["no-fsync", "no-directory-fsync", "no-lock"] {
        let done = Command::new(env!("CARGO_BIN_EXE_runjournal-proof"))
            .args(["simulate", "300", "30"])
            .env("RUNJOURNAL_PLANTED", bug)
            .output()
            .unwrap();
        assert!(!done.status.success(), "nobody saw {bug}");
        println!("{bug}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Lets the first calls that change or sync something through, and no other.
#[derive(Debug)]
struct Dying(AtomicUsize);

impl Watch for Dying {
    fn before(&self, call: &Call<'_>) -> Verdict {
        if !call.changes() && !call.syncs() {
            return Verdict::Go;
        }
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() { Verdict::Go } else { Verdict::Fail(NEVER_MADE) }
    }
}

/// Found by seed: who starts a run may die before its name is on the disk, and who wrote to it then was told
/// that this was durable.
#[test]
fn what_is_durable_in_a_run_stays_though_its_starter_died() {
    for calls in 0..40 {
        let temporary = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(temporary.path()).unwrap().join("w");
        let workspace = Workspace::create(&root).unwrap();
        let task = workspace.create_task("T", TaskOptions::default()).unwrap();
        drop(task);
        let dying = Arc::new(Dying(AtomicUsize::new(calls)));
        let watch = Arc::clone(&dying);
        let (trace, told) = Trace::record_beside(
            &root,
            watch,
            || 0,
            || {
                let started = Workspace::open(&root).unwrap().task("T").unwrap().start_run_as("R");
                dying.0.store(usize::MAX, Ordering::SeqCst);
                // Somebody else goes on with it, if it is there.
                let run = Workspace::open(&root).unwrap().task("T").unwrap().run("R");
                let told = run.ok().map(|run| {
                    let journal = run.context().journal().unwrap().durability(Durability::Durable);
                    journal.append(Event::new("noted")).unwrap();
                });
                (started.is_ok(), told.is_some())
            },
        )
        .unwrap();
        let mut rng = Rng::new(calls as u64);
        let disk = trace.disk_after(trace.len());
        for image in disk.states(100, &mut rng).0 {
            let dir = tempfile::tempdir().unwrap();
            let at = Utf8Path::from_path(dir.path()).unwrap();
            image.write_to(at).unwrap();
            if told.1 {
                let lost = format!("{calls} calls, lost: {}", image.lost().join("; "));
                let task = Workspace::open(at).unwrap().task("T").unwrap();
                let run = task.run("R").expect(&lost);
                let (records, _) = run.context().events().unwrap().read_all().unwrap();
                assert_eq!(records.len(), 1, "{lost}");
            }
        }
        if told.0 {
            return;
        }
    }
    panic!("it never went through");
}
