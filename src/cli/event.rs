//! `event`: appends to a run's journal, and shows one event; `log` prints them.

use std::io::{self, BufRead as _, Read as _};

use runjournal::{
    Appended, Durability, Event, EventId, JournalWriter, MAX_BATCH_BYTES, MAX_BATCH_RECORDS,
    Record, RunContext,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::{Append, EventVerb, Format};
use super::error::CliError;
use super::exit::Exit;
use super::locate::{Locator, name_of};
use super::log::log;
use super::output::Output;

pub(crate) fn event(at: &Locator, verb: EventVerb, output: &mut Output) -> Result<Exit, CliError> {
    match verb {
        EventVerb::Append(args) => {
            let context = at.run(args.run.run.as_deref())?;
            let durability = if args.durable { Durability::Durable } else { Durability::Buffered };
            let writer = context.journal()?.durability(durability);
            if args.lines { lines(&writer, &args, output) } else { append(&writer, &args, output) }
        }
        EventVerb::Log(args) => log(&at.run(args.run.run.as_deref())?, &args, output),
        EventVerb::Show { run, seq } => show(&at.run(run.run.as_deref())?, seq, output),
    }
}

/// The event that the arguments describe.
fn described(args: &Append, payload: Option<&RawValue>) -> Event {
    let mut event = Event::new(args.event_type.as_str());
    if let Some(payload) = payload {
        event = event.payload(payload);
    }
    if let Some((kind, id)) = &args.stream {
        event = event.stream(kind.as_str(), id.as_str());
    }
    if let Some(command_id) = &args.command_id {
        event = event.command_id(command_id.as_str());
    }
    event
}

/// Bytes that are not UTF-8 are no JSON.
pub(super) fn parse(
    json: impl AsRef<[u8]>,
    origin: &str,
    before: u64,
) -> Result<Box<RawValue>, CliError> {
    serde_json::from_slice(json.as_ref()).map_err(|source| CliError::BadPayload {
        origin: origin.to_owned(),
        before,
        source,
    })
}

#[derive(Serialize)]
struct AppendedView {
    seq: u64,
    event_id: EventId,
    stream_version: u64,
    duplicate: bool,
}

fn append(writer: &JournalWriter, args: &Append, output: &mut Output) -> Result<Exit, CliError> {
    let payload = match args.payload.as_deref() {
        None => None,
        Some("-") => {
            let mut json = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut json);
            read.map_err(|source| CliError::Input { source })?;
            Some(parse(&json, "standard input", 0)?)
        }
        Some(json) => Some(parse(json, "the text of --payload", 0)?),
    };
    let mut event = described(args, payload.as_deref());
    if let Some(key) = &args.key {
        event = event.key(key.as_str());
    }
    let Appended { seq, event_id, stream_version, duplicate, .. } = writer.append(event)?;
    let view = AppendedView { seq, event_id, stream_version, duplicate };
    output.one(&view, |output| {
        let before = if duplicate { "  (appended before, with this key)" } else { "" };
        output.line(&format!("seq {seq}  {event_id}{before}"))
    })?;
    Ok(Exit::Fine)
}

/// What came of the lines of standard input.
#[derive(Debug, Default, Serialize)]
struct Lines {
    appended: u64,
    /// Events whose batch was there before, by its key.
    duplicates: u64,
    batches: u64,
    first_seq: Option<u64>,
    last_seq: Option<u64>,
}

/// Bytes of payloads in a batch: half of what it may hold, for the other half is envelopes.
const BATCH_PAYLOAD: usize = MAX_BATCH_BYTES / 2;

/// Appends the lines in batches whose borders depend on the input alone, so that the same input
/// with the same key is appended once, however often it is tried.
fn lines(writer: &JournalWriter, args: &Append, output: &mut Output) -> Result<Exit, CliError> {
    let mut done = Lines::default();
    let (mut batch, mut bytes, mut starts_at) = (Vec::new(), 0, 1);
    for (number, line) in (1..).zip(io::stdin().lock().split(b'\n')) {
        let line = line.map_err(|source| CliError::Input { source })?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let over = bytes + line.len() > BATCH_PAYLOAD || batch.len() == MAX_BATCH_RECORDS;
        if over && !batch.is_empty() {
            done.add(writer, args, std::mem::take(&mut batch), starts_at)?;
            bytes = 0;
        }
        if batch.is_empty() {
            starts_at = number;
        }
        let payload = parse(&line, &format!("line {number} of standard input"), done.total())?;
        bytes += line.len();
        batch.push(described(args, Some(&payload)));
    }
    if !batch.is_empty() {
        done.add(writer, args, batch, starts_at)?;
    }
    output.one(&done, |output| match (done.first_seq, done.last_seq) {
        (Some(first), Some(last)) if done.duplicates > 0 => output.line(&format!(
            "{} appended, {} there before  seq {first} to {last}",
            done.appended, done.duplicates
        )),
        (Some(first), Some(last)) => {
            output.line(&format!("{} appended  seq {first} to {last}", done.appended))
        }
        _ => output.line("0 appended"),
    })?;
    Ok(Exit::Fine)
}

impl Lines {
    fn total(&self) -> u64 {
        self.appended + self.duplicates
    }

    fn add(
        &mut self,
        writer: &JournalWriter,
        args: &Append,
        mut batch: Vec<Event>,
        starts_at: u64,
    ) -> Result<(), CliError> {
        self.batches += 1;
        if let (Some(key), false) = (&args.key, batch.is_empty()) {
            let first = batch.remove(0).key(format!("{key}:{}", self.batches));
            batch.insert(0, first);
        }
        let before = self.total();
        let appended = writer.append_batch(&batch).map_err(|error| CliError::BadBatch {
            line: starts_at,
            before,
            source: Box::new(error),
        })?;
        for event in &appended {
            let counter = if event.duplicate { &mut self.duplicates } else { &mut self.appended };
            *counter += 1;
        }
        self.first_seq = self.first_seq.or(appended.first().map(|first| first.seq));
        self.last_seq = appended.last().map(|last| last.seq).or(self.last_seq);
        Ok(())
    }
}

#[derive(Serialize)]
struct OneEvent<'a> {
    event: &'a Record,
}

fn show(context: &RunContext, seq: u64, output: &mut Output) -> Result<Exit, CliError> {
    let mut last = 0;
    for record in context.events()? {
        let record = record?;
        last = record.seq();
        if record.seq() == seq {
            return show_record(&record, output);
        }
    }
    Err(CliError::NoRecord { seq, run: name_of(context), last })
}

fn show_record(record: &Record, output: &mut Output) -> Result<Exit, CliError> {
    if output.format() == Format::Jsonl {
        output.json_line(record)?;
        return Ok(Exit::Fine);
    }
    output.one(&OneEvent { event: record }, |output| {
        let payload = record.payload_json()?;
        let actor = match record.actor_id() {
            Some(id) => format!("{}/{id}", record.actor_kind()),
            None => record.actor_kind().to_owned(),
        };
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        output.page(&[
            ("seq", record.seq().to_string()),
            ("type", record.event_type().to_owned()),
            ("when", output.at(record.occurred_at())),
            ("stream", format!("{} version {}", record.stream(), record.stream_version())),
            ("actor", actor),
            ("id", record.event_id().to_string()),
            ("command", text(record.command_id())),
            ("caused by", record.causation_event_id().map(|id| id.to_string()).unwrap_or_default()),
            ("correlation", text(record.correlation_id())),
            ("key", text(record.idempotency_key())),
            ("metadata", text(record.metadata_json())),
            ("payload", text(payload.as_deref())),
        ])
    })?;
    Ok(Exit::Fine)
}
