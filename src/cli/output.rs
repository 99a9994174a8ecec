//! What is printed on standard output: tables for people, JSON for programs.
//!
//! A document, a page or a table is printed whole or not at all: an error before its end leaves standard output
//! empty. What has no end that it waits for (`--format jsonl`, `--follow`) is printed in whole lines.

use std::io::{self, StdoutLock, Write as _};

use runjournal::index::{Built, PageCursor, Value};
use runjournal::{Clock as _, Finding, Severity, SystemClock, Timestamp};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::advice::parted;
use super::args::Format;
use super::error::CliError;
use super::exit::Exit;
use super::table::{Last, Look, lay_out, visible, wrapped};
use super::units::{count, span};

/// The version of the JSON documents that the tool prints.
const VERSION: u32 = 1;
/// Bytes of lines that are handed over at once.
const PIECE: usize = 64 * 1024;

/// Standard output, in the format that was asked for.
pub(crate) struct Output {
    format: Format,
    /// What was not handed over yet.
    staged: Vec<u8>,
    out: StdoutLock<'static>,
    look: Look,
    now: Timestamp,
}

impl Output {
    /// Standard output in this format.
    pub(crate) fn new(format: Format) -> Self {
        let (out, look, now) = (io::stdout().lock(), Look::of_stdout(), SystemClock.now());
        Self { format, staged: Vec::new(), out, look, now }
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
        serde_json::to_writer_pretty(&mut self.staged, document)?;
        self.staged.push(b'\n');
        Ok(())
    }

    /// One JSON object on a line of its own.
    pub(crate) fn json_line<T: Serialize>(&mut self, thing: &T) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.staged, thing)?;
        self.staged.push(b'\n');
        if self.staged.len() >= PIECE { Ok(self.flush()?) } else { Ok(()) }
    }

    /// One line of text. Control characters, which could play tricks on a terminal, are shown.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.shown(&visible(text));
        Ok(())
    }

    /// A line that may hold colours.
    fn shown(&mut self, line: &str) {
        self.staged.extend_from_slice(line.as_bytes());
        self.staged.push(b'\n');
    }

    /// A text in lines that are as wide as the terminal; all but the first are set in by so much.
    pub(crate) fn text(&mut self, text: &str, indent: usize) -> Result<(), CliError> {
        let text = visible(text);
        let Some(width) = self.look.width() else { return self.line(&text) };
        for (number, line) in wrapped(&text, width.saturating_sub(indent).max(1)).iter().enumerate()
        {
            let indent = if number == 0 { 0 } else { indent };
            self.shown(&format!("{:indent$}{line}", ""));
        }
        Ok(())
    }

    /// All that a reader holds, as it is, at once.
    pub(crate) fn copy(&mut self, content: &mut impl io::Read) -> Result<(), CliError> {
        self.flush()?;
        io::copy(content, &mut self.out)?;
        Ok(())
    }

    /// Rows in aligned columns.
    pub(crate) fn table<const N: usize>(
        &mut self,
        head: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), CliError> {
        self.aligned(&with_head(head, rows))
    }

    /// The same where the last column shows the beginning of something: as much as fits.
    pub(crate) fn previews<const N: usize>(
        &mut self,
        head: [&str; N],
        rows: &[[String; N]],
    ) -> Result<(), CliError> {
        let lines = lay_out(&with_head(head, rows), Last::Preview, self.look);
        lines.concat().iter().for_each(|line| self.shown(line));
        Ok(())
    }

    /// Lines of cells in aligned columns; the first line has the heads.
    pub(crate) fn aligned(&mut self, lines: &[impl AsRef<[String]>]) -> Result<(), CliError> {
        lay_out(lines, Last::Text, self.look).concat().iter().for_each(|line| self.shown(line));
        Ok(())
    }

    /// The same with a text below each line but the first, set in; an empty one is left out.
    pub(crate) fn annotated(
        &mut self,
        lines: &[impl AsRef<[String]>],
        notes: &[String],
    ) -> Result<(), CliError> {
        let below = std::iter::once(None).chain(notes.iter().map(Some));
        for (lines, note) in lay_out(lines, Last::Text, self.look).iter().zip(below) {
            lines.iter().for_each(|line| self.shown(line));
            let note = note.filter(|note| !note.is_empty());
            note.into_iter().try_for_each(|note| self.text(&format!("  {note}"), 4))?;
        }
        Ok(())
    }

    /// A page of names and values; a value that is empty is left out.
    pub(crate) fn page(&mut self, rows: &[(&str, String)]) -> Result<(), CliError> {
        let rows = || rows.iter().filter(|(_, value)| !value.is_empty());
        let width = rows().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in rows() {
            self.text(&format!("{name:width$}  {value}"), width + 2)?;
        }
        Ok(())
    }

    /// How long ago something was, for people.
    pub(crate) fn ago(&self, then: Timestamp) -> String {
        span(self.now.as_microseconds().saturating_sub(then.as_microseconds()))
    }

    /// When something was or will be, for a page on it.
    pub(crate) fn at(&self, then: Timestamp) -> String {
        format!("{then} ({})", self.ago(then))
    }

    /// Hands over what was printed so far.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let staged = std::mem::take(&mut self.staged);
        self.out.write_all(&staged)?;
        self.out.flush()
    }

    /// After an error: what was not handed over is not whole, unless it is lines.
    pub(crate) fn give_up(&mut self) {
        if self.format != Format::Jsonl {
            self.staged.clear();
        }
    }
}

fn with_head<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<[String; N]> {
    let head = std::iter::once(head.map(str::to_owned));
    head.chain(rows.iter().cloned()).collect()
}

/// A line for people on standard error. Nobody waits for it: where it is closed, it is not told.
pub(crate) fn hint(text: &str) {
    let room = Look::of_stderr().width().unwrap_or(usize::MAX);
    let _ = writeln!(io::stderr(), "{}", wrapped(&visible(text), room).join("\n"));
}

/// Lines for people on standard error, as wide as the terminal: what goes on is set in by four.
pub(crate) fn hint_lines(lines: &[String]) {
    let room = Look::of_stderr().width().map_or(usize::MAX, |width| width.saturating_sub(4).max(1));
    for line in lines {
        // What the line begins with does not stand alone, though a long path follows it.
        let line = visible(line).replacen(": ", ":\u{a0}", 1);
        let text = wrapped(&line, room).join("\n    ").replacen(":\u{a0}", ": ", 1);
        let _ = writeln!(io::stderr(), "{text}");
    }
}

/// `1` where something is not as it should be; what a crash left and was dealt with is fine.
pub(crate) fn exit_for<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Exit {
    let serious = findings.into_iter().any(|finding| finding.code.severity() > Severity::Note);
    if serious { Exit::Findings } else { Exit::Fine }
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
        hint(&format!("the index was made anew: {}", parted(because).0));
    }
    if built.stopped > 0 {
        let places = count(usize::try_from(built.stopped).unwrap_or(usize::MAX), "place");
        hint(&format!("events stopped projectors in {places}: see `runjournal query findings`"));
    }
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
