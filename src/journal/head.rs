//! The head: a cache that makes opening a long journal cheap.
//!
//! `journal/.head` says what the journal adds up to as far as its cursor: one line that ends as a record
//! does, then the entries since the newest table (24 bytes each, sorted), whose digest the line has. Older
//! entries are in tables, files beside it. All of it can be deleted at any moment. It is believed only
//! where it is of this genesis file, and the line that ends at its cursor ends with the hash that it
//! names, which no other history has there.
//!
//! The file has two halves of a fixed size. A head of the same tables is written over the older half,
//! which costs a tenth of a rename; whatever becomes of that write, the newer half is as it was.

pub(crate) mod entry;
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed;
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
use crate::planted::Bug;
use crate::{layout, line};

/// How many times larger a table is than the next newer one, at least: with every new table those
/// before it are merged into it until that holds. So there are few to look into, and an entry is
/// written again a number of times that grows with the logarithm of the journal.
const RATIO: u64 = 8;
/// More tables than any head has.
const TABLES: usize = 40;
/// The same while a long journal is scanned, when tables are written and none is asked.
const RATIO_SCANNING: u64 = 2;
/// Bytes of a half: a line that names as many tables, and 128 entries, have room in it.
const HALF: usize = 8 << 10;
/// The version of this layout: a head of another one is ignored.
const VERSION: u32 = 2;

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

/// The half of the file that a head was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Half(usize);

#[derive(Serialize, Deserialize)]
struct Line {
    /// The first member: it says which half is the newer one, before either is taken apart.
    offset: u64,
    version: u32,
    genesis: Digest,
    seq: u64,
    last_hash: Digest,
    closed: bool,
    tables: Vec<TableInfo>,
    /// How many entries are behind this line.
    entries: usize,
    /// Their digest.
    recent: Digest,
}

impl Head {
    /// A head of nothing, at the start of a journal.
    pub(crate) fn start(cursor: Cursor) -> Self {
        Self { genesis: cursor.hash, cursor, closed: false, tables: vec![], recent: vec![] }
    }

    /// The newest head of this journal, which is `len` bytes long, of those that fit it.
    pub(crate) fn read(
        dir: &Dir,
        journal: &AppendFile,
        len: u64,
        genesis: Digest,
    ) -> Option<(Self, Half)> {
        let mut bytes = Vec::new();
        dir.open_sealed(layout::HEAD).ok()?.read_at(0, 2 * HALF as u64, &mut bytes).ok()?;
        let mut halves: Vec<_> = bytes.chunks(HALF).enumerate().collect();
        halves.sort_by_key(|(_, half)| std::cmp::Reverse(claimed_offset(half)));
        halves.into_iter().find_map(|(number, half)| {
            let head = Self::parse(half)?;
            let fits = head.genesis == genesis && head.cursor.seq > 0 && head.cursor.offset <= len;
            let fits = fits && (head.cursor.fits(journal).ok()? || Bug::HeadUnchecked.is_planted());
            fits.then_some((head, Half(number)))
        })
    }

    /// Where the heads of this journal say that a record ends, whether it does or not.
    pub(crate) fn claims(dir: &Dir, genesis: Digest) -> Result<Vec<Cursor>, IoError> {
        let mut bytes = Vec::new();
        match dir.open_read(layout::HEAD) {
            Ok(mut file) => file.read_at(0, 2 * HALF as u64, &mut bytes)?,
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        let heads = bytes.chunks(HALF).filter_map(Self::parse);
        let own = heads.filter(|head| head.genesis == genesis && head.cursor.seq > 0);
        Ok(own.map(|head| head.cursor).collect())
    }

    fn parse(half: &[u8]) -> Option<Self> {
        let end = memchr::memchr(b'\n', half)?;
        let (line, behind) = half.split_at_checked(end + 1)?;
        let sealed = line::open(line)?;
        if Digest::of(sealed.body) != sealed.hash {
            return None;
        }
        let head: Line = serde_json::from_slice(line).ok()?;
        let entries = behind.get(..head.entries.checked_mul(ENTRY)?)?;
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

    /// The bytes of a half that says this.
    fn half(&self, dir: &Dir) -> Result<Vec<u8>, IoError> {
        let entries: Vec<u8> = self.recent.iter().flat_map(|entry| entry.to_bytes()).collect();
        let line = Line {
            offset: self.cursor.offset,
            version: VERSION,
            genesis: self.genesis,
            seq: self.cursor.seq,
            last_hash: self.cursor.hash,
            closed: self.closed,
            tables: self.tables.clone(),
            entries: self.recent.len(),
            recent: Digest::of(&entries),
        };
        let fail = |error| IoError::new("write", &dir.path().join(layout::HEAD), error);
        let json = serde_json::to_string(&line).map_err(|error| fail(error.into()))?;
        let (mut bytes, _) = line::seal(&json, Digest::of);
        bytes.extend_from_slice(&entries);
        if bytes.len() > HALF {
            return Err(fail(std::io::Error::other("it has no room in half of its file")));
        }
        Ok(bytes)
    }

    /// Writes the head beside the one that was read from a half of the file and names the same tables;
    /// nothing is synced. Nobody else writes meanwhile: the caller holds the lock since it was read.
    pub(crate) fn write_beside(&self, dir: &Dir, read: Half) -> Result<(), IoError> {
        let other = if read == Half(0) { HALF } else { 0 };
        dir.overwrite(layout::HEAD, other as u64, &self.half(dir)?)
    }

    /// Writes the head in place of the whole file; nothing is synced. Tables that it does not name are
    /// removed.
    pub(crate) fn replace(&self, dir: &Dir) -> Result<(), IoError> {
        let bytes = self.half(dir)?;
        // Named as a table that no head names, so that one which a crash leaves is removed with those;
        // the id is not an injected one, which may repeat and be that of a table.
        let temporary = layout::head_table(Uuid::now_v7());
        let mut file = dir.create_new(&temporary)?;
        let replaced = file.write(&bytes).and_then(|()| dir.rename(&temporary, dir, layout::HEAD));
        if replaced.is_err() {
            let _ = dir.remove_file(&temporary);
        }
        replaced?;
        self.remove_others(dir)
    }

    /// Removes the tables that it does not name: those of heads before it, and what crashes left.
    fn remove_others(&self, dir: &Dir) -> Result<(), IoError> {
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

/// The offset that a half says it stands at, before anything of it is checked.
fn claimed_offset(half: &[u8]) -> u64 {
    let digits = half.strip_prefix(b"{\"offset\":").unwrap_or_default().iter();
    let digits = digits.map_while(|byte| char::from(*byte).to_digit(10)).take(18);
    digits.fold(0, |offset, digit| offset * 10 + u64::from(digit))
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
