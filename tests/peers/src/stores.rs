//! Stores that keep lines by their number, as SQLite's table of lines does, and a write-ahead log. Each is opened with
//! its defaults; what is returned writes the line of a number, in a transaction of its own, and may be called by many threads.

use camino::Utf8Path;
use fjall::{KeyspaceCreateOptions, PersistMode};
use okaywal::{LogVoid, WriteAheadLog};
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};
use runjournal::Durability;

use crate::Result;
use crate::call::PlainRecord;
use crate::measure::expect;

/// Lines that are there before the first that is timed, as with SQLite.
const BEFORE: u64 = 2000;

const REDB: &str = "lines.redb";
const FJALL: &str = "lines.fjall";

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
    let log = WriteAheadLog::recover(dir.join("lines.wal"), LogVoid)?;
    Ok(move |number| {
        let mut entry = log.begin_entry()?;
        entry.write_chunk(PlainRecord::new(number).line()?.as_bytes())?;
        entry.commit()?;
        Ok(())
    })
}
