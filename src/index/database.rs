//! One SQLite database: opening it, and whether it is ours.

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::place::Place;
use super::{IndexError, schema};
use crate::io::{Dir, Entry};

/// An open database of an index.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    pub(super) path: Utf8PathBuf,
}

/// How long SQLite waits for another connection, in milliseconds.
const PATIENCE: u32 = 30_000;
/// Prepared statements that are kept.
const STATEMENTS: usize = 256;

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
                 PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536;",
            )
            .map_err(&fail)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
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
        let database = Self::open(place.current()?, flags)?;
        let fail = IndexError::sqlite("open", &database.path);
        database
            .connection
            .execute_batch("PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;")
            .map_err(fail)?;
        Ok(database)
    }

    /// The one that holds, for reading.
    pub(super) fn open_readable(place: &Place) -> Result<Self, IndexError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut tries = 0;
        loop {
            let path = place.current()?;
            match Self::open(path.clone(), flags) {
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

    fn open(path: Utf8PathBuf, flags: OpenFlags) -> Result<Self, IndexError> {
        if look_at(&path).is_none() {
            return Err(IndexError::Damaged { path, reason: "it is not there".into() });
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
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let database = Self { connection, path };
        let found = database.schema()?;
        let known = schema::version();
        if found == known {
            Ok(database)
        } else {
            Err(IndexError::OtherSchema { path: database.path, found, known })
        }
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
