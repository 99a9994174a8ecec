//! `index`: makes the index anew, brings it up to the tree, compares it with the tree.

use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use runjournal::index::{Built, Index, IndexReader, Progress, Side, Value};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};

use super::error::{CliError, Exit};
use super::locate::Locator;
use super::output::{Output, count, hint};
use super::query_args::IndexVerb;

/// How often the progress is told, to people.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Differences that people are shown; programs get all of them.
const SHOWN: usize = 50;

pub(crate) fn index(at: &Locator, verb: IndexVerb, output: &mut Output) -> Result<Exit, CliError> {
    let index = at.index()?;
    match verb {
        IndexVerb::Rebuild => told(&index, &index.rebuild_with(&mut teller())?, output),
        IndexVerb::Refresh { read_data: false } => {
            told(&index, &index.refresh_with(&mut teller())?, output)
        }
        IndexVerb::Refresh { read_data: true } => {
            told(&index, &index.refresh_reading_data(&mut teller())?, output)
        }
        IndexVerb::Verify => verify(&index, output),
        IndexVerb::Path => path(&index, output),
    }
}

/// The index, opened for questions: brought up to the tree before, unless it is to be asked as it is.
pub(crate) fn open(at: &Locator, stale: bool) -> Result<IndexReader, CliError> {
    let index = at.index()?;
    if !stale {
        let built = index.refresh_with(&mut teller());
        let built = built.map_err(|source| CliError::NotRefreshed { source })?;
        tell_why(&built);
    }
    Ok(index.open()?)
}

fn told(index: &Index, built: &Built, output: &mut Output) -> Result<Exit, CliError> {
    tell_why(built);
    output
        .one(built, |output| output.line(&format!("{}: {}", index.path(), summary(&built.done))))?;
    Ok(Exit::Fine)
}

fn tell_why(built: &Built) {
    if let Some(because) = &built.anew_because {
        hint(&format!("the index was made anew: {because}"));
    }
}

fn summary(done: &Progress) -> String {
    let thing = |number: u64, thing| count(usize::try_from(number).unwrap_or(usize::MAX), thing);
    format!(
        "{}, {}; {} looked at; read: {}, {}, {} KiB",
        thing(done.tasks, "task"),
        thing(done.runs, "run"),
        done.looked_at,
        thing(done.events, "event"),
        thing(done.files, "file"),
        done.bytes.div_ceil(1024),
    )
}

/// Tells people now and then how far it has come. Whoever is no terminal is not interested.
fn teller() -> impl FnMut(&Progress) {
    let listens = stderr().is_terminal();
    let mut next = Instant::now() + TELL_EVERY;
    move |done| {
        if listens && Instant::now() >= next {
            next = Instant::now() + TELL_EVERY;
            hint(&format!("index: {}", summary(done)));
        }
    }
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

/// The columns of a row, by their names.
pub(crate) struct Columns(pub(crate) Vec<(String, Value)>);

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Value::Blob(_) => map.serialize_entry(name, &text(value))?,
                value => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// A value as people read it: bytes in hex.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        // A kind of value that is newer than this.
        value => format!("{value:?}"),
    }
}

fn verify(index: &Index, output: &mut Output) -> Result<Exit, CliError> {
    let mut lines = Vec::new();
    let found = index.verify(&mut teller(), &mut |difference| {
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
