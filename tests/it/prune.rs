//! Prune: what goes, what stays and why, and what is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use proptest::prelude::*;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, Digest, Event, Keep, LeftoverKind, Outcome, Prune, PrunePlan, PrunePolicy,
    PruneReason, Pruned, RunContext, RunId, Signal, Task, TaskOptions, WorkspaceError,
};
use serde_json::{Value, json};

pub(crate) const DAY: i64 = 86_400_000_000;
const NOTE: Artifact<String> = Artifact::json("note.json");

pub(crate) fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

pub(crate) fn id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

pub(crate) fn complete(ctx: &RunContext, success: bool) {
    let outcome = if success { Outcome::Success } else { Outcome::Failed };
    ctx.run().unwrap().complete(outcome, None).unwrap();
}

fn plan(test: &TestWorkspace) -> PrunePlan {
    Prune::of(test.workspace()).plan().unwrap()
}

fn goes(plan: &PrunePlan) -> Vec<String> {
    plan.runs.iter().map(|run| format!("{}/{}", run.task, run.run)).collect()
}

fn went(pruned: &Pruned) -> Vec<String> {
    pruned.runs.iter().map(|run| format!("{}/{}", run.task, run.run)).collect()
}

/// The files below a directory, with what is in them and when they were changed.
fn tree(root: &Utf8Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = walkdir(root.as_std_path());
    entries
        .into_iter()
        .map(|path| {
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            (path.display().to_string(), (bytes, modified))
        })
        .collect()
}

fn walkdir(root: &std::path::Path) -> Vec<std::path::PathBuf> {
    let (mut to_do, mut found) = (vec![root.to_owned()], Vec::new());
    while let Some(dir) = to_do.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                to_do.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

#[test]
fn runs_go_by_how_they_ended_and_how_long_ago() {
    let test = TestWorkspace::new().unwrap();
    complete(&test.start_run("GOOD").unwrap(), true);
    complete(&test.start_run("BAD").unwrap(), false);
    test.start_run("LEFT").unwrap().append(Event::new("noted")).unwrap();
    test.start_run("EMPTY").unwrap();
    // Each read of the clock is a millisecond: an hour less is surely before.
    let (hour, mut at) = (DAY / 24, 0);
    let mut go_to = |day: i64, off: i64| {
        test.clock().advance(day * DAY + off - at);
        at = day * DAY + off;
    };
    for (day, before, after) in [
        (7, vec![], vec!["TASK-1/EMPTY", "TASK-1/LEFT"]),
        (
            30,
            vec!["TASK-1/EMPTY", "TASK-1/LEFT"],
            vec!["TASK-1/BAD", "TASK-1/EMPTY", "TASK-1/LEFT"],
        ),
        (
            90,
            vec!["TASK-1/BAD", "TASK-1/EMPTY", "TASK-1/LEFT"],
            vec!["TASK-1/BAD", "TASK-1/EMPTY", "TASK-1/GOOD", "TASK-1/LEFT"],
        ),
    ] {
        go_to(day, -hour);
        assert_eq!(goes(&plan(&test)), before, "before day {day}");
        go_to(day, hour);
        assert_eq!(goes(&plan(&test)), after, "after day {day}");
    }
    let plan = plan(&test);
    let reasons: Vec<_> = plan.runs.iter().map(|run| run.reason).collect();
    let (failed, left, good) = (PruneReason::Failed, PruneReason::Abandoned, PruneReason::Success);
    assert_eq!(reasons, [failed, left, good, left]);
    assert!(plan.runs.iter().all(|run| run.age >= days(90) && run.bytes > 200));
    assert_eq!(plan.bytes(), plan.runs.iter().map(|run| run.bytes).sum::<u64>());
    assert!(plan.kept.is_empty());

    let policy = PrunePolicy { success: Duration::MAX, failed: days(400), ..Default::default() };
    let plan = Prune::of(test.task()).policy(policy).plan().unwrap();
    assert_eq!(goes(&plan), ["TASK-1/EMPTY", "TASK-1/LEFT"]);
}

#[test]
fn a_run_that_goes_leaves_its_word_and_nothing_else() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write(NOTE, &"x".to_owned()).unwrap();
    complete(&ctx, true);
    let manifest = ctx.manifest().unwrap();
    let stays = test.start_run("RUN-2").unwrap();
    test.clock().advance(100 * DAY);
    stays.append(Event::new("noted")).unwrap();

    let plan = plan(&test);
    assert!(ctx.run_path().exists(), "a plan changes nothing");
    let pruned = plan.apply().unwrap();
    assert_eq!(went(&pruned), ["TASK-1/RUN-1"]);
    assert!(pruned.kept.is_empty());
    assert!(!ctx.run_path().exists());
    assert_eq!(fs::read_dir(test.root().join(".trash")).unwrap().count(), 0);
    assert_eq!(test.task().runs().unwrap(), [id("RUN-2")]);
    assert!(matches!(test.task().run("RUN-1"), Err(WorkspaceError::RunNotFound { .. })));

    let last = test.task().events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    assert_eq!((last.event_type(), last.stream_id()), ("run_pruned", "RUN-1"));
    let payload: Value = last.payload().unwrap();
    assert!(payload["age_ms"].as_u64().unwrap() >= 100 * 86_400_000);
    assert_eq!(
        payload,
        json!({
            "reason": "success", "status": "SUCCESS", "age_ms": payload["age_ms"],
            "artifacts_root": manifest.artifacts_root.to_string(),
            "journal": {
                "bytes": manifest.journal.bytes, "last_seq": manifest.journal.last_seq,
                "hash": manifest.journal.hash.to_string(),
            },
        })
    );
    // An id is one run's, also when that is gone.
    for refused in [
        test.task().start_run_as("RUN-1").map(drop),
        test.task().open_or_start_run("RUN-1").map(drop),
        test.task()
            .start_run_with(runjournal::RunOptions {
                run_id: Some(id("RUN-1")),
                parent: Some((test.task().id().clone(), id("RUN-2"))),
            })
            .map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, WorkspaceError::RunPruned { .. }), "{error}");
    }
    assert!(!ctx.run_path().exists());
    // Whoever still stands in the run is told.
    assert!(ctx.append(Event::new("late")).is_err());
}

#[test]
fn a_run_that_did_not_end_is_ended_as_it_goes() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.step("work", |_| Ok(Signal::new("done"))).unwrap();
    let journal = ctx.journal().unwrap();
    journal.append(Event::new("noted")).unwrap();
    test.clock().advance(8 * DAY);
    // Who runs a flow since the plan was made keeps it.
    let planned = plan(&test);
    let flow = locked(&test.task().path().join("journal/.flow"));
    let kept = planned.apply().unwrap().kept;
    assert!(matches!(kept[0].why, Keep::Running { .. }), "{}", kept[0].why);
    drop(flow);
    let mut open = fs::File::open(ctx.journal_path()).unwrap();
    let pruned = plan(&test).apply().unwrap();
    assert_eq!(pruned.runs[0].reason, PruneReason::Abandoned);
    // What a kill would have left for those who had it open.
    let mut text = String::new();
    std::io::Read::read_to_string(&mut open, &mut text).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let word = test.task().events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    assert_eq!(last["event_type"], "execution_complete");
    assert_eq!(last["causation_event_id"], word.event_id().to_string());
    assert_eq!(
        last["payload"],
        json!({"status": "FAILED", "reason": "pruned: abandoned",
            "counts": {"steps_completed": 1, "steps_failed": 0}})
    );
    // A kept writer learns that the run is gone.
    let error = journal.append(Event::new("late")).unwrap_err();
    assert!(matches!(error, runjournal::JournalError::Removed { .. }), "{error}");
}

#[test]
fn what_is_put_back_is_decided_anew_and_said_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    complete(&ctx, false);
    let copy = test.root().join("../copy");
    copy_dir(ctx.run_path().as_std_path(), copy.as_std_path());
    test.clock().advance(40 * DAY);
    plan(&test).apply().unwrap();
    let words = || test.task().events().unwrap().of_type("run_pruned").read_all().unwrap().0.len();
    assert_eq!(words(), 1);

    // As a power cut may leave it, or somebody who unpacks an archive.
    copy_dir(copy.as_std_path(), ctx.run_path().as_std_path());
    let keeps = PrunePolicy { failed: days(50), ..Default::default() };
    let plan_of = |policy| Prune::of(test.workspace()).policy(policy).plan().unwrap();
    assert!(plan_of(keeps).runs.is_empty());
    test.task().hold_run(&id("RUN-1"), "put back").unwrap();
    assert!(plan_of(PrunePolicy::default()).runs.is_empty());
    test.task().lift_hold(&id("RUN-1")).unwrap();
    assert_eq!(went(&plan(&test).apply().unwrap()), ["TASK-1/RUN-1"]);
    assert_eq!(
        words(),
        1,
        "a hold says nothing of where it is: the last word is that it was pruned"
    );
    copy_dir(copy.as_std_path(), ctx.run_path().as_std_path());
    assert_eq!(went(&plan(&test).apply().unwrap()), ["TASK-1/RUN-1"]);
    assert_eq!(words(), 1, "the same was not said again");
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for path in walkdir(from).into_iter().rev() {
        let target = to.join(path.strip_prefix(from).unwrap());
        if path.is_dir() {
            fs::create_dir_all(&target).unwrap();
        } else {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_clock_that_is_put_back_keeps_what_was_planned() {
    let test = TestWorkspace::new().unwrap();
    complete(&test.start_run("RUN-1").unwrap(), true);
    test.clock().advance(91 * DAY);
    let planned = plan(&test);
    assert_eq!(goes(&planned), ["TASK-1/RUN-1"]);
    test.clock().advance(-2 * DAY);
    let pruned = planned.apply().unwrap();
    assert_eq!((pruned.runs.len(), &pruned.kept[0].why), (0, &Keep::Young));
    assert!(plan(&test).runs.is_empty());
    // Before the run was made: its age is none.
    test.clock().advance(-365 * DAY);
    assert!(plan(&test).runs.is_empty() && plan(&test).kept.is_empty());
}

type Damage = fn(&RunContext);

#[test]
fn what_is_damaged_stays_with_the_reason() {
    let test = TestWorkspace::new().unwrap();
    let damages: [(&str, Damage); 6] = [
        ("JOURNAL", |ctx| {
            let mut bytes = fs::read(ctx.journal_path()).unwrap();
            bytes[40] ^= 1;
            fs::write(ctx.journal_path(), bytes).unwrap();
        }),
        ("NO-JOURNAL", |ctx| fs::remove_file(ctx.journal_path()).unwrap()),
        ("GENESIS", |ctx| {
            let path = ctx.run_path().join("run.json");
            let mut bytes = fs::read(&path).unwrap();
            bytes[30] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("ARTIFACT", |ctx| fs::remove_file(ctx.run_path().join("artifacts/note.json")).unwrap()),
        ("SHORT", |ctx| fs::write(ctx.run_path().join("artifacts/note.json"), "").unwrap()),
        ("MIDDLE", |ctx| {
            let text = fs::read_to_string(ctx.journal_path()).unwrap();
            let lines: Vec<_> = text.split_inclusive('\n').collect();
            fs::write(ctx.journal_path(), [lines[0], lines[2], lines[3]].concat()).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let ctx = test.start_run(name).unwrap();
        ctx.append(Event::new("noted")).unwrap();
        ctx.append(Event::new("noted")).unwrap();
        ctx.artifacts().write(NOTE, &"x".to_owned()).unwrap();
        complete(&ctx, false);
        damage(&ctx);
    }
    complete(&test.start_run("WHOLE").unwrap(), false);
    // A killed writer is no damage.
    let torn = test.start_run("TORN").unwrap();
    torn.append(Event::new("noted")).unwrap();
    let mut bytes = fs::read(torn.journal_path()).unwrap();
    bytes.extend_from_slice(b"{\"seq\":2,");
    fs::write(torn.journal_path(), bytes).unwrap();
    test.clock().advance(40 * DAY);

    let planned = plan(&test);
    assert_eq!(goes(&planned), ["TASK-1/TORN", "TASK-1/WHOLE"]);
    let kept: BTreeMap<_, _> =
        planned.kept.iter().map(|kept| (kept.run.clone().unwrap(), &kept.why)).collect();
    assert_eq!(kept.len(), damages.len(), "{kept:?}");
    for (run, why) in kept {
        assert!(matches!(why, Keep::Damaged { .. }), "{run}: {why}");
    }
    // Damaged since the plan was made.
    let mut bytes = fs::read(torn.journal_path()).unwrap();
    bytes.extend_from_slice(b"rot\n");
    fs::write(torn.journal_path(), bytes).unwrap();
    let pruned = planned.apply().unwrap();
    assert_eq!(went(&pruned), ["TASK-1/WHOLE"]);
    assert_eq!(test.task().runs().unwrap().len(), 7);
}

#[test]
fn no_run_of_a_damaged_task_goes() {
    let test = TestWorkspace::new().unwrap();
    let journal = test.task().path().join("journal/events.jsonl");
    complete(&test.start_run("RUN-1").unwrap(), false);
    test.clock().advance(40 * DAY);
    let planned = plan(&test);
    let whole = fs::read(&journal).unwrap();
    // A hold may stand in what is damaged.
    for at in [10, whole.len() - 30] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&journal, &bytes).unwrap();
        let damaged = plan(&test);
        assert!(damaged.runs.is_empty());
        assert_eq!((&damaged.kept[0].run, damaged.kept.len()), (&None, 1));
        assert!(matches!(damaged.kept[0].why, Keep::Damaged { .. }), "{}", damaged.kept[0].why);
        if at > 10 {
            let pruned = planned.clone().apply().unwrap();
            assert!(pruned.runs.is_empty(), "{:?}", pruned.kept);
        }
    }
    fs::write(&journal, &whole).unwrap();
    let genesis = test.task().path().join("task.json");
    let bytes = fs::read(&genesis).unwrap();
    fs::write(&genesis, "{}\n").unwrap();
    assert!(matches!(plan(&test).kept[0].why, Keep::Damaged { .. }));
    fs::write(&genesis, bytes).unwrap();
    assert_eq!(went(&plan(&test).apply().unwrap()), ["TASK-1/RUN-1"]);
}

#[test]
fn a_plan_writes_nothing_and_newer_trees_get_one_too() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    complete(&ctx, true);
    for lock in [ctx.run_path().join("journal/.lock"), test.task().path().join("journal/.lock")] {
        fs::remove_file(lock).unwrap();
    }
    test.clock().advance(100 * DAY);
    let before = tree(test.root());
    let planned = plan(&test);
    assert_eq!(goes(&planned), ["TASK-1/RUN-1"]);
    assert!(tree(test.root()) == before, "a plan wrote something");

    let genesis = test.root().join("workspace.json");
    let old = fs::read_to_string(&genesis).unwrap();
    let body = old[..old.len() - 76].replace("\"format_version\":1", "\"format_version\":2");
    let hash = Digest::of(body.as_bytes()).to_hex();
    fs::write(&genesis, format!("{body},\"hash\":\"{hash}\"}}\n")).unwrap();
    let newer = runjournal::Workspace::open(test.root()).unwrap();
    let newer = newer.with_clock(std::sync::Arc::new(Later(100 * DAY)));
    let planned_there = Prune::of(&newer).plan().unwrap();
    assert_eq!(goes(&planned_there), ["TASK-1/RUN-1"]);
    assert!(planned_there.apply().is_err());
    assert!(planned.apply().is_err(), "also with a handle from before");
    assert!(ctx.run_path().exists());
}

/// A clock that stands still, so long after the one of tests begins.
#[derive(Debug)]
pub(crate) struct Later(pub(crate) i64);

impl runjournal::Clock for Later {
    fn now(&self) -> runjournal::Timestamp {
        runjournal::Timestamp::from_microseconds(1_767_225_600_000_000 + self.0)
    }
}

/// What a run is like, and what becomes of it between plan and apply.
#[derive(Debug, Clone)]
struct Shape {
    /// `None` for one that did not end.
    success: Option<bool>,
    /// Days since its last record when the plan is made.
    age: i64,
    held: bool,
    live_step: bool,
    damaged: bool,
    meanwhile: Meanwhile,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    Appended,
    Held,
    Unheld,
    StepBegun,
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Holder {
    Nobody,
    Live,
    Expired,
    Released,
    Flow,
    ClaimsMeanwhile,
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let meanwhile = prop_oneof![
        4 => Just(Meanwhile::Nothing),
        1 => Just(Meanwhile::Appended),
        1 => Just(Meanwhile::Held),
        1 => Just(Meanwhile::Unheld),
        1 => Just(Meanwhile::StepBegun),
        1 => Just(Meanwhile::Ended),
    ];
    let one = (
        proptest::option::of(any::<bool>()),
        prop::sample::select(vec![0, 6, 8, 29, 31, 89, 91]),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.15),
        prop::bool::weighted(0.1),
        meanwhile,
    );
    let shape = one.prop_map(|(success, age, held, live_step, damaged, meanwhile)| Shape {
        success,
        age,
        held,
        live_step,
        damaged,
        meanwhile,
    });
    prop::collection::vec(shape, 1..6)
}

fn holders() -> impl Strategy<Value = Holder> {
    prop::sample::select(vec![
        Holder::Nobody,
        Holder::Nobody,
        Holder::Live,
        Holder::Expired,
        Holder::Released,
        Holder::Flow,
        Holder::ClaimsMeanwhile,
    ])
}

impl Shape {
    fn is_old(&self) -> bool {
        self.age
            >= match self.success {
                Some(true) => 90,
                Some(false) => 30,
                None => 7,
            }
    }

    /// What the plan says: it goes, it is too young to be told of, or why it is kept.
    fn planned(&self, holder: Holder) -> &'static str {
        let open = self.success.is_none();
        match self {
            shape if !shape.is_old() => "young",
            shape if shape.held => "held",
            _ if open && holder == Holder::Live => "leased",
            _ if open && holder == Holder::Flow => "running",
            shape if shape.live_step => "running",
            shape if shape.damaged => "damaged",
            _ => "goes",
        }
    }

    /// True if it goes.
    fn goes(&self, holder: Holder, claimed: bool) -> bool {
        let open = self.success.is_none();
        let stays = match self.meanwhile {
            Meanwhile::Nothing | Meanwhile::Unheld => claimed && open,
            Meanwhile::Held | Meanwhile::StepBegun => true,
            // Nothing is appended to what ended.
            Meanwhile::Appended | Meanwhile::Ended => open,
        };
        self.planned(holder) == "goes" && !stays
    }
}

/// The lock of a file, held until it is dropped.
fn locked(path: &Utf8Path) -> fs::File {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(path).unwrap();
    file.try_lock().unwrap();
    file
}

fn live(run: &Utf8Path, number: u32) -> fs::File {
    locked(&run.join(format!(".tmp/0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f{number:04x}.live")))
}

/// The run of a place in the list.
fn name(at: usize) -> RunId {
    id(&format!("RUN-{at}"))
}

/// Runs of these shapes when the plan is to be made, and what of them lives. Who claims does so before.
fn made(test: &TestWorkspace, task: &Task, shapes: &[Shape]) -> Vec<fs::File> {
    let mut order: Vec<usize> = (0..shapes.len()).collect();
    order.sort_by_key(|at| -shapes[*at].age);
    let (mut now, mut alive) = (0, Vec::new());
    let mut go_to = |age: i64| {
        test.clock().advance((100 - age) * DAY - now);
        now = (100 - age) * DAY;
    };
    for at in order {
        let shape = &shapes[at];
        go_to(shape.age);
        let ctx = task.start_run_as(name(at)).unwrap();
        ctx.append(Event::new("noted")).unwrap();
        ctx.append(Event::new("noted")).unwrap();
        if let Some(success) = shape.success {
            complete(&ctx, success);
        }
        if shape.live_step {
            alive.push(live(&ctx.run_path(), 1));
        }
        if shape.damaged {
            let mut bytes = fs::read(ctx.journal_path()).unwrap();
            bytes[30] ^= 1;
            fs::write(ctx.journal_path(), bytes).unwrap();
        }
        if shape.held {
            task.hold_run(&name(at), "held").unwrap();
        }
    }
    go_to(0);
    alive
}

fn judge(shapes: &[Shape], holder: Holder) {
    let test = TestWorkspace::new().unwrap();
    let bare = test.workspace().create_task("T", TaskOptions::default()).unwrap();
    let ttl = if holder == Holder::Live { days(365) } else { days(1) };
    let claims = matches!(holder, Holder::Live | Holder::Expired | Holder::Released);
    let lease = claims.then(|| bare.claim("worker", ttl).unwrap());
    let task = lease.as_ref().map_or(&bare, |lease| lease.task());
    let mut alive = made(&test, task, shapes);
    if let Some(lease) = lease.as_ref().filter(|_| holder == Holder::Released) {
        lease.release().unwrap();
    }
    let flow = (holder == Holder::Flow).then(|| locked(&task.path().join("journal/.flow")));

    let planned = Prune::of(&bare).plan().unwrap();
    let told = |run: &RunId| {
        if planned.runs.iter().any(|found| found.run == *run) {
            return "goes";
        }
        let kept = planned.kept.iter().find(|kept| kept.run.as_ref() == Some(run));
        kept.map_or("young", |kept| match kept.why {
            Keep::Held { .. } => "held",
            Keep::Leased { .. } => "leased",
            Keep::Running { .. } => "running",
            Keep::Damaged { .. } => "damaged",
            _ => "something else",
        })
    };
    for (at, shape) in shapes.iter().enumerate() {
        assert_eq!(told(&name(at)), shape.planned(holder), "{at} of {shapes:?}, {holder:?}");
    }

    for (at, shape) in shapes.iter().enumerate() {
        let run = task.run(name(at)).unwrap();
        match shape.meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::Appended => drop(run.context().append(Event::new("noted"))),
            Meanwhile::Held => drop(bare.hold_run(&name(at), "meanwhile").unwrap()),
            Meanwhile::Unheld => drop(bare.lift_hold(&name(at)).unwrap()),
            Meanwhile::StepBegun => alive.push(live(&run.context().run_path(), 2)),
            Meanwhile::Ended => drop(run.complete(Outcome::Failed, None)),
        }
    }
    // A run that is damaged at its end cannot be bound, and nobody claims the task then.
    let claimed = holder == Holder::ClaimsMeanwhile && bare.claim("worker", days(1)).is_ok();
    let pruned = planned.apply().unwrap();
    let gone: BTreeSet<&RunId> = pruned.runs.iter().map(|run| &run.run).collect();
    for (at, shape) in shapes.iter().enumerate() {
        let goes = shape.goes(holder, claimed);
        let all = format!("{at} of {shapes:?}, {holder:?}: {:?}", pruned.kept);
        assert_eq!(gone.contains(&name(at)), goes, "{all}");
        let there = task.path().join("runs").join(name(at).as_str()).exists();
        assert_eq!(there, !goes, "{all}");
        let told = pruned.kept.iter().any(|kept| kept.run.as_ref() == Some(&name(at)));
        assert_eq!(told, !goes && shape.planned(holder) != "young", "{all}");
    }
    drop((flow, alive));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn plan_and_application_are_what_an_oracle_says(shapes in shapes(), holder in holders()) {
        judge(&shapes, holder);
    }
}

/// Puts a file into a home, without a word of the journal.
fn put(home: &Utf8Path, path: &str, bytes: &[u8]) {
    let path = home.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
}

fn object_of(bytes: &[u8]) -> String {
    let hex = Digest::of(bytes).to_hex();
    format!("objects/{}/{}", &hex[..2], &hex[2..])
}

#[test]
fn what_nobody_names_goes_once_it_is_a_day_old() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let large = "x".repeat(70_000);
    ctx.append(Event::new("noted").payload(&large)).unwrap();
    let home = ctx.run_path();
    let (orphan, kept) = (object_of(b"nobody"), object_of(b"at turn 1"));
    let id = |number: u32| format!(".tmp/0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f{number:04x}");
    put(&home, &orphan, b"nobody");
    put(&home, &kept, b"at turn 1");
    put(&home, "objects/aa/odd", b"not the library's");
    put(&home, &id(1), b"a stage");
    put(&home, &format!("{}.object", id(2)), b"half");
    put(&home, &format!("{}.live", id(3)), b"");
    put(&home, &format!("{}.work/out/file", id(3)), b"12345");
    put(&home, &format!("{}.work/out/file", id(4)), b"12345");
    let alive = locked(&home.join(format!("{}.live", id(4))));
    put(&home, ".tmp/mine.txt", b"not the library's");
    put(&test.task().path(), &id(5), b"a stage of a task");
    put(test.root(), ".trash/0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0006/run.json", b"{}");
    put(test.root(), ".trash/mine/file", b"not the library's");
    let body = format!(
        "{{\"format_version\":1,\"turn\":1,\"seq\":1,\"artifacts\":{{\"a\":\"{}\"}},\"artifacts_root\":\"{}\"",
        Digest::of(b"at turn 1"),
        Digest::of(b"")
    );
    let sealed = format!("{body},\"hash\":\"{}\"}}\n", Digest::of(body.as_bytes()).to_hex());
    put(&home, "checkpoints/1.json", sealed.as_bytes());

    // By the clock of the workspace all that is in the future.
    assert_eq!(kinds(&plan(&test)), [LeftoverKind::Trash]);
    ten_years_on(&test);
    ctx.append(Event::new("noted")).unwrap();
    let planned = plan(&test);
    let mut found: Vec<_> = planned
        .leftovers
        .iter()
        .map(|left| (left.path.to_string(), left.kind, left.bytes))
        .collect();
    found.sort();
    let run = "TASK-1/runs/RUN-1";
    let mut expected = vec![
        (".trash/0197a1b2-7c3d-7e4f-8a5b-6c7d8e9f0006".to_owned(), LeftoverKind::Trash, 2),
        (format!("TASK-1/{}", id(5)), LeftoverKind::Stage, 17),
        (format!("{run}/{orphan}"), LeftoverKind::Object, 6),
        (format!("{run}/{}", id(1)), LeftoverKind::Stage, 7),
        (format!("{run}/{}.object", id(2)), LeftoverKind::NewObject, 4),
        (format!("{run}/{}.live", id(3)), LeftoverKind::Liveness, 0),
        (format!("{run}/{}.work", id(3)), LeftoverKind::WorkFolder, 5),
    ];
    expected.sort();
    assert_eq!(found, expected);

    // One of them is named since the plan was made: the record finds it in its place.
    let late = "y".repeat(70_000);
    put(&home, &object_of(format!("\"{late}\"").as_bytes()), format!("\"{late}\"").as_bytes());
    let planned = plan(&test);
    assert_eq!(planned.leftovers.len(), expected.len() + 1);
    ctx.append(Event::new("noted").payload(&late)).unwrap();
    let pruned = planned.apply().unwrap();
    assert_eq!(pruned.leftovers.len(), expected.len());
    let payloads = ctx.events().unwrap().map(|record| record.unwrap().payload::<Value>().unwrap());
    assert!(
        payloads.filter(|payload| payload == &json!(late) || payload == &json!(large)).count() == 2
    );
    for (path, ..) in &expected {
        assert!(!test.root().join(path).exists(), "{path}");
    }
    for stays in [&kept, "objects/aa/odd", ".tmp/mine.txt", &format!("{}.work/out/file", id(4))] {
        assert!(home.join(stays).exists(), "{stays}");
    }
    assert!(test.root().join(".trash/mine/file").exists());
    assert_eq!(kinds(&plan(&test)), []);
    drop(alive);
    assert_eq!(kinds(&plan(&test)), [LeftoverKind::Liveness, LeftoverKind::WorkFolder]);

    // What a checkpoint names that cannot be read is not known.
    fs::write(home.join("checkpoints/1.json"), "rot\n").unwrap();
    put(&home, &orphan, b"nobody");
    assert!(!kinds(&plan(&test)).contains(&LeftoverKind::Object));
}

fn kinds(plan: &PrunePlan) -> Vec<LeftoverKind> {
    plan.leftovers.iter().map(|leftover| leftover.kind).collect()
}

/// The times of files are those of the system, and the clock of tests is not.
fn ten_years_on(test: &TestWorkspace) {
    test.clock().advance(3650 * DAY);
}

#[test]
fn a_stage_that_a_record_waits_for_stays() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write(NOTE, &"old".to_owned()).unwrap();
    ctx.artifacts().write(NOTE, &"new".to_owned()).unwrap();
    // As a crash left it before the rename, and somebody changed the file: it cannot be put in place.
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let first = ctx.events().unwrap().next().unwrap().unwrap();
    let note = ctx.run_path().join("artifacts/note.json");
    let stage = |id: runjournal::EventId| ctx.run_path().join(format!(".tmp/{id}"));
    fs::copy(&note, stage(last.event_id())).unwrap();
    fs::write(&note, "by hand").unwrap();
    // And one that a later record superseded.
    fs::write(stage(first.event_id()), "old").unwrap();
    ten_years_on(&test);
    ctx.append(Event::new("noted")).unwrap();
    let planned = plan(&test);
    assert_eq!(kinds(&planned), [LeftoverKind::Stage]);
    planned.apply().unwrap();
    assert!(stage(last.event_id()).exists() && !stage(first.event_id()).exists());
}

#[test]
fn what_cannot_be_put_in_place_keeps_a_run() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write(NOTE, &"old".to_owned()).unwrap();
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let note = ctx.run_path().join("artifacts/note.json");
    fs::rename(&note, ctx.run_path().join(format!(".tmp/{}", last.event_id()))).unwrap();
    test.clock().advance(8 * DAY);
    let put_in_place = plan(&test);
    fs::write(&note, "by hand").unwrap();
    let pruned = put_in_place.apply().unwrap();
    assert!(pruned.runs.is_empty());
    assert!(matches!(pruned.kept[0].why, Keep::Damaged { .. }), "{}", pruned.kept[0].why);
    fs::remove_file(&note).unwrap();
    assert_eq!(went(&plan(&test).apply().unwrap()), ["TASK-1/RUN-1"]);
}

#[test]
fn a_run_whose_journal_is_locked_stays_for_now() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    complete(&ctx, true);
    test.clock().advance(100 * DAY);
    let lock = fs::File::open(ctx.run_path().join("journal/.lock")).unwrap();
    lock.try_lock().unwrap();
    let pruned = plan(&test).apply().unwrap();
    assert!(matches!(pruned.kept[0].why, Keep::Failed { .. }), "{}", pruned.kept[0].why);
    assert!(ctx.run_path().exists());
    lock.unlock().unwrap();
    assert_eq!(went(&plan(&test).apply().unwrap()), ["TASK-1/RUN-1"]);
}

#[test]
fn an_ended_run_goes_though_a_worker_holds_its_task() {
    let test = TestWorkspace::new().unwrap();
    complete(&test.start_run("RUN-1").unwrap(), true);
    test.clock().advance(100 * DAY);
    let lease = test.task().claim("worker", days(1)).unwrap();
    assert_eq!(went(&plan(&test).apply().unwrap()), ["TASK-1/RUN-1"]);
    lease.task().start_run_as("RUN-2").unwrap().append(Event::new("worked")).unwrap();
}

#[test]
fn a_plan_is_for_programs_too() {
    let test = TestWorkspace::new().unwrap();
    complete(&test.start_run("RUN-1").unwrap(), true);
    complete(&test.start_run("RUN-2").unwrap(), false);
    test.task().hold_run(&id("RUN-2"), "an audit").unwrap();
    test.clock().advance(100 * DAY);
    let plan = serde_json::to_value(plan(&test)).unwrap();
    let run = &plan["runs"][0];
    assert_eq!((&run["run"], &run["reason"]), (&json!("RUN-1"), &json!("success")));
    assert!(run["age_ms"].as_u64().unwrap() >= 8_640_000_000);
    let kept = json!({"task": "TASK-1", "run": "RUN-2", "why": "held", "reason": "an audit"});
    assert_eq!(plan["kept"], json!([kept]));
    assert_eq!(plan["leftovers"], json!([]));
}

const MANY: usize = 1_000;

/// A task of many ended runs, as copies of one: quickly made.
#[test]
fn many_runs_are_planned_by_their_last_records() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    complete(&ctx, true);
    let read = |path: &str| fs::read(ctx.run_path().join(path)).unwrap();
    let (genesis, journal) = (read("run.json"), read("journal/events.jsonl"));
    let runs = test.task().path().join("runs");
    for number in 1..MANY {
        let run = runs.join(format!("COPY-{number}"));
        fs::create_dir_all(run.join("journal")).unwrap();
        fs::write(run.join("run.json"), &genesis).unwrap();
        fs::write(run.join("journal/events.jsonl"), &journal).unwrap();
    }
    let begun = std::time::Instant::now();
    assert!(plan(&test).runs.is_empty());
    println!("{MANY} runs that stay are planned in {:?}", begun.elapsed());
    test.clock().advance(100 * DAY);
    let begun = std::time::Instant::now();
    assert_eq!(plan(&test).runs.len(), MANY);
    println!("{MANY} runs that go are planned in {:?}", begun.elapsed());
}

#[cfg(all(feature = "sqlite", unix))]
#[test]
fn the_index_follows_however_it_is_brought_up() {
    use runjournal::index::Index;

    use crate::index_lab::{compare, dump};

    let test = TestWorkspace::new().unwrap();
    for run in ["RUN-1", "RUN-2", "RUN-3", "LOST"] {
        let ctx = test.start_run(run).unwrap();
        ctx.artifacts().write(NOTE, &"x".to_owned()).unwrap();
        complete(&ctx, run != "RUN-2");
    }
    let refreshed = Index::of(test.workspace());
    refreshed.rebuild().unwrap();
    test.task().hold_run(&id("RUN-3"), "an audit").unwrap();
    refreshed.refresh().unwrap();
    test.clock().advance(100 * DAY);
    fs::remove_dir_all(test.task().path().join("runs/LOST")).unwrap();
    assert_eq!(plan(&test).apply().unwrap().runs.len(), 2);
    refreshed.refresh().unwrap();

    let rebuilt = Index::at(test.workspace(), test.root().join("../rebuilt"));
    rebuilt.rebuild().unwrap();
    let dumped = dump(&refreshed);
    assert_eq!(compare(&dumped, &dump(&rebuilt)), Vec::<String>::new());
    assert_eq!(dumped["runs"].len(), 1);
    let unborn: Vec<_> =
        dumped["findings"].iter().filter(|row| row.contains("unborn_run")).collect();
    assert!(unborn.len() == 1 && unborn[0].contains("LOST"), "{unborn:?}");
}
