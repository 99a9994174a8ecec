//! One SQLite database: opening it, and whether it is ours.

use std::collections::HashSet;

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::place::Place;
use super::{IndexError, schema};
use crate::error::IoError;
use crate::io::{Dir, Entry, ReadFile};

/// An open database of an index.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) path: Utf8PathBuf,
}

/// How long SQLite waits for another connection, in milliseconds.
const PATIENCE: u32 = 30_000;
/// Where a database's header has the version that a reader has to know: 2 for WAL.
const READ_VERSION: u64 = 19;
/// Prepared statements that are kept.
const STATEMENTS: usize = 256;
/// KiB of pages that a connection keeps, at most; it also sorts in as much, and beyond that in files of its own.
const CACHE: u32 = 32 << 10;

impl Database {
    /// A new one, without its indexes and with nothing that protects it: it counts once it is whole.
    pub(super) fn create(path: &Utf8Path) -> Result<Self, IndexError> {
        let fail = IndexError::sqlite("make", path);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(&fail)?;
        connection
            .execute_batch(
                "PRAGMA page_size = 8192; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; \
                 PRAGMA locking_mode = EXCLUSIVE;",
            )
            .map_err(&fail)?;
        keep_in_memory(&connection).map_err(&fail)?;
        let database = Self { connection, path: path.to_owned() };
        for statement in schema::tables() {
            database.connection.execute(&statement, []).map_err(&fail)?;
        }
        database
            .run("INSERT INTO t_meta (name, value) VALUES ('schema', $1)", [schema::version()])?;
        Ok(database)
    }

    /// Makes what is better made once all rows are there, and readies it for readers.
    pub(super) fn finish(self, place: &Place) -> Result<(), IndexError> {
        let fail = IndexError::sqlite("finish", &self.path);
        for statement in schema::indexes().chain(schema::views()) {
            self.connection.execute(&statement, []).map_err(&fail)?;
        }
        let mode = if place.on_network { "DELETE" } else { "WAL" };
        self.connection
            .execute_batch(&format!(
                "PRAGMA analysis_limit = 400; ANALYZE; PRAGMA locking_mode = NORMAL; \
                 PRAGMA synchronous = FULL; PRAGMA journal_mode = {mode};"
            ))
            .map_err(&fail)?;
        self.connection.close().map_err(|(_, error)| fail(error))
    }

    /// The one that holds, to be written to by whoever has the lock.
    pub(super) fn open_writable(place: &Place) -> Result<Self, IndexError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let database = Self::open(place, place.current()?, flags)?;
        let fail = IndexError::sqlite("open", &database.path);
        database.connection.execute_batch("PRAGMA synchronous = NORMAL;").map_err(fail)?;
        Ok(database)
    }

    /// The one that holds, for reading.
    pub(super) fn open_readable(place: &Place) -> Result<Self, IndexError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut tries = 0;
        loop {
            let path = place.current()?;
            match Self::open(place, path.clone(), flags) {
                // Replaced since we read its name.
                Err(_) if tries < 10 && look_at(&path).is_none() => tries += 1,
                Err(IndexError::Sqlite { .. }) if !has_log(&path) => {
                    // SQLite shares memory through a file, and may not be able to make one here.
                    let flags = flags | OpenFlags::SQLITE_OPEN_URI;
                    let uri = format!("file:{}?immutable=1", escaped(&path));
                    return Self::open_named(&uri, path, flags);
                }
                other => return other,
            }
        }
    }

    fn open(place: &Place, path: Utf8PathBuf, flags: OpenFlags) -> Result<Self, IndexError> {
        if look_at(&path).is_none() {
            return Err(IndexError::Damaged { path, reason: "it is not there".into() });
        }
        // Before SQLite sees it, which would share memory at once.
        if place.on_network && shares_memory(&path)? {
            let reason = "it was made for a disk of one machine, and is on a network disk";
            return Err(IndexError::Damaged { path, reason: reason.into() });
        }
        let name = path.to_string();
        Self::open_named(&name, path, flags)
    }

    fn open_named(name: &str, path: Utf8PathBuf, flags: OpenFlags) -> Result<Self, IndexError> {
        let fail = IndexError::sqlite("open", &path);
        let connection = Connection::open_with_flags(name, flags).map_err(&fail)?;
        connection
            .busy_timeout(std::time::Duration::from_millis(PATIENCE.into()))
            .map_err(&fail)?;
        keep_in_memory(&connection).map_err(&fail)?;
        let database = Self { connection, path };
        let found = database.schema()?;
        let known = schema::version();
        if found != known {
            return Err(IndexError::OtherSchema { path: database.path, found, known });
        }
        database.is_as_made()?;
        Ok(database)
    }

    /// Whether all that the schema makes is there, as it makes it: what it says of itself may be all that
    /// still holds.
    fn is_as_made(&self) -> Result<(), IndexError> {
        let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL";
        let made = || -> rusqlite::Result<HashSet<String>> {
            self.connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
        };
        let made = made().map_err(IndexError::sqlite("open", &self.path))?;
        let Some(other) = schema::all().find(|statement| !made.contains(statement)) else {
            return Ok(());
        };
        let what = other.split_whitespace().take_while(|word| !word.starts_with('('));
        let what = what.take_while(|word| !["ON", "AS"].contains(word)).skip(1);
        let reason = format!("its {} is not as it was made", what.collect::<Vec<_>>().join(" "));
        Err(IndexError::Damaged { path: self.path.clone(), reason })
    }

    fn schema(&self) -> Result<String, IndexError> {
        let damaged = |reason: String| IndexError::Damaged { path: self.path.clone(), reason };
        let found = self
            .connection
            .query_row("SELECT value FROM t_meta WHERE name = 'schema'", [], |row| row.get(0))
            .optional();
        match found {
            Ok(Some(version)) => Ok(version),
            Ok(None) => Err(damaged("it does not say what its schema is".into())),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::Unknown) => {
                Err(damaged(error.to_string()))
            }
            Err(error) => Err(IndexError::sqlite("open", &self.path)(error)),
        }
    }

    /// Runs one statement.
    pub(super) fn run(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<usize, IndexError> {
        let run = || self.connection.prepare_cached(sql)?.execute(values);
        run().map_err(IndexError::sqlite("write to", &self.path))
    }
}

/// Says how much a connection may keep.
fn keep_in_memory(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.execute_batch(&format!("PRAGMA cache_size = -{CACHE};"))
}

/// True if its header says that those who have it open share memory (WAL).
fn shares_memory(path: &Utf8Path) -> Result<bool, IoError> {
    let Some(mut file) = ReadFile::anywhere(path)? else { return Ok(false) };
    let mut version = Vec::new();
    file.read_at(READ_VERSION, 1, &mut version)?;
    Ok(version == [2])
}

/// True if changes wait beside the database.
fn has_log(path: &Utf8Path) -> bool {
    look_at(&Utf8PathBuf::from(format!("{path}-wal"))).is_some_and(|log| log.size > 0)
}

/// What stands at a path, if one can tell.
fn look_at(path: &Utf8Path) -> Option<Entry> {
    Dir::open(path.parent()?).ok()?.stat(path.file_name()?).ok()?
}

/// A path within a URI.
fn escaped(path: &Utf8Path) -> String {
    path.as_str().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Index;
    use crate::workspace::Workspace;

    fn mode(index: &Index) -> String {
        let database = Database::open_writable(&index.place).unwrap();
        database.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap()
    }

    /// WAL shares memory, which machines do not.
    #[test]
    fn no_index_on_a_network_disk_shares_memory() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
        let workspace = Workspace::create(root).unwrap();
        let mut index = Index::of(&workspace);
        index.place.on_network = false;
        index.rebuild().unwrap();
        assert_eq!(mode(&index), "wal");

        index.place.on_network = true;
        assert!(matches!(index.open(), Err(IndexError::Damaged { .. })));
        assert!(matches!(Database::open_writable(&index.place), Err(IndexError::Damaged { .. })));
        assert!(index.refresh().unwrap().anew_because.is_some());
        assert_eq!(mode(&index), "delete");
        assert_eq!(index.refresh().unwrap().anew_because, None);
        index.open().unwrap();
        assert_eq!(index.verify(&mut |_| {}, &mut |_| {}).unwrap(), 0);
        assert_eq!(mode(&index), "delete");
    }
}
