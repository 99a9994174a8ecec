//! `prune`, `run hold`, `run unhold` and `health`, as a shell sees them.

use std::fs;

use serde_json::{Value, json};

use crate::cli::{Shell, check};

/// Three runs: one succeeded, one failed, one is open.
fn shell() -> Shell {
    let shell = Shell::with_run();
    for run in ["RUN-2", "RUN-3"] {
        shell.ok(&["run", "start", "TASK-1", "--run-id", run]);
    }
    shell.ok(&["run", "complete", "RUN-1", "--status", "success"]);
    shell.ok(&["run", "complete", "RUN-2", "--status", "failed", "--reason", "no"]);
    shell
}

/// All is old at once.
const OLD: [&str; 6] = ["--success", "0s", "--failed", "0s", "--abandoned", "0s"];

fn prune<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["prune"], &OLD[..], more].concat()
}

fn runs(page: &Value) -> Vec<&str> {
    page["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap()).collect()
}

fn listed(shell: &Shell) -> Vec<String> {
    let page = shell.json(&["run", "list"]);
    page["runs"].as_array().unwrap().iter().map(|run| run["run_id"].to_string()).collect()
}

#[test]
fn a_plan_is_shown_and_then_applied() {
    let shell = shell();
    assert_eq!(shell.ok(&["prune"]), "nothing to prune\n");
    assert_eq!(shell.ok(&["prune", "--apply"]), "nothing pruned\n");
    assert_eq!(
        shell.ok(&["run", "hold", "RUN-2", "--reason", "an audit"]),
        "TASK-1/RUN-2 is held\n"
    );
    let shown = shell.ok(&prune(&[]));
    check(&shown, |shown| {
        insta::assert_snapshot!(shown);
    });
    let page = shell.json(&prune(&[]));
    assert_eq!((runs(&page), &page["applied"]), (vec!["RUN-1", "RUN-3"], &json!(false)));
    assert_eq!(page["kept"][0]["why"], "held");
    assert_eq!(listed(&shell).len(), 3);

    let page = shell.json(&prune(&["--apply"]));
    assert_eq!((runs(&page), &page["applied"]), (vec!["RUN-1", "RUN-3"], &json!(true)));
    assert_eq!(listed(&shell), ["\"RUN-2\""]);
    assert!(shell.refused(3, &["run", "show", "RUN-1"]).contains("RUN-1"));
    let refused = shell.refused(4, &["run", "start", "TASK-1", "--run-id", "RUN-1"]);
    assert!(refused.contains("was pruned at"), "{refused}");

    assert_eq!(shell.ok(&["run", "unhold", "RUN-2"]), "TASK-1/RUN-2 is not held any more\n");
    assert_eq!(shell.ok(&["run", "unhold", "RUN-2"]), "TASK-1/RUN-2 was not held\n");
    assert_eq!(shell.ok(&["prune", "TASK-1", "--failed", "never"]), "nothing to prune\n");
    let pruned = shell.ok(&["prune", "TASK-1", "--failed", "0s", "--apply"]);
    assert!(pruned.ends_with(" KiB pruned\n"), "{pruned}");
    assert!(listed(&shell).is_empty());
    assert!(shell.ok(&["status"]).contains("\nTASK-1  TODO    0     0     0 "));
    shell.refused(3, &["prune", "NO-TASK"]);
    shell.refused(2, &["prune", "--success", "soon"]);
}

#[test]
fn what_is_damaged_is_told_and_stays() {
    let shell = shell();
    let journal = shell.run_file("journal/events.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[30] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let answer = shell.go(&prune(&["--apply"]));
    assert_eq!((answer.exit, answer.err.as_str()), (1, ""));
    assert!(answer.out.contains("stays: TASK-1/RUN-1: damaged: "), "{}", answer.out);
    assert!(answer.out.contains("; see `runjournal verify TASK-1/RUN-1`\n"), "{}", answer.out);
    assert_eq!(listed(&shell), ["\"RUN-1\""]);
}

#[test]
fn a_hold_has_a_reason_and_may_have_a_name() {
    let mut shell = shell();
    shell.refused(2, &["run", "hold", "RUN-1"]);
    assert!(shell.refused(2, &["run", "hold", "RUN-1", "--reason", ""]).contains("is empty"));
    shell.refused(3, &["run", "hold", "RUN-9", "--reason", "x"]);
    let held = shell.json(&["run", "hold", "RUN-1", "--reason", "an audit", "--by", "Ada"]);
    let said = (&held["run"], &held["held"], &held["reason"], &held["by"]);
    assert_eq!(said, (&json!("TASK-1/RUN-1"), &json!(true), &json!("an audit"), &json!("Ada")));
    assert!(held["placed_at"].is_string());
    let list = shell.json(&["run", "list", "TASK-1"]);
    let reasons: Vec<_> = (0..2).map(|at| &list["runs"][at]["held"]["reason"]).collect();
    assert_eq!(reasons, [&json!("an audit"), &json!(null)]);
    assert!(shell.ok(&["run", "list"]).contains("SUCCESS (held)"));
    assert!(shell.ok(&["run", "show", "RUN-1"]).contains("an audit, by Ada\n"));
    assert_eq!(shell.json(&["run", "show", "RUN-1"])["held"]["by"], "Ada");
    assert_eq!(shell.json(&["run", "show", "RUN-2"]).get("held"), None);
    // In the environment of a worker too.
    let lease = shell.ok(&["lease", "claim", "TASK-1", "--worker", "w"]);
    shell.ok(&["run", "hold", "RUN-2", "--reason", "from outside"]);
    shell.variables.push(("RUNJOURNAL_LEASE", lease.trim_end().to_owned()));
    shell.ok(&["run", "unhold", "RUN-2"]);
}

#[test]
fn the_index_forgets_what_was_pruned() {
    let shell = shell();
    shell.ok(&["index", "rebuild"]);
    shell.ok(&prune(&["--apply"]));
    assert!(shell.jsonl(&["query", "runs"]).is_empty());
    assert_eq!(shell.go(&["query", "findings"]).out, "");
    assert_eq!(shell.ok(&["index", "verify"]), "the index is what the tree says\n");
    shell.ok(&["index", "rebuild"]);
    assert_eq!(shell.go(&["query", "findings", "--stale"]).out, "");
    // One that went another way is told.
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-4"]);
    fs::remove_dir_all(shell.path("workspaces/TASK-1/runs/RUN-4")).unwrap();
    assert!(shell.go(&["query", "findings"]).out.contains("unborn_run"));
}

#[test]
fn health_is_one_page() {
    let shell = shell();
    shell.ok(&["index", "rebuild"]);
    shell.ok(&["lease", "claim", "TASK-1", "--worker", "w", "--ttl", "2h"]);
    shell.ok(&["run", "hold", "RUN-1", "--reason", "an audit"]);
    let page = shell.json(&["health"]);
    assert_eq!(page["runs"]["success"], 1);
    assert_eq!((&page["holds"], &page["index"]["state"]), (&json!(1), &json!("built")));
    assert_eq!(page["leases"][0]["worker"], "w");
    let shown = shell.go(&["health"]);
    let root = shell.path("workspaces").canonicalize().unwrap().display().to_string();
    let shown = shown.out.replace(&root, "[ROOT]");
    let lines: Vec<_> = shown.lines().filter(|line| !line.starts_with("disk")).collect();
    check(&lines.join("\n"), |shown| {
        insta::assert_snapshot!(shown);
    });

    shell.ok(&["verify"]);
    let verified = shell.ok(&["health"]);
    assert!(verified.contains("verified   just now: 0 errors, 0 warnings\n"), "{verified}");
    fs::write(shell.path("workspaces/.index/CURRENT"), "nonsense\n").unwrap();
    let answer = shell.go(&["health"]);
    assert_eq!((answer.exit, answer.err.as_str()), (1, ""));
    assert!(answer.out.contains("`runjournal index rebuild`"), "{}", answer.out);
    assert!(answer.out.ends_with("see to what is listed as trouble\n"));
    let elsewhere = shell.go(&["health", "--index", "elsewhere"]);
    assert!(elsewhere.out.contains("elsewhere: none yet"), "{}", elsewhere.out);
}
