//! What the tool shows on a terminal and nowhere else: bars, colours, lines as wide as it is. `script` makes one.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::cli::{Answer, Shell};

/// Bytes that take a while to be read, and no room on the disk.
const LONG: u64 = 1 << 30;

/// What a terminal shows of a command line of `sh`; nothing where none can be made.
fn on_terminal(shell: &Shell, line: &str) -> Option<String> {
    let can = Command::new("script").arg("--version").stdout(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        println!("skipped: there is no `script` that makes a terminal");
        return None;
    }
    // The environment and the folder of the tool.
    let tool = shell.command(&[]);
    let mut command = Command::new("script");
    command.args(["-qec", line, "/dev/null"]).current_dir(shell.path(""));
    for (name, value) in tool.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("CLICOLOR").stdin(Stdio::null());
    let answer = Answer::of(command.output().unwrap());
    assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{line}");
    Some(answer.out)
}

#[test]
fn a_long_verb_has_a_bar_on_a_terminal_and_none_in_a_pipe() {
    let shell = Shell::in_run();
    // What is done within 300 ms has no bar: twice as much, until it takes longer on any machine.
    let mut shown = String::new();
    for times in [1, 2, 4, 8] {
        let name = format!("long-{times}.bin");
        let file = File::create(shell.run_file(&format!("artifacts/{name}"))).unwrap();
        file.set_len(times * LONG).unwrap();
        shell.ok(&["artifact", "adopt", &name]);
        // `ok` sees that nothing stands on standard error.
        shell.ok(&["verify", "--read-data"]);
        let verify = "runjournal verify --read-data >/dev/null";
        let Some(now) = on_terminal(&shell, verify) else { return };
        shown = now;
        if !shown.is_empty() {
            break;
        }
    }
    assert!(shown.contains("verify") && shown.contains("GiB"), "{shown:?}");
    let piped = on_terminal(&shell, "runjournal verify --read-data 2>&1 | cat").unwrap();
    assert!(!piped.contains('\u{1b}'), "{piped:?}");
}

#[test]
fn colours_are_for_terminals_of_those_who_want_them() {
    let shell = Shell::in_run();
    let Some(shown) = on_terminal(&shell, "runjournal run list") else { return };
    assert!(shown.contains("\u{1b}["), "{shown:?}");
    for line in ["NO_COLOR=1 runjournal run list", "runjournal run list | cat"] {
        let shown = on_terminal(&shell, line).unwrap();
        assert!(shown.contains("TASK-1/RUN-1") && !shown.contains('\u{1b}'), "{line}: {shown:?}");
    }
}

#[test]
fn lines_are_as_wide_as_the_terminal() {
    let shell = Shell::in_run();
    let title = "a title of many words that goes on in the next line ".repeat(4);
    shell.ok(&["task", "create", "TASK-2", "--title", &title]);
    let shown = |columns: usize| {
        on_terminal(
            &shell,
            &format!("stty rows 24 cols {columns}; NO_COLOR=1 runjournal task list"),
        )
    };
    for columns in [60, 100] {
        let Some(shown) = shown(columns) else { return };
        let widest = shown.lines().map(|line| line.trim_end().chars().count()).max();
        let widest = widest.unwrap();
        assert!(widest <= columns && widest > columns - 20, "{columns}: {widest}\n{shown}");
    }
}
