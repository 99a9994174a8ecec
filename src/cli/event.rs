//! `event`: appends to a run's journal, and reads it.

use std::io::{self, BufRead as _, Read as _};

use runjournal::{
    Appended, Durability, Event, EventId, Events, Finding, Followed, JournalWriter,
    MAX_BATCH_BYTES, MAX_BATCH_RECORDS, Record, RunContext,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::{Append, EventVerb, Format, Log};
use super::error::{CliError, Exit};
use super::locate::{Locator, name_of};
use super::output::{Output, exit_for, hint, told};

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

fn parse(json: &str, origin: &str, before: u64) -> Result<Box<RawValue>, CliError> {
    serde_json::from_str(json).map_err(|source| CliError::BadPayload {
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
            let mut json = String::new();
            let read = io::stdin().lock().read_to_string(&mut json);
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
    for (number, line) in (1..).zip(io::stdin().lock().lines()) {
        let line = line.map_err(|source| CliError::Input { source })?;
        if line.trim().is_empty() {
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

impl Log {
    /// The events that are asked for.
    fn events(&self, context: &RunContext) -> Result<Events, CliError> {
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
        Ok(events)
    }
}

fn log(context: &RunContext, args: &Log, output: &mut Output) -> Result<Exit, CliError> {
    if args.follow {
        return follow(context, args, output);
    }
    let mut events = args.events(context)?;
    if let Some(count) = args.last {
        let last = events.last(count)?;
        output.many("events", &last, |output| table(&last, output))?;
        return Ok(Exit::Fine);
    }
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
    tell(events.findings());
    Ok(exit_for(events.findings()))
}

/// Findings that are not as it should be, on standard error.
fn tell(findings: &[Finding]) {
    let serious = findings.iter().filter(|finding| exit_for([*finding]) != Exit::Fine);
    serious.flat_map(told).for_each(|line| hint(&line));
}

fn follow(context: &RunContext, args: &Log, output: &mut Output) -> Result<Exit, CliError> {
    if output.format() == Format::Json {
        return Err(CliError::EndlessDocument);
    }
    let mut events = args.events(context)?;
    if let Some(count) = args.last {
        // Asked for first, so that nothing that comes meanwhile is passed over.
        let end = context.events()?.last(1)?;
        let last = args.events(context)?.last(count)?;
        last.iter().try_for_each(|record| live_line(record, output))?;
        if let Some(seen) = last.last().or(end.first()) {
            events = events.from(seen.cursor())?;
        }
    }
    let mut tail = events.follow();
    loop {
        let item = match tail.try_next()? {
            Some(item) => item,
            None => {
                output.flush()?;
                let Some(item) = tail.next().transpose()? else { break };
                item
            }
        };
        match item {
            Followed::Record(record) => live_line(&record, output)?,
            _ => hint("the journal is not the one that was read before; all its events follow"),
        }
    }
    output.flush()?;
    tell(tail.findings());
    Ok(exit_for(tail.findings()))
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
    output.table(["SEQ", "WHEN", "TYPE", "STREAM", "PAYLOAD"], &rows)
}

/// What the table shows of a payload: of one that is in an object, where it is. A list opens no objects.
fn payload_cell(record: &Record) -> Result<String, CliError> {
    match record.payload_ref() {
        Some(object) => Ok(format!("{} bytes in object {}", object.size, object.digest)),
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
            ("when", format!("{} ({})", record.occurred_at(), output.ago(record.occurred_at()))),
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
