//! A table of the head: names to places in the journal, written once and probed in place.
//!
//! A table is never changed after it was written. A block whose checksum fits the table's id and the
//! block's number is the block that was written, whatever was copied, restored, swapped or cut off in
//! between; any other is an error, and the head is then built anew from the journal.
//!
//! A table is `blocks` times 4 KiB. The blocks divide the range of all names evenly, so a name can be
//! in one block only. A block: 16 bytes of BLAKE3 of the block with the table's id in their place; the
//! block's number (8 bytes); the number of entries (2); the entries, sorted (16 bytes of name, 8 of
//! place); zeros. Numbers are little-endian, names big-endian.

use std::collections::{HashMap, hash_map};
use std::ops::Range;

use uuid::Uuid;

use crate::error::IoError;
use crate::io::{Dir, NewFile, ReadFile};
use crate::journal::head::entry::{ENTRY, Entry, Name, Place};
use crate::layout;
use crate::planted::Bug;

pub(super) const BLOCK: usize = 4096;
const BLOCK_BYTES: u64 = BLOCK as u64;
/// Blocks that are read, or written, at once while tables are merged.
const BLOCKS_AT_ONCE: u64 = 64;
const AT_ONCE: usize = 64 * BLOCK;
const CHECKSUM: usize = 16;
const START: usize = CHECKSUM + 8 + 2;
const CAPACITY: usize = (BLOCK - START) / ENTRY;
/// Entries that a block has on average: so few that hardly ever one overflows.
const FILL: u64 = 96;
/// Blocks of a table that are kept in memory: 1 MiB.
const KEPT: usize = 256;
/// How many times as many blocks may be tried where one overflows.
const MOST_TRIES: u64 = 16;

/// What the head says of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct TableInfo {
    pub(crate) id: Uuid,
    pub(crate) blocks: u64,
    pub(crate) entries: u64,
}

impl TableInfo {
    /// False for what no writer writes; numbers that are added and multiplied stay small.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { blocks, entries, .. } = *self;
        (1..1 << 40).contains(&blocks) && entries <= blocks * CAPACITY as u64
    }
}

/// A table, opened when it is first asked.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) info: TableInfo,
    file: Option<ReadFile>,
    /// Blocks that were read, and whose checksum was seen to fit.
    blocks: HashMap<u64, Vec<u8>>,
}

impl Table {
    pub(crate) fn new(info: TableInfo) -> Self {
        Self { info, file: None, blocks: HashMap::new() }
    }

    /// The place of a name, if the table has it.
    pub(crate) fn find(&mut self, dir: &Dir, name: Name) -> Result<Option<Place>, IoError> {
        let entries = self.read(dir, name.block(self.info.blocks))?;
        let (mut low, mut high) = (0, entries.len() / ENTRY);
        while low < high {
            let middle = usize::midpoint(low, high);
            let bytes = entries.get(middle * ENTRY..(middle + 1) * ENTRY).unwrap_or_default();
            let Some(entry) = Entry::from_bytes(bytes) else { break };
            match entry.name.cmp(&name) {
                std::cmp::Ordering::Equal => return Ok(Some(entry.place)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The entries of a block, once its checksum was seen to fit.
    fn read(&mut self, dir: &Dir, number: u64) -> Result<&[u8], IoError> {
        if self.blocks.len() >= KEPT && !self.blocks.contains_key(&number) {
            self.blocks.clear();
        }
        let block = match self.blocks.entry(number) {
            hash_map::Entry::Occupied(kept) => kept.into_mut(),
            hash_map::Entry::Vacant(free) => {
                free.insert(read_blocks(&mut self.file, dir, self.info.id, number..number + 1)?)
            }
        };
        Ok(entries(block).unwrap_or_default())
    }
}

/// Blocks of a table, once the checksum of each was seen to fit.
fn read_blocks(
    file: &mut Option<ReadFile>,
    dir: &Dir,
    id: Uuid,
    numbers: Range<u64>,
) -> Result<Vec<u8>, IoError> {
    let file = match file {
        Some(file) => file,
        none => none.insert(dir.open_sealed(&layout::head_table(id))?),
    };
    let count = numbers.end - numbers.start;
    let mut blocks = Vec::new();
    file.read_at(numbers.start * BLOCK_BYTES, count * BLOCK_BYTES, &mut blocks)?;
    let whole = blocks.chunks_mut(BLOCK).zip(numbers).all(|(block, n)| is_whole(block, id, n));
    if whole && blocks.len() as u64 == count * BLOCK_BYTES {
        return Ok(blocks);
    }
    let source = std::io::Error::other("it is not what was written");
    Err(IoError::new("read", file.path(), source))
}

/// Checks a block; the id takes the place of its checksum.
fn is_whole(block: &mut [u8], id: Uuid, number: u64) -> bool {
    let Some((sum, rest)) = block.split_first_chunk_mut::<CHECKSUM>() else { return false };
    let sum = std::mem::replace(sum, id.into_bytes());
    let same_number = rest.starts_with(&number.to_le_bytes());
    let is_right = sum == checksum(block) || Bug::TableUnchecked.is_planted();
    same_number && block.len() == BLOCK && is_right
}

fn entries(block: &[u8]) -> Option<&[u8]> {
    let (count, entries) = block.get(START - 2..)?.split_first_chunk::<2>()?;
    entries.get(..usize::from(u16::from_le_bytes(*count)) * ENTRY)
}

/// The checksum of a block that begins with the id of its table: of one piece of four times a
/// kilobyte, which BLAKE3 hashes at the same time.
fn checksum(block: &[u8]) -> [u8; CHECKSUM] {
    blake3::hash(block).as_bytes().first_chunk().copied().unwrap_or_default()
}

/// A block with this content behind its number, and a checksum that fits.
#[cfg(runjournal_proof)]
pub(super) fn sealed_block(id: Uuid, number: u64, content: &[u8]) -> Vec<u8> {
    let mut block = [&id.into_bytes()[..], &number.to_le_bytes(), content].concat();
    block.resize(BLOCK, 0);
    let sum = checksum(&block);
    block.splice(..CHECKSUM, sum);
    block
}

/// Sorted entries being merged: those of a table, some blocks at a time, or some in memory.
struct Source {
    table: Option<(Table, u64)>,
    ready: std::vec::IntoIter<Entry>,
}

impl Source {
    fn new(table: Option<Table>, ready: Vec<Entry>) -> Self {
        Self { table: table.map(|table| (table, 0)), ready: ready.into_iter() }
    }

    /// The first entry that was not taken.
    fn peek(&mut self, dir: &Dir) -> Result<Option<Entry>, IoError> {
        while self.ready.as_slice().is_empty() {
            let Some((table, next)) = &mut self.table else { return Ok(None) };
            if *next == table.info.blocks {
                return Ok(None);
            }
            let end = table.info.blocks.min(*next + BLOCKS_AT_ONCE);
            let blocks = read_blocks(&mut table.file, dir, table.info.id, *next..end)?;
            let blocks = blocks.chunks_exact(BLOCK).filter_map(entries);
            let entries = blocks.flat_map(|block| block.chunks_exact(ENTRY));
            self.ready = entries.filter_map(Entry::from_bytes).collect::<Vec<_>>().into_iter();
            *next = end;
        }
        Ok(self.ready.as_slice().first().copied())
    }
}

/// Writes a new table of the entries of some tables and of `recent` (sorted, each name once), in flat
/// memory. The old tables stay as they are.
pub(crate) fn merge(
    dir: &Dir,
    recent: &[Entry],
    tables: &[TableInfo],
) -> Result<TableInfo, IoError> {
    let at_most = recent.len() as u64 + tables.iter().map(|table| table.entries).sum::<u64>();
    let first = at_most.div_ceil(FILL).max(1);
    let mut blocks = first;
    loop {
        let mut sources = vec![Source::new(None, recent.to_vec())];
        sources.extend(tables.iter().map(|info| Source::new(Some(Table::new(*info)), Vec::new())));
        // Not from the injected ids, which may repeat: the checksum of a block tells a table from the one
        // that was written before it only because no two have the same id.
        let id = Uuid::now_v7();
        let mut written =
            Writer::create(dir, id, blocks).and_then(|writer| writer.write_all(dir, sources));
        match written {
            Ok(Some(entries)) => return Ok(TableInfo { id, blocks, entries }),
            Ok(None) if blocks < first * MOST_TRIES => blocks *= 2,
            // So unevenly no digests are spread, unless somebody chose them.
            Ok(None) => {
                let path = dir.path().join(layout::head_table(id));
                let source = std::io::Error::other("its names are spread too unevenly");
                written = Err(IoError::new("write", &path, source));
            }
            Err(_) => {}
        }
        // What stays is named by no head, and goes with the next table.
        let _ = dir.remove_file(&layout::head_table(id));
        written?;
    }
}

/// A table on its way to the disk.
struct Writer {
    file: NewFile,
    id: Uuid,
    blocks: u64,
    /// Whole blocks that wait to be written.
    buffer: Vec<u8>,
    block: Vec<Entry>,
    number: u64,
}

impl Writer {
    fn create(dir: &Dir, id: Uuid, blocks: u64) -> Result<Self, IoError> {
        let file = dir.create_new(&layout::head_table(id))?;
        Ok(Self { file, id, blocks, buffer: Vec::new(), block: Vec::new(), number: 0 })
    }

    /// The number of entries; `None` where a block overflowed.
    fn write_all(mut self, dir: &Dir, mut sources: Vec<Source>) -> Result<Option<u64>, IoError> {
        let mut entries = 0;
        loop {
            let mut least: Option<Entry> = None;
            for source in &mut sources {
                match (source.peek(dir)?, least) {
                    (Some(entry), Some(other)) if entry.name == other.name => {
                        least = Some(other.or(entry));
                    }
                    (Some(entry), None) => least = Some(entry),
                    (Some(entry), Some(other)) if entry.name < other.name => least = Some(entry),
                    _ => {}
                }
            }
            let Some(entry) = least else { break };
            for source in &mut sources {
                if source.ready.as_slice().first().is_some_and(|first| first.name == entry.name) {
                    source.ready.next();
                }
            }
            if !self.push(entry)? {
                return Ok(None);
            }
            entries += 1;
        }
        while self.number < self.blocks {
            self.end_block()?;
        }
        self.file.write(&self.buffer)?;
        Ok(Some(entries))
    }

    fn push(&mut self, entry: Entry) -> Result<bool, IoError> {
        while self.number < entry.name.block(self.blocks) {
            self.end_block()?;
        }
        self.block.push(entry);
        Ok(self.block.len() <= CAPACITY)
    }

    fn end_block(&mut self) -> Result<(), IoError> {
        let mut block = Vec::with_capacity(BLOCK);
        let count = u16::try_from(self.block.len()).unwrap_or(u16::MAX);
        block.extend_from_slice(self.id.as_bytes());
        block.extend_from_slice(&self.number.to_le_bytes());
        block.extend_from_slice(&count.to_le_bytes());
        self.block.drain(..).for_each(|entry| block.extend_from_slice(&entry.to_bytes()));
        block.resize(BLOCK, 0);
        self.buffer.extend_from_slice(&checksum(&block));
        self.buffer.extend_from_slice(block.get(CHECKSUM..).unwrap_or_default());
        self.number += 1;
        if self.buffer.len() >= AT_ONCE {
            self.file.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use camino::Utf8Path;
    use proptest::prelude::*;

    use super::*;

    fn dir() -> (tempfile::TempDir, Dir) {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Dir::open(Utf8Path::from_path(temporary.path()).unwrap()).unwrap();
        (temporary, dir)
    }

    fn name(number: u64) -> Name {
        if number.is_multiple_of(3) {
            Name::key(&number.to_string())
        } else {
            Name::stream("s", &number.to_string())
        }
    }

    /// Sorted entries of these numbers, each name once, at places that grow from `from`.
    fn entries(numbers: impl IntoIterator<Item = u64>, from: u64) -> Vec<Entry> {
        let at = |(n, number)| Entry { name: name(number), place: Place::new(from + n * 100, 77) };
        let all: BTreeMap<Name, Entry> =
            (0_u64..).zip(numbers).map(at).map(|entry| (entry.name, entry)).collect();
        all.into_values().collect()
    }

    fn find(dir: &Dir, info: TableInfo, name: Name) -> Option<Place> {
        Table::new(info).find(dir, name).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
        #[test]
        fn merged_tables_answer_as_a_map_would(
            runs in prop::collection::vec(prop::collection::vec(0..400_u64, 0..300), 1..5),
        ) {
            let (_keep, dir) = dir();
            let mut oracle = BTreeMap::<Name, Place>::new();
            let mut tables = Vec::new();
            for (n, numbers) in (0_u64..).zip(runs) {
                let entries = entries(numbers, n * 1_000_000);
                for entry in &entries {
                    let first = oracle.get(&entry.name).filter(|_| entry.name.first_wins());
                    oracle.insert(entry.name, first.copied().unwrap_or(entry.place));
                }
                tables.push(merge(&dir, &entries, &[]).unwrap());
            }
            let all = merge(&dir, &[], &tables).unwrap();
            prop_assert_eq!(all.entries, oracle.len() as u64);
            for number in 0..450 {
                prop_assert_eq!(find(&dir, all, name(number)), oracle.get(&name(number)).copied());
            }
        }
    }

    #[test]
    fn a_large_table_and_one_whose_blocks_overflow() {
        let (_keep, dir) = dir();
        let many = entries(0..50_000, 0);
        let info = merge(&dir, &many, &[]).unwrap();
        assert_eq!(info.entries, 50_000);
        for number in (0..60_000).step_by(997) {
            assert_eq!(find(&dir, info, name(number)).is_some(), number < 50_000);
        }
        // All in the first of two blocks, and too many for it.
        let close = (0..CAPACITY as u128 + 1).map(|n| Name(n << 119));
        let close: Vec<_> = close.map(|name| Entry { name, place: Place::new(1, 77) }).collect();
        let info = merge(&dir, &close, &[]).unwrap();
        assert!(info.blocks > 2, "{info:?}");
        assert_eq!(find(&dir, info, close[9].name), Some(close[9].place));
    }

    #[test]
    fn a_block_that_is_not_what_was_written_is_an_error() {
        let (_keep, dir) = dir();
        let info = merge(&dir, &entries(0..500, 0), &[]).unwrap();
        let other = merge(&dir, &entries(0..500, 7), &[]).unwrap();
        let path = dir.path().join(layout::head_table(info.id));
        let good = std::fs::read(&path).unwrap();
        let found = (0..500).map(|n| find(&dir, info, name(n)).unwrap()).collect::<Vec<_>>();
        assert_eq!(found.len(), 500);
        let wrong = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            (0..500).any(|n| Table::new(info).find(&dir, name(n)).is_err())
        };
        for at in (0..good.len()).step_by(61) {
            let mut bytes = good.clone();
            bytes[at] ^= 4;
            assert!(wrong(&bytes), "byte {at}");
        }
        assert!(wrong(&good[..good.len() - 1]));
        assert!(wrong(&vec![0; good.len()]));
        assert!(wrong(&std::fs::read(dir.path().join(layout::head_table(other.id))).unwrap()));
        let mut swapped = good.clone();
        swapped.rotate_left(BLOCK);
        assert!(wrong(&swapped));
        assert!(!wrong(&good));
        std::fs::remove_file(&path).unwrap();
        assert!(Table::new(info).find(&dir, name(1)).is_err());
    }
}
