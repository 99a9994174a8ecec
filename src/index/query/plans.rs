//! No question reads more of the index than its answer needs, whether SQLite knows how many rows there are
//! or not: it goes by an index, in whose order the rows come.

use camino::Utf8PathBuf;

use super::{
    ArtifactQuery, EventQuery, IndexReader, PageCursor, RunQuery, StepQuery, StepState, TaskQuery,
};
use crate::digest::Digest;
use crate::index::{Index, IndexError};
use crate::workspace::{RunStatus, TaskStatus, Workspace};

/// Rows as of so many runs, which have no files.
pub(super) const ROWS: &str = "
    CREATE TEMP TABLE n AS WITH RECURSIVE n(i) AS (
        SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i FROM n;
    CREATE TEMP TABLE m AS SELECT i FROM n WHERE i <= 60;
    INSERT INTO t_words SELECT i, 'word_' || i FROM m;
    INSERT INTO t_journals SELECT i, 'TASK-' || (i % 20), CASE WHEN i <= 20 THEN '' ELSE 'RUN-' || i END,
        'trace-' || i, 60, 60, 9999, zeroblob(32), NULL, NULL FROM n;
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
    INSERT INTO t_steps SELECT n.i, 'step-' || m.i, 1, CASE WHEN n.i % 60 = 0 THEN 'failed' ELSE 'completed' END,
        NULL, NULL, 1, NULL, 2, NULL, 3, 1 FROM n, m WHERE n.i > 20 AND m.i <= 3;
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
        let sql = format!("EXPLAIN QUERY PLAN {}", select.sql);
        let mut statement = reader.database.connection.prepare(&sql).unwrap();
        let values = rusqlite::params_from_iter(&select.values);
        let plan = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<String> = plan.map(Result::unwrap).collect();
        // All in the order of an index: the limit ends it.
        let listed = what.contains("all");
        let is_fine = |line: &&String| {
            !line.contains("TEMP B-TREE")
                && (!line.starts_with("SCAN") || listed)
                && !line.contains("AUTOMATIC")
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
            check($reader, &later, |reader| reader.$ask(&$query.limit(1).after(next)).map(drop));
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
    check!(reader, "unfinished of a task", runs, RunQuery::new().unfinished().of_task("TASK-0"));
    check(reader, "latest run", |reader| reader.latest_run("TASK-1").map(drop));
    let digest = Digest::from_bytes(format!("{:032}", 120).as_bytes()).unwrap();
    check!(reader, "all artifacts", artifacts, ArtifactQuery::new());
    check!(reader, "artifacts by digest", artifacts, ArtifactQuery::new().digest(digest));
    check!(reader, "artifacts by name", artifacts, ArtifactQuery::new().name("file-1"));
    check!(reader, "artifacts by size", artifacts, ArtifactQuery::new().larger_than(3));
    check!(
        reader,
        "artifacts of a run",
        artifacts,
        ArtifactQuery::new().of_run("TASK-1", "RUN-21")
    );
    let of_run = ArtifactQuery::new().of_run("TASK-1", "RUN-21");
    check!(reader, "artifacts of a run by digest", artifacts, of_run.clone().digest(digest));
    check!(reader, "artifacts of a run by name", artifacts, of_run.clone().name("file-1"));
    check!(reader, "all steps", steps, StepQuery::new());
    check!(reader, "steps by state", steps, StepQuery::new().state(StepState::Failed));
    check!(reader, "steps by name", steps, StepQuery::new().name("step-1"));
    let both = StepQuery::new().name("step-1").state(StepState::Failed);
    check!(reader, "steps by both", steps, both.clone());
    check!(reader, "steps of a run", steps, StepQuery::new().of_run("TASK-1", "RUN-21"));
    let id = uuid::Uuid::from_u128(7).into();
    check!(reader, "all events", events, EventQuery::new());
    check!(reader, "events by type", events, EventQuery::new().of_type("word_4"));
    check!(reader, "last events by type", events, EventQuery::new().of_type("word_4").last_first());
    let of_run = EventQuery::new().of_run("TASK-1", "RUN-21");
    check!(reader, "events of a run", events, of_run.clone());
    check!(reader, "events of a run by type", events, of_run.clone().of_type("word_4"));
    check!(reader, "events of a run by id", events, of_run.clone().id(id));
    check!(reader, "events by id", events, EventQuery::new().id(id));
    check!(reader, "events by cause", events, EventQuery::new().caused_by(id).of_type("word_4"));
    let answering = EventQuery::new().answering("command-9").of_type("word_4");
    check!(reader, "events by command", events, answering.clone());
    check!(reader, "events by correlation", events, EventQuery::new().correlated("joined-9"));
    check!(reader, "events by trace", events, EventQuery::new().correlated("trace-9"));
    check!(reader, "events by stream", events, EventQuery::new().in_stream("word_1", "stream-4"));
    check!(reader, "events by own stream", events, EventQuery::new().in_stream("run", "RUN-21"));
    check!(reader, "events of a task", events, EventQuery::new().in_stream("task", "TASK-1"));
    let both = EventQuery::new().in_stream("word_1", "stream-4").correlated("joined-9");
    check!(reader, "events by both", events, both.clone().of_type("word_4").of_task("TASK-1"));
    check(reader, "causes", |reader| reader.causes(id).map(drop));
}

#[test]
fn every_question_goes_by_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let root = Utf8PathBuf::from_path_buf(dir.path().join("workspaces")).unwrap();
    let workspace = Workspace::create(root).unwrap();
    let index = Index::of(&workspace);
    index.rebuild().unwrap();
    check_all(&index.open().unwrap());
    let connection = rusqlite::Connection::open(index.database_path().unwrap()).unwrap();
    connection.execute_batch(ROWS).unwrap();
    check_all(&index.open().unwrap());
    connection.execute_batch("ANALYZE").unwrap();
    let reader = index.open().unwrap();
    check_all(&reader);
    assert_eq!(reader.runs(&RunQuery::new().of_task("TASK-1").limit(1000)).unwrap().rows.len(), 99);
}
