//! A journal that lost its last records, and whoever knows better: a backup tells of it each time.

use std::fs;

use camino::Utf8Path;
use runjournal::*;

use crate::backups::{Lab, codes};

const A: ArtifactName = ArtifactName::from_static("a.txt");

/// The home's journal without its last records, and without the heads that know of them.
fn cut(home: &Utf8Path, records: usize) {
    let journal = home.join("journal/events.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    fs::write(&journal, lines[..lines.len() - records].concat()).unwrap();
    for entry in fs::read_dir(home.join("journal")).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with(".head") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// A snapshot in which the journal at a path, and nothing else, is told to be shorter than somebody knows.
#[track_caller]
fn take_short(lab: &Lab, home: &str, who: &str) -> Snapshot {
    let snapshot = lab.take();
    assert_eq!(codes(snapshot.findings()), [Code::JournalShorter], "{:?}", snapshot.findings());
    let finding = &snapshot.findings()[0];
    assert_eq!(finding.place.path, format!("{home}/journal/events.jsonl"));
    assert!(finding.reason.contains(who), "{}", finding.reason);
    snapshot
}

#[test]
fn the_manifest_knows_better() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("one")).unwrap();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    cut(&ctx.run_path(), 1);
    take_short(&lab, "TASK-1/runs/RUN-1", "the manifest");
    // A page of another run says nothing of this one.
    let other = lab.test.start_run("RUN-2").unwrap();
    fs::copy(ctx.run_path().join("manifest.json"), other.run_path().join("manifest.json")).unwrap();
    take_short(&lab, "TASK-1/runs/RUN-1", "the manifest");
}

#[test]
fn a_checkpoint_knows_better() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("one")).unwrap();
    ctx.next_checkpoint().unwrap();
    cut(&ctx.run_path(), 1);
    // A crash leaves a checkpoint without its record.
    assert_eq!(lab.take().findings(), []);
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("one")).unwrap();
    ctx.next_checkpoint().unwrap();
    cut(&ctx.run_path(), 2);
    take_short(&lab, "TASK-1/runs/RUN-1", "the checkpoint of turn 1");
}

#[test]
fn the_newest_good_snapshot_knows_better() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"first").unwrap();
    ctx.append(Event::new("one")).unwrap();
    lab.take();
    ctx.append(Event::new("two")).unwrap();
    let good = lab.take();
    cut(&ctx.run_path(), 1);
    let named = format!("snapshot {}", good.id());
    take_short(&lab, "TASK-1/runs/RUN-1", &named);
    take_short(&lab, "TASK-1/runs/RUN-1", &named);
    // What is written since is in the newest alone: it is told, and not passed over.
    let newest = lab.backup().newest(&Scope::workspace(), None).unwrap();
    let restore = newest.restore_to(lab.path("restored")).passing_over_errors().plan().unwrap();
    assert!(restore.items().iter().all(|item| item.snapshot_id == newest.id()));
    assert_ne!(newest.id(), good.id());
    // What was appended since does not make up for it.
    lab.test.task().run("RUN-1").unwrap().context().append(Event::new("not_two")).unwrap();
    take_short(&lab, "TASK-1/runs/RUN-1", &named);

    fs::remove_dir_all(ctx.run_path()).unwrap();
    good.restore_to(lab.test.root()).plan().unwrap().apply().unwrap();
    assert_eq!(lab.take().findings(), []);
    cut(&lab.test.task().path(), 1);
    let short = lab.take();
    assert_eq!(codes(short.findings()), [Code::JournalShorter]);
    assert_eq!(short.findings()[0].place.path, "TASK-1/journal/events.jsonl");
}

#[test]
fn a_run_that_was_put_back_as_it_was_lost_nothing() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("one")).unwrap();
    let old = lab.take();
    ctx.append(Event::new("two")).unwrap();
    lab.take();
    fs::remove_dir_all(ctx.run_path()).unwrap();
    old.restore_to(lab.test.root()).plan().unwrap().apply().unwrap();
    assert_eq!(lab.take().findings(), []);
    let ctx = lab.ctx("RUN-1");
    ctx.append(Event::new("three")).unwrap();
    ctx.append(Event::new("four")).unwrap();
    let good = lab.take();
    assert_eq!(good.findings(), []);
    cut(&ctx.run_path(), 1);
    take_short(&lab, "TASK-1/runs/RUN-1", &good.id().to_string());
}

#[test]
fn another_run_of_the_same_name_lost_nothing() {
    let lab = Lab::new();
    let ctx = lab.test.start_run("RUN-1").unwrap();
    for name in ["one", "two", "three"] {
        ctx.append(Event::new(name)).unwrap();
    }
    lab.take();
    fs::remove_dir_all(ctx.run_path()).unwrap();
    lab.test.clock().advance(1_000_000);
    lab.test.start_run("RUN-1").unwrap();
    assert_eq!(lab.take().findings(), []);
}
