//! docs/operations.md: its commands, typed as they stand there.

use std::process::Command;

use crate::cli::{Answer, Shell};

const GUIDE: &str = include_str!("../../docs/operations.md");

/// What a shell says to a line of the guide, where the backup folder is this one.
fn type_in(shell: &Shell, line: &str) -> Answer {
    let mut sh = Command::new("sh");
    sh.args(["-eu", "-c", &line.replace("/backup/runs", "backup")]);
    let tool = shell.command(&[]);
    sh.current_dir(shell.path(""))
        .envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
    for (name, _) in tool.get_envs().filter(|(_, value)| value.is_none()) {
        sh.env_remove(name);
    }
    Answer::of(sh.output().unwrap())
}

fn with_artifact() -> Shell {
    let shell = Shell::with_run();
    shell.write("plan", "fetch, then build");
    shell.ok(&["artifact", "put", "-r", "RUN-1", "plan.md", "plan"]);
    shell
}

/// What stands between backquotes in a line, if it is a command.
fn commands(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|text| text.starts_with("runjournal "))
}

#[test]
fn what_is_done_every_day_runs_as_it_stands() {
    let shell = with_artifact();
    let rows = GUIDE.lines().filter(|line| line.starts_with("| every "));
    let typed: Vec<_> = rows.flat_map(commands).collect();
    assert_eq!(typed.len(), 6, "{typed:?}");
    for line in typed {
        let answer = type_in(&shell, line);
        assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{line}: {}", answer.out);
    }
}

#[test]
fn the_drill_runs_as_it_stands() {
    let shell = Shell::empty();
    let drill = GUIDE.split("## A drill").nth(1).unwrap().split("```sh\n").nth(1).unwrap();
    let answer = type_in(&shell, drill.split("```").next().unwrap());
    assert_eq!((answer.exit, answer.err.as_str()), (0, ""), "{}", answer.out);
    assert!(answer.out.contains("found, exit code 1"), "{}", answer.out);
    assert!(answer.out.contains("this is the plan, exit code 1"), "{}", answer.out);
    assert!(!answer.out.contains("UNREADABLE"), "{}", answer.out);
    let plan =
        |below: &str| std::fs::read(shell.path(below).join("RUN-1/artifacts/plan.md")).unwrap();
    assert_eq!(plan("elsewhere/TASK-1/runs"), plan(""));
}
