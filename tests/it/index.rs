//! The index: built, refreshed, verified.

use std::fs;

use runjournal::index::{Difference, Index, Side};
use runjournal::testing::TestWorkspace;
use runjournal::{Artifact, Event, Outcome, Signal, Workspace};

use crate::index_lab::{codes, open, rows};

const PLAN: Artifact<u32> = Artifact::json("plan.json");

fn differences(index: &Index) -> Vec<Difference> {
    let mut found = Vec::new();
    let count = index.verify(&mut |_| {}, &mut |difference| found.push(difference)).unwrap();
    assert_eq!(count, found.len() as u64);
    found
}

pub(crate) fn check(index: &Index) {
    let found = differences(index);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_refresh_leads_where_a_rebuild_does() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let workspace = Workspace::open(ctx.root()).unwrap();
    let index = Index::of(&workspace);
    let done = index.refresh().unwrap().done;
    assert_eq!((done.tasks, done.runs, done.looked_at), (1, 1, 2));
    check(&index);

    ctx.step("plan", |s| {
        s.write(PLAN, &1)?;
        Ok(Signal::new("planned"))
    })
    .unwrap();
    ctx.append(Event::new("noted").payload(&serde_json::json!({"x": 1}))).unwrap();
    assert_ne!(differences(&index), []);
    index.refresh().unwrap();
    check(&index);

    fs::write(ctx.run_path().join("artifacts/plan.json"), "2\n").unwrap();
    fs::write(ctx.run_path().join("artifacts/foreign.txt"), "2\n").unwrap();
    index.refresh().unwrap();
    check(&index);

    let second = test.start_run("RUN-2").unwrap();
    second.artifacts().write(PLAN, &7).unwrap();
    ctx.run().unwrap().complete(Outcome::Success, None).unwrap();
    index.refresh().unwrap();
    check(&index);

    fs::rename(second.run_path(), second.run_path().with_file_name("RUN-3")).unwrap();
    index.refresh().unwrap();
    check(&index);
    assert_eq!(index.refresh().unwrap().done.runs, 2);
}

/// A genesis file that is lost, where its journal tells that it was there, is no interrupted start.
#[test]
fn a_lost_genesis_file_is_a_finding() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("noted")).unwrap();
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    for (name, also) in
        [("TASK-1/task.json", Some("orphaned_run")), ("TASK-1/runs/RUN-1/run.json", None)]
    {
        let genesis = test.root().join(name);
        let kept = fs::read(&genesis).unwrap();
        fs::remove_file(&genesis).unwrap();
        let mut expected = vec!["genesis_damaged".to_owned()];
        expected.extend(also.map(str::to_owned));
        for _ in 0..3 {
            index.refresh().unwrap();
            assert_eq!(codes(&index), expected);
            check(&index);
        }
        let found = rows(&open(&index), "SELECT path, reason FROM findings ORDER BY code LIMIT 1");
        let reason = "it is missing though its journal holds records";
        assert_eq!(found, [format!("path={name:?} reason={reason:?}")]);
        index.rebuild().unwrap();
        assert_eq!(codes(&index), expected);
        fs::write(&genesis, kept).unwrap();
        index.refresh().unwrap();
        assert_eq!(codes(&index), [""; 0]);
        check(&index);
    }
}

/// What an interrupted start leaves is neither a finding nor counted.
#[test]
fn directories_without_a_start_are_not_counted() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    for below in ["TASK-2", "TASK-3/journal", "TASK-1/runs/RUN-2", "TASK-1/runs/RUN-3/journal"] {
        fs::create_dir_all(test.root().join(below)).unwrap();
    }
    fs::write(test.root().join("TASK-1/runs/RUN-3/journal/events.jsonl"), "").unwrap();
    let index = Index::of(test.workspace());
    for built in [index.rebuild().unwrap(), index.refresh().unwrap()] {
        assert_eq!((built.done.tasks, built.done.runs), (1, 1));
    }
    assert_eq!(codes(&index), [""; 0]);
    check(&index);
}

/// Rows are counted: one that is there twice is one too many.
#[test]
fn a_doubled_row_is_a_difference() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let torn = [&fs::read(ctx.journal_path()).unwrap()[..], b"{\"half"].concat();
    fs::write(ctx.journal_path(), torn).unwrap();
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    check(&index);
    let writer = rusqlite::Connection::open(index.database_path().unwrap()).unwrap();
    let double = "INSERT INTO t_findings SELECT journal, lasting, number + $1, code, path, first_byte, \
                  bytes, reason FROM t_findings WHERE number = 0";
    for number in [7, 8] {
        assert_eq!(writer.execute(double, [number]).unwrap(), 1);
    }
    let found = differences(&index);
    assert_eq!(found.len(), 2, "{found:#?}");
    for difference in found {
        assert_eq!((difference.view.as_str(), difference.side), ("findings", Side::Index));
    }
}
