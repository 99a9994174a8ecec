//! Payloads that are too large for a line. Each is a file named after its digest, and on the disk before
//! the record that names it is written, however durable that is to be.

use std::borrow::Cow;
use std::collections::BTreeSet;

use camino::Utf8Path;

use crate::digest::Digest;
use crate::error::IoError;
use crate::io::{Dir, Kind};
use crate::journal::log::append;
use crate::journal::{Event, Home, JournalError, LockedLog, PayloadRef, Runtime};
use crate::{json, layout};

/// Bytes of a payload that stands in its line.
const MAX_IN_LINE: usize = 64 << 10;

/// Puts large payloads into objects before the journal is locked: the events as they are to be appended.
/// What comes of a crash, or of an append that is refused, is objects that no record names.
pub(crate) fn spill<'a>(
    home: &Home,
    events: &'a [Event],
) -> Result<Cow<'a, [Event]>, JournalError> {
    if !events.iter().any(is_large) {
        return Ok(Cow::Borrowed(events));
    }
    append::check(events)?;
    // Not a byte goes beside a run that newer code made.
    let dir = home.open_writable()?.dir;
    keep_large(&dir, &home.runtime, events)
}

impl LockedLog<'_> {
    /// [`spill`] for what is composed under the lock. What was put there before the lock was taken is
    /// looked for: without the lock it may have been removed, or its directory moved away.
    pub(crate) fn spill<'a>(&self, events: &'a [Event]) -> Result<Cow<'a, [Event]>, JournalError> {
        keep_large(&self.log.dir, &self.log.home.runtime, events)
    }
}

/// The content of an object, if it is what the record of this seq says.
pub(crate) fn read(dir: &Utf8Path, seq: u64, named: PayloadRef) -> Result<Vec<u8>, JournalError> {
    let object = layout::object(named.digest);
    let path = dir.join(&object);
    let mut file = match Dir::open(dir).and_then(|dir| dir.open_read(&object)) {
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
    let mut unsynced = BTreeSet::new();
    for (at, event) in events.iter().enumerate() {
        let Some(json) = event.payload.as_deref().filter(|_| is_large(event)) else { continue };
        if is_there(dir, event.payload_ref)? {
            continue;
        }
        let reference = keep(dir, runtime, json)?;
        unsynced.extend([String::new(), layout::OBJECTS.to_owned()]);
        unsynced.insert(layout::object_dir(reference.digest));
        if let Some(event) = kept.to_mut().get_mut(at) {
            event.payload_ref = Some(reference);
        }
    }
    // Also where all was there before: who made it may have died before this.
    unsynced.iter().rev().try_for_each(|names| dir.sync(names))?;
    Ok(kept)
}

fn is_there(dir: &Dir, object: Option<PayloadRef>) -> Result<bool, IoError> {
    let Some(PayloadRef { digest, size }) = object else { return Ok(false) };
    let entry = dir.stat(&layout::object(digest))?;
    Ok(entry.is_some_and(|entry| entry.kind == Kind::File && entry.size == size))
}

/// Makes sure that a payload's object stands in its place and its content is on the disk; its name is
/// not yet.
fn keep(dir: &Dir, runtime: &Runtime, payload: &str) -> Result<PayloadRef, IoError> {
    let mut content = Vec::with_capacity(payload.len());
    json::write_on_line(&mut content, payload);
    let (digest, size) = (Digest::of(&content), content.len() as u64);
    let object = layout::object(digest);
    let there = match dir.open_read(&object) {
        // A copy of a run may never have been synced. What cannot be read or synced is made anew.
        Ok(mut file) => {
            file.digest().is_ok_and(|found| found == (digest, size)) && file.sync().is_ok()
        }
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error),
    };
    if !there {
        for parent in [layout::TMP, layout::OBJECTS, &layout::object_dir(digest)] {
            dir.create_dir(parent)?;
        }
        let temporary = layout::new_object(runtime.next_event_id());
        let put = put(dir, &temporary, &content, &object);
        if put.is_err() {
            // The caller hears of the failure; a half object is nobody's, and prune takes it.
            let _ = dir.remove_file(&temporary);
        }
        put?;
    }
    Ok(PayloadRef { digest, size })
}

fn put(dir: &Dir, temporary: &str, content: &[u8], object: &str) -> Result<(), IoError> {
    let mut file = dir.create_new(temporary)?;
    file.write(content)?;
    file.sync()?;
    dir.rename(temporary, dir, object)
}
