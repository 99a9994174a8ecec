//! Writing what looks yield: rows, and the place they follow from, in one transaction.

use std::collections::{HashMap, HashSet};

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql};

use super::chunk::{Anew, Chunk, End, Lag, Said};
use super::database::Database;
use super::projector::{IndexedJournal, Statement};
use super::{IndexError, Projector, Value, schema};
use crate::finding::Finding;
use crate::journal::{Cursor, Record};

/// A database that is written to, by one writer.
pub(super) struct Writer<'a> {
    pub(super) database: Database,
    projectors: &'a [&'a dyn Projector],
    /// The numbers of the projectors in this database, in their order.
    numbers: Vec<i64>,
    /// Projectors that the database has and this program has not, with their tables.
    strangers: Vec<(i64, Vec<String>)>,
    root: &'a camino::Utf8Path,
    words: HashMap<String, i64>,
    days: HashSet<i64>,
    /// A projector that a statement stopped, and the journal that it was in.
    stopped: HashSet<(usize, i64)>,
    /// Events since the last commit.
    waiting: usize,
    events: Vec<EventsStatement>,
}

/// The number, name, checksum, tables and views of a projector.
type KnownProjector = (i64, String, String, Vec<String>, Vec<String>);

/// Events of one statement, and its text.
struct EventsStatement {
    count: usize,
    sql: String,
}

const EVENT_COLUMNS: usize = 18;
/// Events that are written between two commits.
const TRANSACTION: usize = 1 << 16;
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(rusqlite::types::Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned((*number).into()),
            Self::Real(number) => ToSqlOutput::Owned((*number).into()),
            Self::Text(text) => ToSqlOutput::Borrowed(text.as_str().into()),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(bytes.as_slice().into()),
        })
    }
}

impl<'a> Writer<'a> {
    /// Begins a transaction, and sees to it that each projector has its tables.
    pub(super) fn new(
        database: Database,
        projectors: &'a [&'a dyn Projector],
        root: &'a camino::Utf8Path,
    ) -> Result<Self, IndexError> {
        let events = [64, 8, 1].map(EventsStatement::new).into();
        let mut writer = Self {
            database,
            projectors,
            numbers: Vec::new(),
            strangers: Vec::new(),
            root,
            words: HashMap::new(),
            days: HashSet::new(),
            stopped: HashSet::new(),
            waiting: 0,
            events,
        };
        writer.run("BEGIN IMMEDIATE", [])?;
        writer.read_words().map_err(writer.failed())?;
        writer.enlist()?;
        Ok(writer)
    }

    pub(super) fn commit(self) -> Result<Database, IndexError> {
        self.run("COMMIT", [])?;
        Ok(self.database)
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<usize, IndexError> {
        self.database.run(sql, values)
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> IndexError + use<> {
        IndexError::sqlite("write to", &self.database.path)
    }

    fn read_words(&mut self) -> rusqlite::Result<()> {
        let connection = &self.database.connection;
        let mut words = connection.prepare("SELECT text, word FROM t_words")?;
        for word in words.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
            self.words.extend([word?]);
        }
        let mut days = connection.prepare("SELECT day FROM t_days")?;
        for day in days.query_map([], |row| row.get(0))? {
            self.days.insert(day?);
        }
        Ok(())
    }

    /// Gives each projector its number. A new one makes its tables, and begins at the beginning of each
    /// journal.
    fn enlist(&mut self) -> Result<(), IndexError> {
        let mut known = self.known_projectors().map_err(self.failed())?;
        for projector in self.projectors {
            let (name, sql) = (projector.name(), projector.schema());
            let checksum = crate::digest::Digest::of(sql.as_bytes()).to_hex();
            let found = known.iter().position(|(_, known, ..)| known == name);
            let found = found.map(|at| known.swap_remove(at));
            let number = match found {
                Some((number, _, same, ..)) if same == checksum => number,
                other => {
                    if let Some((number, _, _, tables, views)) = other {
                        self.dismiss(number, &tables, &views)?;
                    }
                    self.admit(*projector, &checksum)?
                }
            };
            self.numbers.push(number);
        }
        self.strangers =
            known.into_iter().map(|(number, _, _, tables, _)| (number, tables)).collect();
        Ok(())
    }

    fn known_projectors(&self) -> rusqlite::Result<Vec<KnownProjector>> {
        let sql = "SELECT projector, name, checksum, tables, views FROM t_projectors";
        let mut known = self.database.connection.prepare(sql)?;
        let rows = known.query_map([], |row| {
            let names = |at| -> rusqlite::Result<Vec<String>> {
                let names: String = row.get(at)?;
                Ok(names.split_whitespace().map(str::to_owned).collect())
            };
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, names(3)?, names(4)?))
        })?;
        rows.collect()
    }

    fn dismiss(&self, number: i64, tables: &[String], views: &[String]) -> Result<(), IndexError> {
        for view in views {
            self.run(&format!("DROP VIEW IF EXISTS {}", quoted(view)), [])?;
        }
        for table in tables {
            self.run(&format!("DROP TABLE IF EXISTS {}", quoted(table)), [])?;
        }
        self.run("DELETE FROM t_laggards WHERE projector = $1", [number])?;
        self.run("DELETE FROM t_projectors WHERE projector = $1", [number])?;
        Ok(())
    }

    fn admit(&self, projector: &dyn Projector, checksum: &str) -> Result<i64, IndexError> {
        let bad =
            |reason: String| IndexError::BadProjector { name: projector.name().into(), reason };
        let builtin = projector.tables().iter().any(|table| table.starts_with("t_"));
        let mut views = Vec::new();
        if !builtin {
            let before = self.views().map_err(self.failed())?;
            for statement in schema::statements(projector.schema()) {
                let made = self.database.connection.execute(&schema::for_sqlite(&statement), []);
                made.map_err(|error| bad(error.to_string()))?;
            }
            for table in projector.tables() {
                // By it the rows of a journal are found again.
                let sql = format!("SELECT journal FROM {}", quoted(table));
                let found = self.database.connection.prepare(&sql);
                found.map_err(|error| bad(error.to_string()))?;
            }
            views = self.views().map_err(self.failed())?;
            views.retain(|view| !before.contains(view));
        }
        self.run(
            "INSERT INTO t_projectors (name, checksum, tables, views) VALUES ($1, $2, $3, $4)",
            [projector.name(), checksum, &projector.tables().join(" "), &views.join(" ")],
        )?;
        let number = self.database.connection.last_insert_rowid();
        self.run(
            "INSERT INTO t_laggards (projector, journal, seq, bytes) \
             SELECT $1, journal, 0, 0 FROM t_journals WHERE hash IS NOT NULL",
            [number],
        )?;
        Ok(number)
    }

    fn views(&self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'view'";
        let mut names = self.database.connection.prepare(sql)?;
        names.query_map([], |row| row.get(0))?.collect()
    }

    /// The numbers of the projectors, in their order.
    pub(super) fn numbers(&self) -> &[i64] {
        &self.numbers
    }

    /// Writes a piece, and commits now and then: after each piece all agrees.
    pub(super) fn write(&mut self, chunk: &Chunk) -> Result<(), IndexError> {
        let key = chunk.key;
        if let Some(anew) = &chunk.anew {
            self.begin_anew(key, anew, chunk.journal.as_deref())?;
        } else if chunk.cursor.is_some() && !chunk.records.is_empty() {
            self.leave_strangers_behind(key)?;
        }
        if let Some(journal) = &chunk.journal {
            self.write_events(journal, &chunk.records)?;
        }
        self.write_said(chunk)?;
        for (by, lag) in &chunk.laggards {
            if !self.stopped.contains(&(*by, key)) {
                self.write_lag(*by, key, lag)?;
            }
        }
        if let Some(cursor) = chunk.cursor {
            self.run(
                "UPDATE t_journals SET seq = $1, bytes = $2, hash = $3, records = records + $4 \
                 WHERE journal = $5",
                (
                    integer(cursor.seq()),
                    integer(cursor.offset()),
                    cursor.hash().as_bytes().as_slice(),
                    integer(chunk.records.len() as u64),
                    key,
                ),
            )?;
        }
        for finding in &chunk.lasting {
            let number = finding.place.offset.map_or(0, integer);
            self.write_finding(key, 1, number, finding)?;
        }
        if let Some(end) = &chunk.end {
            self.write_end(key, end)?;
            self.stopped.retain(|(_, journal)| *journal != key);
        }
        self.waiting += chunk.records.len();
        if self.waiting >= TRANSACTION {
            self.waiting = 0;
            self.run("COMMIT", [])?;
            self.run("BEGIN IMMEDIATE", [])?;
        }
        Ok(())
    }

    /// Forgets a journal; false if it was not known.
    pub(super) fn forget(&self, key: i64) -> Result<bool, IndexError> {
        self.forget_rows(key)?;
        self.run("DELETE FROM t_files WHERE journal = $1", [key])?;
        self.run("DELETE FROM t_stages WHERE journal = $1", [key])?;
        self.run("DELETE FROM t_laggards WHERE journal = $1", [key])?;
        Ok(self.run("DELETE FROM t_journals WHERE journal = $1", [key])? > 0)
    }

    /// Forgets what follows from its events.
    fn forget_rows(&self, key: i64) -> Result<(), IndexError> {
        let (first, last) = (key << 32, (key + 1) << 32);
        self.run("DELETE FROM t_events WHERE event >= $1 AND event < $2", [first, last])?;
        self.run("DELETE FROM t_findings WHERE journal = $1", [key])?;
        let own = self.projectors.iter().flat_map(|projector| projector.tables()).copied();
        let others = self.strangers.iter().flat_map(|(_, tables)| tables).map(String::as_str);
        for table in own.chain(others) {
            self.run(&format!("DELETE FROM {} WHERE journal = $1", quoted(table)), [key])?;
        }
        Ok(())
    }

    fn begin_anew(
        &mut self,
        key: i64,
        anew: &Anew,
        journal: Option<&IndexedJournal>,
    ) -> Result<(), IndexError> {
        let run = anew.address.run.as_ref().map_or("", |run| run.as_str());
        let values = (key, anew.address.task.as_str(), run, journal.and_then(|j| j.trace_id()));
        let known = self.run(
            "INSERT INTO t_journals (journal, task_id, run_id, trace_id, records, seq, bytes) \
             VALUES ($1, $2, $3, $4, 0, 0, 0) ON CONFLICT (journal) DO NOTHING",
            values,
        )? == 0;
        if known {
            self.forget_rows(key)?;
            self.run("DELETE FROM t_laggards WHERE journal = $1", [key])?;
            self.run(
                "UPDATE t_journals SET trace_id = $1, records = 0, seq = 0, bytes = 0, \
                 genesis = NULL, hash = NULL, signature = NULL, stamp = NULL WHERE journal = $2",
                (values.3, key),
            )?;
        }
        for (number, _) in &self.strangers {
            self.run(
                "INSERT INTO t_laggards (projector, journal, seq, bytes) VALUES ($1, $2, 0, 0)",
                [number, &key],
            )?;
        }
        if let Some(start) = anew.start {
            self.run(
                "UPDATE t_journals SET genesis = $1, hash = $1 WHERE journal = $2",
                (start.hash().as_bytes().as_slice(), key),
            )?;
        }
        self.stopped.retain(|(_, journal)| *journal != key);
        Ok(())
    }

    /// Projectors that this program has not stay where they are.
    fn leave_strangers_behind(&self, key: i64) -> Result<(), IndexError> {
        for (number, _) in &self.strangers {
            self.run(
                "INSERT INTO t_laggards (projector, journal, seq, bytes, hash) \
                 SELECT $1, journal, seq, bytes, hash FROM t_journals WHERE journal = $2 \
                 ON CONFLICT (projector, journal) DO NOTHING",
                [number, &key],
            )?;
        }
        Ok(())
    }

    fn write_events(
        &mut self,
        journal: &IndexedJournal,
        records: &[Record],
    ) -> Result<(), IndexError> {
        let mut rest = records;
        while !rest.is_empty() {
            let fitting = self.events.iter().position(|statement| statement.count <= rest.len());
            let Some(at) = fitting else { break };
            let count = self.events.get(at).map_or(rest.len(), |statement| statement.count);
            let Some((now, later)) = rest.split_at_checked(count) else { break };
            for record in now {
                for word in [record.event_type(), record.aggregate_kind(), record.actor_kind()] {
                    self.note_word(word)?;
                }
                self.note_day(record)?;
            }
            if let Some(statement) = self.events.get(at) {
                let written = statement.write(&self.database.connection, &self.words, journal, now);
                written.map_err(self.failed())?;
            }
            rest = later;
        }
        Ok(())
    }

    fn note_word(&mut self, text: &str) -> Result<(), IndexError> {
        if !self.words.contains_key(text) {
            let word = i64::try_from(self.words.len()).unwrap_or(i64::MAX);
            self.run("INSERT INTO t_words (word, text) VALUES ($1, $2)", (word, text))?;
            self.words.insert(text.to_owned(), word);
        }
        Ok(())
    }

    fn note_day(&mut self, record: &Record) -> Result<(), IndexError> {
        let occurred = record.occurred_at();
        let day = occurred.as_microseconds().div_euclid(MICROSECONDS_A_DAY);
        if self.days.insert(day) {
            let text = occurred.to_string();
            let text = text.split('T').next().unwrap_or_default();
            self.run("INSERT INTO t_days (day, text) VALUES ($1, $2)", (day, text))?;
        }
        Ok(())
    }

    /// Executes what projectors said. A statement that SQLite refuses stops its projector before the event.
    fn write_said(&mut self, chunk: &Chunk) -> Result<(), IndexError> {
        let mut begin = 0;
        for said in &chunk.said {
            let statements = chunk.rows.statements.get(begin..said.statements_end);
            let values_begin = begin
                .checked_sub(1)
                .and_then(|last| chunk.rows.statements.get(last))
                .map_or(0, |last| last.values_end);
            begin = said.statements_end;
            let statements = statements.unwrap_or_default();
            if statements.is_empty() || self.stopped.contains(&(said.by, chunk.key)) {
                continue;
            }
            let written = self.write_event_of(statements, &chunk.rows.values, values_begin);
            match written {
                Ok(()) => {}
                Err(error) if is_of_the_statement(&error) => {
                    self.stop(said, chunk.key, &error)?;
                }
                Err(error) => return Err(self.failed()(error)),
            }
        }
        Ok(())
    }

    fn write_event_of(
        &self,
        statements: &[Statement],
        values: &[Value],
        mut begin: usize,
    ) -> rusqlite::Result<()> {
        let connection = &self.database.connection;
        // One statement is whole or not at all by itself.
        let several = statements.len() > 1;
        if several {
            connection.prepare_cached("SAVEPOINT event")?.execute([])?;
        }
        for Statement { sql, values_end } in statements {
            let values = values.get(begin..*values_end).unwrap_or_default();
            begin = *values_end;
            let execute =
                || connection.prepare_cached(sql)?.execute(rusqlite::params_from_iter(values));
            if let Err(error) = execute() {
                if several {
                    connection.execute_batch("ROLLBACK TO event; RELEASE event")?;
                }
                return Err(error);
            }
        }
        if several {
            connection.prepare_cached("RELEASE event")?.execute([])?;
        }
        Ok(())
    }

    fn stop(&mut self, said: &Said, key: i64, error: &rusqlite::Error) -> Result<(), IndexError> {
        let (before, seq) = (said.before, said.seq);
        let lag = Lag::Stopped { before, seq, error: error.to_string() };
        self.write_lag(said.by, key, &lag)?;
        self.stopped.insert((said.by, key));
        Ok(())
    }

    fn write_lag(&self, by: usize, key: i64, lag: &Lag) -> Result<(), IndexError> {
        let Some(number) = self.numbers.get(by) else { return Ok(()) };
        self.run("DELETE FROM t_laggards WHERE projector = $1 AND journal = $2", [number, &key])?;
        let (cursor, stopped_at, error): (&Cursor, Option<i64>, Option<&str>) = match lag {
            Lag::None => return Ok(()),
            Lag::Behind(cursor) => (cursor, None, None),
            Lag::Stopped { before, seq, error } => (before, Some(integer(*seq)), Some(error)),
        };
        self.run(
            "INSERT INTO t_laggards (projector, journal, seq, bytes, hash, stopped_at, error) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            (
                number,
                key,
                integer(cursor.seq()),
                integer(cursor.offset()),
                cursor.hash().as_bytes().as_slice(),
                stopped_at,
                error,
            ),
        )?;
        Ok(())
    }

    fn write_end(&self, key: i64, end: &End) -> Result<(), IndexError> {
        self.run("DELETE FROM t_findings WHERE journal = $1 AND lasting = 0", [key])?;
        for (number, finding) in (0_i64..).zip(&end.findings) {
            self.write_finding(key, 0, number, finding)?;
        }
        for path in &end.gone {
            self.run("DELETE FROM t_files WHERE journal = $1 AND path = $2", (key, path))?;
        }
        for file in &end.files {
            self.run(
                "INSERT INTO t_files (journal, path, size, digest, stamp) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (journal, path) DO UPDATE SET size = excluded.size, \
                 digest = excluded.digest, stamp = excluded.stamp",
                (
                    key,
                    &file.path,
                    integer(file.size),
                    file.digest.as_bytes().as_slice(),
                    file.stamp.map(|stamp| stamp.to_bytes().to_vec()),
                ),
            )?;
        }
        self.run("DELETE FROM t_stages WHERE journal = $1", [key])?;
        for stage in &end.stages {
            let id = stage.as_bytes().as_slice();
            self.run("INSERT INTO t_stages (journal, event_id) VALUES ($1, $2)", (key, id))?;
        }
        self.run(
            "UPDATE t_journals SET signature = $1, stamp = $2 WHERE journal = $3",
            (
                end.signature.map(|signature| signature.to_vec()),
                end.stamp.map(|stamp| stamp.to_bytes().to_vec()),
                key,
            ),
        )?;
        Ok(())
    }

    /// Replaces the findings of the workspace as a whole, which are those of no journal.
    pub(super) fn write_workspace_findings(&self, findings: &[Finding]) -> Result<(), IndexError> {
        self.run("DELETE FROM t_findings WHERE journal = 0", [])?;
        (0_i64..)
            .zip(findings)
            .try_for_each(|(number, finding)| self.write_finding(0, 0, number, finding))
    }

    fn write_finding(
        &self,
        key: i64,
        lasting: i64,
        number: i64,
        finding: &Finding,
    ) -> Result<(), IndexError> {
        let place = &finding.place;
        // Relative, so that the index of a copied tree is equal.
        let path = place.path.strip_prefix(self.root).unwrap_or(&place.path);
        self.run(
            "INSERT INTO t_findings (journal, lasting, number, code, path, first_byte, bytes, reason) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (journal, lasting, number) DO NOTHING",
            (
                key,
                lasting,
                number,
                finding.code.to_string(),
                path.as_str(),
                place.offset.map(integer),
                place.length.map(integer),
                &finding.reason,
            ),
        )?;
        Ok(())
    }
}

impl EventsStatement {
    fn new(count: usize) -> Self {
        let mut number = 0;
        let mut row = || {
            let places = (0..EVENT_COLUMNS).map(|_| {
                number += 1;
                format!("${number}")
            });
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let rows = (0..count).map(|_| row()).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "INSERT INTO t_events (event, event_id, type, occurred, kind, stream, version, actor, actor_id, \
             command_id, causation, own_trace, correlation, idempotency_key, batch_index, batch_size, \
             first_byte, bytes) VALUES {rows}"
        );
        Self { count, sql }
    }

    fn write(
        &self,
        connection: &Connection,
        words: &HashMap<String, i64>,
        journal: &IndexedJournal,
        records: &[Record],
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(&self.sql)?;
        let word = |text: &str| words.get(text).copied();
        let own = journal.own_stream();
        let mut place = 0;
        for record in records {
            let mut bind = |value: &dyn ToSql| {
                place += 1;
                statement.raw_bind_parameter(place, value)
            };
            let stream = (record.aggregate_kind(), record.stream_id());
            let correlation = record.correlation_id();
            let own_trace = correlation.is_some() && correlation == journal.trace_id();
            bind(&((journal.key() << 32) | integer(record.seq())))?;
            bind(&record.event_id().as_bytes().as_slice())?;
            bind(&word(record.event_type()))?;
            bind(&record.occurred_at().as_microseconds())?;
            bind(&word(record.aggregate_kind()))?;
            bind(&Some(stream.1).filter(|_| stream != own))?;
            bind(&integer(record.stream_version()))?;
            bind(&word(record.actor_kind()))?;
            bind(&record.actor_id())?;
            bind(&record.command_id())?;
            bind(&record.causation_event_id().as_ref().map(|id| id.as_bytes().as_slice()))?;
            bind(&own_trace)?;
            bind(&correlation.filter(|_| !own_trace))?;
            bind(&record.idempotency_key())?;
            bind(&record.batch_index())?;
            bind(&record.batch_size())?;
            bind(&integer(record.offset()))?;
            bind(&integer(record.end() - record.offset()))?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

/// Numbers beyond this are not in honest journals.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// True if the statement and its values are to blame, rather than the disk.
fn is_of_the_statement(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{
        ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch, Unknown,
    };
    match error.sqlite_error_code() {
        Some(code) => [ConstraintViolation, ParameterOutOfRange, TooBig, TypeMismatch, Unknown]
            .contains(&code),
        None => true,
    }
}

/// A name within a statement.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
