//! `queue`, as a shell sees it.

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cli::Shell;

const RUN: &str = "-r=RUN-1";

fn next(shell: &Shell, more: &[&str]) -> Value {
    shell.json(&[&["queue", "next", RUN, "--owner", "w"], more].concat())
}

#[test]
fn work_goes_through_the_queue() {
    let shell = Shell::with_run();
    let add = ["queue", "add", RUN, "page 17", "--priority", "-5", "--input", "{\"n\": 1}"];
    let added = shell.json(&add);
    assert_eq!((&added["item"], &added["duplicate"]), (&json!("page 17"), &json!(false)));
    assert_eq!(shell.ok(&add), "page 17  seq 1  (added before)\n");
    let conflict = shell.refused(4, &["queue", "add", RUN, "page 17"]);
    assert!(
        conflict.contains("at seq 1 with another priority and input\n  to do: give new"),
        "{conflict}"
    );
    shell.ok(&["queue", "add", RUN, "first", "--attempts", "1", "--delay", "0s"]);

    let claim = next(&shell, &["--ttl", "1h 30m"]);
    assert_eq!((&claim["item"], &claim["attempt"]), (&json!("first"), &json!(1)));
    assert_eq!((&claim["input"], &claim["owner"]), (&Value::Null, &json!("w")));
    let fail = ["queue", "fail", RUN, "first", "--owner", "w", "--attempt", "1", "--error", "no"];
    shell.ok(&fail);
    assert!(shell.ok(&fail).ends_with("(said before)\n"));
    let claim = next(&shell, &[]);
    assert_eq!((&claim["item"], &claim["input"]), (&json!("page 17"), &json!({"n": 1})));
    assert!(claim["expires_at"].as_str().unwrap().ends_with('Z'));

    let none = shell.refused(3, &["queue", "next", RUN, "--owner", "w"]);
    let due = claim["expires_at"].as_str().unwrap();
    assert!(none.contains("there is no work that is due: the next is due in "), "{none}");
    assert!(none.contains(&format!(", at {due}")), "{none}");
    let renew = ["queue", "renew", RUN, "page 17", "--owner", "w", "--attempt", "1", "--ttl", "1d"];
    let renewed = shell.json(&renew);
    assert_eq!((&renewed["item"], &renewed["attempt"]), (&json!("page 17"), &json!(1)));
    assert!(renewed["expires_at"].as_str().unwrap() > due, "{renewed}");
    assert!(shell.ok(&renew).starts_with("page 17  attempt 1  ends in "));
    let none = shell.refused(3, &["queue", "next", RUN, "--owner", "w"]);
    assert!(none.contains("the next is due in 1 d, at 2"), "{none}");
    let lost = [&renew[..6], &["--attempt", "2"]].concat();
    assert!(shell.refused(4, &lost).contains("\"w\" has it in attempt 1"));
    let lost = ["queue", "done", RUN, "page 17", "--owner", "x", "--attempt", "1"];
    let lost = shell.refused(4, &lost);
    assert!(lost.contains("\"w\" has it in attempt 1"), "{lost}");
    let done = ["queue", "done", RUN, "page 17", "--owner", "w", "--attempt", "1"];
    assert_eq!(shell.ok(&done), "page 17  seq 8\n");
    assert_eq!(shell.ok(&done), "page 17  seq 8  (said before)\n");
    let none = shell.refused(3, &["queue", "next", RUN, "--owner", "w"]);
    assert!(none.contains("there is no work left: all that was put in is"), "{none}");
    insta::assert_snapshot!(shell.ok(&["queue", "list", RUN]), @r"
    ITEM     STATE      PRIORITY  ATTEMPT  OWNER  DUE  ERROR
    page 17  completed  -5        1 of 10  w
    first    dead       0         1 of 1   w           no
    ");
    let listed = shell.jsonl(&["queue", "list", RUN]);
    assert_eq!(listed[1]["error"], json!("no"));
}

#[test]
fn a_failed_piece_waits_and_the_queue_of_a_task_is_another() {
    let shell = Shell::with_run();
    let task = "-t=TASK-1";
    let mut add = shell.command(&["queue", "add", task, "a", "--input", "-", "--delay", "3d"]);
    let mut add = add.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    add.stdin.take().unwrap().write_all(b"[1,\n2]").unwrap();
    assert!(add.wait().unwrap().success());
    shell.refused(3, &["queue", "next", task, "--owner", "w"]);
    assert_eq!(shell.json(&["queue", "list", RUN])["items"], json!([]));
    let item = &shell.json(&["queue", "list", task])["items"][0];
    assert_eq!((&item["state"], &item["attempt"]), (&json!("waiting"), &json!(0)));

    shell.ok(&["queue", "add", task, "b"]);
    let claim = shell.ok(&["queue", "next", task, "--owner", "w"]);
    assert!(claim.starts_with("b  attempt 1  ends in "), "{claim}");
    shell.ok(&["queue", "fail", task, "b", "--owner", "w", "--attempt", "1", "--delay", "2h"]);
    shell.refused(3, &["queue", "next", task, "--owner", "w"]);
    let table = shell.ok(&["queue", "list", task]);
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[1].starts_with("a     waiting  0         0 of 10         in 3 d"), "{table}");
    assert!(
        rows[2].starts_with("b     failed   0         1 of 10  w      in 2 h  failed"),
        "{table}"
    );
}

#[test]
fn a_worker_waits_for_what_is_open() {
    let shell = Shell::with_run();
    let start = Instant::now();
    let next = |wait| ["queue", "next", RUN, "--owner", "w", "--ttl", "1s", "--wait", wait];
    shell.refused(3, &next("1h"));
    shell.ok(&["queue", "add", RUN, "a", "--delay", "500ms"]);
    let claim = shell.json(&next("1h"));
    assert_eq!((&claim["item"], &claim["attempt"]), (&json!("a"), &json!(1)));
    // Nobody renews that claim.
    let claim = shell.json(&next("1h"));
    assert_eq!((&claim["item"], &claim["attempt"]), (&json!("a"), &json!(2)));
    assert!(start.elapsed() >= Duration::from_millis(1500));

    // Nothing is held meanwhile: others put work in, and it is seen before the next is due.
    shell.ok(&["queue", "renew", RUN, "a", "--owner", "w", "--attempt", "2", "--ttl", "2h"]);
    let start = Instant::now();
    let none = shell.refused(3, &next("300ms"));
    assert!(none.contains("the next is due in 2 h, at 2"), "{none}");
    assert!(start.elapsed() >= Duration::from_millis(300));
    let waiting = shell.command(&next("1h")).stdout(Stdio::piped()).spawn().unwrap();
    shell.ok(&["queue", "add", RUN, "b"]);
    let told = String::from_utf8(waiting.wait_with_output().unwrap().stdout).unwrap();
    assert!(told.starts_with("b  attempt 1  ends in "), "{told}");

    // All is over while somebody waits.
    shell.ok(&["queue", "done", RUN, "b", "--owner", "w", "--attempt", "1"]);
    let mut waiting = shell.command(&next("1h")).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(waiting.try_wait().unwrap().is_none(), "it does not wait");
    shell.ok(&["queue", "done", RUN, "a", "--owner", "w", "--attempt", "2"]);
    let ended = waiting.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(3));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("there is no work left"));
}

#[test]
fn what_is_refused_has_its_code() {
    let shell = Shell::with_run();
    shell.refused(2, &["queue", "add", RUN, "a\nb"]);
    shell.refused(2, &["queue", "add", RUN, "a", "--attempts", "0"]);
    shell.refused(2, &["queue", "add", RUN, "a", "--input", "{"]);
    shell.refused(2, &["queue", "next", RUN, "--owner", "w", "--ttl", "0s"]);
    let unit = shell.refused(2, &["queue", "next", RUN, "--owner", "w", "--ttl", "5"]);
    assert!(unit.contains("500ms, 60s, 5m, 2h or 3d"), "{unit}");
    shell.refused(3, &["queue", "done", RUN, "a", "--owner", "w", "--attempt", "1"]);
    shell.refused(2, &["queue", "list", RUN, "-t", "TASK-1"]);
    shell.refused(3, &["queue", "list", "-t", "TASK-9"]);
}
