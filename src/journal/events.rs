//! Reading a journal, without a lock.

use std::collections::VecDeque;
use std::io::ErrorKind;

use camino::Utf8Path;

use super::forward::Forward;
use super::record::Record;
use super::scan::{Cursor, Rest, Seen, Skip, SkipKind, scan};
use super::{Home, JournalError};
use crate::finding::{Code, Finding, Place};
use crate::io::{Dir, LockFile, ReadFile};
use crate::layout;

/// The counted records of a journal, in order: an iterator that reads as it goes.
///
/// It takes no lock, waits for nobody, and ends where the file ended when it got there. What does not
/// count is passed over; [`Events::findings`] tells of it once the iterator has ended. Only what looks
/// like damage is read again under the lock before it is believed, and that may have to wait.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = runjournal::RunContext::from_env()?;
/// for record in ctx.events()?.after(17) {
///     let record = record?;
///     println!("{} {}", record.seq(), record.event_type());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Events {
    home: Home,
    dir: Dir,
    file: ReadFile,
    cursor: Cursor,
    /// Bytes behind the cursor that were read and do not count so far.
    buffer: Vec<u8>,
    ready: VecDeque<Record>,
    findings: Vec<Finding>,
    after: u64,
    ended: bool,
}

const CHUNK: u64 = 1 << 20;

impl Events {
    pub(crate) fn open(home: &Home) -> Result<Self, JournalError> {
        let opened = home.open()?;
        let file = opened.dir.open_read(layout::JOURNAL).map_err(|error| {
            if error.is_not_found() {
                JournalError::MissingJournal { path: opened.dir.path().join(layout::JOURNAL) }
            } else {
                error.into()
            }
        })?;
        Ok(Self {
            home: home.clone(),
            dir: opened.dir,
            file,
            cursor: Cursor::start(opened.genesis),
            buffer: Vec::new(),
            ready: VecDeque::new(),
            findings: Vec::new(),
            after: 0,
            ended: false,
        })
    }

    /// Only records with a greater seq.
    #[must_use]
    pub fn after(mut self, seq: u64) -> Self {
        self.after = seq;
        self
    }

    /// What did not count, with its place, as far as the iterator has come: all of it, once it ended.
    /// An interrupted write at the end is no finding while somebody holds the lock.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Reads to the end: all records, and all findings.
    ///
    /// # Errors
    /// Where reading fails, or damage cannot be confirmed because the lock is not to be had.
    pub fn read_all(mut self) -> Result<(Vec<Record>, Vec<Finding>), JournalError> {
        let records = self.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok((records, self.findings))
    }

    /// Bytes that do not count, as a finding.
    pub(crate) fn finding(journal: &Utf8Path, skip: &Skip) -> Finding {
        let (code, reason) = match skip.kind {
            SkipKind::Garbage => (Code::Garbage, "left by a killed writer and sealed off"),
            SkipKind::Repaired => (Code::Garbage, "damage that a repair closed off"),
            SkipKind::Torn => (Code::TornTail, "a write that was not finished"),
            SkipKind::Damage(reason) => (Code::JournalDamaged, reason),
        };
        let place = Place {
            path: journal.to_owned(),
            offset: Some(skip.offset),
            length: Some(skip.length),
        };
        Finding { code, place, reason: reason.to_owned() }
    }

    /// Reads and scans the next bytes.
    fn advance(&mut self) -> Result<(), JournalError> {
        let before = self.cursor;
        let had = self.buffer.len() as u64;
        let wanted = CHUNK.max(had);
        self.file.read_at(before.offset + had, wanted, &mut self.buffer)?;
        let length = self.buffer.len() as u64;
        let at_end = length < had + wanted;

        let mut seen = Vec::new();
        let rest = scan(&mut self.cursor, &self.buffer, &mut |item| seen.push(item));
        let damaged = seen.iter().any(|item| matches!(item, Seen::Skip(skip) if skip.is_damage()));
        if damaged || (at_end && !rest.skips.is_empty()) {
            let end = if at_end { None } else { Some(before.offset + length) };
            return self.confirm(before, end, (seen, rest));
        }
        let counted = usize::try_from(self.cursor.offset - before.offset).unwrap_or(usize::MAX);
        self.buffer.drain(..counted.min(self.buffer.len()));
        self.take_in(seen, &[]);
        self.ended = at_end;
        Ok(())
    }

    /// Reads the bytes again under the lock, which no writer holds then: what still does not count
    /// is not in flight. `end` is `None` for the end of the file.
    fn confirm(
        &mut self,
        before: Cursor,
        end: Option<u64>,
        unsure: (Vec<Seen>, Rest),
    ) -> Result<(), JournalError> {
        let torn_at_most = |seen: &[Seen], rest: &Rest| {
            !seen.iter().any(|item| matches!(item, Seen::Skip(skip) if skip.is_damage()))
                && rest.damage().is_none()
        };
        // A tree that is read-only, or lost its lock file, has no writer either.
        let lock = match self.dir.open_lock_shared(layout::LOCK) {
            Ok(lock) => Some(lock),
            Err(error) if error.is_not_found() || error.kind() == ErrorKind::PermissionDenied => {
                None
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(lock) = &lock {
            let (seen, rest) = unsure;
            if torn_at_most(&seen, &rest) && !lock.try_shared()? {
                let skips = rest.skips.into_iter();
                let certain: Vec<_> = skips.filter(|skip| skip.kind != SkipKind::Torn).collect();
                self.take_in(seen, &certain);
                self.ended = true;
                return Ok(());
            }
            let waited = self.home.runtime.lock_timeout;
            if !lock.wait(waited, LockFile::try_shared)? {
                let (path, holder) = (lock.path().to_owned(), lock.holder());
                return Err(JournalError::LockTimeout { path, holder, waited });
            }
        }
        self.cursor = before;
        self.buffer.clear();
        let mut seen = Vec::new();
        let mut forward = Forward::new(before);
        let rest = loop {
            let read = |offset, count, buffer: &mut _| self.file.read_at(offset, count, buffer);
            let end = end.unwrap_or(u64::MAX);
            if let Some(rest) = forward.step(end, read, &mut |item| seen.push(item))? {
                break rest;
            }
        };
        self.cursor = forward.cursor;
        if let Some(lock) = &lock {
            lock.unlock();
        }
        self.ended = end.is_none();
        self.take_in(seen, if self.ended { &rest.skips } else { &[] });
        self.buffer = forward.into_tail();
        Ok(())
    }

    fn take_in(&mut self, seen: Vec<Seen>, rest: &[Skip]) {
        for item in seen {
            match item {
                Seen::Record { record, .. } if record.seq() > self.after => {
                    self.ready.push_back(record.in_dir(self.dir.path()));
                }
                Seen::Record { .. } => {}
                Seen::Skip(skip) => self.findings.push(Self::finding(self.file.path(), &skip)),
            }
        }
        self.findings.extend(rest.iter().map(|skip| Self::finding(self.file.path(), skip)));
    }
}

impl Iterator for Events {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.ended {
            if let Err(error) = self.advance() {
                self.ended = true;
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}
