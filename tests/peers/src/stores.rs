//! Stores that keep lines by their number, as SQLite's table of lines does, and a write-ahead log. Each is opened with
//! its defaults; what is returned writes the line of a number, in a transaction of its own, and may be called by many threads.

use std::io;
use std::sync::{Arc, Mutex};

use camino::Utf8Path;
use fjall::{KeyspaceCreateOptions, PersistMode};
use okaywal::{Entry, EntryId, LogManager, LogVoid, ReadChunkResult, SegmentReader, WriteAheadLog};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use runjournal::Durability;

use crate::Result;
use crate::call::{LINE, PlainRecord};
use crate::measure::expect;

/// Lines that are there before the first that is timed, as with SQLite.
const BEFORE: u64 = 2000;

const REDB: &str = "lines.redb";
const FJALL: &str = "lines.fjall";
const OKAYWAL: &str = "lines.wal";

const TABLE: TableDefinition<'_, u64, &str> = TableDefinition::new("lines");

/// redb: `Immediate` is on the disk when the call returns. What is buffered, `None`, stays in the memory of the process, and is
/// lost when that is killed, which is less than ours promises; redb has nothing between.
pub(crate) fn redb(
    dir: &Utf8Path,
    durability: Durability,
) -> Result<impl Fn(u64) -> Result<()> + Sync + use<>> {
    let database = Database::create(dir.join(REDB))?;
    let insert = move |numbers: std::ops::Range<u64>, durability| -> Result<()> {
        let mut transaction = database.begin_write()?;
        transaction.set_durability(durability)?;
        let mut table = transaction.open_table(TABLE)?;
        for number in numbers {
            let record = PlainRecord::new(number);
            table.insert(record.seq, record.line()?.as_str())?;
        }
        drop(table);
        Ok(transaction.commit()?)
    };
    insert(0..BEFORE, redb::Durability::Immediate)?;
    let durability = match durability {
        Durability::Durable => redb::Durability::Immediate,
        _ => redb::Durability::None,
    };
    Ok(move |number| insert(BEFORE + number..BEFORE + number + 1, durability))
}

/// Looks whether all lines are there. What is not durable was kept in memory, which was not killed: it is there as well.
pub(crate) fn in_redb(dir: &Utf8Path, lines: u64) -> Result<()> {
    let table = Database::create(dir.join(REDB))?.begin_read()?.open_table(TABLE)?;
    expect("lines", table.len()?, BEFORE + lines)
}

/// fjall: each insert is handed to the system, and where it is to be durable, `persist` calls fdatasync.
pub(crate) fn fjall(
    dir: &Utf8Path,
    durability: Durability,
) -> Result<impl Fn(u64) -> Result<()> + Sync + use<>> {
    let database = fjall::Database::builder(dir.join(FJALL)).open()?;
    let lines = database.keyspace("lines", KeyspaceCreateOptions::default)?;
    let insert = move |number| -> Result<()> {
        let record = PlainRecord::new(number);
        Ok(lines.insert(record.seq.to_be_bytes(), record.line()?)?)
    };
    (0..BEFORE).try_for_each(&insert)?;
    Ok(move |number| {
        insert(BEFORE + number)?;
        match durability {
            Durability::Durable => Ok(database.persist(PersistMode::SyncData)?),
            _ => Ok(()),
        }
    })
}

/// Looks whether all lines are there.
pub(crate) fn in_fjall(dir: &Utf8Path, lines: u64) -> Result<()> {
    let database = fjall::Database::builder(dir.join(FJALL)).open()?;
    let found = database.keyspace("lines", KeyspaceCreateOptions::default)?.len()?;
    expect("lines", found as u64, BEFORE + lines)
}

/// okaywal: an entry of one chunk a line, on the disk when `commit` returns; threads share syncs. Its files are made in
/// their full size and used again: what was in them is thrown away here, where a user would first copy it elsewhere.
pub(crate) fn okaywal(dir: &Utf8Path) -> Result<impl Fn(u64) -> Result<()> + Sync + use<>> {
    let log = WriteAheadLog::recover(dir.join(OKAYWAL), LogVoid)?;
    Ok(move |number| {
        let mut entry = log.begin_entry()?;
        entry.write_chunk(PlainRecord::new(number).line()?.as_bytes())?;
        entry.commit()?;
        Ok(())
    })
}

/// Looks whether all lines are there: each entry has the next number, and those that were not thrown away are read.
pub(crate) fn in_okaywal(dir: &Utf8Path, lines: u64) -> Result<()> {
    let found = Arc::new(Mutex::new(Found::default()));
    drop(WriteAheadLog::recover(dir.join(OKAYWAL), Reading(Arc::clone(&found)))?);
    let found = found.lock().map_err(|_| "a reader panicked")?;
    expect("entries of a line", found.lines, found.last + 1 - found.first)?;
    expect("for the last entry", found.last, lines)
}

/// The entries of a log that is opened again.
#[derive(Debug, Default)]
struct Found {
    first: u64,
    last: u64,
    lines: u64,
}

#[derive(Debug)]
struct Reading(Arc<Mutex<Found>>);

impl LogManager for Reading {
    fn recover(&mut self, entry: &mut Entry<'_>) -> io::Result<()> {
        let mut lines = 0;
        while let ReadChunkResult::Chunk(mut chunk) = entry.read_chunk()? {
            lines += u64::from(chunk.read_all()?.len() == LINE && chunk.check_crc()?);
        }
        let mut found = self.0.lock().map_err(|_| io::Error::other("a reader panicked"))?;
        found.lines += lines;
        found.last = entry.id().0;
        if found.first == 0 {
            found.first = found.last;
        }
        Ok(())
    }

    fn checkpoint_to(
        &mut self,
        _last: EntryId,
        _entries: &mut SegmentReader,
        _log: &WriteAheadLog,
    ) -> io::Result<()> {
        Ok(())
    }
}
