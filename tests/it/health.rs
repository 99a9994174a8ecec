//! Health: one page on the state of a workspace.

use std::fs;
use std::time::Duration;

use runjournal::testing::TestWorkspace;
use runjournal::{Event, Health, HealthTrouble, RunStatus, Severity, Verify};

use crate::prune::{DAY, complete, id};

fn of(test: &TestWorkspace) -> Health {
    let mut health = Health::of(test.workspace()).unwrap();
    // The disk of whoever runs the tests is not what they are about.
    health.troubles.retain(|trouble| !matches!(trouble, HealthTrouble::DiskNearlyFull { .. }));
    health
}

#[test]
fn a_page_counts_what_there_is() {
    let test = TestWorkspace::new().unwrap();
    let empty = of(&test);
    assert!(empty.is_good());
    assert_eq!((empty.tasks, empty.runs.all(), empty.format_version), (1, 0, 1));
    assert!(!empty.read_only && empty.free_bytes.unwrap() <= empty.total_bytes.unwrap());

    complete(&test.start_run("A").unwrap(), true);
    complete(&test.start_run("B").unwrap(), true);
    complete(&test.start_run("C").unwrap(), false);
    test.start_run("D").unwrap();
    let e = test.start_run("E").unwrap();
    e.run().unwrap().set_status(RunStatus::Executing, None).unwrap();
    e.append(Event::new("noted")).unwrap();
    let f = test.start_run("F").unwrap();
    for status in [RunStatus::Executing, RunStatus::Verifying] {
        f.run().unwrap().set_status(status, None).unwrap();
    }
    test.task().hold_run(&id("A"), "an audit").unwrap();
    for dir in [".trash/0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0001", ".trash/mine", ".restoring/x"] {
        fs::create_dir_all(test.root().join(dir)).unwrap();
    }
    let health = of(&test);
    let runs = health.runs;
    assert_eq!((runs.success, runs.failed, runs.planning), (2, 1, 1));
    assert_eq!((runs.executing, runs.verifying, runs.unreadable, runs.all()), (1, 1, 0, 6));
    assert_eq!((health.holds, health.trash, health.restoring), (1, 1, 1));
    assert!(health.is_good() && health.locked.is_empty() && health.leases.is_empty());
}

#[test]
fn leases_and_locks_are_told() {
    let test = TestWorkspace::new().unwrap();
    let open = test.start_run("OPEN").unwrap();
    let ended = test.start_run("ENDED").unwrap();
    complete(&ended, true);
    let lease = test.task().claim("worker-1", Duration::from_secs(60)).unwrap();
    let held = of(&test).leases;
    assert_eq!((held[0].worker.as_str(), held[0].live, held.len()), ("worker-1", true, 1));
    test.clock().advance(DAY);
    assert!(!of(&test).leases[0].live);
    lease.release().unwrap();
    assert!(of(&test).leases.is_empty());

    let homes = [test.task().path(), open.run_path(), ended.run_path()];
    let locks = homes.map(|home| fs::File::open(home.join("journal/.lock")).unwrap());
    locks.iter().for_each(|lock| lock.try_lock().unwrap());
    let health = of(&test);
    let paths: Vec<_> = health.locked.iter().map(|locked| locked.path.as_str()).collect();
    assert_eq!(
        paths,
        ["TASK-1/journal/events.jsonl", "TASK-1/runs/OPEN/journal/events.jsonl"],
        "nobody waits for what ended"
    );
    assert!(health.is_good());
    drop(locks);
    assert!(of(&test).locked.is_empty());
}

#[test]
fn what_cannot_be_read_is_a_trouble() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    test.start_run("RUN-2").unwrap();
    fs::remove_file(run.journal_path()).unwrap();
    let health = of(&test);
    assert!(!health.is_good());
    assert_eq!((health.runs.unreadable, health.runs.planning), (1, 1));
    let told = health.troubles[0].to_string();
    assert!(told.starts_with("TASK-1/runs/RUN-1 cannot be read: "), "{told}");
    fs::write(test.task().path().join("task.json"), "{}\n").unwrap();
    let told = of(&test).troubles;
    assert!(matches!(&told[..], [HealthTrouble::Unreadable { path, .. }] if path == "TASK-1"));
}

#[test]
fn it_changes_nothing() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    for home in [run.run_path(), test.task().path()] {
        fs::remove_file(home.join("journal/.lock")).unwrap();
    }
    let listed = || {
        let homes = [test.root().to_owned(), test.task().path().join("journal"), run.run_path()];
        homes.map(|home| fs::read_dir(home).unwrap().count())
    };
    let before = listed();
    assert!(of(&test).is_good());
    assert_eq!(listed(), before);
}

#[cfg(feature = "sqlite")]
#[test]
fn the_index_is_told_by_what_it_lacks() {
    use runjournal::IndexState;
    use runjournal::index::Index;

    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    test.start_run("RUN-2").unwrap();
    let index = Index::of(test.workspace());
    let told = || {
        let told = of(&test).index.unwrap();
        (told.state, told.behind)
    };
    assert_eq!(told(), (IndexState::NotBuilt, None));
    index.rebuild().unwrap();
    assert_eq!(told(), (IndexState::Built, Some(0)));
    run.append(Event::new("noted")).unwrap();
    assert_eq!(told(), (IndexState::Built, Some(1)));
    // A run that is new, and its task's journal that says so.
    test.start_run("RUN-3").unwrap();
    assert_eq!(told(), (IndexState::Built, Some(3)));
    fs::remove_dir_all(test.task().path().join("runs/RUN-2")).unwrap();
    assert_eq!(told(), (IndexState::Built, Some(4)));
    index.refresh().unwrap();
    assert_eq!(told(), (IndexState::Built, Some(0)));
    // A torn end was looked at as well.
    let mut bytes = fs::read(run.journal_path()).unwrap();
    bytes.extend_from_slice(b"{");
    fs::write(run.journal_path(), bytes).unwrap();
    index.refresh().unwrap();
    assert_eq!(told(), (IndexState::Built, Some(0)));

    fs::write(index.path().join("CURRENT"), "nonsense\n").unwrap();
    let health = of(&test);
    assert_eq!(health.index.as_ref().unwrap().state, IndexState::Damaged);
    assert!(matches!(health.troubles[..], [HealthTrouble::IndexDamaged { .. }]));
    let elsewhere = Index::at(test.workspace(), test.root().join("../elsewhere"));
    let health = health.with_index(&elsewhere);
    assert!(health.is_good());
    assert_eq!(health.index.unwrap().state, IndexState::NotBuilt);
}

#[test]
fn the_last_verify_is_told_and_its_errors_are_a_trouble() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("noted")).unwrap();
    assert_eq!(of(&test).last_verify, None);
    Verify::of(&ctx).run().unwrap();
    assert_eq!(of(&test).last_verify, None, "not as a whole");
    let whole = fs::read(ctx.journal_path()).unwrap();
    let mut changed = whole.clone();
    changed[60] ^= 1;
    fs::write(ctx.journal_path(), changed).unwrap();
    let found = Verify::of(test.workspace()).run().unwrap();
    let health = of(&test);
    let last = health.last_verify.clone().unwrap();
    let errors = found.count(Severity::Error) as u64;
    assert!(errors > 0);
    assert_eq!(last.errors, errors);
    let told = HealthTrouble::VerifiedWithErrors { at: last.at, errors };
    assert_eq!((health.is_good(), &health.troubles), (false, &vec![told]));

    fs::write(ctx.journal_path(), whole).unwrap();
    Verify::of(test.workspace()).run().unwrap();
    assert!(of(&test).is_good() && of(&test).last_verify.unwrap().at > last.at);
}
