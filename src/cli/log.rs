//! `event log`: prints events, once or as they come.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{Cursor, Events, Finding, Follow, Followed, JournalError, Record, RunContext};

use super::args::{Format, Log};
use super::error::CliError;
use super::exit::Exit;
use super::file;
use super::findings::tell;
use super::output::{Output, exit_for, hint};
use super::units::{short, size};

/// How often a quiet journal is looked at for findings that are not told yet.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub(crate) fn log(context: &RunContext, args: &Log, output: &mut Output) -> Result<Exit, CliError> {
    if args.follow && output.format() == Format::Json {
        return Err(CliError::EndlessDocument);
    }
    let mut bookmark = args.cursor_file.as_deref().map(Bookmark::read).transpose()?;
    let events = args.events(context, bookmark.as_ref())?;
    let root = context.root();
    if args.follow {
        follow(events, root, bookmark, output)
    } else {
        list(events, root, &mut bookmark, output)
    }
}

impl Log {
    /// The events that are asked for.
    fn events(
        &self,
        context: &RunContext,
        bookmark: Option<&Bookmark>,
    ) -> Result<Events, CliError> {
        let mut events = context.events()?.after(self.after);
        if let Some(event_type) = &self.event_type {
            events = events.of_type(event_type);
        }
        if let Some((kind, id)) = &self.stream {
            events = events.in_stream(kind, id);
        }
        if let Some(correlation) = &self.correlation {
            events = events.correlated(correlation);
        }
        if let Some(bookmark) = bookmark {
            events = bookmark.open(events)?;
        }
        Ok(match self.last {
            Some(count) => events.last(count)?,
            None => events,
        })
    }
}

/// A file that keeps the place up to which events were printed.
struct Bookmark {
    file: Utf8PathBuf,
    kept: Option<Cursor>,
}

impl Bookmark {
    fn read(file: &Utf8Path) -> Result<Self, CliError> {
        let kept = match fs::read(file) {
            // A cursor has no character that could come of bytes that are not UTF-8.
            Ok(bytes) => Some(
                String::from_utf8_lossy(&bytes)
                    .trim_end()
                    .parse()
                    .map_err(|source| CliError::BadCursor { file: file.to_owned(), source })?,
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(CliError::file("read", file)(error)),
        };
        Ok(Self { file: file.to_owned(), kept })
    }

    fn open(&self, events: Events) -> Result<Events, CliError> {
        let Some(cursor) = self.kept else { return Ok(events) };
        events.from(cursor).map_err(|error| match error {
            JournalError::CursorMismatch { .. } => {
                CliError::StaleCursor { file: self.file.clone(), source: Box::new(error) }
            }
            error => error.into(),
        })
    }

    fn keep(&mut self, cursor: Cursor) -> Result<(), CliError> {
        if self.kept != Some(cursor) {
            file::replace(&self.file, &mut format!("{cursor}\n").as_bytes())?;
            self.kept = Some(cursor);
        }
        Ok(())
    }
}

fn list(
    mut events: Events,
    root: &Utf8Path,
    bookmark: &mut Option<Bookmark>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let mut kept = Vec::new();
    for record in events.by_ref() {
        let record = record?;
        if output.format() == Format::Jsonl {
            // A long journal streams through.
            output.json_line(&record)?;
        } else {
            kept.push(record);
        }
    }
    output.many("events", &kept, |output| table(&kept, output))?;
    output.flush()?;
    if let Some(bookmark) = bookmark {
        bookmark.keep(events.cursor())?;
    }
    tell(events.findings(), root);
    Ok(exit_for(events.findings()))
}

fn follow(
    events: Events,
    root: &Utf8Path,
    bookmark: Option<Bookmark>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let mut tail = events.follow();
    let mut printed = Printed { root, bookmark, told: Vec::new() };
    while !tail.has_ended() {
        let mut item = tail.try_next()?;
        if item.is_none() {
            printed.all_of(&tail, output)?;
            item = tail.next_within(TELL_EVERY)?;
        }
        match item {
            None => {}
            Some(Followed::Record(record)) => live_line(&record, output)?,
            Some(_) => {
                hint("the journal is not the one that was read before; all its events follow");
            }
        }
    }
    printed.all_of(&tail, output)?;
    Ok(exit_for(tail.findings()))
}

/// What a live tail has told.
struct Printed<'a> {
    root: &'a Utf8Path,
    bookmark: Option<Bookmark>,
    told: Vec<Finding>,
}

impl Printed<'_> {
    /// Hands over what was printed, and tells what there is to tell besides.
    fn all_of(&mut self, tail: &Follow, output: &mut Output) -> Result<(), CliError> {
        output.flush()?;
        if let Some(bookmark) = &mut self.bookmark {
            bookmark.keep(tail.cursor())?;
        }
        if self.told != tail.findings() {
            let new = tail.findings().iter().filter(|finding| !self.told.contains(finding));
            tell(new, self.root);
            self.told = tail.findings().to_vec();
        }
        Ok(())
    }
}

/// One event on a line of its own: others will come, so there is no table to align it in.
fn live_line(record: &Record, output: &mut Output) -> Result<(), CliError> {
    if output.format() == Format::Jsonl {
        return output.json_line(record);
    }
    let payload = payload_cell(record)?;
    let (seq, when, event_type) = (record.seq(), record.occurred_at(), record.event_type());
    output.line(format!("{seq}  {when}  {event_type}  {}  {payload}", record.stream()).trim_end())
}

fn table(records: &[Record], output: &mut Output) -> Result<(), CliError> {
    if records.is_empty() {
        hint("no such events");
        return Ok(());
    }
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        rows.push([
            record.seq().to_string(),
            output.ago(record.occurred_at()),
            record.event_type().to_owned(),
            record.stream(),
            payload_cell(record)?,
        ]);
    }
    output.previews(["SEQ", "WHEN", "TYPE", "STREAM", "PAYLOAD"], &rows)
}

/// What the table shows of a payload: of one that is in an object, where it is. A list opens no objects.
fn payload_cell(record: &Record) -> Result<String, CliError> {
    match record.payload_ref() {
        Some(object) => Ok(format!("{} in object {}", size(object.size), short(object.digest))),
        None => Ok(record.payload_json()?.as_deref().map(cut).unwrap_or_default()),
    }
}

/// The beginning of a payload: a table is to be looked over; `event show` has all of it.
fn cut(json: &str) -> String {
    const SHOWN: usize = 60;
    let mut text: String = json.chars().take(SHOWN).collect();
    if text.len() < json.len() {
        text.push('…');
    }
    text
}
