//! The reader of an index.

use camino::{Utf8Path, Utf8PathBuf};
use rusqlite::Transaction;

use super::select::Select;
use super::{EventRow, RunQuery, RunRow};
use crate::index::database::Database;
use crate::index::{Index, IndexError};
use crate::journal::{Events, Home, Record};
use crate::workspace::Workspace;

/// Answers questions from the index as it is: it never brings it up to the tree, and reads no file of
/// the tree but where it is asked for a [`record`](IndexReader::record).
///
/// It is one read-only connection, to be kept for many questions; threads have one each. What a refresh
/// writes, it sees with its next question. A rebuild makes another generation, which it does not see: it
/// goes on reading its own until it is dropped. Open the index anew for the newest.
///
/// Answers come in pages, by a cursor, and each page costs the same, the thousandth too. A row leads back
/// to the tree by its path, relative to the root: [`full_path`](IndexReader::full_path) has the rest.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let test = runjournal::testing::TestWorkspace::new()?;
/// # let ctx = test.start_run("RUN-1")?;
/// # ctx.append(runjournal::Event::new("tool_called"))?;
/// # let workspace = runjournal::Workspace::open(ctx.root())?;
/// use runjournal::index::{EventQuery, Index, RunQuery};
///
/// let index = Index::of(&workspace);
/// index.refresh()?;
/// let reader = index.open()?;
/// let mut query = RunQuery::new().unfinished().newest_first().limit(50);
/// loop {
///     let page = reader.runs(&query)?;
///     for run in &page.rows {
///         println!("{} {} {}", run.run_id, run.status, reader.full_path(&run.path));
///     }
///     match page.next {
///         Some(cursor) => query = query.after(cursor),
///         None => break,
///     }
/// }
/// for event in reader.events(&EventQuery::new().of_type("tool_called"))?.rows {
///     println!("{}", reader.record(&event)?.payload_json()?.as_deref().unwrap_or("null"));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct IndexReader {
    pub(super) database: Database,
    workspace: Workspace,
    generation: String,
    /// For the test that asks how SQLite goes about it.
    #[cfg(test)]
    pub(super) asked: std::cell::RefCell<Vec<Select>>,
}

impl Index {
    /// Opens the index for questions.
    ///
    /// # Errors
    /// [`IndexError::NotBuilt`] where there is none, [`IndexError::OtherSchema`] and
    /// [`IndexError::Damaged`] where it has to be made anew: [`refresh`](Index::refresh) does so.
    pub fn open(&self) -> Result<IndexReader, IndexError> {
        let database = Database::open_readable(&self.place)?;
        let generation = database.path.parent().map_or("", Utf8Path::as_str);
        // The end of its name is random.
        let tail = generation.len().checked_sub(8).and_then(|from| generation.get(from..));
        let generation = tail.unwrap_or_default().to_owned();
        Ok(IndexReader {
            database,
            workspace: self.workspace.clone(),
            generation,
            #[cfg(test)]
            asked: Vec::new().into(),
        })
    }
}

impl IndexReader {
    /// The path of a row in full.
    #[must_use]
    pub fn full_path(&self, path: impl AsRef<Utf8Path>) -> Utf8PathBuf {
        self.workspace.root().join(path)
    }

    /// The newest run of a task, by the time of its start.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] where the index is; then, as in all questions, a refresh makes it anew.
    pub fn latest_run(&self, task: impl std::fmt::Display) -> Result<Option<RunRow>, IndexError> {
        let page = self.runs(&RunQuery::new().of_task(task).newest_first().limit(1))?;
        Ok(page.rows.into_iter().next())
    }

    /// The record of an event, from its journal.
    ///
    /// # Errors
    /// [`IndexError::MovedOn`] where the journal does not have it there: it was moved, restored or cut
    /// since the index was brought up to date.
    pub fn record(&self, event: &EventRow) -> Result<Record, IndexError> {
        let (root, runtime) = (self.workspace.root(), self.workspace.runtime());
        let home = match &event.run_id {
            Some(run) => Home::of_run(root, &event.task_id, run, runtime),
            None => Home::of_task(root, &event.task_id, runtime),
        };
        let read = || Events::open(&home)?.from_offset(event.first_byte)?.next().transpose();
        let moved_on = |source| IndexError::MovedOn {
            path: self.full_path(&event.path),
            offset: event.first_byte,
            seq: event.seq,
            source,
        };
        let record = read().map_err(|error| moved_on(Some(Box::new(error))))?;
        let same = |record: &Record| {
            record.event_id() == event.event_id
                && record.seq() == event.seq
                && record.offset() == event.first_byte
        };
        record.filter(same).ok_or_else(|| moved_on(None))
    }

    pub(super) fn generation(&self) -> &str {
        &self.generation
    }

    /// What is asked before it is dropped sees the index as it was at the first question. `None` within
    /// another one.
    pub(in crate::index) fn transaction(&self) -> Result<Option<Transaction<'_>>, IndexError> {
        let connection = &self.database.connection;
        let begin = || connection.unchecked_transaction().map_err(self.failed());
        connection.is_autocommit().then(begin).transpose()
    }

    /// Runs a statement, and reads its rows.
    pub(in crate::index) fn ask<T>(
        &self,
        select: &Select,
        mut read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, IndexError> {
        #[cfg(test)]
        self.asked.borrow_mut().push(select.clone());
        let mut ask = || {
            let mut statement = self.database.connection.prepare_cached(&select.sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(&select.values))?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(read(row)?);
            }
            Ok(all)
        };
        ask().map_err(self.failed())
    }

    pub(super) fn failed(&self) -> impl Fn(rusqlite::Error) -> IndexError + use<> {
        let (path, failed) =
            (self.database.path.clone(), IndexError::sqlite("read", &self.database.path));
        move |error| match error.sqlite_error_code() {
            // A value that is not what its column holds.
            None => IndexError::Damaged { path: path.clone(), reason: error.to_string() },
            Some(_) => failed(error),
        }
    }
}
