//! The index: built, refreshed, verified.

use std::fs;

use runjournal::index::{Difference, Index};
use runjournal::testing::TestWorkspace;
use runjournal::{Artifact, Event, Outcome, Signal, Workspace};

const PLAN: Artifact<u32> = Artifact::json("plan.json");

fn differences(index: &Index) -> Vec<Difference> {
    let mut found = Vec::new();
    let count = index.verify(&mut |_| {}, &mut |difference| found.push(difference)).unwrap();
    assert_eq!(count, found.len() as u64);
    found
}

fn check(index: &Index) {
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
