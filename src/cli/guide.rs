//! `docs/cli.md`: every help text, rendered from the grammar. The file is what the grammar says, or this test fails.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

use super::args::Cli;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cli.md");
const WIDTH: usize = 80;
const SCREEN: usize = 40;

const HEAD: &str = "\
# The tool

Written by the grammar of the tool itself: each verb's `--help`, 80 columns wide. After a change of a help text:
`RUNJOURNAL_BLESS=1 cargo test --all-features --bin runjournal guide`.

## What holds for every verb

**The workspace** is `--root`, else `RUNJOURNAL_ROOT`, else the nearest one upward from the current directory.

**RUN** is `TASK/RUN`, or any unique prefix of a run's id; of one that fits several runs, the candidates are listed. Verbs
inside a run take it as `-r RUN`; left out, it is the one in `RUNJOURNAL_RUN`, so that a shell script is a node.

**Formats.** `--format table` is for people: columns as wide as the terminal (or `COLUMNS`), sizes as KiB and MiB,
times as `5 min ago`; it may change. `--format json` is for programs: one document, `{\"version\": 1, ...}`, with raw numbers,
times in UTC and digests in full; members are added, and what changes its meaning gets another `version`. `--format jsonl`
prints the items of that document alone, one a line, in the shape that they have in it. Standard output holds nothing else,
and after an error with a code of 2 or more it holds nothing at all, unless lines were asked for as they come
(`event log --follow`, `--format jsonl`, `step run`). Progress goes to standard error, and only to a terminal.

**Errors** are on standard error: what, why, and what to do. A reader that closes the pipe is no error. Ctrl-C leaves a
tree that is consistent. `prune`, `repair`, `backup prune` and `checkpoint
restore` show what they would do; `--apply` does it. `backup restore` does it at once, unless `--dry-run` is given.

| exit code | |
| --- | --- |
| 0 | fine |
| 1 | findings, a difference, or a program that failed |
| 2 | usage: a refused argument, name, id or event; a RUN that fits several runs |
| 3 | not found |
| 4 | conflict: a lock, lease, version, key or step that somebody else has; something that exists already |
| 5 | damage: the verb could not run |
| 6 | read-only, or written by a newer runjournal |
| 10 | internal: the system refused |

| variable | |
| --- | --- |
| `RUNJOURNAL_ROOT` | the workspace |
| `RUNJOURNAL_RUN` | the run: `TASK/RUN` |
| `RUNJOURNAL_INDEX` | where the index is; else `.index` in the workspace |
| `RUNJOURNAL_LEASE` | `TASK/TOKEN`, as `lease claim` prints it: writes go in the name of that lease |
| `RUNJOURNAL_STEP`, `RUNJOURNAL_OUT` | set for a program that is run as a step: which attempt it is, and where its outputs go |
| `TRACEPARENT` | the trace that new records belong to |
| `COLUMNS`, `NO_COLOR` | how wide tables are where there is no terminal; no colours |

";

/// The grammar, as it is read, at a fixed width.
fn grammar() -> Command {
    fn fixed(command: Command) -> Command {
        command.term_width(WIDTH).mut_subcommands(fixed)
    }
    let mut command = fixed(Cli::command());
    command.build();
    command
}

fn verbs(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set())
}

/// The whole name of each verb, groups before what is in them, with what it is for and its help.
fn pages(command: &Command, name: &str, into: &mut Vec<(String, String, String)>) {
    for verb in verbs(command) {
        let name = format!("{name} {}", verb.get_name());
        let help = verb.clone().render_help().to_string();
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        into.push((name.clone(), about, help));
        pages(verb, &name, into);
    }
}

fn guide() -> String {
    let grammar = grammar();
    let mut all = Vec::new();
    pages(&grammar, "runjournal", &mut all);
    let mut text = HEAD.to_owned() + "## Verbs\n\n";
    for (name, about, _) in &all {
        let short = name.trim_start_matches("runjournal ");
        let depth = short.matches(' ').count();
        let anchor = name.replace(' ', "-");
        let _ = writeln!(text, "{}- [{short}](#{anchor}): {about}", "  ".repeat(depth));
    }
    let top = grammar.clone().render_help().to_string();
    let mut page = |name: &str, help: &str| {
        let help: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(text, "\n## {name}\n\n```text\n{}\n```\n", help.join("\n"));
    };
    page("runjournal", &top);
    for (name, _, help) in &all {
        page(name, help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_is_what_the_grammar_says() {
        let guide = guide();
        if std::env::var_os("RUNJOURNAL_BLESS").is_some() {
            std::fs::write(FILE, &guide).unwrap();
        }
        let file = std::fs::read_to_string(FILE).unwrap_or_default();
        let differ = guide.lines().zip(file.lines()).position(|(here, there)| here != there);
        assert!(
            guide == file,
            "docs/cli.md is not what the grammar says, from line {:?} on: \
             `RUNJOURNAL_BLESS=1 cargo test --all-features --bin runjournal guide` writes it",
            differ.map(|line| line + 1),
        );
    }

    #[test]
    fn each_verb_says_in_a_line_what_it_does() {
        let mut all = Vec::new();
        pages(&grammar(), "runjournal", &mut all);
        for (name, about, help) in &all {
            assert!(!about.is_empty() && !about.ends_with('.'), "{name}: {about:?}");
            assert!(
                about.chars().count() <= WIDTH - 8,
                "{name}: {about:?} is too long for its list"
            );
            let mut text = help.lines().filter(|line| !line.starts_with("Usage:"));
            let wide = text.find(|line| line.chars().count() > WIDTH);
            assert_eq!(wide, None, "{name}");
        }
    }

    /// What is set in is to be copied, so it is not wrapped.
    #[test]
    fn each_example_fits_its_line() {
        let mut verbs = vec![grammar()];
        while let Some(verb) = verbs.pop() {
            let below = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let mut examples = below.lines().filter(|line| line.starts_with("  "));
            let wide = examples.find(|line| line.chars().count() > WIDTH);
            assert_eq!(wide, None, "{}", verb.get_name());
            verbs.extend(verb.get_subcommands().cloned());
        }
    }

    #[test]
    fn the_first_page_fits_a_screen() {
        let help = grammar().render_help().to_string();
        assert!(help.lines().count() <= SCREEN, "{} lines:\n{help}", help.lines().count());
    }
}
