//! `index`: makes the index anew, brings it up to the tree, compares it with the tree.

use runjournal::index::{Built, Index, Progress, Side};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::index_args::IndexVerb;
use super::locate::Locator;
use super::output::{Columns, Output, tell_why};
use super::progress;
use super::units::{count, size};

/// Differences that people are shown; programs get all of them.
const SHOWN: usize = 50;

pub(crate) fn index(at: &Locator, verb: IndexVerb, output: &mut Output) -> Result<Exit, CliError> {
    let index = at.index()?;
    match verb {
        IndexVerb::Rebuild => told(&index, &index.rebuild_with(&mut progress::of_index())?, output),
        IndexVerb::Refresh { read_data: false } => {
            told(&index, &index.refresh_with(&mut progress::of_index())?, output)
        }
        IndexVerb::Refresh { read_data: true } => {
            told(&index, &index.refresh_reading_data(&mut progress::of_index())?, output)
        }
        IndexVerb::Verify => verify(&index, output),
        IndexVerb::Path => path(&index, output),
    }
}

fn told(index: &Index, built: &Built, output: &mut Output) -> Result<Exit, CliError> {
    tell_why(built);
    output.one(built, |output| {
        output.text(&format!("{}: {}", index.path(), summary(&built.done)), 2)
    })?;
    Ok(Exit::Fine)
}

/// How far it came, in a line.
fn summary(done: &Progress) -> String {
    format!(
        "{}, {}; {} looked at; read: {}, {}, {}",
        count(done.tasks, "task"),
        count(done.runs, "run"),
        done.looked_at,
        count(done.events, "event"),
        count(done.files, "file"),
        size(done.bytes),
    )
}

#[derive(Serialize)]
struct Paths {
    directory: String,
    database: String,
}

fn path(index: &Index, output: &mut Output) -> Result<Exit, CliError> {
    let database = index.database_path()?.into_string();
    let paths = Paths { directory: index.path().to_string(), database };
    output.one(&paths, |output| output.line(&paths.database))?;
    Ok(Exit::Fine)
}

/// A difference as it is printed.
#[derive(Serialize)]
struct Line {
    view: String,
    side: Side,
    row: Columns,
}

fn verify(index: &Index, output: &mut Output) -> Result<Exit, CliError> {
    let mut lines = Vec::new();
    let found = index.verify(&mut progress::of_index(), &mut |difference| {
        let (view, side, row) = (difference.view, difference.side, Columns(difference.row));
        lines.push(Line { view, side, row });
    })?;
    output.many("differences", &lines, |output| {
        if lines.is_empty() {
            return output.line("the index is what the tree says");
        }
        let mut rows = Vec::new();
        for line in lines.iter().take(SHOWN) {
            let side = match line.side {
                Side::Index => "index",
                _ => "tree",
            };
            rows.push([line.view.clone(), side.to_owned(), serde_json::to_string(&line.row)?]);
        }
        output.table(["VIEW", "ONLY IN", "ROW"], &rows)?;
        let hidden = lines.len().saturating_sub(SHOWN);
        if hidden > 0 {
            output.line(&format!("... and {hidden} more: --format jsonl has them all"))?;
        }
        Ok(())
    })?;
    Ok(if found == 0 { Exit::Fine } else { Exit::Findings })
}
