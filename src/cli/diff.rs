//! `diff`: two turns, or two runs, held against each other.

use clap::Args;
use runjournal::{ArtifactChange, ArtifactName, ArtifactSet, Diff, DiffSide, tree};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::{Output, hint};
use super::units::size;

#[derive(Debug, Args)]
#[command(after_help = DIFF)]
pub(crate) struct DiffVerb {
    /// RUN: what stands on the disk now; or RUN@TURN: a checkpoint
    a: String,
    /// The same
    b: String,
    /// Only how many lines each artifact gained and lost, and its sizes
    #[arg(long)]
    stat: bool,
    /// Only the names of what differs
    #[arg(long, conflicts_with = "stat")]
    name_only: bool,
    /// Compare all of two runs as they stand now, journals too, but for ids, times and places
    #[arg(long, conflicts_with_all = ["stat", "name_only", "paths"])]
    tree: bool,
    /// Only these artifacts, and those below these directories
    paths: Vec<String>,
}

const DIFF: &str = "\
Texts are shown as `git diff` shows them, so `patch -p1` and `git apply` take them. Content that is not text, or \
has over 4 MiB, is told to differ in one line. --format json lists names, digests and sizes. \
--tree compares what `run show --tree --redacted` shows of each.

Exit codes: 0 nothing differs; 1 something does.

Examples:
  runjournal diff RUN-1@2 RUN-1
  runjournal diff RUN-1 RUN-2 --stat reports";

pub(crate) fn diff(at: &Locator, asked: &DiffVerb, output: &mut Output) -> Result<Exit, CliError> {
    if asked.tree {
        return trees(at, asked, output);
    }
    let (before, after) = (set(at, &asked.a)?, set(at, &asked.b)?);
    let diff = Diff::between(&before, &after)?.only(|name| wanted(name, &asked.paths));
    output.many("changes", diff.changes(), |output| {
        if diff.is_empty() {
            hint("nothing differs");
        }
        match asked {
            DiffVerb { stat: true, .. } => stat(&diff, output),
            DiffVerb { name_only: true, .. } => {
                diff.changes().iter().try_for_each(|change| output.line(change.path.as_str()))
            }
            _ => diff.changes().iter().try_for_each(|change| {
                let text = diff.text_of(change)?;
                output.copy(&mut text.as_bytes())
            }),
        }
    })?;
    Ok(if diff.is_empty() { Exit::Fine } else { Exit::Findings })
}

#[derive(Serialize)]
struct Trees {
    diff: String,
}

fn trees(at: &Locator, asked: &DiffVerb, output: &mut Output) -> Result<Exit, CliError> {
    if let Some(text) = [&asked.a, &asked.b].into_iter().find(|text| text.contains('@')) {
        return Err(CliError::TreeOfTurn { text: text.clone() });
    }
    let (before, after) = (at.named_run(&asked.a)?, at.named_run(&asked.b)?);
    let diff = Diff::trees(&before, &after, &tree::Options::new())?;
    let exit = if diff.is_empty() { Exit::Fine } else { Exit::Findings };
    let told = Trees { diff };
    output.one(&told, |output| {
        if told.diff.is_empty() {
            hint("nothing differs");
        }
        output.copy(&mut told.diff.as_bytes())
    })?;
    Ok(exit)
}

/// `RUN`, or `RUN@TURN`: no id has an `@`.
fn set(at: &Locator, text: &str) -> Result<ArtifactSet, CliError> {
    let Some((run, turn)) = text.rsplit_once('@') else {
        return Ok(ArtifactSet::of(&at.named_run(text)?)?);
    };
    let bad = || CliError::BadTurn { text: text.to_owned() };
    let turn = turn.parse().map_err(|_| bad())?;
    Ok(at.named_run(run)?.checkpoint_at(turn)?.artifacts()?)
}

fn wanted(name: &ArtifactName, paths: &[String]) -> bool {
    let below = |path: &String| {
        let rest = name.as_str().strip_prefix(path.trim_end_matches('/'));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    paths.is_empty() || paths.iter().any(below)
}

fn stat(diff: &Diff<'_>, output: &mut Output) -> Result<(), CliError> {
    if diff.is_empty() {
        return Ok(());
    }
    let size = |side: Option<DiffSide>| side.map_or_else(|| "-".to_owned(), |it| size(it.size));
    let row = |change: &ArtifactChange| -> Result<_, CliError> {
        let lines = match diff.lines_of(change)? {
            Some((added, removed)) => format!("+{added} -{removed}"),
            None => "no text".to_owned(),
        };
        let (name, kind) = (change.path.to_string(), change.kind.to_string());
        Ok([name, kind, lines, size(change.before), size(change.after)])
    };
    let rows = diff.changes().iter().map(row).collect::<Result<Vec<_>, _>>()?;
    output.table(["NAME", "CHANGE", "LINES", "SIZE", "NOW"], &rows)
}
