//! What is printed on standard output: tables for people, JSON for programs.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};
use std::time::{Duration, Instant};

use runjournal::index::{Built, PageCursor, Progress, Value};
use runjournal::{Clock as _, Finding, Severity, SystemClock, Timestamp};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::args::Format;
use super::error::CliError;
use super::exit::Exit;

/// The version of the JSON documents that the tool prints.
const VERSION: u32 = 1;
/// How often the progress is told, to people.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Standard output, in the format that was asked for.
pub(crate) struct Output {
    format: Format,
    out: BufWriter<StdoutLock<'static>>,
    now: Timestamp,
}

impl Output {
    /// Standard output in this format.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, out: BufWriter::new(io::stdout().lock()), now: SystemClock.now() }
    }

    /// The format that was asked for.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// One thing: an object for programs, and for people what `text` says.
    pub(crate) fn one<T: Serialize>(
        &mut self,
        thing: &T,
        text: impl FnOnce(&mut Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table => text(self),
            Format::Json => self.document(&Versioned { version: VERSION, thing }),
            Format::Jsonl => self.json_line(thing),
        }
    }

    /// Several things: a document with a list of this name, a line each, or for people a table.
    pub(crate) fn many<T: Serialize>(
        &mut self,
        name: &'static str,
        things: &[T],
        text: impl FnOnce(&mut Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Table => text(self),
            Format::Json => self.document(&List { name, things, next: None }),
            Format::Jsonl => things.iter().try_for_each(|thing| self.json_line(thing)),
        }
    }

    /// One page of several things: a document says where the next one begins.
    pub(crate) fn page_of<T: Serialize>(
        &mut self,
        name: &'static str,
        things: &[T],
        next: Option<&PageCursor>,
        text: impl FnOnce(&mut Self) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        match self.format {
            Format::Json => self.document(&List { name, things, next: Some(next) }),
            Format::Table | Format::Jsonl => self.many(name, things, text),
        }
    }

    fn document<T: Serialize>(&mut self, document: &T) -> Result<(), CliError> {
        serde_json::to_writer_pretty(&mut self.out, document)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// One JSON object on a line of its own.
    pub(crate) fn json_line<T: Serialize>(&mut self, thing: &T) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.out, thing)?;
        Ok(self.out.write_all(b"\n")?)
    }

    /// One line of text. Control characters, which could play tricks on a terminal, are shown.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        Ok(writeln!(self.out, "{}", visible(text))?)
    }

    /// All that a reader holds, as it is.
    pub(crate) fn copy(&mut self, content: &mut impl io::Read) -> Result<(), CliError> {
        io::copy(content, &mut self.out)?;
        Ok(())
    }

    /// Rows in aligned columns.
    pub(crate) fn table<const N: usize>(
        &mut self,
        head: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), CliError> {
        let mut lines = vec![head.map(str::to_owned)];
        lines.extend_from_slice(rows);
        self.aligned(&lines)
    }

    /// Lines of cells in aligned columns.
    pub(crate) fn aligned(&mut self, lines: &[impl AsRef<[String]>]) -> Result<(), CliError> {
        aligned(lines).iter().try_for_each(|line| self.line(line))
    }

    /// A page of names and values; a value that is empty is left out.
    pub(crate) fn page(&mut self, rows: &[(&str, String)]) -> Result<(), CliError> {
        let rows = || rows.iter().filter(|(_, value)| !value.is_empty());
        let width = rows().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows() {
            writeln!(self.out, "{name:width$}  {}", visible(value))?;
        }
        Ok(())
    }

    /// How long ago something was, for people.
    pub(crate) fn ago(&self, then: Timestamp) -> String {
        ago(self.now.as_microseconds().saturating_sub(then.as_microseconds()))
    }

    /// Hands over what was printed so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A line for people on standard error. Nobody waits for it: where it is closed, it is not told.
pub(crate) fn hint(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(text));
}

/// `1` where something is not as it should be; what a crash left and was dealt with is fine.
pub(crate) fn exit_for<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Exit {
    let serious = findings.into_iter().any(|finding| finding.code.severity() > Severity::Note);
    if serious { Exit::Findings } else { Exit::Fine }
}

/// A number of things: `1 run`, `2 runs`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
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

/// Tells people why an index was made anew, if it was, and that not all of it is up to the tree.
pub(crate) fn tell_why(built: &Built) {
    if let Some(because) = &built.anew_because {
        hint(&format!("the index was made anew: {because}"));
    }
    if built.stopped > 0 {
        let places = count(usize::try_from(built.stopped).unwrap_or(usize::MAX), "place");
        hint(&format!("events stopped projectors in {places}: see `runjournal query findings`"));
    }
}

/// How far it has come, in a line.
pub(crate) fn summary(done: &Progress) -> String {
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

/// Tells people now and then how far an index has come. Whoever is no terminal is not interested.
pub(crate) fn teller() -> impl FnMut(&Progress) {
    let listens = io::stderr().is_terminal();
    let mut next = Instant::now() + TELL_EVERY;
    move |done| {
        if listens && Instant::now() >= next {
            next = Instant::now() + TELL_EVERY;
            hint(&format!("index: {}", summary(done)));
        }
    }
}

/// Lines of cells, as lines in which the columns are aligned.
pub(super) fn aligned(lines: &[impl AsRef<[String]>]) -> Vec<String> {
    let shown = |line: &[String]| line.iter().map(|cell| visible(cell)).collect::<Vec<_>>();
    let lines: Vec<_> = lines.iter().map(|line| shown(line.as_ref())).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let columns = lines.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let padded = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect()
}

fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let shown = if c.is_control() { c.escape_default().collect() } else { vec![c] };
            shown.into_iter()
        })
        .collect()
}

/// How long something is away, for people.
pub(crate) fn until(then: Timestamp) -> String {
    let now = SystemClock.now().as_microseconds();
    match now.saturating_sub(then.as_microseconds()) {
        -4_999_999.. => "in a moment".to_owned(),
        away => ago(away),
    }
}

fn ago(microseconds: i64) -> String {
    let seconds = microseconds / 1_000_000;
    let span = match seconds.unsigned_abs() {
        0..5 => return "just now".to_owned(),
        s @ 5..60 => format!("{s} s"),
        s @ 60..3600 => format!("{} min", s / 60),
        s @ 3600..86_400 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    };
    if seconds > 0 { format!("{span} ago") } else { format!("in {span}") }
}

#[derive(serde::Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    thing: &'a T,
}

/// `{"version": 1, NAME: [...]}`, and of a page `"next"`.
struct List<'a, T> {
    name: &'static str,
    things: &'a [T],
    /// Of a page, where the next one begins, if there is one.
    next: Option<Option<&'a PageCursor>>,
}

impl<T: Serialize> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &VERSION)?;
        map.serialize_entry(self.name, &self.things)?;
        if let Some(next) = self.next {
            map.serialize_entry("next", &next)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_largest_whole_unit() {
        let told = [0, 4, 5, 59, 60, 3599, 3600, 86_399, 86_400, -7, -180];
        let told = told.map(|seconds| ago(seconds * 1_000_000));
        let wanted = [
            "just now",
            "just now",
            "5 s ago",
            "59 s ago",
            "1 min ago",
            "59 min ago",
            "1 h ago",
            "23 h ago",
            "1 d ago",
            "in 7 s",
            "in 3 min",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_title_cannot_move_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
    }
}
