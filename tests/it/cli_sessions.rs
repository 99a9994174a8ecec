//! `session`, `approval` and `run complete --require`, as a shell sees them.

use camino::Utf8PathBuf;
use runjournal::{RunContext, SessionStatus, Workspace};
use serde_json::{Value, json};

use crate::cli::{Shell, check};

/// What a program in the run would do.
fn program(shell: &Shell) -> RunContext {
    let root = Utf8PathBuf::from_path_buf(shell.path("workspaces")).unwrap();
    let task = Workspace::open(root).unwrap().task("TASK-1").unwrap();
    task.run("RUN-1").unwrap().context().clone()
}

#[test]
fn sessions_are_listed_and_shown() {
    let shell = Shell::with_run();
    let answer = shell.go(&["session", "list", "-r", "RUN-1"]);
    assert_eq!((answer.exit, answer.out.as_str()), (0, ""));
    assert_eq!(answer.err, "no sessions; a run's program starts them\n");
    assert_eq!(shell.json(&["session", "list", "-r", "RUN-1"])["sessions"], json!([]));
    let ctx = program(&shell);
    let first = ctx.session("claude-1", "anthropic").unwrap();
    first.update_with(SessionStatus::Running, &["page", "7"]).unwrap();
    ctx.session("other", "p").unwrap().fail("no answer").unwrap();
    let told = [
        shell.ok(&["session", "list", "-r", "RUN-1"]),
        shell.ok(&["session", "show", "claude-1", "-r", "RUN-1"]),
        shell.ok(&["session", "show", "other", "-r", "RUN-1"]),
        shell.refused(3, &["session", "show", "none", "-r", "RUN-1"]),
    ];
    check(&told.join("\n"), |told| {
        insta::assert_snapshot!(told, @r#"
        SESSION   PROVIDER   STATUS   LAST RESUME CURSOR
        claude-1  anthropic  running  [AGO] ["page","7"]
        other     p          error    [AGO]

        session        claude-1
        provider       anthropic
        status         running
        last seen      [TIME] ([AGO])
        resume cursor  ["page","7"]
        started        seq 1
        last record    seq 2

        session      other
        provider     p
        status       error
        reason       no answer
        last seen    [TIME] ([AGO])
        started      seq 3
        last record  seq 4

        error: there is no session "none" in TASK-1/RUN-1
          to do: `runjournal session list` shows those there are
        "#)
    });
    first.update_with(SessionStatus::Running, &[u128::MAX]).unwrap();
    let view = shell.go(&["--format", "json", "session", "show", "claude-1", "-r", "RUN-1"]).out;
    assert!(view.contains(&u128::MAX.to_string()), "every digit: {view}");
    let views = shell.jsonl(&["session", "list", "-r", "RUN-1"]);
    assert_eq!(views[1]["status"], "error");
    assert_eq!(views[1]["reason"], "no answer");
    assert_eq!(views[1]["resume_cursor"], Value::Null);
    shell.refused(2, &["session", "list"]);
}

#[test]
fn people_answer_what_a_run_asks() {
    let mut shell = Shell::with_run();
    let answer = shell.go(&["approval", "list", "-r", "RUN-1"]);
    assert_eq!(
        (answer.exit, answer.out.as_str(), answer.err.as_str()),
        (0, "", "nothing was asked; a run's program asks\n")
    );
    let ctx = program(&shell);
    ctx.request_approval("deploy", "Deploy to production?", &["yes", "no"]).unwrap();
    ctx.request_approval("name", "Which name?", &[]).unwrap();
    shell.variables.push(("USER", "ada".into()));
    let resolve = |more: &[&str]| {
        let args = [&["approval", "resolve", "-r", "RUN-1"], more].concat();
        let answer = shell.go(&args);
        format!("$ {}  [{}]\n{}{}", more.join(" "), answer.exit, answer.out, answer.err)
    };
    let told = [
        resolve(&["deploy", "perhaps"]),
        resolve(&["nothing", "yes"]),
        resolve(&["deploy", "yes"]),
        resolve(&["deploy", "yes"]),
        resolve(&["deploy", "yes", "--by", "bob"]),
        resolve(&["name", "any name", "--by", "bob"]),
        shell.ok(&["approval", "list", "-r", "RUN-1"]),
    ];
    check(&told.join("\n"), |told| {
        insta::assert_snapshot!(told, @r#"
        $ deploy perhaps  [2]
        error: "perhaps" does not answer "deploy"
          to do: choose one of "yes", "no"

        $ nothing yes  [3]
        error: [DIR]/workspaces/TASK-1/runs/RUN-1 did not ask for "nothing"
          to do: `runjournal approval list` shows what it asked for

        $ deploy yes  [0]
        deploy: yes, by ada

        $ deploy yes  [0]
        deploy: yes, by ada (it was decided so before)

        $ deploy yes --by bob  [4]
        error: "deploy" was decided before: "yes", by "ada", and that holds
          to do: ask anew, under another id, to decide anew

        $ name any name --by bob  [0]
        name: any name, by bob

        APPROVAL  ASKED     OPTIONS  DECISION  BY   QUESTION
        deploy    [AGO] yes, no  yes       ada  Deploy to production?
        name      [AGO] any name  bob  Which name?
        "#)
    });
    let listed = shell.json(&["approval", "list", "-r", "RUN-1"]);
    let first = &listed["approvals"][0];
    assert_eq!((&first["decision"], &first["by"]), (&json!("yes"), &json!("ada")));
    assert_eq!((&first["requested_seq"], &first["resolved_seq"]), (&json!(1), &json!(3)));
    let again = ["approval", "resolve", "deploy", "yes", "-r", "RUN-1"];
    assert_eq!(shell.json(&again)["duplicate"], true);

    // Nobody is nobody, whether the environment is silent or empty.
    ctx.request_approval("more", "?", &[]).unwrap();
    let args = ["approval", "resolve", "more", "yes", "-r", "RUN-1"];
    let output = shell.command(&args).env_remove("USER").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(shell.command(&args).env("USER", "").output().unwrap().status.code(), Some(2));
    assert_eq!(ctx.approval("more").unwrap().unwrap().resolution, None);
}

#[test]
fn a_run_is_completed_through_a_gate() {
    let shell = Shell::with_run();
    let complete = ["run", "complete", "RUN-1", "--status", "success"];
    let required = ["--require", "verifier_report.json", "--require", "gate_report.json"];
    let gated = [&complete[..], &required[..]].concat();
    shell.write("ok.json", r#"{"status":"passed"}"#);
    shell.write("bad.json", r#"{"status":"failed"}"#);
    shell.ok(&["artifact", "put", "-r", "RUN-1", "gate_report.json", "bad.json"]);
    let refused = shell.refused(4, &gated);
    insta::assert_snapshot!(
        refused,
        @r#"
    error: TASK-1/RUN-1 cannot succeed: verifier_report.json is no artifact of the run, and gate_report.json has the status "failed"
      to do: write reports that pass, or complete it as failed
    "#
    );
    shell.refused(2, &["run", "complete", "RUN-1", "--status", "success", "--require", "../x"]);
    shell.ok(&["artifact", "put", "-r", "RUN-1", "gate_report.json", "ok.json"]);
    shell.ok(&["artifact", "put", "-r", "RUN-1", "verifier_report.json", "ok.json"]);
    assert_eq!(shell.ok(&gated), "TASK-1/RUN-1 SUCCESS\n");
    assert_eq!(shell.ok(&gated), "TASK-1/RUN-1 SUCCESS (it was complete before)\n");
    assert_eq!(shell.ok(&complete), "TASK-1/RUN-1 SUCCESS (it was complete before)\n");
}
