//! Payloads that are too large for a line. Each is a file named after its digest, and on the disk before
//! the record that names it is written, however durable that is to be.

use std::borrow::Cow;

use camino::Utf8Path;

use crate::digest::Digest;
use crate::error::IoError;
use crate::io::Dir;
use crate::journal::log::append;
use crate::journal::{Event, JournalError, LockedLog, PayloadRef, Runtime};
use crate::{json, layout, object};

/// Bytes of a payload that stands in its line.
const MAX_IN_LINE: usize = 64 << 10;

/// Puts large payloads into objects before the journal is locked: the events as they are to be appended.
/// The directory is the one that the writer opened for writing, whatever stands at its path by now.
/// What comes of a crash, or of an append that is refused, is objects that no record names.
pub(crate) fn spill<'a>(
    dir: &Dir,
    runtime: &Runtime,
    events: &'a [Event],
) -> Result<Cow<'a, [Event]>, JournalError> {
    if !events.iter().any(is_large) {
        return Ok(Cow::Borrowed(events));
    }
    append::check(events)?;
    keep_large(dir, runtime, events)
}

impl LockedLog<'_> {
    /// [`spill`] for what is composed under the lock. What was put there before the lock was taken is
    /// looked for: without the lock it may have been removed.
    pub(crate) fn spill<'a>(&self, events: &'a [Event]) -> Result<Cow<'a, [Event]>, JournalError> {
        keep_large(&self.log.dir, &self.log.home.runtime, events)
    }
}

/// The content of an object, if it is what the record of this seq says.
pub(crate) fn read(dir: &Utf8Path, seq: u64, named: PayloadRef) -> Result<Vec<u8>, JournalError> {
    let path = dir.join(layout::object(named.digest));
    let mut file = match Dir::open(dir).and_then(|dir| object::open(&dir, named.digest)) {
        Err(error) if error.is_not_found() => {
            return Err(JournalError::ObjectMissing { path, seq, expected: named.digest });
        }
        other => other?,
    };
    // What the record says is its size may not be: no more is read than is there.
    let mut content = Vec::new();
    file.read_at(0, named.size.saturating_add(1), &mut content)?;
    if content.len() as u64 == named.size && Digest::of(&content) == named.digest {
        return Ok(content);
    }
    drop(content);
    let (digest, size) = file.digest()?;
    let (expected, found) = (Box::new(named), Box::new(PayloadRef { digest, size }));
    Err(JournalError::ObjectChanged { path, seq, expected, found })
}

/// True if the payload, as it would stand in the line, is too large for it.
fn is_large(event: &Event) -> bool {
    event.payload.as_deref().is_some_and(|json| {
        // Nearly all are so small that no escapes could make them large: each is six bytes at most.
        json.len() > MAX_IN_LINE / 6 && json::len_on_line(json) > MAX_IN_LINE
    })
}

fn keep_large<'a>(
    dir: &Dir,
    runtime: &Runtime,
    events: &'a [Event],
) -> Result<Cow<'a, [Event]>, JournalError> {
    let mut kept = Cow::Borrowed(events);
    let mut unsynced = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let Some(json) = event.payload.as_deref().filter(|_| is_large(event)) else { continue };
        if is_there(dir, event.payload_ref)? {
            continue;
        }
        let reference = keep(dir, runtime, json)?;
        unsynced.push(reference.digest);
        if let Some(event) = kept.to_mut().get_mut(at) {
            event.payload_ref = Some(reference);
        }
    }
    object::sync_names(dir, unsynced)?;
    Ok(kept)
}

fn is_there(dir: &Dir, object: Option<PayloadRef>) -> Result<bool, IoError> {
    let Some(PayloadRef { digest, size }) = object else { return Ok(false) };
    Ok(object::look_at(dir, digest)?.is_some_and(|entry| entry.size == size))
}

/// Makes sure that a payload's object stands in its place and its content is on the disk; its name is
/// not yet.
fn keep(dir: &Dir, runtime: &Runtime, payload: &str) -> Result<PayloadRef, IoError> {
    let mut content = Vec::with_capacity(payload.len());
    json::write_on_line(&mut content, payload);
    let digest = object::keep_bytes(dir, &|| runtime.next_event_id(), &content)?;
    Ok(PayloadRef { digest, size: content.len() as u64 })
}
