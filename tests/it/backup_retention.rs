//! Which snapshots stay, and what goes with the others.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use runjournal::testing::FixedClock;
use runjournal::*;

use crate::backups::{Lab, assert_same, codes};

const A: ArtifactName = ArtifactName::from_static("a.txt");
const DAY: i64 = 86_400_000_000;

/// A run that changes, and a snapshot a day.
fn days(lab: &Lab, days: usize) -> (Backup, Arc<FixedClock>, Vec<Snapshot>) {
    let clock = Arc::new(FixedClock::default());
    let backup = lab.backup().with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let ctx = lab.test.task().open_or_start_run("RUN-1").unwrap();
    let mut taken = Vec::new();
    for day in 0..days {
        let content = format!("{day} {}", "x".repeat(5000));
        ctx.artifacts().write_bytes(A, content.as_bytes()).unwrap();
        taken.push(backup.take(lab.test.workspace()).unwrap());
        clock.advance(DAY);
    }
    (backup, clock, taken)
}

fn ids(snapshots: &[Snapshot]) -> Vec<uuid::Uuid> {
    snapshots.iter().map(Snapshot::id).collect()
}

#[test]
fn the_newest_the_recent_and_the_held_stay() {
    let lab = Lab::new();
    let (backup, _, mut taken) = days(&lab, 6);
    taken[1].hold("before the move").unwrap();
    assert_eq!(backup.snapshots().unwrap()[1].hold_reason(), Some("before the move"));
    let plan = |retention: Retention| backup.prune(retention).plan().unwrap();
    let default = Retention::default();
    // Now is six days after the first.
    let within = |days: u64| default.keep_within(Duration::from_secs(days * 86_400 + 3600));
    assert_eq!(
        ids(plan(default.keep_last(2)).remove()),
        ids(&[&taken[..1], &taken[2..4]].concat())
    );
    assert_eq!(ids(plan(within(3)).remove()), ids(&[&taken[..1], &taken[2..3]].concat()));
    assert_eq!(ids(plan(within(0)).remove()), ids(&[&taken[..1], &taken[2..5]].concat()));
    assert_eq!(ids(plan(within(3).keep_last(5)).remove()), ids(&taken[..1]));
    let why: Vec<_> = plan(within(2)).keep().iter().map(|(_, why)| *why).collect();
    assert_eq!(why, [SnapshotKept::Held, SnapshotKept::Recent, SnapshotKept::Newest]);
    assert_eq!(backup.snapshots().unwrap().len(), 6, "a plan changes nothing");

    let plan = plan(default.keep_last(2));
    let (objects, bytes) = (plan.objects(), plan.bytes());
    // Each has an artifact, a piece of a journal and a page of its own; the artifacts alone are 5 KB.
    assert!(objects >= 9 && bytes > 15_000, "{objects} {bytes}");
    taken[0].hold("meanwhile").unwrap();
    let pruned = plan.apply().unwrap();
    assert_eq!(pruned.snapshots, 2);
    assert_eq!(pruned.objects, objects / 3 * 2);
    assert_eq!(backup.verify(true).unwrap().findings, []);
    let left = backup.snapshots().unwrap();
    assert_eq!(left.len(), 4);
    taken[0].lift().unwrap();
    taken[1].lift().unwrap();
    backup.prune(default).plan().unwrap().apply().unwrap();
    let left = backup.snapshots().unwrap();
    assert_eq!(ids(&left), ids(&taken[5..]));
    let files = walkdir::WalkDir::new(lab.path("backup/snapshots")).into_iter();
    assert_eq!(files.filter(|entry| entry.as_ref().unwrap().file_type().is_file()).count(), 1);
    assert_eq!(backup.verify(true).unwrap().findings, []);
    let root = lab.path("elsewhere");
    left[0].restore_to(&root).plan().unwrap().apply().unwrap();
    assert_same(lab.test.root(), &root);
    // What was pruned is brought again.
    assert_eq!(backup.prune(default).plan().unwrap().objects(), 0);
    backup.take(lab.test.workspace()).unwrap();
    assert_eq!(backup.verify(true).unwrap().findings, []);
}

#[test]
fn the_newest_without_an_error_stays() {
    let lab = Lab::new();
    let (backup, clock, taken) = days(&lab, 2);
    fs::write(lab.ctx("RUN-1").run_path().join("artifacts/a.txt"), "harmed").unwrap();
    let harmed = [(); 3].map(|()| {
        clock.advance(DAY);
        backup.take(lab.test.workspace()).unwrap()
    });
    assert!(harmed.iter().all(|snapshot| codes(snapshot.findings()) == [Code::ArtifactChanged]));
    let plan = backup.prune(Retention::default().keep_last(1)).plan().unwrap();
    let why = |snapshot: &Snapshot| {
        let kept = plan.keep().iter().find(|(kept, _)| kept.id() == snapshot.id());
        kept.map(|(_, why)| *why)
    };
    assert_eq!(why(&taken[1]), Some(SnapshotKept::NewestGood));
    assert_eq!(why(&harmed[2]), Some(SnapshotKept::Newest));
    plan.apply().unwrap();
    assert_eq!(ids(&backup.snapshots().unwrap()), [taken[1].id(), harmed[2].id()]);
    let newest = backup.newest(&Scope::workspace(), None).unwrap();
    assert_eq!(newest.id(), harmed[2].id());
    let restore = newest.restore_to(lab.path("restored")).passing_over_errors().plan().unwrap();
    let from: Vec<_> = restore.items().iter().map(|item| item.snapshot_id).collect();
    assert_eq!(from, [harmed[2].id(), taken[1].id()], "the task, and its run");
}

#[test]
fn of_each_run_the_newest_without_an_error_stays() {
    let lab = Lab::new();
    let (backup, _, taken) = days(&lab, 1);
    let harm = |run: &str| fs::write(lab.ctx(run).run_path().join("artifacts/a.txt"), "harm");
    let write = |run: &str| lab.ctx(run).artifacts().write_bytes(A, b"late").unwrap();
    lab.test.start_run("RUN-2").unwrap();
    write("RUN-2");
    harm("RUN-1").unwrap();
    // All that knows of the second run, and is not of damage.
    let of_second = [(); 2].map(|()| backup.take(lab.test.workspace()).unwrap());
    write("RUN-1");
    harm("RUN-2").unwrap();
    let newest = backup.take(lab.test.workspace()).unwrap();
    let plan = backup.prune(Retention::default().keep_last(1)).plan().unwrap();
    assert_eq!(ids(plan.remove()), [of_second[0].id()]);
    plan.apply().unwrap();
    let left = [taken[0].id(), of_second[1].id(), newest.id()];
    assert_eq!(ids(&backup.snapshots().unwrap()), left);
}

#[test]
fn each_scope_is_decided_by_itself() {
    let lab = Lab::new();
    let (backup, _, taken) = days(&lab, 1);
    for _ in 0..3 {
        backup.take(lab.test.task()).unwrap();
    }
    let plan = backup.prune(Retention::default().keep_last(1)).plan().unwrap();
    assert_eq!(plan.remove().len(), 2);
    assert!(plan.keep().iter().any(|(kept, _)| kept.id() == taken[0].id()));
}

#[test]
fn nobody_is_pruned_under() {
    let lab = Lab::new();
    let (backup, _, taken) = days(&lab, 2);
    let backup = backup.with_lock_timeout(Duration::from_millis(20));
    let restore = taken[0].restore_to(lab.path("elsewhere")).plan().unwrap();
    let prune = || backup.prune(Retention::default()).plan().unwrap();
    let busy = prune().apply();
    assert!(matches!(busy, Err(BackupError::Busy { .. })), "{busy:?}");
    restore.apply().unwrap();
    prune().apply().unwrap();
    let gone = taken[0].restore_to(lab.path("late")).plan();
    assert!(matches!(gone, Err(BackupError::Damaged { .. })), "{gone:?}");
    assert!(taken[0].clone().hold("too late").is_err());
}

#[test]
fn what_killed_backups_left_goes() {
    let lab = Lab::new();
    let (backup, _, _) = days(&lab, 1);
    let digest = Digest::of(b"unnamed").to_hex();
    let fan = lab.path("backup/objects").join(&digest[..2]);
    fs::create_dir_all(&fan).unwrap();
    fs::write(fan.join(&digest[2..]), "unnamed").unwrap();
    fs::write(fan.join("README"), "of somebody's").unwrap();
    fs::write(lab.path("backup/.tmp/half"), "ha").unwrap();
    let plan = backup.prune(Retention::default()).plan().unwrap();
    assert_eq!((plan.remove().len(), plan.objects(), plan.bytes()), (0, 1, 7));
    plan.apply().unwrap();
    assert!(!fan.join(&digest[2..]).exists());
    assert!(fan.join("README").exists());
    assert!(!lab.path("backup/.tmp/half").exists());
}

#[test]
fn nothing_goes_while_a_page_cannot_be_read() {
    let lab = Lab::new();
    let (backup, _, taken) = days(&lab, 3);
    let text = fs::read_to_string(lab.path(&format!("backup/snapshots/{}.json", taken[2].id())));
    let hex = text.unwrap().split("\"page\":\"blake3:").nth(1).unwrap()[..64].to_owned();
    let page = lab.path("backup/objects").join(&hex[..2]).join(&hex[2..]);
    let content = fs::read(&page).unwrap();
    let plan = backup.prune(Retention::default()).plan().unwrap();
    fs::write(&page, "rot").unwrap();
    assert!(matches!(plan.apply(), Err(BackupError::PruneStopped { .. })));
    assert_eq!(backup.snapshots().unwrap().len(), 3);
    assert!(backup.prune(Retention::default()).plan().is_err());
    fs::write(&page, content).unwrap();
    assert_eq!(backup.verify(true).unwrap().findings, []);
}

#[test]
fn a_hold_that_cannot_be_read_holds() {
    let harm: [fn(&camino::Utf8Path); 3] = [
        |hold| fs::write(hold, "rot").unwrap(),
        |hold| {
            let text = fs::read_to_string(hold).unwrap();
            fs::write(hold, text.replace("the first", "the f1rst")).unwrap();
        },
        |hold| {
            fs::remove_file(hold).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", hold).unwrap();
        },
    ];
    for harm in harm {
        let lab = Lab::new();
        let (backup, _, taken) = days(&lab, 3);
        taken[0].clone().hold("the first").unwrap();
        let file = lab.path(&format!("backup/snapshots/{}.hold", taken[0].id()));
        harm(&file);
        assert_eq!(ids(&backup.snapshots().unwrap()), ids(&taken));
        let unreadable = backup.unreadable().unwrap();
        assert_eq!(unreadable.len(), 1);
        let told = unreadable[0].to_string();
        let places = format!(
            "`runjournal backup hold {} {} --reason REASON` places it",
            backup.path(),
            taken[0].id()
        );
        assert!(told.contains(file.as_str()) && told.ends_with("removes it"), "{told}");
        assert!(told.contains(&places) && !told.contains("another snapshot"), "{told}");
        let found = backup.verify(false).unwrap().findings;
        assert_eq!((codes(&found), &found[0].place.path), (vec![Code::Unreadable], &file));
        let plan = backup.prune(Retention::default().keep_last(1)).plan().unwrap();
        assert_eq!(ids(plan.remove()), [taken[1].id()]);
        let plan = backup.prune(Retention::default().keep_last(1)).plan().unwrap();
        plan.apply().unwrap();

        let mut held = backup.snapshot(&taken[0].id().to_string()).unwrap();
        held.hold("again").unwrap();
        assert_eq!(backup.unreadable().unwrap().len(), 0);
        assert_eq!(backup.snapshots().unwrap()[0].hold_reason(), Some("again"));
        harm(&file);
        backup.snapshot(&taken[0].id().to_string()).unwrap().lift().unwrap();
        assert_eq!(backup.verify(true).unwrap().findings, []);
        assert_eq!(
            backup.prune(Retention::default().keep_last(1)).plan().unwrap().remove().len(),
            1
        );
    }
}

#[test]
fn a_hold_has_a_reason_that_can_be_read() {
    let lab = Lab::new();
    let (backup, _, mut taken) = days(&lab, 1);
    let long = "x".repeat(1025);
    for (reason, wrong) in [
        ("", "is empty"),
        (long.as_str(), "more than 1,024 bytes"),
        ("two\nlines", "line breaks or control characters"),
    ] {
        let refused = taken[0].hold(reason).unwrap_err().to_string();
        assert!(refused.contains(wrong), "{refused}");
    }
    assert_eq!(backup.snapshots().unwrap()[0].hold_reason(), None);
    taken[0].hold(&long[1..]).unwrap();
}

fn gone(snapshot: &Snapshot) -> Vec<String> {
    let findings = snapshot.findings().iter();
    findings.map(|finding| format!("{} {}", finding.place.path, finding.code)).collect()
}

#[test]
fn what_is_gone_is_told_and_its_last_copy_stays() {
    let lab = Lab::with_runs();
    let (prune, run) =
        (|| lab.backup().prune(Retention::default().keep_last(1)).plan().unwrap(), "RUN-1");
    let first = lab.take();
    let ctx = lab.test.start_run("RUN-3").unwrap();
    fs::remove_dir_all(lab.ctx(run).run_path()).unwrap();
    let missing = |run: &str| format!("TASK-1/runs/{run}/journal/events.jsonl journal_missing");
    let second = lab.take();
    assert_eq!(gone(&second), [missing(run)]);
    // A snapshot of less knows as much of that.
    let of_task = lab.backup().take(lab.test.task()).unwrap();
    assert_eq!(gone(&of_task), [missing(run)]);
    let of_run = lab.backup().take(&lab.ctx("RUN-2")).unwrap();
    assert_eq!(gone(&of_run), Vec::<String>::new());
    // The only one that has the third.
    fs::remove_dir_all(ctx.run_path()).unwrap();
    let third = lab.take();
    assert_eq!(gone(&third), [missing(run), missing("RUN-3")]);
    assert_eq!(prune().remove().len(), 0);
    let fourth = lab.take();
    assert_eq!(ids(prune().remove()), [third.id()]);
    prune().apply().unwrap();

    // Put back, nothing is amiss.
    for (snapshot, run) in [(&first, run), (&second, "RUN-3")] {
        let scope = Scope::run("TASK-1".parse().unwrap(), run.parse().unwrap());
        let root = lab.test.root();
        snapshot.restore_to(root).scope(scope).plan().unwrap().apply().unwrap();
    }
    assert_eq!(lab.take().findings(), []);
    let gone = ids(prune().remove());
    assert_eq!(gone, [first.id(), second.id(), fourth.id()]);
    prune().apply().unwrap();
    assert_eq!(lab.backup().verify(true).unwrap().findings, []);
}

#[test]
fn a_task_that_is_gone_is_told_once_and_all_of_its_runs_stay() {
    let lab = Lab::with_runs();
    let first = lab.take();
    fs::write(lab.ctx("RUN-1").run_path().join("artifacts/a.txt"), "harmed").unwrap();
    let second = lab.take();
    fs::remove_dir_all(lab.test.task().path()).unwrap();
    let third = lab.take();
    assert_eq!(gone(&third), ["TASK-1/journal/events.jsonl journal_missing"]);
    lab.take();
    let plan = lab.backup().prune(Retention::default().keep_last(1)).plan().unwrap();
    assert_eq!(ids(plan.remove()), [third.id()]);
    assert_eq!(ids(&[plan.keep()[0].0.clone(), plan.keep()[1].0.clone()]), ids(&[first, second]));
}

#[test]
fn what_was_pruned_is_no_loss() {
    let lab = Lab::with_runs();
    let first = lab.take();
    let policy = PrunePolicy { success: Duration::ZERO, ..PrunePolicy::default() };
    lab.test.clock().advance(DAY);
    let pruned = Prune::of(lab.test.task()).policy(policy).plan().unwrap().apply().unwrap();
    assert_eq!(pruned.runs.len(), 1);
    for _ in 0..2 {
        let snapshot = lab.take();
        assert_eq!((gone(&snapshot), snapshot.totals().runs), (Vec::new(), 1));
    }
    let plan = lab.backup().prune(Retention::default().keep_last(1)).plan().unwrap();
    assert_eq!(ids(plan.remove())[0], first.id());
}

#[test]
fn a_backup_without_its_first_file_says_what_to_do() {
    let lab = Lab::new();
    let snapshot = lab.take();
    let (file, other) = (lab.path("backup/backup.json"), lab.path("other"));
    Backup::create_at(&other).unwrap();
    let harms: [fn(&camino::Utf8Path); 2] =
        [|file| fs::write(file, "rot").unwrap(), |file| fs::remove_file(file).unwrap()];
    for harm in harms {
        harm(&file);
        for opened in [Backup::open(lab.path("backup")), Backup::create_at(lab.path("backup"))] {
            let refused = opened.unwrap_err().to_string();
            let does = format!("copy OTHER/backup.json to {}", lab.path("backup"));
            assert!(refused.contains(file.as_str()) && refused.ends_with(&does), "{refused}");
        }
        // That is what to do.
        fs::copy(other.join("backup.json"), &file).unwrap();
        assert_eq!(ids(&lab.backup().snapshots().unwrap()), [snapshot.id()]);
        assert_eq!(lab.backup().verify(true).unwrap().findings, []);
    }
}
