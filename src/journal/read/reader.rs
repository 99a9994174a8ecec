//! A journal open for reading, without a lock: what counts in it, a piece at a time.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use crate::error::IoError;
use crate::io::{Dir, LockFile, ReadFile};
use crate::journal::Cursor;
use crate::journal::read::back;
use crate::journal::read::hashing::Hashing;
use crate::journal::record::Record;
use crate::journal::scan::forward::Forward;
use crate::journal::scan::skip::{Skip, SkipKind};
use crate::journal::scan::{Rest, Seen};
use crate::journal::{Home, JournalError, Opened};
use crate::planted::Bug;
use crate::{layout, line};

/// An open journal, and how far it was read.
#[derive(Debug)]
pub(crate) struct Reader {
    home: Home,
    dir: Arc<Dir>,
    pub(crate) file: ReadFile,
    start: Cursor,
    forward: Forward,
    hashing: Hashing,
    /// All before the cursor was scanned, and cannot have changed since as far as anybody knows.
    /// Where it may have, damage behind the cursor can be a record that follows another history.
    certain: bool,
    /// Where it began for a cursor within a batch: a line that chains, which need not count.
    guessed: Option<Cursor>,
    /// How many records the last piece had.
    usual: usize,
}

/// What was seen in a piece of a journal, each in its order.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) records: VecDeque<Record>,
    pub(crate) skips: Vec<Skip>,
    /// What lies behind the last counted record; `None` while there is more to read.
    pub(crate) rest: Option<Rest>,
}

impl Piece {
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.skips.is_empty()
    }

    pub(crate) fn has_damage(&self) -> bool {
        self.skips.iter().any(Skip::is_damage)
            || self.rest.as_ref().is_some_and(|rest| rest.damage().is_some())
    }

    fn without_torn(mut self) -> Self {
        if let Some(rest) = &mut self.rest {
            rest.skips.retain(|skip| skip.kind != SkipKind::Torn);
        }
        self
    }
}

/// How a reader of a journal that is being written to waits for the lock: it looks again anyway.
const LIVE_PATIENCE: Duration = Duration::from_millis(50);

impl Reader {
    /// Opens a home's journal in its directory, which was opened before.
    pub(crate) fn open_in(home: &Home, opened: Opened) -> Result<Self, JournalError> {
        let file = opened.dir.open_read(layout::JOURNAL).map_err(JournalError::opening)?;
        let start = Cursor::start(opened.genesis);
        Ok(Self {
            home: home.clone(),
            dir: opened.dir,
            file,
            start,
            forward: Forward::new(start),
            hashing: Hashing::default(),
            certain: true,
            guessed: None,
            usual: 0,
        })
    }

    /// The journal that stands at the path now.
    pub(crate) fn reopened(&self) -> Result<Self, JournalError> {
        Self::open_in(&self.home, self.home.open()?)
    }

    /// True if both read the same file, and the same chain.
    pub(crate) fn is_same(&self, other: &Self) -> Result<bool, IoError> {
        Ok(self.start == other.start && self.file.is_same(&other.file)?)
    }

    /// True if the record before the cursor is of this type.
    pub(crate) fn stands_behind(&mut self, event_type: &str) -> Result<bool, IoError> {
        let record = back::record_before(&mut self.file, self.forward.cursor.offset)?;
        Ok(record.is_some_and(|record| record.event_type() == event_type))
    }

    /// Behind the last counted record.
    pub(crate) fn cursor(&self) -> Cursor {
        self.forward.cursor
    }

    /// The end of what was read.
    pub(crate) fn reached(&self) -> u64 {
        self.forward.reached()
    }

    /// Goes on from a place where a scan may begin.
    pub(crate) fn set_cursor(&mut self, cursor: Cursor) {
        self.certain = cursor == self.start;
        self.guessed = None;
        self.forward = Forward::new(cursor);
        self.hashing.end();
    }

    /// Goes on from a cursor; false if it does not fit. Within a batch, all of the batch comes next.
    pub(crate) fn go_to(&mut self, cursor: Cursor) -> Result<bool, IoError> {
        let beginning = back::beginning(&mut self.file, self.start, cursor)?;
        if let Some(beginning) = beginning {
            self.set_cursor(beginning);
            self.guessed = (beginning != cursor).then_some(beginning);
        }
        Ok(beginning.is_some())
    }

    /// Goes back to the first record.
    pub(crate) fn start_over(&mut self) {
        self.set_cursor(self.start);
    }

    /// Reads what lies behind this cursor once more, and nothing of it that was read ahead.
    fn again(&mut self, cursor: Cursor) {
        self.forward = self.forward.again(cursor);
        self.hashing.end();
    }

    /// Takes up what lies behind the cursor once more, on a file that may have changed; false if its
    /// line is not there any more.
    pub(crate) fn resume(&mut self) -> Result<bool, IoError> {
        let cursor = self.forward.cursor;
        self.certain = cursor == self.start;
        self.again(cursor);
        let Some(from) = cursor.offset.checked_sub(line::END as u64) else {
            return Ok(cursor == self.start);
        };
        let mut end = Vec::new();
        self.file.read_at(from, line::END as u64, &mut end)?;
        let hash = line::open(&end).filter(|_| end.ends_with(b"\n")).map(|sealed| sealed.hash);
        Ok(hash == Some(cursor.hash))
    }

    /// The next piece, of which only what counts is certain: the rest may be in flight.
    pub(crate) fn glance(&mut self) -> Result<Piece, IoError> {
        let Self { dir, file, hashing, .. } = self;
        let dir = dir.path();
        let (mut records, mut skips) = (VecDeque::with_capacity(self.usual), Vec::new());
        let read = |offset, count, buffer: &mut _| hashing.read(file, offset, count, buffer);
        let mut see = |item| match item {
            Seen::Record(record) => records.push_back(record.in_dir(dir)),
            Seen::Skip(skip) => skips.push(skip),
        };
        let rest = self.forward.step_hashed(u64::MAX, read, &mut see)?;
        self.usual = records.len();
        Ok(Piece { records, skips, rest })
    }

    /// The next piece. What does not count was read again under the lock; a tail that a writer may
    /// be at work on is left out.
    pub(crate) fn next_piece(&mut self) -> Result<Piece, JournalError> {
        let before = self.forward.cursor;
        let piece = self.glance()?;
        self.checked(before, piece)
    }

    /// The piece behind `before`, of which so far only what counts is certain.
    pub(crate) fn checked(&mut self, before: Cursor, piece: Piece) -> Result<Piece, JournalError> {
        let all_counts = piece.rest.as_ref().is_none_or(|rest| rest.skips.is_empty());
        if (all_counts && !piece.has_damage()) || Bug::DamageUnconfirmed.is_planted() {
            return Ok(piece);
        }
        let Some(lock) = open_lock(&self.dir)? else { return self.confirmed(before, None) };
        if !piece.has_damage() && !lock.try_shared()? {
            return Ok(piece.without_torn());
        }
        wait_shared(&self.home, &lock)?;
        self.confirmed(before, Some(lock))
    }

    /// The next piece, for somebody who looks again soon: a torn tail is left out, and nothing is
    /// returned where damage cannot be confirmed now.
    pub(crate) fn next_live_piece(&mut self) -> Result<Option<Piece>, JournalError> {
        let before = self.forward.cursor;
        let piece = self.glance()?;
        if !piece.has_damage() {
            return Ok(Some(piece.without_torn()));
        }
        let lock = open_lock(&self.dir)?;
        if let Some(lock) = &lock
            && !lock.wait(LIVE_PATIENCE, LockFile::try_shared)?
        {
            self.again(before);
            return Ok(None);
        }
        self.confirmed(before, lock).map(|piece| Some(piece.without_torn()))
    }

    /// The piece behind `before`, read again under the lock, so that nothing in it is in flight.
    fn confirmed(&mut self, before: Cursor, lock: Option<LockFile>) -> Result<Piece, JournalError> {
        self.again(before);
        let piece = self.glance()?;
        if !piece.has_damage() || self.certain {
            return Ok(piece);
        }
        if self.counts(before)? {
            self.certain = true;
            return Ok(piece);
        }
        if self.guessed != Some(before) {
            return Err(self.mismatch(before));
        }
        // Not the caller's cursor is wrong, but what was taken for the place before its batch.
        self.start_over();
        let piece = self.glance()?;
        drop(lock);
        Ok(piece)
    }

    /// True for a cursor that the scan of all before it leads to.
    fn counts(&mut self, cursor: Cursor) -> Result<bool, JournalError> {
        let mut forward = Forward::new(self.start);
        let file = &mut self.file;
        let mut read = |offset, count, buffer: &mut _| file.read_at(offset, count, buffer);
        while forward.step(cursor.offset, &mut read, &mut drop)?.is_none() {}
        Ok(forward.cursor == cursor)
    }

    pub(crate) fn mismatch(&self, cursor: Cursor) -> JournalError {
        let Cursor { offset, seq, .. } = cursor;
        JournalError::CursorMismatch { path: self.file.path().to_owned(), offset, seq }
    }
}

/// The journal's lock, held together with other readers, so that nothing is in flight; `None` in a tree
/// that has no writer.
pub(crate) fn lock_shared(home: &Home, dir: &Dir) -> Result<Option<LockFile>, JournalError> {
    let lock = open_lock(dir)?;
    lock.iter().try_for_each(|lock| wait_shared(home, lock))?;
    Ok(lock)
}

/// The lock file; `None` in a tree that is read-only, or lost it: that has no writer either.
fn open_lock(dir: &Dir) -> Result<Option<LockFile>, IoError> {
    match dir.open_lock_shared(layout::LOCK) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.is_not_found() || error.kind() == ErrorKind::PermissionDenied => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn wait_shared(home: &Home, lock: &LockFile) -> Result<(), JournalError> {
    let waited = home.runtime.lock_timeout;
    if lock.wait(waited, LockFile::try_shared)? {
        return Ok(());
    }
    Err(JournalError::still_locked(lock, waited))
}
