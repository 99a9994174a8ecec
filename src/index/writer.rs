//! Writing what looks yield: rows, and the place they follow from, in one transaction.

mod enlist;
mod limits;
mod said;

use std::cell::RefCell;
use std::collections::hash_map::{Entry, HashMap};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::bulk::{Bulk, EventOf, FileOf};
use super::chunk::{Anew, Chunk, End};
use super::database::Database;
use super::event::EventRows;
use super::{IndexError, Projector};
use crate::clock::Timestamp;
use crate::finding::Finding;
use crate::io::Stamp;

/// A database that is written to, by one writer.
pub(super) struct Writer<'a> {
    pub(super) database: &'a Database,
    /// Those that are written in full in the code, by who may do no more than they are allowed, and where
    /// they stand.
    statements: RefCell<HashMap<(Option<usize>, *const str), Prepared<'a>>>,
    events: Bulk<'a>,
    files: Bulk<'a>,
    projectors: &'a [&'a dyn Projector],
    /// The numbers of the projectors in this database, in their order.
    numbers: Vec<i64>,
    /// The tables that each of them may write to; the library's own are not limited.
    limits: Vec<Option<Arc<[String]>>>,
    /// Projectors that the database has and this program has not.
    strangers: Vec<i64>,
    /// The tables of all, and of those that this program has not.
    tables: Vec<String>,
    root: &'a camino::Utf8Path,
    words: HashMap<String, i64>,
    days: BTreeSet<i64>,
    /// A projector that a statement stopped, and the journal that it was in.
    stopped: HashSet<(usize, i64)>,
    /// Events since the last commit.
    waiting: usize,
}

/// A statement, and which value each of its parameters takes, where they are not in order.
struct Prepared<'a> {
    statement: rusqlite::Statement<'a>,
    order: Option<Vec<usize>>,
}

/// Events that are written between two commits.
const TRANSACTION: usize = 1 << 16;
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

impl<'a> Writer<'a> {
    /// Begins a transaction, and sees to it that each projector has its tables.
    pub(super) fn new(
        database: &'a Database,
        projectors: &'a [&'a dyn Projector],
        root: &'a camino::Utf8Path,
    ) -> Result<Self, IndexError> {
        let mut writer = Self {
            database,
            statements: RefCell::default(),
            events: Bulk::new(&database.connection),
            files: Bulk::new(&database.connection),
            projectors,
            numbers: Vec::new(),
            strangers: Vec::new(),
            limits: Vec::new(),
            tables: Vec::new(),
            root,
            words: HashMap::new(),
            days: BTreeSet::new(),
            stopped: HashSet::new(),
            waiting: 0,
        };
        writer.run("BEGIN IMMEDIATE", [])?;
        writer.read_words().map_err(writer.failed())?;
        writer.enlist()?;
        Ok(writer)
    }

    pub(super) fn commit(self) -> Result<(), IndexError> {
        self.run("COMMIT", [])?;
        Ok(())
    }

    fn run(&self, sql: &'static str, values: impl rusqlite::Params) -> Result<usize, IndexError> {
        self.execute(sql, values).map_err(self.failed())
    }

    fn execute(&self, sql: &'static str, values: impl rusqlite::Params) -> rusqlite::Result<usize> {
        let mut statements = self.statements.borrow_mut();
        let prepared = match statements.entry((None, std::ptr::from_ref(sql))) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let statement = self.database.connection.prepare(sql)?;
                new.insert(Prepared { statement, order: None })
            }
        };
        prepared.statement.execute(values)
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

    /// The numbers of the projectors, in their order.
    pub(super) fn numbers(&self) -> &[i64] {
        &self.numbers
    }

    /// Writes a piece, and commits now and then: after each piece all agrees.
    pub(super) fn write(&mut self, chunk: Chunk) -> Result<(), IndexError> {
        let key = chunk.key;
        let count = chunk.events.len();
        if let Some(anew) = &chunk.anew {
            self.begin_anew(key, anew)?;
        } else if chunk.cursor.is_some() && count > 0 {
            self.leave_strangers_behind(key)?;
        }
        self.write_events(&chunk.events)?;
        self.write_said(&chunk)?;
        for (by, lag) in &chunk.laggards {
            if !self.stopped.contains(&(*by, key)) {
                self.write_lag(*by, key, lag)?;
            }
        }
        if let Some(begins) = chunk.begins {
            self.run(
                "DELETE FROM t_findings WHERE journal = $1 AND lasting = 1 AND number >= $2",
                [key, integer(begins)],
            )?;
        }
        for finding in &chunk.lasting {
            let number = finding.place.offset.map_or(0, integer);
            self.write_finding(key, 1, number, finding)?;
        }
        match &chunk.anew {
            Some(anew) => self.write_new_journal(anew, &chunk, count)?,
            None => self.write_journal(&chunk, count)?,
        }
        if let Some(end) = chunk.end {
            let is_new = chunk.anew.is_some_and(|anew| !anew.known);
            self.write_end(key, end, is_new)?;
            self.stopped.retain(|(_, journal)| *journal != key);
        }
        self.waiting += count;
        if self.waiting >= TRANSACTION {
            self.waiting = 0;
            self.run("COMMIT", [])?;
            self.run("BEGIN IMMEDIATE", [])?;
        }
        Ok(())
    }

    fn write_new_journal(
        &self,
        anew: &Anew,
        chunk: &Chunk,
        count: usize,
    ) -> Result<(), IndexError> {
        let run = anew.address.run.as_ref().map_or("", |run| run.as_str());
        let cursor = chunk.cursor.or(anew.start);
        let end = chunk.end.as_ref();
        self.run(
            "INSERT INTO t_journals (journal, task_id, run_id, trace_id, records, seq, bytes, hash, \
             signature, stamp, genesis) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            (
                chunk.key,
                anew.address.task.as_str(),
                run,
                chunk.journal.as_ref().and_then(|journal| journal.trace_id()),
                integer(count as u64),
                cursor.map_or(0, |cursor| integer(cursor.seq())),
                cursor.map_or(0, |cursor| integer(cursor.offset())),
                cursor.map(|cursor| cursor.hash().as_bytes().to_vec()),
                end.and_then(|end| end.signature),
                end.and_then(|end| end.stamp).map(Stamp::to_bytes),
                anew.start.map(|start| start.hash().as_bytes().to_vec()),
            ),
        )?;
        Ok(())
    }

    fn write_journal(&self, chunk: &Chunk, count: usize) -> Result<(), IndexError> {
        if let Some(cursor) = chunk.cursor {
            self.run(
                "UPDATE t_journals SET seq = $1, bytes = $2, hash = $3, records = records + $4 \
                 WHERE journal = $5",
                (
                    integer(cursor.seq()),
                    integer(cursor.offset()),
                    cursor.hash().as_bytes().as_slice(),
                    integer(count as u64),
                    chunk.key,
                ),
            )?;
        }
        if let Some(end) = &chunk.end {
            self.run(
                "UPDATE t_journals SET signature = $1, stamp = $2 WHERE journal = $3",
                (end.signature, end.stamp.map(Stamp::to_bytes), chunk.key),
            )?;
        }
        Ok(())
    }

    /// Forgets a journal; false if it was not known.
    pub(super) fn forget(&mut self, key: i64) -> Result<bool, IndexError> {
        self.forget_rows(key)?;
        self.run("DELETE FROM t_files WHERE journal = $1", [key])?;
        self.run("DELETE FROM t_stages WHERE journal = $1", [key])?;
        self.run("DELETE FROM t_laggards WHERE journal = $1", [key])?;
        Ok(self.run("DELETE FROM t_journals WHERE journal = $1", [key])? > 0)
    }

    /// Forgets what follows from its events.
    fn forget_rows(&mut self, key: i64) -> Result<(), IndexError> {
        let (first, last) = (key << 32, (key + 1) << 32);
        self.run("DELETE FROM t_events WHERE event >= $1 AND event < $2", [first, last])?;
        self.run("DELETE FROM t_findings WHERE journal = $1", [key])?;
        for table in &self.tables {
            self.database
                .run(&format!("DELETE FROM {} WHERE journal = $1", quoted(table)), [key])?;
        }
        Ok(())
    }

    fn begin_anew(&mut self, key: i64, anew: &Anew) -> Result<(), IndexError> {
        if anew.known {
            self.forget_rows(key)?;
            self.run("DELETE FROM t_laggards WHERE journal = $1", [key])?;
            self.run("DELETE FROM t_journals WHERE journal = $1", [key])?;
        }
        for number in &self.strangers {
            self.run(
                "INSERT INTO t_laggards (projector, journal, seq, bytes) VALUES ($1, $2, 0, 0)",
                [number, &key],
            )?;
        }
        self.stopped.retain(|(_, journal)| *journal != key);
        Ok(())
    }

    fn write_events(&mut self, events: &EventRows) -> Result<(), IndexError> {
        let EventRows { rows, texts, words } = events;
        let words = words.iter().map(|word| self.word(word.of(texts)));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        for row in rows {
            self.note_day(row.occurred_at)?;
        }
        let number = |place| words.get(place).copied().unwrap_or_default();
        let events = rows.iter().map(|row| EventOf { row, texts, words: row.words.map(number) });
        self.events.write(events).map_err(self.failed())
    }

    /// The number of a word.
    fn word(&mut self, text: &str) -> Result<i64, IndexError> {
        if let Some(word) = self.words.get(text) {
            return Ok(*word);
        }
        let word = i64::try_from(self.words.len()).unwrap_or(i64::MAX);
        self.run("INSERT INTO t_words (word, text) VALUES ($1, $2)", (word, text))?;
        self.words.insert(text.to_owned(), word);
        Ok(word)
    }

    fn note_day(&mut self, occurred: Timestamp) -> Result<(), IndexError> {
        let day = occurred.as_microseconds().div_euclid(MICROSECONDS_A_DAY);
        if self.days.insert(day) {
            let text = occurred.to_string();
            let text = text.split('T').next().unwrap_or_default();
            self.run("INSERT INTO t_days (day, text) VALUES ($1, $2)", (day, text))?;
        }
        Ok(())
    }

    fn write_end(&mut self, key: i64, end: End, is_new: bool) -> Result<(), IndexError> {
        if !is_new {
            self.run("DELETE FROM t_findings WHERE journal = $1 AND lasting = 0", [key])?;
            self.run("DELETE FROM t_stages WHERE journal = $1", [key])?;
        }
        for (number, finding) in (0_i64..).zip(&end.findings) {
            self.write_finding(key, 0, number, finding)?;
        }
        for path in &end.gone {
            self.run("DELETE FROM t_files WHERE journal = $1 AND path = $2", (key, path))?;
        }
        let files = end.files.iter().map(|file| FileOf(key, file));
        self.files.write(files).map_err(self.failed())?;
        for stage in &end.stages {
            let id = stage.as_bytes().as_slice();
            self.run("INSERT INTO t_stages (journal, event_id) VALUES ($1, $2)", (key, id))?;
        }
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

/// Numbers beyond this are not in honest journals.
pub(super) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A name within a statement.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
