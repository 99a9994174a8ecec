//! `flow`, as a shell sees it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use runjournal::{Flow, Outcome, Signal, StepContext, StepError, Workspace};
use serde_json::{Value, json};

use crate::cli::{Answer, Shell};

/// Writes a longer draft each time, until the review finds it long enough.
const ESSAY: &str = r#"{"flow": "essay", "nodes": [
  {"node": "write", "run": {"program": ["./write.sh"]}, "edges": [{"on": "success", "to": "review"}]},
  {"node": "review", "run": {"program": ["./review.sh"], "exits": {"3": "weak"}}, "edges": [
    {"on": "weak", "again": "write", "limit": 5},
    {"on": "weak", "end": "FAILED", "reason": "still weak"},
    {"on": "success", "end": "SUCCESS"}]}
]}"#;
const WRITE: &str = "echo not for stdout; echo x$(runjournal artifact cat draft.txt 2>/dev/null) > $RUNJOURNAL_OUT/draft.txt";

/// A run, and the essay in a folder beside it; the review wants this draft.
fn shell(wanted: &str) -> Shell {
    let shell = Shell::in_run();
    std::fs::create_dir(shell.path("flows")).unwrap();
    shell.write("flows/essay.json", ESSAY);
    script(&shell, "flows/write.sh", WRITE);
    let review = format!("[ $(runjournal artifact cat draft.txt) = {wanted} ] || exit 3");
    script(&shell, "flows/review.sh", &review);
    shell
}

fn script(shell: &Shell, path: &str, text: &str) {
    shell.write(path, format!("#!/bin/sh\n{text}\n"));
    let path = shell.path(path);
    assert!(Command::new("chmod").arg("+x").arg(path).status().unwrap().success());
}

/// A flow of one program, with these edges.
fn one(shell: &Shell, program: &str, edges: Value) -> &'static str {
    let run = json!({"program": ["sh", "-c", program]});
    let node = json!({"node": "work", "run": run, "edges": edges});
    shell.write("one.json", json!({"flow": "one", "nodes": [node]}).to_string());
    "one.json"
}

fn check(text: &str, expect: impl FnOnce(&str)) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "[TIME]");
    settings.add_filter(r"just now|\d+ s ago", "[AGO]");
    settings.add_filter(r"process \d+ \(\S+\)", "process [PID]");
    settings.add_filter(r"ENDED +", "ENDED ");
    settings.add_filter(r"\[AGO\] +", "[AGO] ");
    settings.add_filter(r" +\n", "\n");
    settings.bind(|| expect(text));
}

fn wait_for(what: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < until, "it did not come to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn send(signal: &str, pid: &str) {
    assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
}

/// Starts the tool, and waits until its program has told its id.
fn started(shell: &Shell, args: &[&str]) -> (Child, String) {
    let mut command = shell.command(args);
    let tool = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = || std::fs::read_to_string(shell.path("pid")).unwrap_or_default();
    wait_for(|| pid().ends_with('\n'));
    let pid = pid();
    std::fs::remove_file(shell.path("pid")).unwrap();
    (tool, pid)
}

/// Waits until there is a file `go`, and tells its id before.
fn waits(shell: &Shell) -> String {
    let (pid, go) = (shell.path("pid"), shell.path("go"));
    let (pid, go) = (pid.display(), go.display());
    format!(
        "echo $$ > {pid}.new; mv {pid}.new {pid}; while [ ! -e {go} ]; do sleep 0.02; done; echo done > $RUNJOURNAL_OUT/done.txt"
    )
}

#[test]
fn a_loop_of_programs_runs_to_the_end_of_its_run() {
    let shell = shell("xxx");
    assert_eq!(shell.ok(&["flow", "run", "flows/essay.json"]), "TASK-1/RUN-1 SUCCESS\n");
    assert_eq!(shell.ok(&["artifact", "cat", "draft.txt"]), "xxx\n");
    let shown = shell.ok(&["flow", "show"]);
    check(&shown, |text| {
        insta::assert_snapshot!(text, @"
        run     TASK-1/RUN-1
        flow    essay
        status  SUCCESS
        at      review, turn 3, attempt 3: completed with success
        since   [TIME] ([AGO])

        NODE    STATE      VISITS  ATTEMPTS  ENDED LAST SIGNAL OR ERROR
        write   completed  3       3         [AGO] success
        review  completed  3       3         [AGO] success
        ")
    });
    let page = shell.json(&["flow", "show"]);
    assert_eq!((&page["flow"], &page["status"]), (&json!("essay"), &json!("SUCCESS")));
    assert_eq!((&page["next"], &page["holder"]), (&Value::Null, &Value::Null));
    let at = &page["at"];
    assert_eq!(
        (&at["node"], &at["turn"], &at["attempt"]),
        (&json!("review"), &json!(3), &json!(3))
    );
    assert_eq!((&at["state"], &at["signal"]), (&json!("completed"), &json!("success")));
    let write = &page["nodes"][0];
    assert_eq!((&write["visits"], &write["last_signal"]), (&json!(3), &json!("success")));
    assert!(shell.ok(&["flow", "show", "--mermaid"]).ends_with("class success here\n"));
    assert!(shell.ok(&["run", "show"]).contains("essay; review, turn 3, attempt 3: completed"));
    // It ended: nothing is run again, from the file or from the journal.
    let before = std::fs::read(shell.run_file("journal/events.jsonl")).unwrap();
    assert_eq!(shell.ok(&["flow", "run", "flows/essay.json"]), "TASK-1/RUN-1 SUCCESS\n");
    assert_eq!(shell.ok(&["flow", "resume"]), "TASK-1/RUN-1 SUCCESS\n");
    assert_eq!(std::fs::read(shell.run_file("journal/events.jsonl")).unwrap(), before);
}

#[test]
fn where_json_is_asked_for_there_is_nothing_else() {
    let shell = shell("xxxxxxxxx");
    let ended = shell.json(&["flow", "run", "flows/essay.json"]);
    let wanted = json!({"version": 1, "run": "TASK-1/RUN-1", "flow": "essay", "status": "FAILED",
        "reason": "still weak"});
    assert_eq!(ended, wanted);
    let again = shell.go(&["flow", "run", "flows/essay.json"]);
    assert_eq!((again.exit, again.out.as_str()), (1, "TASK-1/RUN-1 FAILED: still weak\n"));
}

#[test]
fn a_program_that_fails_leaves_the_run_open() {
    let shell = Shell::in_run();
    let file =
        one(&shell, "echo trouble >&2; exit 4", json!([{"on": "success", "end": "SUCCESS"}]));
    let failed = shell.refused(1, &["flow", "run", file]);
    insta::assert_snapshot!(failed, @"
    error: step work failed in attempt 1
      because: sh exited with code 4: its standard error ends with: trouble
      to do: `runjournal flow resume` tries it again, for the run is open
    ");
    check(&shell.ok(&["flow", "show"]), |text| {
        insta::assert_snapshot!(text, @"
        run     TASK-1/RUN-1
        flow    one
        status  EXECUTING
        at      work, attempt 1: failed: sh exited with code 4
        since   [TIME] ([AGO])
        next    work, again

        NODE  STATE   VISITS  ATTEMPTS  ENDED LAST SIGNAL OR ERROR
        work  failed  1       1         [AGO] sh exited with code 4
        ")
    });
    // The file is mended: it goes on.
    one(&shell, "true", json!([{"on": "success", "end": "SUCCESS"}]));
    assert_eq!(shell.ok(&["flow", "run", file]), "TASK-1/RUN-1 SUCCESS\n");
}

#[test]
fn a_flow_that_no_edge_tells_where_to_go_stops_with_one() {
    let shell = Shell::in_run();
    let file = one(&shell, "true", json!([{"on": "other", "end": "SUCCESS"}]));
    insta::assert_snapshot!(shell.refused(1, &["flow", "run", file]), @r#"
    error: the flow one stops at node work: it signalled "success", and has edges for "other"
      to do: add one, and run the flow again
    "#);
    let shown = shell.json(&["flow", "show"]);
    assert!(
        shown["next"]["error"].as_str().unwrap().contains("has edges for \"other\""),
        "{shown}"
    );

    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    let again =
        json!([{"on": "success", "again": "work", "limit": 2}, {"on": "no", "end": "FAILED"}]);
    let file = one(&shell, "true", again);
    let limit = shell.refused(1, &["flow", "run", file, "-r", "RUN-2"]);
    assert!(limit.contains("it went back to work 2 times"), "{limit}");
}

#[test]
fn a_check_lists_all_that_is_wrong() {
    let shell = shell("x");
    assert_eq!(shell.ok(&["flow", "check", "flows/essay.json"]), "essay: 2 nodes, fine\n");
    let drawn = shell.ok(&["flow", "check", "flows/essay.json", "--mermaid"]);
    assert!(drawn.starts_with("flowchart TD\n"), "{drawn}");

    shell.write(
        "bad.json",
        r#"{"flow": "bad", "nodes": [
        {"node": "a", "edges": [{"on": "go", "to": "b"}]},
        {"node": "a", "edges": [{"on": "no", "again": "a", "limit": 0}]}]}"#,
    );
    let bad = shell.go(&["flow", "check", "bad.json"]);
    assert_eq!((bad.exit, bad.err.as_str()), (1, ""));
    insta::assert_snapshot!(bad.out, @r#"
    error: there are two nodes a
    error: node a: the limit of an edge must be 1 at least
    error: the edge of node a for "go" leads to b, and there is no such node
    "#);
    insta::assert_snapshot!(shell.refused(2, &["flow", "run", "bad.json"]), @r#"
    error: bad.json holds no flow that can be run
      because: the flow bad cannot be built: there are two nodes a, and node a: the limit of an edge must be 1 at least, and the edge of node a for "go" leads to b, and there is no such node
      to do: `runjournal flow check bad.json` lists what is wrong
    "#);
    let listed = shell.json(&["flow", "check", "bad.json"]);
    assert_eq!(listed["defects"].as_array().unwrap().len(), 3);

    shell.write("typo.json", "{\"flow\": \"bad\",\n \"node\": []}");
    let typo = shell.go(&["flow", "check", "typo.json"]);
    assert_eq!(typo.exit, 1);
    insta::assert_snapshot!(typo.out, @r#"error: it is not the JSON of a flow: unknown field `node`, expected `flow` or `nodes` at line 2 column 7"#);
    insta::assert_snapshot!(shell.refused(2, &["flow", "run", "typo.json"]), @"
    error: typo.json holds no flow that can be run
      because: it is not the JSON of a flow: unknown field `node`, expected `flow` or `nodes` at line 2 column 7
      to do: `runjournal flow check typo.json` lists what is wrong
    ");

    shell.write(
        "code.json",
        r#"{"flow": "code", "nodes": [
        {"node": "a", "edges": [{"on": "go", "end": "SUCCESS"}]}]}"#,
    );
    let code = shell.go(&["flow", "check", "code.json"]);
    assert_eq!(
        (code.exit, code.out.as_str()),
        (1, "error: no program is given for a: add `run`\n")
    );
    assert!(shell.refused(2, &["flow", "run", "code.json"]).contains("part of (a)"));
    assert_eq!(shell.go(&["flow", "check", "none.json"]).exit, 3);
    assert_eq!(shell.go(&["flow", "run", "none.json"]).exit, 3);
}

#[test]
fn a_run_without_a_flow_has_none_to_show() {
    let shell = Shell::in_run();
    let none =
        "error: there is no flow in TASK-1/RUN-1\n  to do: `runjournal flow run FILE` starts one\n";
    assert_eq!(shell.refused(3, &["flow", "show"]), none);
    assert_eq!(shell.refused(3, &["flow", "resume"]), none);
    assert!(!shell.ok(&["run", "show"]).contains("flow"));
}

#[test]
fn a_flow_of_code_is_shown_and_not_resumed() {
    let shell = Shell::in_run();
    let root = camino::Utf8PathBuf::from_path_buf(shell.path("workspaces")).unwrap();
    let ctx = Workspace::open(root).unwrap().task("TASK-1").unwrap();
    let ctx = ctx.open_or_start_run("RUN-1").unwrap();
    let flow = Flow::new("code")
        .node("plan", |_: &StepContext| Ok(Signal::new("planned")))
        .on("planned", "work")
        .node("work", |_: &StepContext| Err(StepError::message("no network")))
        .on("done", Outcome::Success)
        .build()
        .unwrap();
    flow.run(&ctx).unwrap_err();
    check(&shell.ok(&["flow", "show"]), |text| {
        insta::assert_snapshot!(text, @"
        run     TASK-1/RUN-1
        flow    code
        status  EXECUTING
        at      work, attempt 1: failed: no network
        since   [TIME] ([AGO])
        next    work, again

        NODE  STATE      VISITS  ATTEMPTS  ENDED LAST SIGNAL OR ERROR
        plan  completed  1       1         [AGO] planned
        work  failed     1       1         [AGO] no network
        ")
    });
    insta::assert_snapshot!(shell.refused(2, &["flow", "resume"]), @"
    error: the flow code has nodes that are code of the program that it is part of (plan, work)
      to do: run that program
    ");
}

#[test]
fn ctrl_c_leaves_the_run_open_and_resume_goes_on() {
    for (signal, run) in [("-INT", "A"), ("-TERM", "B")] {
        let shell = Shell::in_run();
        // Its one attempt is not used up by the stop: else the edge of a failure would be taken.
        let edges =
            json!([{"on": "success", "end": "SUCCESS"}, {"on_failure": true, "end": "FAILED"}]);
        let file = one(&shell, &waits(&shell), edges);
        let (tool, pid) = started(&shell, &["flow", "run", file]);
        send(signal, &tool.id().to_string());
        let answer = Answer::of(tool.wait_with_output().unwrap());
        assert_eq!((answer.exit, answer.out.as_str()), (1, ""), "{run}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(answer.err, @"
            error: the flow one was stopped
              to do: `runjournal flow resume` goes on, for the run is open
            ");
        }
        let gone = Command::new("kill").args(["-0", pid.trim()]).output().unwrap();
        assert!(!gone.status.success(), "the program lives on");
        let page = shell.json(&["flow", "show"]);
        assert_eq!(
            (&page["status"], &page["at"]["state"]),
            (&json!("EXECUTING"), &json!("failed"))
        );
        assert_eq!(page["at"]["error"], "sh was cancelled");
        assert_eq!((&page["next"]["node"], &page["holder"]), (&json!("work"), &Value::Null));
        shell.write("go", "");
        assert_eq!(shell.ok(&["flow", "resume"]), "TASK-1/RUN-1 SUCCESS\n");
    }
}

#[test]
fn a_program_whose_tool_was_killed_is_run_again() {
    let shell = Shell::in_run();
    let end = json!({"on_failure": true, "end": "FAILED", "reason": "no luck"});
    let file = one(&shell, &waits(&shell), json!([{"on": "success", "end": "SUCCESS"}, end]));
    let (mut tool, pid) = started(&shell, &["flow", "run", file]);
    tool.kill().unwrap();
    tool.wait().unwrap();
    send("-9", &pid);
    let page = shell.json(&["flow", "show"]);
    assert_eq!(page["at"]["state"], "interrupted");
    // Nothing failed, so no edge for that is taken, though it had one attempt.
    assert_eq!(page["next"], json!({"node": "work", "turn": 1}));
    shell.write("go", "");
    assert_eq!(shell.ok(&["flow", "resume"]), "TASK-1/RUN-1 SUCCESS\n");
    let drawing = shell.json(&["flow", "show", "--mermaid"]);
    assert!(drawing["mermaid"].as_str().unwrap().contains("class n0 done"));
}

#[test]
fn a_killed_flow_is_resumed_to_the_same_outputs() {
    let shell = Shell::in_run();
    let run = json!({"program": ["sh", "-c", waits(&shell)]});
    let (ok, write) = (json!("success"), json!({"program": ["./write.sh"]}));
    script(&shell, "write.sh", WRITE);
    let nodes = json!([
        {"node": "write", "run": write, "edges": [{"on": ok, "to": "work"}]},
        {"node": "work", "run": run, "edges": [{"on": ok, "end": "SUCCESS"}]},
    ]);
    shell.write("two.json", json!({"flow": "two", "nodes": nodes}).to_string());
    let (mut tool, pid) = started(&shell, &["flow", "run", "two.json"]);

    check(&shell.ok(&["flow", "show"]), |text| {
        insta::assert_snapshot!(text, @"
        run      TASK-1/RUN-1
        flow     two
        status   EXECUTING
        at       work, attempt 1: running
        since    [TIME] ([AGO])
        held by  process [PID]

        NODE   STATE      VISITS  ATTEMPTS  ENDED LAST SIGNAL OR ERROR
        write  completed  1       1         [AGO] success
        work   running    1       1
        ")
    });
    let taken = shell.refused(4, &["flow", "run", "two.json"]);
    check(&taken, |text| {
        insta::assert_snapshot!(text, @"
        error: the flow two cannot run in TASK-1/RUN-1: the task is worked on by process [PID]
          to do: `runjournal flow show` tells how far it is
        ")
    });

    tool.kill().unwrap();
    tool.wait().unwrap();
    send("-9", &pid);
    let page = shell.json(&["flow", "show"]);
    assert_eq!((&page["at"]["state"], &page["holder"]), (&json!("interrupted"), &Value::Null));
    assert_eq!(page["next"], json!({"node": "work", "turn": 1}));
    shell.write("go", "");
    std::fs::create_dir(shell.path("elsewhere")).unwrap();
    let mut command = shell.command(&["--root", "../workspaces", "flow", "resume"]);
    let answer = Answer::of(command.current_dir(shell.path("elsewhere")).output().unwrap());
    assert_eq!((answer.exit, answer.out.as_str()), (0, "TASK-1/RUN-1 SUCCESS\n"), "{}", answer.err);

    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    shell.ok(&["flow", "run", "two.json", "-r", "RUN-2"]);
    let root = |run: &str| shell.json(&["run", "show", run])["artifacts_root"].clone();
    assert_eq!(root("RUN-1"), root("RUN-2"));
    assert_eq!(shell.ok(&["artifact", "cat", "draft.txt"]), "x\n");
}
