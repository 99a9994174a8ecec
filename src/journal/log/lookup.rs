//! Asking a journal for a record: by stream, by type, by key. The answer comes from memory or from the
//! head, and is read from the journal itself and checked before it is believed.

use crate::digest::Digest;
use crate::id::EventId;
use crate::journal::head::entry::{Name, Place};
use crate::journal::head::ledger::Found;
use crate::journal::log::Log;
use crate::journal::scan::Seen;
use crate::journal::scan::forward::Forward;
use crate::journal::{Cursor, JournalError, LockedLog, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, Record};
use crate::line;

/// So many members of checked batches are remembered: a few MiB.
const MAX_CHECKED: usize = 64 * MAX_BATCH_RECORDS;

impl LockedLog<'_> {
    /// The version of a stream's last record.
    pub(crate) fn version(&mut self, kind: &str, id: &str) -> Result<Option<u64>, JournalError> {
        self.version_of(Name::stream(kind, id))
    }

    pub(crate) fn version_of(&mut self, stream: Name) -> Result<Option<u64>, JournalError> {
        match self.find(stream)? {
            None => Ok(None),
            Some(Found { version: Some(version), .. }) => Ok(Some(version)),
            Some(_) => Ok(self.last_of(stream)?.map(|record| record.stream_version())),
        }
    }

    /// The last record of a stream.
    pub(crate) fn last(&mut self, kind: &str, id: &str) -> Result<Option<Record>, JournalError> {
        self.last_of(Name::stream(kind, id))
    }

    pub(crate) fn last_of(&mut self, stream: Name) -> Result<Option<Record>, JournalError> {
        self.named(stream, |record| {
            Name::stream(record.aggregate_kind(), record.stream_id()) == stream
        })
    }

    /// The last record of a type; only of the types that the ledger keeps.
    pub(crate) fn last_of_type(
        &mut self,
        event_type: &str,
    ) -> Result<Option<Record>, JournalError> {
        self.named(Name::record_type(event_type), |record| record.event_type() == event_type)
    }

    /// The records of the batch whose first has this key.
    pub(crate) fn keyed(&mut self, key: &str) -> Result<Option<Vec<Record>>, JournalError> {
        let first = self.named(Name::key(key), |record| record.idempotency_key() == Some(key))?;
        let Some(first) = first else { return Ok(None) };
        self.batch_from(first).map(Some)
    }

    /// The whole batch that begins with this record: its members follow without a gap.
    fn batch_from(&self, first: Record) -> Result<Vec<Record>, JournalError> {
        let size = first.batch_size().unwrap_or(1);
        let others = size.saturating_sub(1) as usize;
        let mut at = first.end();
        let mut bytes = Vec::new();
        while bytes.iter().filter(|byte| **byte == b'\n').count() < others {
            let had = bytes.len() as u64;
            self.log.file.read_at(at + had, had.max(64 << 10), &mut bytes)?;
            if bytes.len() as u64 == had || had > MAX_BATCH_BYTES as u64 {
                break;
            }
        }
        let mut batch = vec![first];
        for line in bytes.split_inclusive(|byte| *byte == b'\n').take(others) {
            let record = batch.last().and_then(|last| follows(last.hash(), line, at));
            let index = u32::try_from(batch.len()).ok();
            let member = record.filter(|record| {
                record.batch_size() == Some(size) && record.batch_index() == index
            });
            let member = member.ok_or_else(|| self.gone(at, 0))?;
            batch.push(member.in_dir(self.log.dir.path()));
            at += line.len() as u64;
        }
        if batch.len() == others + 1 { Ok(batch) } else { Err(self.gone(at, 0)) }
    }

    /// The artifact record with this id.
    pub(crate) fn artifact_event(&mut self, id: EventId) -> Result<Option<Record>, JournalError> {
        self.named(Name::event(id), |record| record.event_id() == id)
    }

    /// True if an artifact record may still have to be put in place.
    pub(crate) fn has_unapplied(&self) -> bool {
        self.log.ledger.has_unapplied()
    }

    /// Notes that all that can be put in place is there.
    pub(crate) fn all_applied(&mut self) {
        self.log.ledger.all_applied();
    }

    /// True if the record before this cursor, which was read without the lock, stands there still, and
    /// with it all that came before it.
    pub(crate) fn fits(&self, cursor: Cursor) -> Result<bool, JournalError> {
        Ok(cursor.offset <= self.log.cursor.offset && cursor.fits(&self.log.file)?)
    }

    /// Every counted record, or those behind a cursor that fits, in order, in flat memory.
    pub(crate) fn replay(
        &mut self,
        from: Option<Cursor>,
        see: &mut dyn FnMut(&Record) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        let (file, dir) = (&self.log.file, self.log.dir.path());
        let mut forward = Forward::new(from.unwrap_or(self.log.start));
        let mut failed = Ok(());
        loop {
            let mut see = |seen| match seen {
                Seen::Record(record) if failed.is_ok() => failed = see(&record.in_dir(dir)),
                _ => {}
            };
            let read = |offset, count, buffer: &mut _| file.read_at(offset, count, buffer);
            let ended = forward.step(self.log.cursor.offset, read, &mut see)?;
            std::mem::replace(&mut failed, Ok(()))?;
            if ended.is_some() {
                return Ok(());
            }
        }
    }

    pub(crate) fn find(&mut self, name: Name) -> Result<Option<Found>, JournalError> {
        let Log { journal, ledger, file, cursor, .. } = &mut *self.log;
        if let Ok(found) = ledger.find(journal, name) {
            return Ok(found);
        }
        // Somebody may have merged the tables that we knew into others.
        ledger.adopt(journal, file, *cursor);
        if let Ok(found) = ledger.find(journal, name) {
            return Ok(found);
        }
        self.start_over()?;
        let Log { journal, ledger, .. } = &mut *self.log;
        Ok(ledger.find(journal, name)?)
    }

    /// The record that a name stands for. Where the journal does not have it where it should be, all that
    /// was known is forgotten, once.
    fn named(
        &mut self,
        name: Name,
        is: impl Fn(&Record) -> bool,
    ) -> Result<Option<Record>, JournalError> {
        let Some(found) = self.find(name)? else { return Ok(None) };
        if let Some(record) = self.read(found.place)?.filter(&is) {
            return Ok(Some(record));
        }
        self.start_over()?;
        let Some(found) = self.find(name)? else { return Ok(None) };
        self.read_scanned(found.place).map(Some)
    }

    fn gone(&self, offset: u64, length: u32) -> JournalError {
        JournalError::DamagedTail {
            path: self.log.file.path().to_owned(),
            offset,
            length: length.into(),
            reason: "records that were read before are gone",
        }
    }

    /// The record at a place where the scan counted it just now. What stands before it may be damaged,
    /// so that only the scan can tell what it follows.
    fn read_scanned(&self, place: Place) -> Result<Record, JournalError> {
        let line = self.line(place)?;
        let record = parse(&line, place.offset);
        let record = record.ok_or_else(|| self.gone(place.offset, place.length))?;
        Ok(record.in_dir(self.log.dir.path()))
    }

    fn line(&self, place: Place) -> Result<Vec<u8>, JournalError> {
        let mut line = Vec::new();
        self.log.file.read_at(place.offset, place.length.into(), &mut line)?;
        Ok(line)
    }

    /// The record at a place, if it counts: it stands there and follows what stands before it, and so
    /// do all members of its batch. These are looked at once while the lock is held.
    fn read(&mut self, place: Place) -> Result<Option<Record>, JournalError> {
        let Some(record) = self.read_alone(place)? else { return Ok(None) };
        let Some(index) = record.batch_index() else { return Ok(Some(record)) };
        if self.checked.get(&place.offset) == Some(&record.hash()) {
            return Ok(Some(record));
        }
        let Some(start) = self.lines_before(place.offset, index as usize)? else {
            return Ok(None);
        };
        let first = if index == 0 {
            record.clone()
        } else {
            let mut bytes = Vec::new();
            self.log.file.read_at(start, place.offset - start, &mut bytes)?;
            let length = memchr::memchr(b'\n', &bytes).map_or(0, |at| at as u64 + 1);
            let first = self.read_alone(Place::new(start, length))?;
            let begins = |first: &Record| {
                first.batch_index() == Some(0) && first.batch_size() == record.batch_size()
            };
            let Some(first) = first.filter(begins) else { return Ok(None) };
            first
        };
        let Ok(batch) = self.batch_from(first) else { return Ok(None) };
        let counts = batch.get(index as usize).is_some_and(|member| member.hash() == record.hash());
        self.note_checked(&batch);
        Ok(counts.then_some(record))
    }

    /// Notes the members of a batch that was checked whole: nobody changes them while the lock is held.
    fn note_checked(&mut self, batch: &[Record]) {
        if self.checked.len() >= MAX_CHECKED {
            self.checked.clear();
        }
        self.checked.extend(batch.iter().map(|member| (member.offset(), member.hash())));
    }

    /// The record at a place, if it stands there and follows what stands before it.
    fn read_alone(&self, place: Place) -> Result<Option<Record>, JournalError> {
        let line = self.line(place)?;
        let Some(record) = parse(&line, place.offset) else { return Ok(None) };
        let garbage = record.garbage().map_or(0, |garbage| garbage.bytes);
        let Some(end) = place.offset.checked_sub(garbage) else { return Ok(None) };
        let mut parent = Vec::new();
        let from = end.saturating_sub(line::END as u64);
        self.log.file.read_at(from, end - from, &mut parent)?;
        let parent = match end {
            0 => Some(self.log.start.hash),
            _ => line::open(&parent).map(|sealed| sealed.hash),
        };
        let record = parent.and_then(|parent| follows(parent, &line, place.offset));
        Ok(record.map(|record| record.in_dir(self.log.dir.path())))
    }

    /// Where so many whole lines before a place begin.
    fn lines_before(&self, end: u64, count: usize) -> Result<Option<u64>, JournalError> {
        if count == 0 {
            return Ok(Some(end));
        }
        let mut window = 64 << 10;
        loop {
            let from = end.saturating_sub(window);
            let mut bytes = Vec::new();
            self.log.file.read_at(from, end - from, &mut bytes)?;
            // The last break ends the last of the lines; the one wanted is before the first.
            if let Some(at) = memchr::memrchr_iter(b'\n', &bytes).nth(count) {
                return Ok(Some(from + at as u64 + 1));
            }
            if from == 0 {
                let lines = memchr::memchr_iter(b'\n', &bytes).count();
                return Ok((lines == count).then_some(0));
            }
            if window > MAX_BATCH_BYTES as u64 {
                return Ok(None);
            }
            window *= 4;
        }
    }
}

/// The record on a line, if it follows the record with that hash.
fn follows(parent: Digest, line: &[u8], offset: u64) -> Option<Record> {
    let record = parse(line, offset)?;
    (Digest::chained(parent, line::body(line)?) == record.hash()).then_some(record)
}

fn parse(line: &[u8], offset: u64) -> Option<Record> {
    let sealed = line::open(line).filter(|_| line.ends_with(b"\n"))?;
    Record::parse(line, sealed.hash, offset)
}
