//! `step run`, as a shell sees it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runjournal::{Digest, Program};
use serde_json::json;

use crate::cli::{Answer, Shell};

fn wait_for(what: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(10);
    while !what() {
        assert!(Instant::now() < until, "it did not come to that");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn streams_are_artifacts_where_they_are_named() {
    let shell = Shell::in_run();
    shell.feed(&["artifact", "put", "plan.txt"], "the plan\n");
    let streams = ["--stdin", "plan.txt", "--stdout", "out.txt", "--stderr", "err.txt"];
    let program = ["--", "sh", "-c", "cat; echo trouble >&2"];
    let run = [&["step", "run", "work"][..], &streams, &program].concat();
    assert_eq!(shell.ok(&run), "success\n");
    assert_eq!(shell.ok(&["artifact", "cat", "out.txt"]), "the plan\n");
    assert_eq!(shell.ok(&["artifact", "cat", "err.txt"]), "trouble\n");

    let started = &shell.jsonl(&["event", "log", "--type", "step_started"])[0]["payload"];
    let digest = Digest::of(b"the plan\n").to_string();
    assert_eq!(started["inputs"], json!([{"path": "plan.txt", "digest": digest, "version": 0}]));
    let program: Program = serde_json::from_value(started["config"].clone()).unwrap();
    let name = |name: &str| runjournal::ArtifactName::new(name).unwrap();
    let wanted = Program::new("sh").args(["-c", "cat; echo trouble >&2"]);
    let wanted = wanted.stdin(name("plan.txt")).stdout(name("out.txt")).stderr(name("err.txt"));
    assert_eq!(program, wanted);

    let missing = ["step", "run", "other", "--stdin", "none", "--input", "none", "--", "cat"];
    assert!(shell.refused(3, &missing).contains("its input none is not there"));
    // What the tool is fed is nobody's input.
    let fed = shell.feed(&["step", "run", "fed", "--", "cat"], "not recorded");
    assert_eq!((fed.exit, fed.out.as_str()), (0, "success\n"), "{}", fed.err);
}

#[test]
fn exit_codes_are_mapped_and_a_time_is_kept() {
    let shell = Shell::in_run();
    let run = |name: &str, options: &[&str], script: &str| {
        shell.go(&[&["step", "run", name], options, &["--", "sh", "-c", script]].concat())
    };
    let exits = ["--exit", "3=verify_failed", "--exit", "0=clean"];
    assert_eq!(run("three", &exits, "exit 3").out, "verify_failed\n");
    assert_eq!(run("zero", &exits, "exit 0").out, "clean\n");
    assert_eq!(run("four", &exits, "exit 4").exit, 1);
    for bad in ["3", "=x", "3=", "x=y", ""] {
        let refused = run("bad", &["--exit", bad], "exit 0");
        assert_eq!(refused.exit, 2, "{bad}");
        assert!(refused.err.contains("it must be CODE=SIGNAL"), "{}", refused.err);
    }
    assert_eq!(run("bad", &["--timeout", "soon"], "exit 0").exit, 2);
    let late = run("late", &["--timeout", "500ms", "--stderr", "err.txt"], "echo no >&2; sleep 60");
    assert_eq!(late.exit, 1);
    insta::assert_snapshot!(late.err, @"
    error: step late failed in attempt 1
      because: sh was ended: it ran for longer than 500ms: its standard error ends with: no
      to do: see why, then try again: the same command makes the next attempt
    ");
}

fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or("0");
    u64::from_str_radix(mask.trim(), 16).unwrap() & 1 != 0
}

#[test]
fn a_signal_to_the_tool_ends_the_program_and_is_told_the_journal() {
    let shell = Shell::in_run();
    let mut signals = vec![("-INT", "a"), ("-TERM", "b"), ("-HUP", "c")];
    if ignores_hangups() {
        println!("skipped for SIGHUP: it is ignored here, as `nohup` has it");
        signals.pop();
    }
    for (signal, name) in &signals {
        let script = format!("echo $$ > '{}'; sleep 60", shell.path(name).display());
        let mut command = shell.command(&["step", "run", name, "--", "sh", "-c", &script]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let from = Instant::now();
        let tool = command.spawn().unwrap();
        let pid = || std::fs::read_to_string(shell.path(name)).unwrap_or_default();
        wait_for(|| pid().ends_with('\n'));
        let id = tool.id().to_string();
        assert!(Command::new("kill").args([*signal, &id]).status().unwrap().success());
        let answer = Answer::of(tool.wait_with_output().unwrap());
        assert!(from.elapsed() < Duration::from_secs(15), "{:?}", from.elapsed());
        let wanted = format!(
            "error: step {name} failed in attempt 1\n  because: sh was cancelled\n  to do: see why, then try \
             again: the same command makes the next attempt\n"
        );
        assert_eq!((answer.exit, answer.out, answer.err), (1, String::new(), wanted));
        let gone = Command::new("kill").args(["-0", pid().trim()]).output().unwrap();
        assert!(!gone.status.success(), "the program lives on");
    }
    let failed = shell.jsonl(&["event", "log", "--type", "step_failed"]);
    assert_eq!(failed.len(), signals.len());
    assert!(failed.iter().all(|record| record["payload"]["error"] == json!(["sh was cancelled"])));
    assert_eq!(shell.json(&["run", "show"])["steps_open"], json!([]));
}

/// The limit is on what the tool may write to of its memory, and the program has the same.
#[test]
fn large_outputs_take_little_memory() {
    let shell = Shell::in_run();
    let script = "head -c 67108864 /dev/zero > $RUNJOURNAL_OUT/zeros; head -c 67108864 /dev/zero";
    let run = ["step", "run", "large", "--stdout", "also", "--", "sh", "-c", script];
    let plain = shell.command(&run);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -d 40000; exec \"$@\"", "sh"]).arg(plain.get_program());
    limited.args(plain.get_args()).current_dir(shell.path("")).envs(shell.variables.clone());
    let answer = Answer::of(limited.stdin(Stdio::null()).output().unwrap());
    assert_eq!((answer.exit, answer.out.as_str()), (0, "success\n"), "{}", answer.err);
    let listed = shell.json(&["artifact", "list"]);
    let sizes: Vec<_> =
        listed["artifacts"].as_array().unwrap().iter().map(|a| &a["size"]).collect();
    assert_eq!(sizes, [67_108_864, 67_108_864]);
}
