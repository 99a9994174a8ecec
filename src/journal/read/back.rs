//! Looking back: records before a place, and places from which a scan may begin.
//!
//! A writer chains a record only to one that counts. So where a line's hash is the parent of the whole
//! record, or batch, directly behind it, a scan that begins between the two sees what the scan of the
//! whole journal sees: either the line counts, or it is damage, and then its hash is the tip that is
//! tried first. What this rests on is that nobody copied lines to another place of the file.

use crate::digest::Digest;
use crate::error::IoError;
use crate::io::ReadFile;
use crate::journal::record::Record;
use crate::journal::{Cursor, MAX_BATCH_BYTES, MAX_LINE};
use crate::line;
use crate::planted::Bug;

/// The record whose line ends at this offset, if there is one. It is not said that it counts.
pub(crate) fn record_before(file: &mut ReadFile, end: u64) -> Result<Option<Record>, IoError> {
    if end > file.len()? {
        return Ok(None);
    }
    let mut size = 4096;
    loop {
        let from = end.saturating_sub(size);
        let mut bytes = Vec::new();
        file.read_at(from, end - from, &mut bytes)?;
        let Some((b'\n', before)) = bytes.split_last() else { return Ok(None) };
        match memchr::memrchr(b'\n', before) {
            Some(at) => return Ok(record(bytes.get(at + 1..), from + at as u64 + 1)),
            None if from == 0 => return Ok(record(Some(&bytes), 0)),
            None if size > MAX_LINE as u64 => return Ok(None),
            None => size *= 16,
        }
    }
}

/// The record that one which begins at this offset follows, or would follow: what it declares as garbage
/// lies between them. `None` also for the first record.
pub(crate) fn parent_of(file: &mut ReadFile, offset: u64) -> Result<Option<Record>, IoError> {
    if offset > file.len()? {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_at(offset, MAX_LINE as u64, &mut bytes)?;
    let end = memchr::memchr(b'\n', &bytes).map_or(0, |at| at + 1);
    let garbage = record(bytes.get(..end), offset).and_then(|record| record.garbage());
    match offset.checked_sub(garbage.map_or(0, |garbage| garbage.bytes)) {
        Some(end) => record_before(file, end),
        None => Ok(None),
    }
}

/// Where to begin so that a scan comes by `cursor`: there, or where its batch begins. `None` where no
/// line ends there with its hash.
pub(crate) fn beginning(
    file: &mut ReadFile,
    start: Cursor,
    cursor: Cursor,
) -> Result<Option<Cursor>, IoError> {
    if cursor.offset == 0 {
        return Ok((cursor == start).then_some(start));
    }
    let Some(last) = record_before(file, cursor.offset)? else { return Ok(None) };
    if last.cursor() != cursor && !Bug::CursorUnchecked.is_planted() {
        return Ok(None);
    }
    if ends_batch(&last) {
        return Ok(Some(cursor));
    }
    let mut first = last;
    while let Some(index @ 1..) = first.batch_index() {
        match record_before(file, first.offset())? {
            Some(record) if record.batch_index() == Some(index - 1) => first = record,
            _ => return Ok(Some(start)),
        }
    }
    let parent = record_before(file, first.offset())?.filter(ends_batch);
    let parent = parent.map_or(start, |parent| parent.cursor());
    Ok(Some(if follows(&first, parent) { parent } else { start }))
}

/// The first place between two offsets that is the end of a record, and of its batch.
pub(crate) fn place_between(
    file: &mut ReadFile,
    from: u64,
    to: u64,
) -> Result<Option<Cursor>, IoError> {
    // In so much there is the end of a batch, if there are batches.
    const ENOUGH: u64 = (MAX_BATCH_BYTES + 2 * MAX_LINE) as u64;
    let mut bytes = Vec::new();
    file.read_at(from, ENOUGH.min(to.saturating_sub(from)), &mut bytes)?;
    let mut offset = from;
    for (nth, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // Of the first line the beginning may be missing.
        let record = if nth == 0 { None } else { record(Some(line), offset) };
        if let Some(record) = record.filter(ends_batch) {
            return Ok(Some(record.cursor()));
        }
        offset += line.len() as u64;
    }
    Ok(None)
}

fn record(line: Option<&[u8]>, offset: u64) -> Option<Record> {
    let line = line.filter(|line| line.ends_with(b"\n"))?;
    Record::parse(line, line::open(line)?.hash, offset)
}

/// True unless more of its batch follows.
fn ends_batch(record: &Record) -> bool {
    match (record.batch_index(), record.batch_size()) {
        (Some(index), Some(size)) => index + 1 == size,
        _ => true,
    }
}

/// True if a record stands directly behind a place, and chains to it.
fn follows(record: &Record, parent: Cursor) -> bool {
    let line = format!("{}\n", record.line());
    let chained = line::body(line.as_bytes()).map(|body| Digest::chained(parent.hash, body));
    record.offset() == parent.offset
        && record.seq().checked_sub(1) == Some(parent.seq)
        && chained == Some(record.hash())
}
