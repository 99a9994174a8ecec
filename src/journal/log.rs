//! The one way to append: lock, catch up, check, write.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::home::Opened;
use super::ledger::{Fold, Keyed, Ledger};
use super::record::Record;
use super::scan::{Cursor, Rest, Seen, SkipKind, scan};
use super::{Appended, Event, Home, JournalError, types};
use crate::error::IoError;
use crate::io::{AppendFile, Dir, LockFile};
use crate::{json, layout};

/// What an append survives once it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A killed process, but not a power cut.
    #[default]
    Buffered,
    /// A power cut: the call returns when the disk has it.
    Durable,
}

/// A journal, open for appending. Crate-private: callers reach it through a writer that also puts
/// committed artifacts in place, so that every append finishes what a crash left.
#[derive(Debug)]
pub(crate) struct Log<F: Fold> {
    pub(super) home: Home,
    dir: Arc<Dir>,
    pub(super) file: AppendFile,
    lock: LockFile,
    pub(super) correlation: Option<String>,
    start: Cursor,
    pub(super) cursor: Cursor,
    pub(super) ledger: Ledger,
    fold: F,
    poisoned: Option<String>,
}

impl<F: Fold> Log<F> {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        Self::open_in(home, home.open_writable()?)
    }

    /// The same in a directory that was opened for writing before.
    pub(crate) fn open_in(home: &Home, opened: Opened) -> Result<Self, JournalError> {
        let Opened { dir, genesis, correlation } = opened;
        let file = dir.open_append(layout::JOURNAL).map_err(|error| {
            if error.is_not_found() {
                JournalError::MissingJournal { path: dir.path().join(layout::JOURNAL) }
            } else {
                error.into()
            }
        })?;
        let lock = dir.open_lock(layout::LOCK)?;
        let start = Cursor::start(genesis);
        Ok(Self {
            home: home.clone(),
            dir,
            file,
            lock,
            correlation,
            start,
            cursor: start,
            ledger: Ledger::default(),
            fold: F::default(),
            poisoned: None,
        })
    }

    /// Takes the lock and catches up with what others appended.
    pub(crate) fn lock(&mut self) -> Result<LockedLog<'_, F>, JournalError> {
        if let Some(reason) = &self.poisoned {
            let (path, reason) = (self.file.path().to_owned(), reason.clone());
            return Err(JournalError::Poisoned { path, reason });
        }
        let waited = self.home.runtime.lock_timeout;
        if !self.lock.wait(waited, LockFile::try_exclusive)? {
            let (path, holder) = (self.lock.path().to_owned(), self.lock.holder());
            return Err(JournalError::LockTimeout { path, holder, waited });
        }
        let mut locked =
            LockedLog { log: self, rest: Rest::default(), tail: Vec::new(), stale: false };
        locked.catch_up()?;
        Ok(locked)
    }

    /// Waits until everything appended is on the disk. The first failure poisons this writer: a
    /// later sync could say OK though the data is gone.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.file.sync().map_err(|source| self.poison(source))
    }

    fn poison(&mut self, source: IoError) -> JournalError {
        self.poisoned = Some(source.source.to_string());
        JournalError::NotDurable { path: self.file.path().to_owned(), source }
    }

    pub(super) fn take_in(&mut self, record: &Record, offset: u64, length: u64) {
        self.ledger.apply(record, offset, length);
        self.fold.apply(record);
    }
}

/// A journal whose lock is held and whose state is up to date. Only through it can be appended.
pub(crate) struct LockedLog<'a, F: Fold> {
    pub(super) log: &'a mut Log<F>,
    /// What lies behind the last counted record,
    pub(super) rest: Rest,
    /// and its bytes.
    pub(super) tail: Vec<u8>,
    /// A write failed, so that nobody knows what lies there now.
    pub(super) stale: bool,
}

impl<F: Fold> Drop for LockedLog<'_, F> {
    fn drop(&mut self) {
        self.log.lock.unlock();
    }
}

impl<F: Fold> LockedLog<'_, F> {
    pub(crate) fn dir(&self) -> &Dir {
        &self.log.dir
    }

    pub(crate) fn home(&self) -> &Home {
        &self.log.home
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.log.ledger
    }

    pub(crate) fn fold(&self) -> &F {
        &self.log.fold
    }

    pub(crate) fn fold_mut(&mut self) -> &mut F {
        &mut self.log.fold
    }

    /// What lies behind the last counted record and does not count.
    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Poisons this writer after a failed sync of something that the journal names.
    pub(crate) fn poison(&mut self, source: IoError) -> JournalError {
        self.log.poison(source)
    }

    /// [`Log::sync`], with the lock held.
    pub(crate) fn sync(&mut self) -> Result<(), JournalError> {
        self.log.sync()
    }

    fn catch_up(&mut self) -> Result<(), JournalError> {
        let path = self.log.file.path().to_owned();
        let len = self.log.file.linked_len()?.ok_or(JournalError::Removed { path })?;
        self.stale = false;
        if len == self.log.cursor.offset {
            return Ok(());
        }
        let from_start = self.log.cursor == self.log.start;
        let damage = len < self.log.cursor.offset || self.read_forward(len)?;
        if damage && !from_start {
            // The cached state cannot be trusted: what counts is defined by the scan from genesis.
            self.log.cursor = self.log.start;
            self.log.ledger = Ledger::default();
            self.log.fold = F::default();
            self.read_forward(len)?;
        }
        Ok(())
    }

    /// Scans from the cursor to `len`; true if there was damage.
    fn read_forward(&mut self, len: u64) -> Result<bool, JournalError> {
        let Log { file, cursor, ledger, fold, .. } = &mut *self.log;
        let mut damage = false;
        let mut see = |seen| match seen {
            Seen::Record { record, offset, length } => {
                ledger.apply(&record, offset, length);
                fold.apply(&record);
            }
            Seen::Skip(skip) => damage |= skip.is_damage(),
        };
        let read = |offset, count, buffer: &mut _| file.read_at(offset, count, buffer);
        (self.rest, self.tail) = scan_forward(cursor, len, read, &mut see)?;
        Ok(damage || self.rest.damage().is_some())
    }

    /// Appends events as one batch, whole or not at all: buffered, so it survives this process; for
    /// more, sync afterwards. A key that stands already returns the first events.
    pub(crate) fn append(&mut self, events: &[Event]) -> Result<Vec<Appended>, JournalError> {
        events.iter().try_for_each(Event::check)?;
        if let Some(event) = events.iter().skip(1).find(|event| event.key.is_some()) {
            return Err(
                event.bad("a batch has one key, that of its first event (or the transaction's)")
            );
        }
        if self.stale {
            self.catch_up()?;
        }
        self.check_not_damaged()?;
        if let Some(first) = self.duplicate_of(events)? {
            return Ok(first);
        }
        self.check_admitted()?;
        self.check_versions(events)?;
        self.write(events)
    }

    /// The first events with the key of these, if they are the same.
    pub(crate) fn duplicate_of(
        &mut self,
        events: &[Event],
    ) -> Result<Option<Vec<Appended>>, JournalError> {
        let Some(key) = events.first().and_then(|event| event.key.as_ref()) else {
            return Ok(None);
        };
        let Some(keyed) = self.log.ledger.key(key) else { return Ok(None) };
        let first = self.read_keyed(keyed)?;
        let conflict = |difference| JournalError::KeyConflict {
            path: self.log.file.path().to_owned(),
            key: key.clone(),
            seq: first.first().map_or(0, |record| record.seq),
            difference,
        };
        if first.len() != events.len() {
            return Err(conflict("number of events"));
        }
        for (record, event) in first.iter().zip(events) {
            if record.event_type != event.event_type {
                return Err(conflict("type"));
            }
            if record.stream() != self.stream_of(event) {
                return Err(conflict("stream"));
            }
            if !same_meaning(record, event) {
                return Err(conflict("payload"));
            }
        }
        let appended = first.iter().map(|record| Appended {
            seq: record.seq,
            event_id: record.event_id,
            stream_version: record.stream_version,
            duplicate: true,
        });
        Ok(Some(appended.collect()))
    }

    fn read_keyed(&mut self, keyed: Keyed) -> Result<Vec<Record>, JournalError> {
        let mut bytes = Vec::new();
        self.log.file.read_at(keyed.offset, keyed.length, &mut bytes)?;
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        lines.map(Record::parse).collect::<Option<_>>().ok_or_else(|| JournalError::DamagedTail {
            path: self.log.file.path().to_owned(),
            offset: keyed.offset,
            length: keyed.length,
            reason: "records that were read before are gone",
        })
    }

    /// Refuses to go on behind damage. A closed journal does not go on in any case.
    pub(crate) fn check_not_damaged(&self) -> Result<(), JournalError> {
        match self.rest.damage() {
            None => Ok(()),
            Some(_) if self.log.ledger.is_closed() => Ok(()),
            Some(skip) => Err(JournalError::DamagedTail {
                path: self.log.file.path().to_owned(),
                offset: skip.offset,
                length: skip.length,
                reason: match skip.kind {
                    SkipKind::Damage(reason) => reason,
                    _ => "not a record",
                },
            }),
        }
    }

    /// Refuses what anybody in a closed run, or an attempt of a step that is over, wants to append.
    pub(crate) fn check_admitted(&self) -> Result<(), JournalError> {
        self.check_open()?;
        let Some(step) = &self.log.home.step else { return Ok(()) };
        let newest = self.log.ledger.newest_start(step.name.as_str());
        if newest == Some(step.started) {
            return Ok(());
        }
        Err(JournalError::StepSuperseded {
            step: step.name.clone(),
            started: step.started,
            newest: newest
                .map_or_else(|| "it ended".to_owned(), |id| format!("superseded by {id}")),
        })
    }

    fn check_open(&self) -> Result<(), JournalError> {
        if self.log.ledger.is_closed() {
            return Err(JournalError::Closed { path: self.log.file.path().to_owned() });
        }
        Ok(())
    }

    fn check_versions(&self, events: &[Event]) -> Result<(), JournalError> {
        for event in events {
            let stream = self.stream_of(event);
            let found = self.log.ledger.version(&stream);
            if !event.expected.admits(found) {
                let expected = event.expected;
                return Err(JournalError::VersionConflict { stream, expected, found });
            }
        }
        Ok(())
    }

    pub(super) fn stream_of(&self, event: &Event) -> String {
        match &event.stream {
            Some((kind, id)) => format!("{kind}/{id}"),
            None => {
                let (kind, id) = self.log.home.default_stream();
                format!("{kind}/{id}")
            }
        }
    }

    /// Closes off damage at the end of the file, and only there.
    pub(crate) fn append_repair(&mut self, event: &Event) -> Result<Vec<Appended>, JournalError> {
        self.check_open()?;
        self.write(std::slice::from_ref(event))
    }
}

/// True if payloads mean the same: equal as JSON values, in the library's own events apart from what
/// it fills in itself.
fn same_meaning(record: &Record, event: &Event) -> bool {
    let (first, second) = (record.payload_json.as_deref(), event.payload.as_deref());
    if json::same_value(first, second) {
        return true;
    }
    let meaning = |raw: Option<&RawValue>| {
        let mut members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(raw?.get()).ok()?;
        members.retain(|name, _| !types::FILLED_IN.contains(&name.as_str()));
        Some(members)
    };
    types::RESERVED.contains(&event.event_type.as_str())
        && meaning(first).is_some_and(|first| Some(first) == meaning(second))
}

/// Bytes read at once; more only while a gap of more does not count.
const CHUNK: u64 = 1 << 20;

/// Scans a file from the cursor to `len` in flat memory, and returns what lies behind the last
/// counted record: as skips, and as bytes.
pub(super) fn scan_forward(
    cursor: &mut Cursor,
    len: u64,
    mut read: impl FnMut(u64, u64, &mut Vec<u8>) -> Result<(), IoError>,
    see: &mut dyn FnMut(Seen),
) -> Result<(Rest, Vec<u8>), IoError> {
    let mut buffer = Vec::new();
    let mut chunk = CHUNK;
    loop {
        let from = cursor.offset;
        let had = buffer.len() as u64;
        let wanted = chunk.min(len.saturating_sub(from + had));
        read(from + had, wanted, &mut buffer)?;
        let rest = scan(cursor, &buffer, see);
        let counted = usize::try_from(cursor.offset - from).unwrap_or(usize::MAX);
        let ended = from + buffer.len() as u64 >= len || buffer.len() as u64 == had;
        buffer.drain(..counted.min(buffer.len()));
        if ended {
            return Ok((rest, buffer));
        }
        chunk = if counted == 0 { chunk.saturating_mul(2) } else { CHUNK };
    }
}
