//! `status`, and the small verbs beside it: `task archive`, `artifact history`, `completions`.

use std::fs;

use camino::Utf8PathBuf;
use runjournal::Workspace;
use serde_json::{Value, json};

use crate::cli::{Shell, check};

/// A run of each kind.
fn busy() -> Shell {
    let shell = Shell::with_run();
    for run in ["RUN-2", "RUN-3", "RUN-4"] {
        shell.ok(&["run", "start", "TASK-1", "--run-id", run]);
    }
    let failing = ["step", "run", "-r", "RUN-1", "test", "--", "sh", "-c", "exit 7"];
    assert_eq!(shell.go(&failing).exit, 1);
    shell.ok(&["run", "complete", "RUN-1", "--status", "failed", "--reason", "tests red"]);
    let failing = ["step", "run", "-r", "RUN-4", "lint", "--", "sh", "-c", "exit 3"];
    assert_eq!(shell.go(&failing).exit, 1);
    // The program kills the tool that runs it.
    shell.go(&["step", "run", "-r", "RUN-2", "build", "--", "sh", "-c", "kill -9 $PPID"]);
    let root = Utf8PathBuf::from_path_buf(shell.path("workspaces")).unwrap();
    let task = Workspace::open(root).unwrap().task("TASK-1").unwrap();
    let asking = task.run("RUN-3").unwrap();
    asking.context().request_approval("deploy", "Deploy to production?", &["yes", "no"]).unwrap();
    shell.ok(&["run", "hold", "RUN-1", "--reason", "an audit", "--by", "Ada"]);
    shell.ok(&["lease", "claim", "TASK-1", "--worker", "worker-7", "--ttl", "2h"]);
    shell
}

#[test]
fn status_answers_what_a_person_asks_first() {
    let mut shell = busy();
    shell.variables.push(("COLUMNS", "100".into()));
    check(&shell.ok(&["status"]), |page| {
        insta::assert_snapshot!(page, @r#"
        workspace  [DIR]/workspaces
        runs       4, 3 PLANNING, 1 FAILED, 1 held
        index      none yet

        OPEN RUN      STATE    LAST AT
        TASK-1/RUN-3  waiting  [AGO] asks deploy: "Deploy to production?"
        TASK-1/RUN-2  stopped  [AGO] step build attempt 1, its process is gone
        TASK-1/RUN-4  idle     [AGO] step lint attempt 1 failed: sh exited with code 3

        FAILED LAST ENDED     WHY
        TASK-1/RUN-1  [AGO] tests red; step test attempt 1 failed: sh exited with code 7

        HELD          AS     WHO
        TASK-1        lease  worker "worker-7", ends in 2 h
        TASK-1/RUN-1  hold   an audit, by Ada

        TASK    STATUS  RUNS  OPEN  FAILED  TITLE
        TASK-1  TODO    4     3     1       Mend it
        "#);
    });
}

#[test]
fn programs_get_all_of_it() {
    let shell = busy();
    let page = shell.json(&["status"]);
    let runs = |list: &str, field: &str| -> Vec<Value> {
        page[list].as_array().unwrap().iter().map(|run| run[field].clone()).collect()
    };
    assert_eq!(runs("open", "run_id"), ["RUN-3", "RUN-2", "RUN-4"]);
    assert_eq!(runs("open", "sign"), ["waiting", "stopped", "idle"]);
    assert_eq!(page["open"][0]["waits_for"][0]["approval"], "deploy");
    let open = &page["open"][1]["open_steps"][0];
    assert_eq!(
        (&open["step"], &open["attempt"], &open["runner"]),
        (&json!("build"), &json!(1), &json!(null))
    );
    let failed = &page["failed"][0];
    assert_eq!((&failed["run_id"], &failed["reason"]), (&json!("RUN-1"), &json!("tests red")));
    assert_eq!(failed["failed_step"]["step"], "test");
    assert_eq!(failed["failed_step"]["error"], "sh exited with code 7");
    assert_eq!(
        (&page["leases"][0]["live"], &page["tasks"][0]["runs"]["failed"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(page["tasks"][0]["holds"][0]["reason"], "an audit");
    assert_eq!(page["index"]["state"], "not_built");
    shell.ok(&["approval", "resolve", "-r", "RUN-3", "deploy", "yes", "--by", "ada"]);
    assert_eq!(shell.json(&["status"])["open"][1]["sign"], "idle");
}

#[test]
fn of_many_the_first_ten_are_shown() {
    let shell = Shell::with_run();
    for number in 2..=12 {
        shell.ok(&["task", "create", &format!("TASK-{number}")]);
    }
    for number in 2..=12 {
        shell.ok(&["run", "start", "TASK-12", "--run-id", &format!("R-{number}")]);
    }
    let page = shell.ok(&["status"]);
    assert!(page.contains("\n... and 2 more: `runjournal task list`\n"), "{page}");
    assert!(page.contains("\n... and 2 more: `runjournal run list`\n"), "{page}");
    // Those with open runs come first.
    let tasks: Vec<_> = page.lines().skip_while(|line| !line.starts_with("TASK ")).collect();
    assert!(tasks[1].starts_with("TASK-1 ") && tasks[2].starts_with("TASK-12 "), "{page}");
    assert_eq!(shell.json(&["status"])["tasks"].as_array().unwrap().len(), 12);
    assert_eq!(shell.json(&["status"])["open"].as_array().unwrap().len(), 12);
}

#[test]
fn of_the_runs_that_failed_the_number_is_the_true_one() {
    let shell = Shell::with_run();
    for number in 1..=7 {
        let run = format!("R-{number}");
        shell.ok(&["run", "start", "TASK-1", "--run-id", &run]);
        shell.ok(&["run", "complete", &run, "--status", "failed"]);
    }
    let page = shell.ok(&["status"]);
    let more = "\n... and 2 more: `runjournal query runs --status failed`\n";
    assert!(page.contains(more), "{page}");
}

#[test]
fn a_long_text_does_not_bury_the_page() {
    let mut shell = Shell::with_run();
    let reason = "so it is ".repeat(5_000);
    shell.ok(&["run", "complete", "RUN-1", "--status", "failed", "--reason", &reason]);
    shell.ok(&["task", "create", "TASK-2", "--title", &reason]);
    shell.variables.push(("COLUMNS", "80".into()));
    let page = shell.ok(&["status"]);
    assert!(page.lines().count() < 30 && page.contains('…'), "{page}");
    assert_eq!(shell.json(&["status"])["failed"][0]["reason"], reason);
}

#[test]
fn what_cannot_be_read_is_listed_with_the_reason() {
    let shell = Shell::with_run();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    shell.ok(&["task", "create", "TASK-2"]);
    fs::remove_file(shell.run_file("journal/events.jsonl")).unwrap();
    shell.write("workspaces/TASK-2/task.json", "{}");
    for args in [&["run", "list", "TASK-1"][..], &["task", "show", "TASK-1"]] {
        let answer = shell.go(args);
        assert_eq!(answer.exit, 1, "{args:?}: {}", answer.err);
        let lines: Vec<_> = answer.out.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("TASK-1/RUN-1 ")).unwrap();
        assert!(lines[at].contains("UNREADABLE"), "{}", answer.out);
        assert!(lines[at + 1].contains("events.jsonl is missing"), "{}", answer.out);
        assert!(lines[at + 2].starts_with("TASK-1/RUN-2 "), "{}", answer.out);
    }
    assert!(shell.json(&["task", "show", "TASK-1"])["run_lines"][0]["error"].is_string());
    let answer = shell.go(&["task", "list"]);
    assert_eq!((answer.exit, answer.err.as_str()), (1, ""));
    let lines: Vec<_> = answer.out.lines().collect();
    assert!(lines[2].starts_with("TASK-2  UNREADABLE"), "{}", answer.out);
    assert!(lines[3].contains("task.json"), "{}", answer.out);
    let page = shell.json(&["task", "list"]);
    assert_eq!(
        (&page["tasks"][0]["status"], &page["tasks"][0]["error"]),
        (&json!("TODO"), &json!(null))
    );
    assert_eq!(page["tasks"][1]["status"], json!(null));
    assert!(page["tasks"][1]["error"].as_str().unwrap().contains("task.json"), "{page}");
}

#[test]
fn status_writes_nothing() {
    let shell = Shell::in_run();
    shell.write("one", "one");
    shell.ok(&["artifact", "put", "x.txt", "one"]);
    // As a crash between record and rename would leave it.
    let id = shell.jsonl(&["event", "log"])[0]["event_id"].as_str().unwrap().to_owned();
    fs::rename(shell.run_file("artifacts/x.txt"), shell.run_file(".tmp").join(id)).unwrap();
    shell.ok(&["status"]);
    assert!(!shell.run_file("artifacts/x.txt").exists());
    shell.ok(&["run", "show"]);
    assert!(shell.run_file("artifacts/x.txt").exists());
}

#[test]
fn a_task_is_archived_once_its_runs_ended() {
    let shell = Shell::with_run();
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    shell.ok(&["run", "complete", "RUN-1", "--status", "success"]);
    insta::assert_snapshot!(shell.refused(4, &["task", "archive", "TASK-1"]), @"
    error: TASK-1 cannot be archived: RUN-2 did not end
      to do: complete or prune them first
    ");
    shell.ok(&["run", "complete", "RUN-2", "--status", "failed"]);
    assert_eq!(shell.ok(&["task", "archive", "TASK-1"]), "TASK-1 ARCHIVED\n");
    let again = shell.json(&["task", "archive", "TASK-1"]);
    assert_eq!((&again["status"], &again["duplicate"]), (&json!("ARCHIVED"), &json!(true)));
    let events = fs::read_to_string(shell.path("workspaces/TASK-1/journal/events.jsonl")).unwrap();
    assert_eq!(events.matches("task_status_changed").count(), 1);
    shell.refused(3, &["task", "archive", "TASK-9"]);
}

#[test]
fn an_archived_task_takes_no_new_runs() {
    let shell = Shell::with_run();
    shell.ok(&["run", "complete", "RUN-1", "--status", "success"]);
    // Whoever started this one died before it was there.
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-2"]);
    fs::remove_file(shell.path("workspaces/TASK-1/runs/RUN-2/run.json")).unwrap();
    shell.ok(&["task", "archive", "TASK-1"]);
    let journal = shell.path("workspaces/TASK-1/journal/events.jsonl");
    let before = fs::read(&journal).unwrap();
    insta::assert_snapshot!(shell.refused(4, &["run", "start", "TASK-1", "--run-id", "RUN-9"]), @"
    error: TASK-1 is archived, and takes no new runs, so RUN-9 is not started
      to do: make a new task for it with `runjournal task create`
    ");
    for run in ["RUN-2", "RUN-9"] {
        let told = shell.refused(4, &["run", "start", "TASK-1", "--run-id", run, "--if-absent"]);
        assert!(told.contains("is archived"), "{told}");
    }
    shell.refused(4, &["run", "start", "TASK-1"]);
    assert!(
        shell
            .refused(4, &["run", "start", "TASK-1", "--run-id", "RUN-1"])
            .contains("exists already")
    );
    shell.ok(&["run", "start", "TASK-1", "--run-id", "RUN-1", "--if-absent"]);
    assert_eq!(fs::read(&journal).unwrap(), before);
    shell.ok(&["run", "hold", "RUN-1", "--reason", "an audit"]);
    shell.ok(&["lease", "claim", "TASK-1", "--worker", "w"]);
}

#[test]
fn a_run_without_its_journal_cannot_be_held() {
    let shell = Shell::with_run();
    fs::remove_file(shell.run_file("journal/events.jsonl")).unwrap();
    let told = shell.refused(5, &["run", "hold", "RUN-1", "--reason", "an audit"]);
    assert!(told.contains("events.jsonl is missing"), "{told}");
    fs::remove_dir_all(shell.run_file("")).unwrap();
    shell.refused(3, &["run", "hold", "TASK-1/RUN-1", "--reason", "an audit"]);
}

#[test]
fn only_files_are_replaced() {
    let shell = Shell::in_run();
    shell.write("plan", "one\n");
    shell.ok(&["artifact", "put", "plan.txt", "plan"]);
    let pipe = std::process::Command::new("mkfifo").arg(shell.path("pipe")).status().unwrap();
    assert!(pipe.success());
    fs::create_dir(shell.path("dir")).unwrap();
    let link = |to, name| std::os::unix::fs::symlink(shell.path(to), shell.path(name)).unwrap();
    for (to, name) in [("pipe", "to-pipe"), ("dir", "to-dir"), ("plan", "to-file"), ("no", "to-no")]
    {
        link(to, name);
    }
    for name in ["pipe", "dir", "to-pipe", "to-dir"] {
        let before = fs::symlink_metadata(shell.path(name)).unwrap().file_type();
        for args in [
            &["artifact", "get", "plan.txt", name, "--force"][..],
            &["event", "log", "--cursor-file", name],
        ] {
            if name.contains("pipe") && args[0] == "event" {
                continue; // It is read first, and waits for who writes.
            }
            let answer = shell.go(args);
            assert_ne!(answer.exit, 0, "{args:?}");
            assert_eq!(fs::symlink_metadata(shell.path(name)).unwrap().file_type(), before);
        }
        let told = shell.refused(2, &["artifact", "get", "plan.txt", name, "--force"]);
        assert!(told.contains(&format!("{name} is not a file")), "{told}");
    }
    for name in ["plan", "to-file", "to-no", "new"] {
        shell.ok(&["artifact", "get", "plan.txt", name, "--force"]);
        assert!(fs::symlink_metadata(shell.path(name)).unwrap().is_file(), "{name}");
    }
    assert_eq!(fs::read_to_string(shell.path("plan")).unwrap(), "one\n");
    assert!(!shell.path("no").exists());
}

#[test]
fn an_artifact_has_a_history() {
    let shell = Shell::in_run();
    shell.write("plan", "one\n");
    shell.ok(&["artifact", "put", "plan.txt", "plan"]);
    shell.ok(&["step", "run", "write", "--stdout", "plan.txt", "--", "echo", "two"]);
    shell.ok(&["artifact", "remove", "plan.txt"]);
    fs::write(shell.run_file("artifacts/plan.txt"), "three\n").unwrap();
    shell.ok(&["artifact", "adopt", "plan.txt"]);
    shell.ok(&["artifact", "put", "other.txt", "plan"]);
    check(&shell.ok(&["artifact", "history", "plan.txt"]), |page| {
        insta::assert_snapshot!(page, @"
        VERSION  SEQ  WHEN CHANGE   SIZE  DIGEST        STEP
        0        1    [AGO] written  4 B   e0e63aa4c8e1
        1        4    [AGO] written  4 B   ef40086ad8a3  write
        2        5    [AGO] removed
        3        6    [AGO] adopted  6 B   60fb664876a4
        ");
    });
    let page = shell.json(&["artifact", "history", "plan.txt"]);
    let last = &page["history"][3];
    assert_eq!(
        (&last["version"], &last["change"], &last["size"]),
        (&json!(3), &json!("adopted"), &json!(6))
    );
    assert_eq!(page["history"][1]["step"], "write");
    shell.refused(3, &["artifact", "history", "none.txt"]);
}

#[test]
fn a_history_with_a_hole_is_told_to_have_one() {
    let shell = Shell::in_run();
    for content in ["one\n", "two\n", "three\n"] {
        shell.write("plan", content);
        shell.ok(&["artifact", "put", "plan.txt", "plan"]);
    }
    let journal = shell.run_file("journal/events.jsonl");
    let events = fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<_> = events.lines().map(str::to_owned).collect();
    lines[1] = lines[1].replacen("artifact_written", "artifact_wrXtten", 1);
    fs::write(&journal, format!("{}\n", lines.join("\n"))).unwrap();
    let answer = shell.go(&["artifact", "history", "plan.txt"]);
    assert_eq!(answer.exit, 1, "{}{}", answer.out, answer.err);
    assert!(answer.out.starts_with("VERSION"), "{}", answer.out);
    assert!(answer.err.contains("events.jsonl"), "{}", answer.err);
    assert_eq!(shell.go(&["event", "log"]).exit, 1);
    let other = shell.go(&["artifact", "history", "other.txt"]);
    assert_eq!(other.exit, 1, "nobody knows: {}", other.err);
}

#[test]
fn completions_need_no_workspace() {
    let shell = Shell::empty();
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = shell.ok(&["completions", name]);
        assert!(script.contains("runjournal") && script.contains("checkpoint"), "{name}");
    }
    shell.refused(2, &["completions", "cmd"]);
    assert!(shell.ok(&["completions", "--help"]).contains("completions fish > "));
}
