//! The order of writes and syncs that `Durable` stands on, as `strace` sees it. No kill can show a
//! missing sync, so this is what notices one.

use std::io::Write as _;
use std::process::{Command, Stdio};

use camino::Utf8Path;
use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, ArtifactName, Backup, Durability, Event, Flow, Lease, Repair, RunContext, Step,
    StepContext, StepResult, Task, Workspace,
};

const WORKER: &str = "RUNJOURNAL_TEST_SYNC_ORDER";
const A: ArtifactName = ArtifactName::from_static("a.txt");
const B: ArtifactName = ArtifactName::from_static("dir/b.txt");
const INPUT: Artifact<u32> = Artifact::json("input.json");

/// What a worker does to a run on the disk, in words; `None` where that cannot be seen.
fn traced(ctx: &RunContext, worker: &str) -> Option<Vec<String>> {
    traced_below(&ctx.run_path(), ctx, worker)
}

/// The same for a directory.
fn traced_below(dir: &Utf8Path, ctx: &RunContext, worker: &str) -> Option<Vec<String>> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let calls = "trace=write,fsync,fdatasync,renameat,renameat2,unlinkat,linkat";
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-e", calls, "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", worker, "--nocapture", "--test-threads=1"])
        .envs(ctx.env())
        .env(WORKER, "1")
        .stdout(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        let line = b"skipped: order of syncs: strace is not installed, or must not trace here\n";
        std::io::stderr().write_all(line).unwrap();
        return None;
    }
    let log = std::fs::read_to_string(log.path()).unwrap();
    let words = log.lines().filter_map(|line| {
        let (call, arguments) = line.split_once(' ')?.1.trim_start().split_once('(')?;
        if !arguments.contains(dir.as_str()) {
            return None;
        }
        let path = arguments.split_once('<')?.1.split_once('>')?.0;
        let place = path.strip_prefix(dir.as_str())?.trim_start_matches('/');
        let place = match place.strip_prefix(".tmp/") {
            Some(name) if name.ends_with(".live") => return None,
            Some(_) => "stage",
            None => match place.strip_prefix("objects/").map(str::len) {
                Some(2) => "objects/..",
                Some(_) => "object",
                None => place,
            },
        };
        match call {
            "renameat" | "renameat2" => Some("rename".to_owned()),
            "unlinkat" if arguments.contains(".live") => None,
            "unlinkat" => Some(format!("unlink in {place}")),
            _ => Some(format!("{call} {place}")),
        }
    });
    Some(words.collect())
}

fn is_worker() -> bool {
    std::env::var_os(WORKER).is_some()
}

#[test]
fn transaction_worker() {
    if !is_worker() {
        return;
    }
    let ctx = RunContext::from_env().unwrap();
    let mut tx = ctx.transaction();
    tx.write_bytes(B, b"content").unwrap();
    tx.remove(A).unwrap();
    tx.append(Event::new("noted"));
    tx.commit().unwrap();
}

#[test]
fn a_durable_transaction_syncs_content_records_and_names_in_this_order() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().write_bytes(A, b"old").unwrap();
    let Some(calls) = traced(&ctx, "sync_order::transaction_worker") else { return };
    assert_eq!(
        calls,
        [
            "write stage",
            "fsync stage",
            "fsync stage",
            "fsync .tmp",
            // The name of the directory that the first artifact goes to.
            "fsync artifacts",
            "write journal/events.jsonl",
            "fdatasync journal/events.jsonl",
            "rename",
            "unlink in artifacts",
            "fsync artifacts",
            "fsync artifacts/dir",
            "fsync .tmp",
            "unlink in .tmp",
        ]
    );
}

#[test]
fn step_worker() {
    if !is_worker() {
        return;
    }
    let ctx = RunContext::from_env().unwrap();
    ctx.step("work", |s| {
        let input = s.read(INPUT)?;
        s.write_bytes(A, input.to_string().as_bytes())?;
        Ok("done".into())
    })
    .unwrap();
}

#[test]
fn the_end_of_a_step_also_syncs_what_it_read_before_its_record() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().durability(Durability::Buffered).write(INPUT, &7).unwrap();
    let Some(calls) = traced(&ctx, "sync_order::step_worker") else { return };
    assert_eq!(
        calls,
        [
            "write journal/events.jsonl",
            "fdatasync journal/events.jsonl",
            "write stage",
            "fsync stage",
            "fsync .tmp",
            "fsync artifacts/input.json",
            "fsync artifacts",
            "fsync .tmp",
            "write journal/events.jsonl",
            "fdatasync journal/events.jsonl",
            "rename",
            "fsync artifacts",
            "fsync .tmp",
        ]
    );
}

#[test]
fn catching_up_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        assert_eq!(ctx.catch_up().unwrap(), []);
    }
}

#[test]
fn what_a_crash_left_is_put_in_place_only_after_its_record_and_content_were_synced() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let store = ctx.artifacts().durability(Durability::Buffered);
    store.write_bytes(A, b"content").unwrap();
    let last = ctx.events().unwrap().last(1).unwrap().next().unwrap().unwrap();
    let stage = ctx.run_path().join(".tmp").join(last.event_id().to_string());
    std::fs::rename(ctx.artifact_path(&A), stage).unwrap();
    let Some(calls) = traced(&ctx, "sync_order::catching_up_worker") else { return };
    assert_eq!(
        calls,
        [
            "fdatasync journal/events.jsonl",
            "fsync stage",
            "rename",
            "fsync artifacts",
            "fsync .tmp",
        ]
    );
}

#[test]
fn large_payload_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        ctx.append(Event::new("said").payload(&"x".repeat(100_000))).unwrap();
    }
}

const WRITE: &str = "write journal/events.jsonl";

#[test]
fn an_object_and_its_names_are_synced_before_the_record_that_names_it() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let made = ["write stage", "fsync stage", "rename"];
    let found = ["fsync object"];
    let then = ["fsync objects/..", "fsync objects", "fsync "];
    // Before the first record of a journal, the name of its run is synced as well.
    for (first, last) in [(&made[..], &["fsync ", WRITE][..]), (&found[..], &[WRITE])] {
        let Some(calls) = traced(&ctx, "sync_order::large_payload_worker") else { return };
        assert_eq!(calls, [first, &then[..], last].concat());
    }
}

#[test]
fn checkpoint_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        ctx.checkpoint(1).unwrap();
    }
}

#[test]
fn a_checkpoint_is_told_of_once_its_objects_its_file_and_its_record_were_synced() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.artifacts().durability(Durability::Buffered).write_bytes(A, b"content").unwrap();
    let Some(calls) = traced(&ctx, "sync_order::checkpoint_worker") else { return };
    let objects =
        ["write stage", "fsync stage", "rename", "fsync objects/..", "fsync objects", "fsync "];
    // What a killed writer may have left of the file is removed first.
    let file =
        ["unlink in .tmp", "write stage", "fsync stage", "rename", "fsync checkpoints", "fsync "];
    // The file never knows of more than the journal on the disk.
    let before = ["fdatasync journal/events.jsonl"];
    let record = ["write journal/events.jsonl", "fdatasync journal/events.jsonl"];
    assert_eq!(calls, [&objects[..], &before, &file, &record].concat());
    // Who is told of one that stands must be able to rely on it as well.
    let Some(calls) = traced(&ctx, "sync_order::checkpoint_worker") else { return };
    assert_eq!(calls, ["fdatasync journal/events.jsonl"]);
}

#[test]
fn complete_step_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        ctx.step("work", |_| unreachable!("it is complete")).unwrap();
    }
}

#[test]
fn a_completed_step_is_told_of_only_once_it_is_sure_to_stay() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.step("work", |_| Ok("done".into())).unwrap();
    let Some(calls) = traced(&ctx, "sync_order::complete_step_worker") else { return };
    assert_eq!(calls, ["fdatasync journal/events.jsonl"]);
}

#[test]
fn unchanged_turn_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        let never = |_: &StepContext| -> StepResult { unreachable!("nothing changed") };
        ctx.step(Step::new("work").turn(2).skip_if_unchanged(), never).unwrap();
    }
}

#[test]
fn unchanged_step_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        let never = |_: &StepContext| -> StepResult { unreachable!("nothing changed") };
        ctx.step(Step::new("work").skip_if_unchanged(), never).unwrap();
    }
}

#[test]
fn what_is_not_done_since_nothing_changed_is_told_of_only_once_it_is_sure_to_stay() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.step("work", |_| Ok("done".into())).unwrap();
    let (write, sync) = ("write journal/events.jsonl", "fdatasync journal/events.jsonl");
    let Some(calls) = traced(&ctx, "sync_order::unchanged_step_worker") else { return };
    assert_eq!(calls, [sync]);
    // A turn begins and ends.
    let Some(calls) = traced(&ctx, "sync_order::unchanged_turn_worker") else { return };
    assert_eq!(calls, [write, write, sync]);
}

fn lacking() -> Flow {
    let never = |_: &StepContext| -> StepResult { unreachable!("its input is not there") };
    let flow = Flow::new("f").node(Step::new("work").input(INPUT), never);
    flow.on("x", runjournal::Outcome::Success).build().unwrap()
}

#[test]
fn lacking_flow_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        lacking().run(&ctx).unwrap_err();
    }
}

#[test]
fn an_attempt_that_cannot_run_is_on_the_disk_before_it_is_told_of() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let Some(calls) = traced(&ctx, "sync_order::lacking_flow_worker") else { return };
    let (write, sync) = ("write journal/events.jsonl", "fdatasync journal/events.jsonl");
    let calls: Vec<_> = calls.iter().filter(|call| call.contains("events.jsonl")).collect();
    assert_eq!(calls[calls.len() - 3..], [write, write, sync]);
}

#[test]
fn ended_flow_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        assert_eq!(lacking().run(&ctx).unwrap(), runjournal::Outcome::Failed);
    }
}

#[test]
fn that_a_flow_ended_is_told_of_only_once_it_is_sure_to_stay() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.run().unwrap().complete(runjournal::Outcome::Failed, None).unwrap();
    let Some(calls) = traced(&ctx, "sync_order::ended_flow_worker") else { return };
    assert_eq!(calls, ["fdatasync journal/events.jsonl"]);
}

#[test]
fn complete_run_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        ctx.run().unwrap().complete(runjournal::Outcome::Failed, None).unwrap();
    }
}

#[test]
fn manifest_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        ctx.manifest().unwrap().write(&ctx).unwrap();
    }
}

#[test]
fn a_manifest_is_synced_after_the_records_that_it_describes_and_before_its_name() {
    let test = TestWorkspace::new().unwrap();
    // What is unlinked is what a killed writer may have left.
    let page =
        ["unlink in ", "write .manifest.json.new", "fsync .manifest.json.new", "rename", "fsync "];
    let synced = "fdatasync journal/events.jsonl";
    let ctx = test.start_run("RUN-1").unwrap();
    ctx.append(Event::new("noted")).unwrap();
    let Some(calls) = traced(&ctx, "sync_order::manifest_worker") else { return };
    assert_eq!(calls, [&[synced], &page[..]].concat());
    let Some(calls) = traced(&ctx, "sync_order::complete_run_worker") else { return };
    assert_eq!(calls, [&["write journal/events.jsonl", synced], &page[..]].concat());
}

#[test]
fn opening_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        let workspace = Workspace::open_or_create(ctx.root()).unwrap();
        let options = runjournal::TaskOptions::default();
        let task = workspace.open_or_create_task(ctx.task_id().clone(), options).unwrap();
        task.open_or_start_run(ctx.run_id().clone()).unwrap();
    }
}

#[test]
fn a_run_that_was_there_is_told_of_only_once_it_is_sure_to_stay() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let Some(calls) = traced(&ctx, "sync_order::opening_worker") else { return };
    assert_eq!(calls, ["fsync "], "the run's own directory");
}

#[test]
fn dispatching_worker() {
    if !is_worker() {
        return;
    }
    #[derive(Default)]
    struct Nothing;
    impl runjournal::Fold for Nothing {
        fn apply(&mut self, _: &runjournal::Record) -> Result<(), runjournal::JournalError> {
            Ok(())
        }
    }
    let ctx = RunContext::from_env().unwrap();
    let go = |id: &str, durability| {
        let command = runjournal::Command::new(id, "go").durability(durability);
        ctx.dispatch(command, |_: &Nothing| Ok(vec![Event::new("went")])).unwrap()
    };
    assert!(!go("C-1", Durability::Buffered).is_duplicate());
    assert!(go("C-1", Durability::Buffered).is_duplicate());
    assert!(go("C-1", Durability::Durable).is_duplicate());
    assert!(!go("C-2", Durability::Durable).is_duplicate());
}

#[test]
fn a_command_is_told_of_only_once_it_is_as_sure_to_stay_as_asked() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let Some(calls) = traced(&ctx, "sync_order::dispatching_worker") else { return };
    let (write, sync) = ("write journal/events.jsonl", "fdatasync journal/events.jsonl");
    // The name of the run comes before the first record.
    assert_eq!(calls, ["fsync ", write, sync, write, sync]);
}

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

fn task_of(ctx: &RunContext) -> Task {
    Workspace::open(ctx.root()).unwrap().task(ctx.task_id().clone()).unwrap()
}

/// So that a trace shows when a call returned.
fn returned(task: &Task) {
    std::fs::write(task.path().join("returned"), "x").unwrap();
}

#[test]
fn claiming_worker() {
    if is_worker() {
        let task = task_of(&RunContext::from_env().unwrap());
        task.claim("worker-1", MINUTE).unwrap();
        returned(&task);
    }
}

#[test]
fn a_claim_is_on_the_disk_before_a_run_is_bound_and_the_bindings_before_it_is_handed_out() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    test.start_run("RUN-2").unwrap();
    let path = test.task().path();
    let Some(calls) = traced_below(&path, &ctx, "sync_order::claiming_worker") else { return };
    assert_eq!(
        calls,
        [
            "write journal/events.jsonl",
            "fdatasync journal/events.jsonl",
            // The names before the first record, whose maker may have died before that.
            "fsync runs/RUN-1",
            "fsync runs",
            "fsync ",
            "write runs/RUN-1/journal/events.jsonl",
            "fsync runs/RUN-2",
            "fsync runs",
            "fsync ",
            "write runs/RUN-2/journal/events.jsonl",
            "fdatasync runs/RUN-1/journal/events.jsonl",
            "fdatasync runs/RUN-2/journal/events.jsonl",
            "write returned",
        ]
    );
}

#[test]
fn releasing_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        let task = task_of(&ctx);
        let lease = Lease::of(&task, ctx.lease_ref().unwrap().clone());
        lease.release().unwrap();
        returned(&task);
    }
}

#[test]
fn a_release_is_on_the_disk_before_it_is_told_of() {
    let test = TestWorkspace::new().unwrap();
    test.start_run("RUN-1").unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    let ctx = lease.task().run("RUN-1").unwrap().context().clone();
    let (write, sync) = ("write journal/events.jsonl", "fdatasync journal/events.jsonl");
    // The second time, for one who died in between.
    for expected in [&[write, sync, "write returned"][..], &[sync, "write returned"]] {
        let path = test.task().path();
        let Some(calls) = traced_below(&path, &ctx, "sync_order::releasing_worker") else { return };
        assert_eq!(calls, expected);
    }
}

#[test]
fn first_write_worker() {
    if is_worker() {
        let ctx = RunContext::from_env().unwrap();
        ctx.append(Event::new("worked")).unwrap();
        returned(&task_of(&ctx));
    }
}

#[test]
fn the_first_write_into_an_unbound_run_follows_a_binding_that_is_on_the_disk() {
    let test = TestWorkspace::new().unwrap();
    let run = test.start_run("RUN-1").unwrap();
    let lease = test.task().claim("worker-1", MINUTE).unwrap();
    // As a claimer leaves it who died before it was bound.
    std::fs::write(run.journal_path(), "").unwrap();
    let _ = std::fs::remove_file(run.journal_path().with_file_name(".head"));
    let ctx = lease.task().run("RUN-1").unwrap().context().clone();
    let path = test.task().path();
    let Some(calls) = traced_below(&path, &ctx, "sync_order::first_write_worker") else { return };
    assert_eq!(
        calls,
        [
            "fsync runs/RUN-1",
            "fsync runs",
            "fsync ",
            "write runs/RUN-1/journal/events.jsonl",
            "fdatasync runs/RUN-1/journal/events.jsonl",
            "write runs/RUN-1/journal/events.jsonl",
            "write returned",
        ]
    );
    let types: Vec<_> =
        run.events().unwrap().map(|record| record.unwrap().event_type().to_owned()).collect();
    assert_eq!(types, ["lease_bound", "worked"]);
}

#[test]
fn repair_worker() {
    if is_worker() {
        // The damage may be such that no run, or no task, can be opened.
        let root = camino::Utf8PathBuf::from(std::env::var("RUNJOURNAL_ROOT").unwrap());
        let backup = Backup::open(root.with_file_name("backup")).unwrap();
        let repair = Repair::of(&Workspace::open(&root).unwrap()).from_backup(&backup);
        let repaired = repair.plan().unwrap().apply();
        assert!(repaired.failed.is_empty() && repaired.done.len() == 1, "{repaired:?}");
        std::fs::write(root.join("TASK-1/returned"), "x").unwrap();
    }
}

/// The calls of a repair after some damage to a run that ended, below its task; without ids, and without what
/// all repairs begin and end with.
fn repaired(damage: fn(&RunContext)) -> Option<Vec<String>> {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    for name in [A, ArtifactName::from_static("twin.txt")] {
        ctx.artifacts().write_bytes(name, b"content").unwrap();
    }
    ctx.checkpoint(1).unwrap();
    ctx.run().unwrap().complete(runjournal::Outcome::Success, None).unwrap();
    let backup = Backup::create_at(test.root().with_file_name("backup")).unwrap();
    backup.take(test.workspace()).unwrap();
    damage(&ctx);
    let calls = traced_below(&test.task().path(), &ctx, "sync_order::repair_worker")?;
    let plain = calls.iter().map(|call| {
        let Some((call, path)) = call.split_once(' ') else { return call.clone() };
        let parts = path.split('/').map(|part| match part.len() {
            2 => "..",
            36.. => "ID",
            _ => part,
        });
        format!("{call} {}", parts.collect::<Vec<_>>().join("/").replace("runs/RUN-1", "RUN"))
    });
    // With the task's genesis file lost, all of its journal is read, and then it has a new head.
    let calls: Vec<_> = plain.skip_while(|call| call != "write journal/events.jsonl").collect();
    // The task's journal is told, and then the note is there, before anything else changes.
    let begin = ["write journal/events.jsonl", "fdatasync journal/events.jsonl"];
    let home = calls[2].strip_prefix("fsync ").unwrap().to_owned();
    let aside =
        if home.is_empty() { ".quarantine".to_owned() } else { format!("{home}/.quarantine") };
    let note = [
        format!("fsync {home}"),
        format!("fsync {aside}"),
        format!("write {aside}/ID/note.json"),
        format!("fsync {aside}/ID/note.json"),
        format!("fsync {aside}/ID"),
    ];
    assert_eq!(calls[..2], begin);
    assert_eq!(calls[2..7], note);
    assert_eq!(calls.last().unwrap(), "write returned");
    Some(calls[7..calls.len() - 1].iter().map(|call| call.replace("RUN/", "")).collect())
}

#[test]
fn a_repair_is_told_of_then_noted_then_keeps_what_stands_then_puts_back_what_is_on_the_disk() {
    let kept = |path: &str| format!("fsync .quarantine/ID{path}");
    let of_checkpoint = ["write .tmp/checkpoint.new", "fsync .tmp/checkpoint.new", "rename"];
    let of_manifest = ["write .manifest.json.new", "fsync .manifest.json.new", "rename"];
    let of_object = ["write .tmp/ID", "fsync .tmp/ID"];
    let synced = "fdatasync journal/events.jsonl";

    // An artifact: its content waits on the disk before what stands there goes.
    let change = |ctx: &RunContext| std::fs::write(ctx.artifact_path(&A), "an editor's").unwrap();
    let Some(calls) = repaired(change) else { return };
    let staged = ["write .tmp/ID", "fsync .tmp/ID", "rename", "fsync .tmp", synced];
    let aside = [&kept(""), "rename", &kept("/artifacts"), "fsync artifacts"];
    let put = [synced, "fsync .tmp/ID", "rename", "fsync artifacts", "fsync .tmp"];
    assert_eq!(calls, [&staged[..], &aside, &put].concat());

    let rot = |ctx: &RunContext| std::fs::write(object(ctx), "rot").unwrap();
    let Some(calls) = repaired(rot) else { return };
    let aside = [&kept(""), &kept("/objects"), "rename", &kept("/objects/.."), "fsync objects/.."];
    let put = ["rename", "fsync objects/..", "fsync objects", "fsync RUN"];
    assert_eq!(calls, [&of_object[..], &aside, &put].concat());

    // A manifest and a genesis file have a second name in the quarantine before they are replaced.
    let change =
        |ctx: &RunContext| std::fs::write(ctx.run_path().join("manifest.json"), "rot").unwrap();
    let Some(calls) = repaired(change) else { return };
    let aside = ["linkat RUN", &kept(""), synced, "unlink in RUN"];
    assert_eq!(calls, [&aside[..], &of_manifest, &["fsync RUN"]].concat());

    let change = |ctx: &RunContext| {
        std::fs::write(ctx.run_path().join("checkpoints/1.json"), "rot").unwrap()
    };
    let Some(calls) = repaired(change) else { return };
    let aside = [&kept(""), "rename", &kept("/checkpoints"), "fsync checkpoints", "unlink in .tmp"];
    let put = ["fsync checkpoints", "fsync RUN"];
    assert_eq!(calls, [&aside[..], &of_checkpoint, &put].concat());

    let of_run = |ctx: &RunContext| std::fs::write(ctx.run_path().join("run.json"), "rot").unwrap();
    let of_task =
        |ctx: &RunContext| std::fs::write(task_of(ctx).path().join("task.json"), "rot").unwrap();
    for (change, home) in [(of_run as fn(&RunContext), "RUN"), (of_task, "")] {
        let Some(calls) = repaired(change) else { return };
        let synced = format!("fsync {home}");
        let linked = format!("linkat {home}");
        assert_eq!(calls, ["write ID", "fsync ID", &linked, &kept(""), "rename", &synced]);
    }

    let wrong = |ctx: &RunContext| {
        std::fs::remove_dir_all(ctx.run_path().join(".tmp")).unwrap();
        std::fs::write(ctx.run_path().join(".tmp"), "no directory").unwrap();
    };
    let Some(calls) = repaired(wrong) else { return };
    assert_eq!(calls, ["rename", &kept(""), "fsync RUN"]);
}

fn object(ctx: &RunContext) -> camino::Utf8PathBuf {
    let digest = runjournal::Digest::of(b"content").to_hex();
    ctx.run_path().join("objects").join(&digest[..2]).join(&digest[2..])
}
