//! The tables and pages of each verb over one workspace with something of everything: into a pipe, and at 80 columns.
//!
//! What is in it was made a hundred days ago by a clock and ids of our own, so that all columns are as wide each time.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use runjournal::testing::{CountingIds, FixedClock};
use runjournal::{
    ArtifactName, Clock as _, Event, Flow, FlowDefinition, Outcome, RunContext, SessionStatus,
    Step, StepError, SystemClock, Task, TaskOptions, Timestamp, Work, Workspace,
};

use crate::cli::{Answer, Shell};
use crate::cli_errors::words;

const DAY: u64 = 86_400;
const PLAN: &str = "reports/plan-of-the-whole-thing.md";
const LONG_RUN: &str = "019AB000-0000-7000-8000-000000000001";
const FLOW: &str = r#"{"flow": "checks", "nodes": [
  {"node": "format", "run": {"program": ["true"]}, "edges": [{"on": "success", "to": "lint-with-all-features"}]},
  {"node": "lint-with-all-features", "run": {"program": ["sh", "-c", "echo 'two lints of three are denied' >&2; exit 1"]},
   "edges": [{"on": "success", "end": "SUCCESS"}]}
]}"#;

fn name_of(text: &str) -> ArtifactName {
    text.parse().unwrap()
}

fn workspace(shell: &Shell) -> Workspace {
    let root = Utf8PathBuf::from_path_buf(shell.path("workspaces")).unwrap();
    let ago = i64::try_from(100 * DAY + 3600).unwrap() * 1_000_000;
    let then = Timestamp::from_microseconds(SystemClock.now().as_microseconds() - ago);
    let workspace = Workspace::create(root).unwrap();
    let workspace = workspace.with_clock(Arc::new(FixedClock::starting_at(then)));
    workspace.with_ids(Arc::new(CountingIds::default()))
}

fn task(workspace: &Workspace, id: &str, title: &str) -> Task {
    let objective =
        "All of the documentation is written, checked, and in the hands of those who asked for it";
    let options = TaskOptions { title: title.to_owned(), objective: objective.to_owned() };
    workspace.create_task(id, options).unwrap()
}

/// Steps that wrote and read, one of them after its input changed; and what people and services had to do with it.
fn fill(ctx: &RunContext) {
    let put =
        |name: &str, bytes: &[u8]| drop(ctx.artifacts().write_bytes(name_of(name), bytes).unwrap());
    put("goal.txt", b"ship");
    ctx.step(Step::new("plan").input(name_of("goal.txt")), |s| {
        s.write_bytes(name_of(PLAN), &[b'p'; 20_000])?;
        Ok("planned".into())
    })
    .unwrap();
    ctx.checkpoint(1).unwrap();
    let failed = ctx.step("build-and-package", |_| {
        Err(StepError::message("the linker found no room for the third of its four sections"))
    });
    failed.unwrap_err();
    ctx.step(Step::new("build-and-package").input(name_of(PLAN)), |s| {
        s.write_bytes(name_of("out/package.bin"), &vec![0; 3_000_000])?;
        Ok("built".into())
    })
    .unwrap();
    put("goal.txt", b"ship it");
    ctx.checkpoint(2).unwrap();
    let payload = "x".repeat(90);
    ctx.append(
        Event::new("note_taken").payload(&payload).stream("conversation", "with-the-customer"),
    )
    .unwrap();
    let session = ctx.session("claude-of-the-builder", "anthropic").unwrap();
    session.update_with(SessionStatus::Running, &["page", "7"]).unwrap();
    ctx.session("second", "another-provider").unwrap().fail("no answer for a minute").unwrap();
    let question = "May the package go out to all of the customers, or only to those who asked?";
    ctx.request_approval("ship", question, &["all", "those who asked"]).unwrap();
    ctx.request_approval("name", "What is it to be called?", &[]).unwrap();
    ctx.resolve_approval("name", "Runjournal", "the owner").unwrap();
    let queue = ctx.queue();
    for item in ["page-1", "page-2-of-the-long-document", "page-3"] {
        queue.add(Work::new(item)).unwrap();
    }
    let claim = queue.next("worker-1", Duration::from_secs(200 * DAY)).unwrap().unwrap();
    queue
        .fail(
            &claim,
            "the page has two columns, and the reader takes one".to_owned(),
            Duration::from_secs(150 * DAY),
        )
        .unwrap();
    let done = queue.next("worker-2", Duration::from_secs(60)).unwrap().unwrap();
    queue.done(&done).unwrap();
}

/// Two tasks, runs of all kinds.
fn rich() -> Shell {
    let shell = Shell::empty();
    let workspace = workspace(&shell);
    let first = task(&workspace, "TASK-1", "Write the documentation");
    let second = task(
        &workspace,
        "RELEASE-2026-11-FRONTEND",
        "Have the new front end out before the year ends",
    );
    fill(&first.start_run_as(LONG_RUN).unwrap());
    let ended = first.start_run_as("nightly-build-of-the-documentation").unwrap();
    let reason = "the plan has no steps, and so nothing could be built at all";
    ended.run().unwrap().complete(Outcome::Failed, Some(reason)).unwrap();
    let well = first.start_run_as("RUN-2").unwrap();
    well.artifacts().write_bytes(name_of("goal.txt"), b"ship\n").unwrap();
    well.run().unwrap().complete(Outcome::Success, None).unwrap();
    first
        .hold_run_by(well.run_id(), "the one that was shown to the customer", "the owner")
        .unwrap();
    let flow = Flow::of_programs(FlowDefinition::from_json(FLOW).unwrap()).unwrap();
    let run = first.start_run_as("FLOW").unwrap();
    flow.run(&run).unwrap_err();
    second.start_run_as("R").unwrap();
    std::mem::forget(second.claim("worker-on-host-17", Duration::from_secs(200 * DAY)).unwrap());
    shell
}

/// What the commands answered, each into a pipe and, where that differs, at 80 columns.
fn told(shell: &Shell, lines: &str, faults: &mut Vec<String>) -> String {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let answer = |columns: Option<&str>| {
            let words = words(line);
            let args: Vec<_> = words.iter().map(String::as_str).collect();
            let mut command = shell.command(&args);
            command.envs(columns.map(|columns| ("COLUMNS", columns)));
            let Answer { exit, out, err } = Answer::of(command.output().unwrap());
            (exit, format!("{out}{err}"))
        };
        let (exit, piped) = answer(None);
        let (_, narrow) = answer(Some("80"));
        text.push_str(&format!("$ runjournal {line}\n{piped}[{exit}]\n"));
        let has_path = narrow.contains(&shell.path("").display().to_string());
        if narrow != piped && !has_path {
            text.push_str(&format!("at 80 columns:\n{narrow}"));
        }
        // Names and paths are not broken: such a one stands in a line that is too wide by itself, or behind a short
        // one that says what it is.
        let is_wide = |line: &&str| {
            let words: Vec<_> = line.split_whitespace().map(|word| word.chars().count()).collect();
            let longest = words.iter().copied().max().unwrap_or_default();
            let others = line.chars().count() - longest;
            line.chars().count() > 80 && (longest <= 24 || others > 40)
        };
        let wide = narrow.lines().filter(is_wide);
        faults.extend(wide.map(|wide| format!("{line}: {wide}")));
        text.push('\n');
    }
    text
}

/// Random ids, times and places by names that are as long.
fn check(text: &str, name: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"/\S*\.tmp\w{6}", "[DIR]");
    settings.add_filter(
        r"01[0-9a-f]{6}-([0-9a-f]{4}-){3}[0-9a-f]{12}",
        "[an-id-of-36-characters--------------]",
    );
    settings.add_filter(r"SNAPSHOT +CREATED +", "SNAPSHOT CREATED ");
    settings.add_filter(r"\n01[0-9a-f]{6}\S* +(just now|\d+ s ago) +", "\n[ID] [AGO] ");
    settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]{15}Z", "2026-01-01T00:00:00.000000Z");
    settings.add_filter(r"disk( +)[0-9.]+ \w+ of [0-9.]+ \w+ free", "disk$1[SIZE] of [SIZE] free");
    settings.add_filter(r"[0-9a-f]{32,64}", "[TRACE]");
    settings.add_filter(r"[0-9a-f]{8}\.[0-9a-f]{8}\.", "[CURSOR].");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn every_table_fits_the_terminal() {
    let (shell, mut faults) = (rich(), Vec::new());
    check(
        &told(
            &shell,
            "health\ntask list\ntask show TASK-1\nrun list\nrun list TASK-1",
            &mut faults,
        ),
        "runs",
    );
    let of_run = "run show 019AB
        run show nightly
        artifact list -r 019AB
        event log -r 019AB
        event log -r 019AB -n 3
        event show -r 019AB 9
        lease show RELEASE-2026-11-FRONTEND
        queue list -r 019AB
        session list -r 019AB
        session show -r 019AB second
        approval list -r 019AB
        flow show -r FLOW
        lineage why -r 019AB out/package.bin
        lineage stale -r 019AB
        lineage stale -r 019AB reports/plan-of-the-whole-thing.md
        checkpoint list -r 019AB
        diff --stat 019AB@1 019AB@2
        diff --stat RUN-2 019AB
        prune --success 1d --failed 1d";
    check(&told(&shell, of_run, &mut faults), "of_a_run");
    let queries = "query tasks
        query runs
        query runs TASK-1 --limit 2
        query latest TASK-1
        query unfinished
        query artifacts
        query events -r 019AB
        query steps
        query findings
        query sql 'SELECT task_id, run_id, status FROM runs ORDER BY run_id'
        index verify";
    check(&told(&shell, queries, &mut faults), "queries");
    let run = shell.path("workspaces/TASK-1/runs").join(LONG_RUN);
    std::fs::write(run.join("artifacts/stray file"), "x").unwrap();
    std::fs::write(run.join("artifacts/goal.txt"), "changed by hand").unwrap();
    std::fs::remove_file(run.join("checkpoints/1.json")).unwrap();
    let journal = shell.path("workspaces/TASK-1/runs/FLOW/journal/events.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replace("two lints", "ten lints")).unwrap();
    let care = "artifact list -r 019AB
        verify
        verify --read-data
        repair
        run show -r 019AB
        run show FLOW";
    check(&told(&shell, care, &mut faults), "damaged");
    let backups = "backup create backup
        backup verify backup
        backup restore backup --to elsewhere
        backup prune backup --keep-last 1
        artifact history -r 019AB goal.txt
        query causes 00000000-0000-7000-8000-000000000013
        repair --apply
        prune --success 1d --failed 1d --apply";
    check(&told(&shell, backups, &mut faults), "applied");
    assert_eq!(faults, [""; 0]);
}

#[test]
fn what_is_empty_says_how_to_make_one() {
    let (shell, mut faults) = (Shell::empty(), Vec::new());
    shell.ok(&["init"]);
    let workspace =
        "task list\nrun list\nquery tasks\nquery findings\nverify\nrepair\nprune\nindex verify";
    let mut text = told(&shell, workspace, &mut faults);
    shell.ok(&["task", "create", "T"]);
    shell.ok(&["run", "start", "T", "--run-id", "R"]);
    text += &told(
        &shell,
        "artifact list -r R
        event log -r R
        queue list -r R
        session list -r R
        approval list -r R
        checkpoint list -r R
        lineage stale -r R
        query artifacts
        query steps
        query sql 'SELECT 1 WHERE 0'",
        &mut faults,
    );
    check(&text, "empty");
    assert_eq!(faults, [""; 0]);
}
