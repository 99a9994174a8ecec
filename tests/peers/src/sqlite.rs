//! SQLite, as its documentation advises for many small transactions: WAL, prepared statements.

use std::sync::Mutex;

use camino::Utf8Path;
use rusqlite::{Connection, params};

use crate::Result;
use crate::call::{LINE, PlainRecord};
use crate::measure::{Contender, expect};

/// What a commit survives: `NORMAL` a killed process, `FULL` a power cut.
#[derive(Clone, Copy)]
pub(crate) enum Sync {
    Normal,
    Full,
}

const FILE: &str = "events.sqlite";

/// A table of lines, the least that holds the same bytes.
const LINES: &str = "CREATE TABLE lines (id INTEGER PRIMARY KEY, line TEXT NOT NULL)";
const INSERT_LINE: &str = "INSERT INTO lines (id, line) VALUES (?1, ?2)";

/// A table that can be asked as a journal can: a column a member, and what keeps the versions of a
/// stream unique.
const EVENTS: &str = "CREATE TABLE events (
    seq INTEGER PRIMARY KEY, event_id TEXT NOT NULL, event_type TEXT NOT NULL, occurred_at TEXT NOT NULL,
    aggregate_kind TEXT NOT NULL, stream_id TEXT NOT NULL, stream_version INTEGER NOT NULL,
    actor_kind TEXT NOT NULL, correlation_id TEXT, payload TEXT, metadata TEXT, hash TEXT NOT NULL);
    CREATE UNIQUE INDEX versions ON events (aggregate_kind, stream_id, stream_version)";
const INSERT_EVENT: &str =
    "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// Transactions before the first that is timed. From then on the write-ahead log is written over and no longer grows,
/// as in any database that is not new, and its checkpoints are part of what is measured.
const BEFORE: u64 = 2000;

/// Inserts the event of a number.
type Insert = fn(&Connection, u64) -> Result<()>;

fn open(dir: &Utf8Path, sync: Sync, schema: &str, insert: Insert) -> Result<Connection> {
    let connection = Connection::open(dir.join(FILE))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    if mode != "wal" {
        return Err(format!("the journal mode is {mode}, not wal").into());
    }
    connection.execute_batch(schema)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    (0..BEFORE).try_for_each(|number| insert(&connection, number))?;
    let level = match sync {
        Sync::Normal => "NORMAL",
        Sync::Full => "FULL",
    };
    connection.pragma_update(None, "synchronous", level)?;
    Ok(connection)
}

fn insert_line(connection: &Connection, number: u64) -> Result<()> {
    let record = PlainRecord::new(number);
    let line = record.line()?;
    debug_assert_eq!(line.len(), LINE);
    connection.prepare_cached(INSERT_LINE)?.execute(params![record.seq as i64, line])?;
    Ok(())
}

fn insert_event(connection: &Connection, number: u64) -> Result<()> {
    let record = PlainRecord::new(number);
    connection.prepare_cached(INSERT_EVENT)?.execute(params![
        record.seq as i64,
        record.event_id,
        record.event_type,
        record.occurred_at,
        record.aggregate_kind,
        record.stream_id,
        record.stream_version as i64,
        record.actor_kind,
        record.correlation_id,
        serde_json::to_string(&record.payload)?,
        None::<String>,
        record.hash,
    ])?;
    Ok(())
}

/// Looks whether the table of that name has a row for each transaction.
fn counted(table: &str, dir: &Utf8Path, transactions: u64) -> Result<()> {
    let connection = Connection::open(dir.join(FILE))?;
    let rows = connection
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))?;
    expect("rows", rows.try_into()?, BEFORE + transactions)
}

/// One line a transaction, as (id, line).
pub(crate) fn lines(name: &'static str, operations: u64, sync: Sync) -> Contender<'static> {
    Contender::each(name, operations, move |dir| {
        let connection = open(dir, sync, LINES, insert_line)?;
        Ok(move |number| insert_line(&connection, BEFORE + number))
    })
    .checked(|dir, transactions| counted("lines", dir, transactions))
}

/// One event a transaction, in twelve columns with a unique index.
pub(crate) fn columns(name: &'static str, operations: u64, sync: Sync) -> Contender<'static> {
    Contender::each(name, operations, move |dir| {
        let connection = open(dir, sync, EVENTS, insert_event)?;
        Ok(move |number| insert_event(&connection, BEFORE + number))
    })
    .checked(|dir, transactions| counted("events", dir, transactions))
}

/// A connection that threads share, a line a transaction.
pub(crate) struct Shared(Mutex<Connection>);

impl Shared {
    pub(crate) fn open(dir: &Utf8Path) -> Result<Self> {
        Ok(Self(Mutex::new(open(dir, Sync::Full, LINES, insert_line)?)))
    }

    /// Looks whether all was written.
    pub(crate) fn check(dir: &Utf8Path, transactions: u64) -> Result<()> {
        counted("lines", dir, transactions)
    }

    pub(crate) fn insert(&self, number: u64) -> Result<()> {
        let connection = self.0.lock().map_err(|_| "a thread panicked")?;
        insert_line(&connection, BEFORE + number)
    }
}
