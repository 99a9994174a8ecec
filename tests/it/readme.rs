//! README.md: what its transcripts show is what a shell prints who types them, from the first to the last, in one folder.
//!
//! In a ```` ```console ```` block `$ ` begins a command and `> ` goes on with it; the rest is what is printed, on either
//! stream, where `[..]` stands for a part of a line and `...` for lines. `RUNJOURNAL_BLESS=1` writes what is printed into
//! the blocks that do not fit, to be shortened by hand.

use std::io::Write as _;
use std::process::{Command, Stdio};

use snapbox::{Assert, IntoData as _};

use crate::cli::Shell;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const HOME: &str = "/home/me";
/// Ends what a command prints; its exit code follows.
const END: char = '\u{1e}';

/// A command as it stands in the transcript, and what it printed.
struct Said {
    typed: String,
    printed: String,
    exit: i32,
}

/// The transcript's blocks, each with the title of its section.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let sections = page.split("\n## ").skip(1);
    sections
        .flat_map(|section| {
            let title = section.lines().next().unwrap();
            let blocks = section.split("```console\n").skip(1);
            blocks.map(move |block| (title, block.split("```\n").next().unwrap()))
        })
        .collect()
}

/// The commands of a block, as they stand there.
fn typed(block: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in block.lines() {
        if line.starts_with("$ ") {
            commands.push(format!("{line}\n"));
        } else if line.starts_with("> ") {
            let command = commands.last_mut().expect("a command before what continues it");
            command.push_str(&format!("{line}\n"));
        }
    }
    commands
}

/// One shell that is told all of them.
fn say(shell: &Shell, commands: &[String]) -> Vec<Said> {
    let mut sh = Command::new("sh");
    let tool = shell.command(&[]);
    sh.current_dir(shell.path("")).env("COLUMNS", "100");
    for (name, value) in tool.get_envs().filter(|(name, _)| *name != "COLUMNS") {
        match value {
            Some(value) => sh.env(name, value),
            None => sh.env_remove(name),
        };
    }
    let mut child = sh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut script = "exec 2>&1\n".to_owned();
    for command in commands {
        let lines = command.lines().map(|line| &line[2..]);
        script.extend(lines.map(|line| format!("{line}\n")));
        script.push_str(&format!("printf '{END}%s\\n' $?\n"));
    }
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let here = shell.path("").canonicalize().unwrap().display().to_string();
    let printed =
        String::from_utf8(output.stdout).unwrap().replace(here.trim_end_matches('/'), HOME);
    let mut rest = printed.as_str();
    let mut said = Vec::new();
    for typed in commands {
        let (printed, behind) = rest.split_once(END).expect("the shell did not come so far");
        let (exit, behind) = behind.split_once('\n').unwrap();
        rest = behind;
        let printed = printed.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        said.push(Said { typed: typed.clone(), printed, exit: exit.parse().unwrap() });
    }
    said
}

/// What stands in the README, where it is not what is printed.
fn differs(block: &str, printed: &str) -> Option<String> {
    let (printed, block) = (printed.into_data(), block.into_data());
    let judged = Assert::new().normalize_paths(false).try_eq(Some(&"README.md"), printed, block);
    judged.err().map(|error| error.to_string())
}

#[test]
fn the_transcripts_are_what_a_shell_says() {
    let page = std::fs::read_to_string(FILE).unwrap();
    let has_jq = Command::new("jq").arg("--version").stdout(Stdio::null()).status().is_ok();
    let shell = Shell::empty();
    let all = blocks(&page);
    let told: Vec<_> = all
        .into_iter()
        .filter(|(title, block)| {
            let told = has_jq || !block.contains("jq ");
            if !told {
                eprintln!("skipped: `{title}` of README.md needs jq");
            }
            told
        })
        .collect();
    let commands: Vec<_> = told.iter().flat_map(|(_, block)| typed(block)).collect();
    assert!(told.len() >= 5 && commands.len() >= 25, "{} commands", commands.len());
    let mut said = say(&shell, &commands).into_iter();
    let mut mended = page.clone();
    let mut wrong = Vec::new();
    for (title, block) in told {
        let here: Vec<_> = said.by_ref().take(typed(block).len()).collect();
        let printed: String =
            here.iter().map(|said| format!("{}{}", said.typed, said.printed)).collect();
        for said in here.iter().filter(|said| said.exit > 1) {
            wrong.push(format!("{title}: exit code {} of {}", said.exit, said.typed));
        }
        if let Some(difference) = differs(block, &printed) {
            mended = mended.replace(block, &printed);
            wrong.push(format!("{title}\n{difference}"));
        }
    }
    if std::env::var_os("RUNJOURNAL_BLESS").is_some() {
        std::fs::write(FILE, mended).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_first_transcript_may_be_typed_again() {
    let page = std::fs::read_to_string(FILE).unwrap();
    let (_, block) = blocks(&page)[0];
    let shell = Shell::empty();
    say(&shell, &typed(block));
    let journal = std::fs::read(shell.run_file("journal/events.jsonl")).unwrap();
    for said in say(&shell, &typed(block)) {
        assert_eq!(said.exit, 0, "{}{}", said.typed, said.printed);
    }
    assert_eq!(journal, std::fs::read(shell.run_file("journal/events.jsonl")).unwrap());
}

#[test]
fn another_answer_would_be_noticed() {
    assert_eq!(differs("$ a\nx [..] z\n...\nend\n", "$ a\nx y z\nmore\nend\n"), None);
    assert!(differs("$ a\nx [..] z\n", "$ a\nx y\n").is_some());
    assert!(differs("$ a\nx\n", "$ a\nx\ny\n").is_some());
}
