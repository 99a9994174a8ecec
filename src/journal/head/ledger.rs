//! What the counted records of a journal add up to, as far as every append needs it: where the last
//! record of each stream and type and the first of each key stand, and whether it is closed.
//!
//! What the head knows stays on the disk; in memory is what came since. So memory is flat, and opening
//! costs the same on a journal of any length.

use crate::error::IoError;
use crate::io::{AppendFile, Dir};
use crate::journal::Cursor;
use crate::journal::head::entry::{Entry, Name, Names, Place};
use crate::journal::head::table::Table;
use crate::journal::head::{Half, Head};
use crate::journal::record::Facts;
use crate::journal::types;
use crate::planted::Bug;

/// When a head is worth its while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeadPolicy {
    /// What somebody who opened a journal without a head had to scan: records, or bytes.
    pub(crate) scanned_records: u64,
    pub(crate) scanned_bytes: u64,
    /// The same behind a head: a newer one costs little.
    pub(crate) behind_records: u64,
    pub(crate) behind_bytes: u64,
    /// What a writer keeps in memory, and what it leaves to the next one to scan.
    pub(crate) names: usize,
    pub(crate) bytes: u64,
    /// Names kept in memory while a journal without a head is scanned.
    pub(crate) names_scanning: usize,
    /// Entries that stand in the head itself and not in a table.
    pub(crate) recent: usize,
}

impl Default for HeadPolicy {
    fn default() -> Self {
        Self {
            scanned_records: 24,
            scanned_bytes: 64 << 10,
            behind_records: 4,
            behind_bytes: 4 << 10,
            names: 8192,
            bytes: 4 << 20,
            names_scanning: 65_536,
            recent: 128,
        }
    }
}

/// A record that a name stands for, and its stream version where that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) place: Place,
    pub(crate) version: Option<u64>,
}

/// The state of a journal. The cursor that it belongs to is the log's.
#[derive(Debug)]
pub(crate) struct Ledger {
    policy: HeadPolicy,
    /// True if it was made without a head, and none was left since.
    from_scratch: bool,
    head: Head,
    /// Where the head stands on the disk, while the lock is held under which it was read.
    half: Option<Half>,
    tables: Vec<Table>,
    /// What came since the head.
    since: Names<Found>,
    closed: bool,
    /// The newest `lease_bound`; `None` while nobody asked the head.
    bound: Option<Option<Place>>,
    /// True if an artifact record may still have to be put in place. The head does not know: it is
    /// bound to the journal, and not to the files beside it. Without one, each such record is seen.
    unapplied: bool,
    /// Records taken in since the ledger was made from the head.
    records: u64,
}

impl Ledger {
    pub(crate) fn start(cursor: Cursor, policy: HeadPolicy) -> Self {
        let known =
            Self { bound: Some(None), unapplied: false, ..Self::of(Head::start(cursor), policy) };
        Self { from_scratch: true, ..known }
    }

    /// What the head on the disk knows, if it fits the journal.
    pub(crate) fn from_disk(
        dir: &Dir,
        journal: &AppendFile,
        len: u64,
        start: Cursor,
        policy: HeadPolicy,
    ) -> Option<Self> {
        let (head, half) = Head::read(dir, journal, len, start.hash)?;
        Some(Self { half: Some(half), ..Self::of(head, policy) })
    }

    fn of(head: Head, policy: HeadPolicy) -> Self {
        Self {
            policy,
            from_scratch: false,
            tables: head.tables.iter().map(|info| Table::new(*info)).collect(),
            closed: head.closed,
            bound: None,
            unapplied: !Bug::StagesForgotten.is_planted(),
            head,
            half: None,
            since: Names::default(),
            records: 0,
        }
    }

    /// Where the head ends: records from here on were taken in one by one.
    pub(crate) fn base(&self) -> Cursor {
        self.head.cursor
    }

    /// Takes in a counted record of a stream that stands at this place.
    pub(crate) fn apply(&mut self, record: &Facts<'_>, stream: Name, place: Place) {
        let version = Some(record.stream_version);
        self.since.insert(stream, Found { place, version });
        if record.batch_index.unwrap_or(0) == 0
            && let Some(key) = record.idempotency_key
        {
            self.since.entry(Name::key(key)).or_insert(Found { place, version });
        }
        match record.event_type {
            types::ARTIFACT_WRITTEN | types::ARTIFACT_REMOVED => {
                self.since.insert(Name::event(record.event_id), Found { place, version });
                self.unapplied = true;
            }
            types::EXECUTION_COMPLETE => self.closed = true,
            types::LEASE_BOUND => self.bound = Some(Some(place)),
            _ => {}
        }
        if types::LAST_IS_ASKED.contains(&record.event_type) {
            let name = Name::record_type(record.event_type);
            self.since.insert(name, Found { place, version });
        }
        self.records += 1;
    }

    /// The record that a name stands for. An error means that the head cannot be used any more.
    pub(crate) fn find(&mut self, dir: &Dir, name: Name) -> Result<Option<Found>, IoError> {
        if let Some(found) = self.since.get(&name) {
            return Ok(Some(*found));
        }
        if Bug::KeysForgotten.is_planted() && name.first_wins() {
            return Ok(None);
        }
        let known = |place| Found { place, version: None };
        if let Ok(at) = self.head.recent.binary_search_by_key(&name, |entry| entry.name) {
            return Ok(self.head.recent.get(at).map(|entry| known(entry.place)));
        }
        // The newest first: it has the last word of a stream. A key is in one table only.
        for table in self.tables.iter_mut().rev() {
            if let Some(place) = table.find(dir, name)? {
                return Ok(Some(known(place)));
            }
        }
        Ok(None)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The newest `lease_bound`, of which there may be none; `None` while nobody asked the head.
    pub(crate) fn bound(&self) -> Option<Option<Place>> {
        self.bound
    }

    /// Notes what the head said of it.
    pub(crate) fn note_bound(&mut self, bound: Option<Place>) {
        self.bound = Some(bound);
    }

    /// True if an artifact record may still have to be put in place.
    pub(crate) fn has_unapplied(&self) -> bool {
        self.unapplied
    }

    /// Notes that all that can be put in place is there.
    pub(crate) fn all_applied(&mut self) {
        self.unapplied = false;
    }

    /// Moves names from memory into a table while a long journal is scanned, so that memory stays flat.
    /// The caller holds the lock.
    pub(crate) fn flush_names(&mut self, dir: &Dir, cursor: Cursor) -> Result<(), IoError> {
        if self.since.len() < self.policy.names_scanning {
            return Ok(());
        }
        self.extend_head(dir, cursor, true)
    }

    /// True if whoever opened the journal had so much to scan that a head is worth its while.
    pub(crate) fn scanned_much(&self, cursor: Cursor) -> bool {
        let HeadPolicy { scanned_records, scanned_bytes, behind_records, behind_bytes, .. } =
            self.policy;
        let (records, bytes) = if self.from_scratch {
            (scanned_records, scanned_bytes)
        } else {
            (behind_records, behind_bytes)
        };
        self.records >= records || cursor.offset - self.base().offset >= bytes
    }

    /// True if there is more in memory, or for the next one to scan, than there should be.
    pub(crate) fn has_much(&self, cursor: Cursor) -> bool {
        self.since.len() >= self.policy.names
            || cursor.offset - self.base().offset >= self.policy.bytes
    }

    /// Leaves a head for the next one who opens the journal. The caller holds the lock.
    pub(crate) fn leave_head(
        &mut self,
        dir: &Dir,
        journal: &AppendFile,
        cursor: Cursor,
    ) -> Result<(), IoError> {
        if cursor.seq == 0 {
            return Ok(());
        }
        // What was scanned from the start knows better than a head that was there, or proved wrong.
        if !self.from_scratch && self.half.is_none() {
            self.adopt(dir, journal, cursor);
        }
        let half = self.half;
        let tables = self.head.tables.clone();
        self.extend_head(dir, cursor, false)?;
        match half {
            Some(half) if self.head.tables == tables => self.head.write_beside(dir, half)?,
            _ => self.head.replace(dir)?,
        }
        self.from_scratch = false;
        Ok(())
    }

    /// Notes that the lock is let go: others may leave a head from here on.
    pub(crate) fn unlocked(&mut self) {
        self.half = None;
    }

    /// Takes the head on the disk for its base, if it is newer: only what came since is kept in memory.
    pub(crate) fn adopt(&mut self, dir: &Dir, journal: &AppendFile, cursor: Cursor) {
        if let Some((head, half)) = Head::read(dir, journal, cursor.offset, self.head.genesis)
            && head.cursor.offset >= self.base().offset
        {
            self.since.retain(|_, found| found.place.offset >= head.cursor.offset);
            self.rebase(head);
            self.half = Some(half);
        }
    }

    fn extend_head(&mut self, dir: &Dir, cursor: Cursor, into_table: bool) -> Result<(), IoError> {
        let mut entries: Vec<Entry> = self
            .since
            .iter()
            .map(|(name, found)| Entry { name: *name, place: found.place })
            .collect();
        entries.sort_by_key(|entry| entry.name);
        let mut head = self.head.clone();
        let recent = if into_table { 0 } else { self.policy.recent };
        head.take_in(dir, &entries, recent)?;
        head.cursor = cursor;
        head.closed = self.closed;
        self.since.clear();
        self.rebase(head);
        Ok(())
    }

    /// Takes another head for its base; tables that both name stay open.
    fn rebase(&mut self, head: Head) {
        let mut open = std::mem::take(&mut self.tables);
        let tables = head.tables.iter().map(|info| {
            let same = open.iter().position(|table| table.info == *info);
            same.map_or_else(|| Table::new(*info), |at| open.swap_remove(at))
        });
        self.tables = tables.collect();
        self.head = head;
        self.half = None;
    }
}
