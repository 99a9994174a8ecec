//! Prune against those who work at the same time: either the run stays, or nothing was acknowledged.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, Event, GenesisError, JournalError, Outcome, Prune, RunContext, Signal, Task,
    WorkspaceError,
};

use crate::prune::{DAY, id};

const NOTE: Artifact<String> = Artifact::json("note.json");
const RUNS: usize = 24;

fn name(run: usize) -> String {
    format!("RUN-{run}")
}

/// Runs that nobody touched for longer than they are kept.
fn abandoned() -> TestWorkspace {
    let test = TestWorkspace::new().unwrap();
    for run in 0..RUNS {
        test.start_run(&name(run)).unwrap().append(Event::new("noted")).unwrap();
    }
    test.clock().advance(8 * DAY);
    test
}

fn ctx(task: &Task, run: usize) -> Option<RunContext> {
    task.run(name(run).as_str()).ok().map(|run| run.context().clone())
}

/// True if the refusal is one that a run which goes, or went, gives.
fn is_refused(error: &JournalError) -> bool {
    match error {
        JournalError::Removed { .. }
        | JournalError::Closed { .. }
        | JournalError::MissingJournal { .. } => true,
        JournalError::Io(error) | JournalError::Genesis(GenesisError::Io(error)) => {
            error.source.kind() == std::io::ErrorKind::NotFound
        }
        _ => false,
    }
}

/// Plans, then applies while others work on each run; what of them was acknowledged.
fn race(test: &TestWorkspace, work: impl Fn(&Task, usize) -> bool + Sync) -> Vec<bool> {
    let plan = Prune::of(test.workspace()).plan().unwrap();
    assert_eq!(plan.runs.len(), RUNS);
    let start = Barrier::new(3);
    let (mut acknowledged, pruned) = std::thread::scope(|scope| {
        let worker = |from: usize| {
            let (start, work, task) = (&start, &work, test.task());
            move || {
                start.wait();
                // From both ends, so that some come before prune and some after.
                let runs = (0..RUNS).map(|run| if from == 0 { run } else { RUNS - 1 - run });
                let runs = runs.filter(|run| run % 2 == from);
                runs.map(|run| (run, work(task, run))).collect::<Vec<_>>()
            }
        };
        let workers = [scope.spawn(worker(0)), scope.spawn(worker(1))];
        start.wait();
        let pruned = plan.apply().unwrap();
        let done = workers.into_iter().flat_map(|worker| worker.join().unwrap());
        (done.collect::<Vec<_>>(), pruned)
    });
    acknowledged.sort_unstable();
    let acknowledged: Vec<bool> = acknowledged.into_iter().map(|(_, told)| told).collect();
    for (run, told) in acknowledged.iter().enumerate() {
        let gone = pruned.runs.iter().any(|gone| gone.run == id(&name(run)));
        assert_eq!(ctx(test.task(), run).is_none(), gone, "{run}: {:?}", pruned.kept);
        assert!(!(*told && gone), "what was acknowledged of {run} is gone");
        assert!(*told || gone, "{run} stays, and nobody was let in: {:?}", pruned.kept);
    }
    acknowledged
}

#[test]
fn what_is_appended_while_a_run_goes_is_refused_or_keeps_it() {
    for round in 0..4 {
        let test = abandoned();
        let acknowledged = race(&test, |task, run| {
            let Some(ctx) = ctx(task, run) else { return false };
            let event = Event::new("late");
            let appended = if round % 2 == 0 {
                ctx.append(event)
            } else {
                ctx.journal().and_then(|journal| journal.append(event))
            };
            assert!(appended.as_ref().err().is_none_or(is_refused), "{appended:?}");
            appended.is_ok()
        });
        for run in (0..RUNS).filter(|run| acknowledged[*run]) {
            let (records, findings) =
                ctx(test.task(), run).unwrap().events().unwrap().read_all().unwrap();
            assert_eq!(records.last().unwrap().event_type(), "late");
            assert!(findings.is_empty());
        }
    }
}

/// Writers that have the journal open and wait for its lock while the run goes.
#[test]
fn a_writer_with_an_open_journal_is_told_that_the_run_was_removed() {
    let test = TestWorkspace::new().unwrap();
    for run in 0..RUNS {
        let run = test.start_run(&name(run)).unwrap();
        let journal = run.journal().unwrap();
        journal.append(Event::new("noted")).unwrap();
        test.clock().advance(8 * DAY);
        let plan = Prune::of(test.workspace()).plan().unwrap();
        let (stop, ready) = (AtomicBool::new(false), Barrier::new(2));
        let (pruned, last) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                ready.wait();
                let mut told = 0;
                loop {
                    match journal.append(Event::new("late")) {
                        Ok(_) => told += 1,
                        Err(error) => return (told, Some(error)),
                    }
                    if stop.load(Ordering::Relaxed) {
                        return (told, None);
                    }
                }
            });
            ready.wait();
            let pruned = plan.apply().unwrap();
            stop.store(true, Ordering::Relaxed);
            (pruned, writer.join().unwrap())
        });
        let gone = pruned.runs.iter().any(|gone| gone.run == *run.run_id());
        match last {
            (0, Some(JournalError::Removed { .. })) => assert!(gone),
            (1.., None) => assert!(!gone && run.run_path().exists()),
            other => panic!("gone: {gone}, {other:?}"),
        }
        if !gone {
            run.run().unwrap().complete(Outcome::Failed, None).unwrap();
        }
    }
}

#[test]
fn a_hold_and_a_prune_never_both_win() {
    let test = abandoned();
    race(&test, |task, run| match task.hold_run(&id(&name(run)), "an audit") {
        Ok(_) => true,
        Err(WorkspaceError::RunPruned { .. } | WorkspaceError::RunNotFound { .. }) => false,
        Err(error) => panic!("{error}"),
    });
    let held = test.task().holds().unwrap().into_iter().map(|hold| hold.run);
    assert_eq!(held.collect::<Vec<_>>(), test.task().runs().unwrap());
}

#[test]
fn a_step_and_a_transaction_that_meet_a_prune_are_whole_or_refused() {
    let test = abandoned();
    race(&test, |task, run| {
        let Some(ctx) = ctx(task, run) else { return false };
        if run % 2 == 0 {
            ctx.artifacts().write(NOTE, &"late".to_owned()).is_ok()
        } else {
            ctx.step("late", |step| {
                step.write(NOTE, &"late".to_owned())?;
                Ok(Signal::new("done"))
            })
            .is_ok()
        }
    });
    for run in test.task().runs().unwrap() {
        let ctx = test.task().run(run).unwrap().context().clone();
        assert_eq!(ctx.artifacts().read(NOTE).unwrap(), "late");
        assert_eq!(ctx.manifest().unwrap().compare(&ctx).unwrap(), []);
    }
}

#[test]
fn a_claim_and_a_prune_leave_each_run_gone_or_bound() {
    for _ in 0..8 {
        let test = abandoned();
        let plan = Prune::of(test.workspace()).plan().unwrap();
        let start = Barrier::new(2);
        let (lease, pruned) = std::thread::scope(|scope| {
            let claim = scope.spawn(|| {
                start.wait();
                std::thread::sleep(Duration::from_millis(3));
                test.task().claim("worker", Duration::from_secs(60)).unwrap()
            });
            start.wait();
            let pruned = plan.apply().unwrap();
            (claim.join().unwrap(), pruned)
        });
        let left = test.task().runs().unwrap();
        assert_eq!(left.len() + pruned.runs.len(), RUNS);
        for run in left {
            let run = lease.task().run(run).unwrap();
            run.context().append(Event::new("mine")).unwrap();
            let bound = run.context().events().unwrap().of_type("lease_bound");
            assert_eq!(bound.read_all().unwrap().0.len(), 1);
        }
    }
}

#[test]
fn two_prunes_remove_each_run_once() {
    let test = abandoned();
    let plan = || Prune::of(test.workspace()).plan().unwrap();
    let plans = [plan(), plan(), plan()];
    let removed: usize = std::thread::scope(|scope| {
        let prunes = plans.map(|plan| scope.spawn(|| plan.apply().unwrap().runs.len()));
        prunes.into_iter().map(|prune| prune.join().unwrap()).sum()
    });
    assert_eq!(removed, RUNS);
    assert!(test.task().runs().unwrap().is_empty());
    let words = test.task().events().unwrap().of_type("run_pruned").read_all().unwrap().0;
    assert_eq!(words.len(), RUNS);
    assert_eq!(std::fs::read_dir(test.root().join(".trash")).unwrap().count(), 0);
}
