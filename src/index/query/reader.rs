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
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let workspace = runjournal::Workspace::create(&root)?;
/// # let task = workspace.create_task("TASK-1", runjournal::TaskOptions::default())?;
/// # let ctx = task.open_or_start_run("RUN-1")?;
/// # ctx.append(runjournal::Event::new("tool_called"))?;
/// use runjournal::index::{EventQuery, Index, RunQuery};
///
/// let index = Index::of(&workspace);
/// index.refresh()?;
/// let reader = index.open()?;
/// let mut query = RunQuery::new().unfinished().newest_first().limit(50);
/// loop {
///     let page = reader.runs(&query)?;
///     for run in &page.rows {
///         println!("{} {} {}", run.run_id, run.status, reader.full_path(&run.run_path));
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
    pub(super) workspace: Workspace,
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
            path: self.full_path(&event.journal_path),
            offset: event.first_byte,
            seq: event.seq,
            source,
        };
        let record = read().map_err(|error| moved_on(Some(Box::new(error))))?;
        let same =
            |record: &Record| record.event_id() == event.event_id && record.seq() == event.seq;
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

#[cfg(test)]
mod tests {
    use sqlparser::dialect::PostgreSqlDialect;
    use sqlparser::parser::Parser;

    use super::*;
    use crate::RunContext;
    use crate::digest::Digest;
    use crate::index::{ArtifactQuery, EventQuery, PageCursor, StepQuery, StepState, TaskQuery};
    use crate::status::{RunStatus, TaskStatus};

    /// Rows as of so many runs, which have no files.
    const ROWS: &str = "
        CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (
            SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n;
        CREATE TEMP TABLE m AS SELECT i FROM n WHERE i <= 60;
        INSERT INTO t_words SELECT i, 'word_' || i FROM m;
        INSERT INTO t_journals SELECT i, 'TASK-' || (i % 20), CASE WHEN i <= 20 THEN '' ELSE 'RUN-' || i END,
            'trace-' || i, NULL, 60, 60, 9999, zeroblob(32), NULL, NULL FROM n;
        INSERT INTO t_tasks SELECT i, '', '', CASE WHEN i % 9 = 0 THEN 'DONE' ELSE 'TODO' END,
            '2026-01-01T00:00:00.' || (100000 + i) || 'Z', 1 FROM n WHERE i <= 20;
        INSERT INTO t_runs SELECT i, 'TASK-' || (i % 20), CASE WHEN i % 50 = 0 THEN 'FAILED' ELSE 'SUCCESS' END,
            NULL, '2026-01-01T00:00:00.' || (100000 + i) || 'Z',
            CASE WHEN i % 100 = 0 THEN NULL ELSE '2026-01-02T00:00:00.000000Z' END, NULL, 1 FROM n WHERE i > 20;
        INSERT INTO t_events SELECT n.i * 4294967296 + m.i, randomblob(16), m.i % 20 + 1, n.i * 60 + m.i, 1,
            CASE WHEN m.i % 3 = 0 THEN NULL ELSE 'stream-' || m.i END, 0, 1, NULL,
            CASE WHEN m.i % 5 = 0 THEN 'command-' || n.i END, CASE WHEN m.i % 7 = 0 THEN randomblob(16) END,
            m.i % 11 <> 0, CASE WHEN m.i % 11 = 0 THEN 'joined-' || n.i END, NULL, NULL, NULL, m.i * 100, 100
            FROM n, m;
        INSERT INTO t_steps SELECT n.i, 'step-' || m.i, 1, 1, CASE WHEN n.i % 60 = 0 THEN 'failed' ELSE 'completed' END,
            NULL, NULL, 1, NULL, 2, NULL, 3, 1, 1 FROM n, m WHERE n.i > 20 AND m.i <= 3;
        INSERT INTO t_artifacts SELECT n.i, 'file-' || m.i, m.i, 0, CAST(printf('%032d', n.i * m.i) AS BLOB),
            m.i, NULL, NULL, randomblob(16) FROM n, m WHERE n.i > 20 AND m.i <= 8;
        INSERT INTO t_files SELECT journal, path, size, digest, NULL FROM t_artifacts;";

    fn check(
        reader: &IndexReader,
        what: &str,
        ask: impl FnOnce(&IndexReader) -> Result<(), IndexError>,
    ) {
        reader.asked.borrow_mut().clear();
        ask(reader).unwrap();
        for select in reader.asked.take() {
            let parsed = Parser::parse_sql(&PostgreSqlDialect {}, &select.sql);
            assert!(parsed.is_ok(), "PostgreSQL does not parse it: {parsed:?}\n{}", select.sql);
            let sql = format!("EXPLAIN QUERY PLAN {}", select.sql);
            let mut statement = reader.database.connection.prepare(&sql).unwrap();
            let values = rusqlite::params_from_iter(&select.values);
            let plan = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
            let plan: Vec<String> = plan.map(Result::unwrap).collect();
            // All in the order of an index: the limit ends it.
            let listed = what.contains("all");
            // A snapshot asks all projectors, of which there are a dozen.
            let all_projectors = what == "a snapshot";
            let scanned =
                |line: &str| line.starts_with("SCAN") && !(all_projectors && line == "SCAN p");
            let is_fine = |line: &&String| {
                !line.contains("TEMP B-TREE")
                    && (!scanned(line) || listed)
                    && !line.contains("AUTOMATIC")
                    && !line.contains("BLOOM")
            };
            let bad: Vec<_> = plan.iter().filter(|line| !is_fine(line)).collect();
            assert!(bad.is_empty(), "{what}\n{}\n{plan:#?}", select.sql);
        }
    }

    /// The same question for its first page, and for one behind it, which looks for a key.
    macro_rules! check {
        ($reader:ident, $what:literal, $ask:ident, $query:expr) => {
            let mut next: Option<PageCursor> = None;
            check($reader, $what, |reader| {
                next = reader.$ask(&$query.limit(1))?.next;
                Ok(())
            });
            if let Some(next) = next {
                let later = concat!($what, ", later").replace("all", "each");
                check($reader, &later, |reader| {
                    reader.$ask(&$query.limit(1).after(next)).map(drop)
                });
            }
        };
    }

    fn check_all(reader: &IndexReader) {
        let time = |text: &str| text.parse().unwrap();
        let (since, until) = (time("2026-01-01T00:00:00Z"), time("2026-01-01T00:00:01Z"));
        check!(reader, "all tasks", tasks, TaskQuery::new());
        check!(reader, "tasks by status", tasks, TaskQuery::new().status(TaskStatus::Todo));
        check!(
            reader,
            "tasks by time",
            tasks,
            TaskQuery::new().since(since).until(until).newest_first()
        );
        check!(reader, "all runs", runs, RunQuery::new());
        check!(reader, "all runs, newest first", runs, RunQuery::new().newest_first());
        check!(reader, "runs by status", runs, RunQuery::new().status(RunStatus::Failed));
        check!(reader, "runs by time", runs, RunQuery::new().since(since).until(until));
        check!(reader, "runs of a task", runs, RunQuery::new().of_task("TASK-1").newest_first());
        let failed = RunQuery::new().status(RunStatus::Failed);
        check!(reader, "runs of both", runs, failed.clone().of_task("TASK-10").newest_first());
        check!(reader, "runs by status, time", runs, failed.clone().since(since).newest_first());
        check!(reader, "all unfinished runs", runs, RunQuery::new().unfinished());
        check!(
            reader,
            "unfinished of a task",
            runs,
            RunQuery::new().unfinished().of_task("TASK-0")
        );
        check(reader, "latest run", |reader| reader.latest_run("TASK-1").map(drop));
        let digest = Digest::from_bytes(format!("{:032}", 120).as_bytes()).unwrap();
        check!(reader, "all artifacts", artifacts, ArtifactQuery::new());
        check!(reader, "artifacts by digest", artifacts, ArtifactQuery::new().digest(digest));
        check!(reader, "artifacts by path", artifacts, ArtifactQuery::new().path("file-1"));
        check!(reader, "artifacts by size", artifacts, ArtifactQuery::new().larger_than(3));
        check!(
            reader,
            "artifacts of a run",
            artifacts,
            ArtifactQuery::new().of_run("TASK-1", "RUN-21")
        );
        let of_run = ArtifactQuery::new().of_run("TASK-1", "RUN-21");
        check!(reader, "artifacts of a run by digest", artifacts, of_run.clone().digest(digest));
        check!(reader, "artifacts of a run by path", artifacts, of_run.clone().path("file-1"));
        check!(reader, "all steps", steps, StepQuery::new());
        check!(reader, "steps by state", steps, StepQuery::new().state(StepState::Failed));
        check!(reader, "steps by name", steps, StepQuery::new().name("step-1"));
        let both = StepQuery::new().name("step-1").state(StepState::Failed);
        check!(reader, "steps by both", steps, both.clone());
        check!(reader, "steps of a run", steps, StepQuery::new().of_run("TASK-1", "RUN-21"));
        let id = uuid::Uuid::from_u128(7).into();
        check!(reader, "all events", events, EventQuery::new());
        check!(reader, "events by type", events, EventQuery::new().of_type("word_4"));
        check!(
            reader,
            "last events by type",
            events,
            EventQuery::new().of_type("word_4").last_first()
        );
        let of_run = EventQuery::new().of_run("TASK-1", "RUN-21");
        check!(reader, "events of a run", events, of_run.clone());
        check!(reader, "events of a run by type", events, of_run.clone().of_type("word_4"));
        check!(reader, "events of a run by id", events, of_run.clone().id(id));
        check!(reader, "events by id", events, EventQuery::new().id(id));
        check!(
            reader,
            "events by cause",
            events,
            EventQuery::new().caused_by(id).of_type("word_4")
        );
        let answering = EventQuery::new().answering("command-9").of_type("word_4");
        check!(reader, "events by command", events, answering.clone());
        check!(reader, "events by correlation", events, EventQuery::new().correlated("joined-9"));
        check!(reader, "events by trace", events, EventQuery::new().correlated("trace-9"));
        check!(
            reader,
            "events by stream",
            events,
            EventQuery::new().in_stream("word_1", "stream-4")
        );
        check!(
            reader,
            "events by own stream",
            events,
            EventQuery::new().in_stream("run", "RUN-21")
        );
        check!(reader, "events of a task", events, EventQuery::new().in_stream("task", "TASK-1"));
        let both = EventQuery::new().in_stream("word_1", "stream-4").correlated("joined-9");
        check!(reader, "events by both", events, both.clone().of_type("word_4").of_task("TASK-1"));
        check(reader, "causes", |reader| reader.causes(id).map(drop));
    }

    /// An index of rows that no file stands for.
    fn with_rows(dir: &tempfile::TempDir) -> (Index, RunContext, rusqlite::Connection) {
        let root = Utf8PathBuf::from_path_buf(dir.path().join("workspaces")).unwrap();
        let workspace = Workspace::create(root).unwrap();
        let index = Index::of(&workspace);
        index.rebuild().unwrap();
        check_all(&index.open().unwrap());
        let connection = rusqlite::Connection::open(index.database_path().unwrap()).unwrap();
        connection.execute_batch(ROWS).unwrap();
        let task = workspace.create_task("TASK-1", crate::TaskOptions::default()).unwrap();
        (index, task.open_or_start_run("RUN-21").unwrap(), connection)
    }

    /// No question reads more of the index than its answer needs, whether SQLite knows how many rows there
    /// are or not: it goes by an index, in whose order the rows come.
    #[test]
    fn every_question_goes_by_an_index() {
        let dir = tempfile::tempdir().unwrap();
        let (index, run, connection) = with_rows(&dir);
        check_all(&index.open().unwrap());
        connection.execute_batch("ANALYZE").unwrap();
        let reader = index.open().unwrap();
        check_all(&reader);
        check(&reader, "a snapshot", |reader| {
            assert_eq!(reader.snapshot(&run)?.artifacts.len(), 8);
            Ok(())
        });
        assert_eq!(
            reader.runs(&RunQuery::new().of_task("TASK-1").limit(1000)).unwrap().rows.len(),
            99
        );
    }

    #[test]
    fn a_kept_statement_is_prepared_once() {
        let dir = tempfile::tempdir().unwrap();
        let (index, _, connection) = with_rows(&dir);
        // As a rebuild does it.
        connection.execute_batch("PRAGMA analysis_limit = 400; ANALYZE").unwrap();
        let reader = index.open().unwrap();
        for n in 1..9 {
            reader.latest_run(format!("TASK-{n}")).unwrap();
            reader.artifacts(&ArtifactQuery::new().path(format!("file-{n}"))).unwrap();
            reader.events(&EventQuery::new().of_type(format!("word_{n}"))).unwrap();
            reader.events(&EventQuery::new().correlated(format!("trace-{n}"))).unwrap();
        }
        for select in reader.asked.take() {
            let statement = reader.database.connection.prepare_cached(&select.sql).unwrap();
            assert!(statement.get_status(rusqlite::StatementStatus::Run) > 0, "{}", select.sql);
            let again = statement.get_status(rusqlite::StatementStatus::RePrepare);
            assert_eq!(again, 0, "{}", select.sql);
        }
    }

    #[test]
    fn what_is_of_another_kind_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let (index, _, connection) = with_rows(&dir);
        let reader = index.open().unwrap();
        let damaged = |reason: &str, error: IndexError| match error {
            IndexError::Damaged { reason: found, .. } => assert!(found.contains(reason), "{found}"),
            other => panic!("{other:?}"),
        };
        // Texts that are as long as the bytes should be.
        connection.execute_batch("UPDATE t_files SET digest = printf('%032d', 1)").unwrap();
        let error = reader.artifacts(&ArtifactQuery::new()).unwrap_err();
        damaged("Invalid column type Text at index: 11, name: digest", error);
        connection.execute_batch("UPDATE t_events SET event_id = printf('%016d', event)").unwrap();
        let error = reader.events(&EventQuery::new().of_type("word_4")).unwrap_err();
        damaged("Invalid column type Text at index: 4, name: event_id", error);
        connection.execute_batch("UPDATE t_runs SET status = 'SO_SO'").unwrap();
        damaged("SO_SO", reader.runs(&RunQuery::new()).unwrap_err());
        connection.execute_batch("UPDATE t_steps SET turn = -1").unwrap();
        damaged("out of range", reader.steps(&StepQuery::new()).unwrap_err());
    }
}
