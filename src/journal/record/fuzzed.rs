//! What a fuzzer calls of a record's line.

use super::compose::Draft;
use super::{Record, lenient, parse};
use crate::digest::Digest;
use crate::journal::Cursor;
use crate::line;

/// The body of a line: our own reader reads what serde_json reads; what is accepted is written as a line that
/// says the same, in one spelling.
pub fn line(data: &[u8]) {
    cursor(data);
    as_it_is(data);
    let mut text = data.to_vec();
    let hash = line::finish(&mut text, 0, Digest::of);
    let opened = line::open(&text);
    assert!(opened.is_some_and(|sealed| sealed.body == data && sealed.hash == hash));
    let (Ok(body), Ok(text)) = (std::str::from_utf8(data), std::str::from_utf8(&text)) else {
        assert!(Record::parse(&text, hash, 17).is_none(), "a record that is no UTF-8");
        return;
    };
    let Some(record) = Record::parse(text.as_bytes(), hash, 17) else { return };
    let trimmed = text.trim_end_matches('\n');
    assert_eq!(record.line(), trimmed);
    assert_eq!(serde_json::to_string(&record).ok().as_deref(), Some(trimmed.trim()));
    if parse::members(body).is_some() {
        let oracle = lenient::members(trimmed).and_then(|(text, members)| {
            let line = u32::try_from(trimmed.len()).ok()?;
            Some(Record { text, line, offset: 17, hash, members, dir: None })
        });
        let oracle = oracle.as_ref().map(said);
        assert_eq!(oracle.as_deref(), Some(&*said(&record)), "the two readers differ");
    }
    let mut written = Vec::new();
    let hash = draft(&record).write(Digest::of(b""), &mut written);
    let again = Record::parse(&written, hash, 17);
    // An escape of half a character is no text: such JSON is only carried along.
    assert_eq!(again.as_ref().map(said).as_deref(), Some(&*said_on_line(&record)));
    if let Some(again) = again {
        let mut twice = Vec::new();
        draft(&again).write(Digest::of(b""), &mut twice);
        assert!(twice == written, "a line has two spellings");
        // Ours is the layout that is read in place.
        let body = line::body(&written).and_then(|body| std::str::from_utf8(body).ok());
        let escaped = written.contains(&b'\\');
        assert!(escaped || body.and_then(parse::members).is_some(), "our own line is foreign");
    }
}

/// A line that is sealed already, or not.
fn as_it_is(data: &[u8]) {
    if let Some(sealed) = line::open(data) {
        let mut again = sealed.body.to_vec();
        line::finish(&mut again, 0, |_| sealed.hash);
        let ends = [&*again, data].map(|line| line.split_last().map(|(_, line)| line));
        assert_eq!(ends.first(), ends.last(), "a line is taken apart, and put together otherwise");
        let _ = Record::parse(data, sealed.hash, 0);
    }
}

/// A cursor as text: one spelling each.
fn cursor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string(), text);
    }
}

fn draft(record: &Record) -> Draft<'_> {
    Draft {
        seq: record.seq(),
        event_id: record.event_id(),
        event_type: record.event_type(),
        occurred_at: record.occurred_at(),
        aggregate_kind: record.aggregate_kind(),
        stream_id: record.stream_id(),
        stream_version: record.stream_version(),
        actor_kind: record.actor_kind(),
        actor_id: record.actor_id(),
        command_id: record.command_id(),
        causation_event_id: record.causation_event_id(),
        correlation_id: record.correlation_id(),
        idempotency_key: record.idempotency_key(),
        batch: record.batch_index().zip(record.batch_size()),
        payload: record.payload_in_line(),
        payload_ref: record.payload_ref(),
        metadata: record.metadata_json(),
        garbage: record.garbage(),
    }
}

/// All that a record says.
fn said(record: &Record) -> String {
    format!("{:?}", draft(record))
}

/// The same with its JSON as it stands on a line.
fn said_on_line(record: &Record) -> String {
    let on_line = |json: Option<&str>| {
        let mut line = Vec::new();
        crate::json::write_on_line(&mut line, json?);
        String::from_utf8(line).ok()
    };
    let (payload, metadata) = (on_line(record.payload_in_line()), on_line(record.metadata_json()));
    let draft =
        Draft { payload: payload.as_deref(), metadata: metadata.as_deref(), ..draft(record) };
    format!("{draft:?}")
}
