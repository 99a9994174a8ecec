//! The head: a cache that makes opening a long journal cheap.
//!
//! `journal/.head` says what the journal adds up to as far as its cursor: one line that ends as a record
//! does, then the entries since the newest table (24 bytes each, sorted), whose digest the line has. Older
//! entries are in tables, files beside it. All of it can be deleted at any moment. It is believed only
//! where it is of this genesis file, and the line that ends at its cursor ends with the hash that it
//! names, which no other history has there.

pub(crate) mod entry;
pub(crate) mod ledger;
pub(crate) mod table;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::digest::Digest;
use crate::error::IoError;
use crate::io::{AppendFile, Dir};
use crate::journal::Cursor;
use crate::journal::head::entry::{ENTRY, Entry};
use crate::journal::head::table::TableInfo;
use crate::{layout, line};

/// How many times larger a table is than the next newer one, at least: with every new table those
/// before it are merged into it until that holds. So there are few to look into, and an entry is
/// written again a number of times that grows with the logarithm of the journal.
const RATIO: u64 = 8;
/// More tables than any head has.
const TABLES: usize = 64;
/// The same while a long journal is scanned, when tables are written and none is asked.
const RATIO_SCANNING: u64 = 2;
/// More bytes than any head has.
const AT_MOST: u64 = 1 << 20;
/// The version of this layout: a head of another one is ignored.
const VERSION: u32 = 1;

/// What the head says.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The digest of the genesis file, where the chain begins.
    pub(crate) genesis: Digest,
    pub(crate) cursor: Cursor,
    /// True if `execution_complete` was counted.
    pub(crate) closed: bool,
    /// Tables, the oldest and largest first.
    pub(crate) tables: Vec<TableInfo>,
    /// Entries since the newest table, sorted.
    pub(crate) recent: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    genesis: Digest,
    offset: u64,
    seq: u64,
    last_hash: Digest,
    closed: bool,
    tables: Vec<TableInfo>,
    /// The digest of the entries behind this line.
    recent: Digest,
}

impl Head {
    /// A head of nothing, at the start of a journal.
    pub(crate) fn start(cursor: Cursor) -> Self {
        Self { genesis: cursor.hash, cursor, closed: false, tables: vec![], recent: vec![] }
    }

    /// The head of this journal, which is `len` bytes long, if there is one that fits it.
    pub(crate) fn read(dir: &Dir, journal: &AppendFile, len: u64, genesis: Digest) -> Option<Self> {
        let mut bytes = Vec::new();
        dir.open_read(layout::HEAD).ok()?.read_at(0, AT_MOST, &mut bytes).ok()?;
        let head = Self::parse(&bytes)?;
        let fits = head.genesis == genesis && head.cursor.seq > 0 && head.cursor.offset <= len;
        (fits && head.cursor.fits(journal).ok()?).then_some(head)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (line, entries) = bytes.split_at_checked(end + 1)?;
        let sealed = line::open(line)?;
        if Digest::of(sealed.body) != sealed.hash {
            return None;
        }
        let head: Line = serde_json::from_slice(line).ok()?;
        if head.version != VERSION || Digest::of(entries) != head.recent {
            return None;
        }
        if head.tables.len() > TABLES || !head.tables.iter().all(TableInfo::is_sound) {
            return None;
        }
        let recent: Option<_> = entries.chunks(ENTRY).map(Entry::from_bytes).collect();
        Some(Self {
            genesis: head.genesis,
            cursor: Cursor { offset: head.offset, seq: head.seq, hash: head.last_hash },
            closed: head.closed,
            tables: head.tables,
            recent: recent?,
        })
    }

    /// Takes in entries (sorted, each name once) that stand behind its cursor: in itself while there are
    /// no more than `at_most`, in a new table otherwise.
    pub(crate) fn take_in(
        &mut self,
        dir: &Dir,
        entries: &[Entry],
        at_most: usize,
    ) -> Result<(), IoError> {
        let recent = merged(&self.recent, entries);
        if let Some(entry) = recent.iter().find(|entry| !entry.place.fits()) {
            let reason = format!("a head has no room for the offset {}", entry.place.offset);
            let path = dir.path().join(layout::HEAD);
            return Err(IoError::new("write", &path, std::io::Error::other(reason)));
        }
        if recent.len() <= at_most {
            self.recent = recent;
            return Ok(());
        }
        let ratio = if at_most == 0 { RATIO_SCANNING } else { RATIO };
        let mut count = recent.len() as u64;
        let mut keep = self.tables.len();
        for table in self.tables.iter().rev() {
            if table.entries >= ratio * count {
                break;
            }
            count += table.entries;
            keep -= 1;
        }
        let newest = self.tables.get(keep..).unwrap_or_default();
        let table = table::merge(dir, &recent, newest)?;
        self.tables.truncate(keep);
        self.tables.push(table);
        self.recent.clear();
        Ok(())
    }

    /// Writes the head in place of the one before; nothing is synced.
    pub(crate) fn write(&self, dir: &Dir) -> Result<(), IoError> {
        let entries: Vec<u8> = self.recent.iter().flat_map(|entry| entry.to_bytes()).collect();
        let line = Line {
            version: VERSION,
            genesis: self.genesis,
            offset: self.cursor.offset,
            seq: self.cursor.seq,
            last_hash: self.cursor.hash,
            closed: self.closed,
            tables: self.tables.clone(),
            recent: Digest::of(&entries),
        };
        let fail = |error| IoError::new("write", &dir.path().join(layout::HEAD), error);
        let json = serde_json::to_string(&line).map_err(|error| fail(error.into()))?;
        let (mut bytes, _) = line::seal(&json, Digest::of);
        bytes.extend_from_slice(&entries);
        // Named as a table that no head names, so that one which a crash leaves is removed with those;
        // the id is not an injected one, which may repeat and be that of a table.
        let temporary = layout::head_table(Uuid::now_v7());
        let mut file = dir.create_new(&temporary)?;
        let replaced = file.write(&bytes).and_then(|()| dir.rename(&temporary, dir, layout::HEAD));
        if replaced.is_err() {
            let _ = dir.remove_file(&temporary);
        }
        replaced
    }

    /// Removes the tables that it does not name: those of heads before it, and what crashes left.
    pub(crate) fn remove_others(&self, dir: &Dir) -> Result<(), IoError> {
        let named: Vec<String> =
            self.tables.iter().map(|table| layout::head_table(table.id)).collect();
        for (path, _) in dir.list("")? {
            let id = path.strip_prefix(layout::HEAD).and_then(|rest| rest.strip_prefix('.'));
            let is_table = id.is_some_and(|id| Uuid::try_parse(id).is_ok());
            if is_table && !named.contains(&path) {
                // One that stays is in nobody's way.
                let _ = dir.remove_file(&path);
            }
        }
        Ok(())
    }
}

/// Two sorted lists as one; of two entries of one name the one that stands.
fn merged(a: &[Entry], b: &[Entry]) -> Vec<Entry> {
    let mut all = [a, b].concat();
    all.sort_by_key(|entry| entry.name);
    all.dedup_by(|next, kept| {
        let same = next.name == kept.name;
        if same {
            *kept = kept.or(*next);
        }
        same
    });
    all
}
