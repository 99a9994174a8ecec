//! Projectors, the library's and users': what stops one stops no other, and what was stopped goes on.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use runjournal::index::{
    Index, IndexError, IndexedEvent, IndexedJournal, ProjectionError, Projector, Rows,
};
use runjournal::testing::TestWorkspace;
use runjournal::{Event, RunContext, TaskOptions};

use crate::index_lab::{Forger, assert_equal, codes, compare, differences, dump, open, rows};

/// Notes the seq of each event of its type; `stops_at` is where it does not like one.
#[derive(Clone)]
struct Notes {
    name: &'static str,
    schema: &'static str,
    sql: &'static str,
    stops_at: Arc<AtomicU64>,
    panics_at: u64,
}

const INSERT: &str = "INSERT INTO notes (journal, seq) VALUES ($1, $2)";

impl Notes {
    fn new() -> Self {
        Self {
            name: "notes",
            schema: "CREATE TABLE notes (journal INTEGER NOT NULL, seq INTEGER NOT NULL CHECK (seq <> 5),
                PRIMARY KEY (journal, seq))",
            sql: INSERT,
            stops_at: Arc::default(),
            panics_at: 0,
        }
    }
}

impl Projector for Notes {
    fn name(&self) -> &'static str {
        self.name
    }

    fn schema(&self) -> &'static str {
        self.schema
    }

    fn begin(&self, journal: &IndexedJournal, rows: &mut Rows) {
        rows.execute(INSERT, [journal.key().into(), 0_i64.into()]);
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let seq = event.record().seq();
        assert_ne!(seq, self.panics_at, "it panics");
        if event.record().event_type() != "noted" {
            return Ok(());
        }
        rows.execute(self.sql, [event.journal().key().into(), seq.into()]);
        if seq == self.stops_at.load(Ordering::Relaxed) {
            return Err(ProjectionError::new("not this one"));
        }
        Ok(())
    }
}

fn note(ctx: &RunContext, count: usize) {
    let events: Vec<_> = (0..count).map(|n| Event::new("noted").payload(&n)).collect();
    ctx.journal().unwrap().append_batch(&events).unwrap();
}

fn setup(count: usize) -> (TestWorkspace, RunContext, Index) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    note(&ctx, count);
    let index = Index::of(test.workspace());
    (test, ctx, index)
}

/// The seqs that the projector noted in the run, and where it stands.
fn noted(index: &Index) -> (Vec<String>, Vec<String>) {
    let connection = open(index);
    let sql = "SELECT n.seq FROM notes n JOIN t_journals j ON j.journal = n.journal \
               WHERE j.run_id = 'RUN-1' ORDER BY n.seq";
    let state = "SELECT last_applied_sequence AS at, stopped_at, error FROM projection_state \
                 WHERE projector = 'notes' AND run_id = 'RUN-1'";
    (rows(&connection, sql), rows(&connection, state))
}

fn seqs(all: impl IntoIterator<Item = u64>) -> Vec<String> {
    all.into_iter().map(|seq| format!("seq=Integer({seq})")).collect()
}

fn at(seq: u64) -> Vec<String> {
    vec![format!("at=Integer({seq}) stopped_at=NULL error=NULL")]
}

#[test]
fn a_new_projector_starts_at_the_beginning_and_one_that_was_away_catches_up() {
    // More than a piece, so that it catches up in several.
    let (test, ctx, plain) = setup(1000);
    note(&ctx, 1000);
    plain.refresh().unwrap();
    let index = plain.clone().with_projector(Notes { schema: SCHEMA, ..Notes::new() });
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=2000), at(2000)));
    assert_eq!(differences(&index), []);

    note(&ctx, 1000);
    plain.refresh().unwrap();
    note(&ctx, 1000);
    let other = test.start_run("RUN-2").unwrap();
    note(&other, 2);
    plain.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=2000), at(2000)), "it was left behind");
    assert_eq!(differences(&plain), [], "of a projector that a program has not it says nothing");
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=4000), at(4000)));
    assert_eq!(differences(&index), []);
    assert_equal(&index, test.workspace());

    // A journal that is another one, while the projector is away.
    fs::rename(other.run_path(), test.root().join("aside")).unwrap();
    fs::remove_dir_all(ctx.run_path()).unwrap();
    fs::rename(test.root().join("aside"), ctx.run_path()).unwrap();
    plain.refresh().unwrap();
    assert_eq!(noted(&index).0, [""; 0], "rows of what is read anew go");
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=2), at(2)));
    assert_eq!(differences(&index), []);

    plain.rebuild().unwrap();
    let tables = "SELECT COUNT(*) AS n FROM sqlite_schema WHERE name = 'notes'";
    assert_eq!(rows(&open(&index), tables), ["n=Integer(0)"]);
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=2), at(2)));
    assert_eq!(differences(&index), []);
}

const SCHEMA: &str = "CREATE TABLE notes (journal INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (journal, seq))";

#[test]
fn verify_sees_rows_of_users_projectors() {
    let (_test, _, index) = setup(3);
    let index = index.with_projector(Notes::new());
    index.refresh().unwrap();
    assert_eq!(differences(&index), []);
    let writer = rusqlite::Connection::open(index.database_path().unwrap()).unwrap();
    writer.execute("DELETE FROM notes WHERE seq = 2", []).unwrap();
    drop(writer);
    let found = differences(&index);
    assert_eq!((found.len(), found[0].view.as_str()), (1, "notes"));
}

#[test]
fn a_projector_with_another_schema_starts_over() {
    let (_test, ctx, plain) = setup(4);
    plain.clone().with_projector(Notes::new()).refresh().unwrap();
    // Nor is the view of the first schema in the way of the second's, with or without the first's tables.
    for schema in [
        "CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE VIEW said AS SELECT 1 AS n",
        "CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE VIEW said AS SELECT 2 AS n",
    ] {
        let index = plain.clone().with_projector(Notes { schema, ..Notes::new() });
        index.refresh().unwrap();
        assert_eq!(noted(&index), (seqs(0..=4), at(4)));
        assert_eq!(index.refresh().unwrap().anew_because, None);
    }
    let other = Notes {
        schema: "CREATE TABLE notes (journal INTEGER, seq INTEGER, odd INTEGER)",
        ..Notes::new()
    };
    let index = plain.with_projector(other);
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=4), at(4)));
    note(&ctx, 1);
    index.refresh().unwrap();
    assert_eq!(noted(&index).0, seqs(0..=5));
    assert_eq!(differences(&index), []);
}

#[test]
fn a_projector_runs_anew_when_a_comment_in_its_schema_changes() {
    let (_test, _, plain) = setup(2);
    let old = plain.clone().with_projector(Notes { schema: SCHEMA, ..Notes::new() });
    old.refresh().unwrap();
    const MORE: &str = "INSERT INTO notes (journal, seq) VALUES ($1, $2 + 10)";
    let schema = "-- version 2
        CREATE TABLE notes (journal INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (journal, seq))";
    let index = plain.with_projector(Notes { schema, sql: MORE, ..Notes::new() });
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs([0, 11, 12]), at(2)));
    assert_eq!(differences(&index), []);
}

#[test]
fn an_event_stops_its_projector_alone_until_it_is_taken() {
    let (test, ctx, plain) = setup(2);
    let stops_at = Arc::new(AtomicU64::new(4));
    let index = plain.with_projector(Notes {
        stops_at: Arc::clone(&stops_at),
        schema: SCHEMA,
        ..Notes::new()
    });
    index.refresh().unwrap();
    assert_eq!(noted(&index).0, seqs(0..=2));
    note(&ctx, 4);
    index.refresh().unwrap();
    let stopped = vec!["at=Integer(3) stopped_at=Integer(4) error=\"not this one\"".to_owned()];
    assert_eq!(noted(&index), (seqs(0..=3), stopped.clone()));
    assert_eq!(codes(&index), ["projection_stopped"]);
    assert_eq!(differences(&index), []);
    // All others went on, and go on; it tries again, and nothing is written twice.
    note(&ctx, 1);
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=3), stopped));
    let count = rows(&open(&index), "SELECT COUNT(*) AS n FROM events WHERE run_id = 'RUN-1'");
    assert_eq!(count, ["n=Integer(7)"]);
    stops_at.store(0, Ordering::Relaxed);
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=7), at(7)));
    assert_eq!(codes(&index), [""; 0]);
    assert_eq!(differences(&index), []);
    assert_equal(&index, test.workspace());
}

#[test]
fn a_statement_that_is_refused_stops_its_projector_before_the_event() {
    let (_test, ctx, plain) = setup(2);
    let index = plain.clone().with_projector(Notes::new());
    index.refresh().unwrap();
    note(&ctx, 6);
    // The check of its table refuses seq 5.
    index.refresh().unwrap();
    let (found, state) = noted(&index);
    assert_eq!(found, seqs(0..=4));
    assert!(state[0].starts_with("at=Integer(4) stopped_at=Integer(5) error=\"CHECK"), "{state:?}");
    assert_eq!(differences(&index), []);
    note(&ctx, 1);
    index.refresh().unwrap();
    assert_eq!(noted(&index), (found, state));
    index.rebuild().unwrap();
    assert_eq!(noted(&index).0, seqs(0..=4));
    assert_eq!(differences(&index), []);
}

#[test]
fn a_projector_that_the_first_event_stops_begins_once() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    note(&ctx, 3);
    let stops_at = Arc::new(AtomicU64::new(1));
    let index = Index::of(test.workspace()).with_projector(Notes {
        stops_at: Arc::clone(&stops_at),
        schema: SCHEMA,
        ..Notes::new()
    });
    let stopped = vec!["at=Integer(0) stopped_at=Integer(1) error=\"not this one\"".to_owned()];
    for _ in 0..3 {
        // In the journal of the run: that of the task has no such event.
        assert_eq!(index.refresh().unwrap().stopped, 1);
        assert_eq!(noted(&index), (seqs([0]), stopped.clone()));
        assert_eq!(differences(&index), []);
        // Of a journal that grew it reads what it grew by, and one this young is read anew otherwise.
        note(&ctx, 1);
    }
    assert_eq!(index.rebuild().unwrap().stopped, 1);
    stops_at.store(0, Ordering::Relaxed);
    assert_eq!(index.refresh().unwrap().stopped, 0);
    assert_eq!(noted(&index), (seqs(0..=6), at(6)));
    assert_eq!(differences(&index), []);
}

/// Begins with a row that its table refuses, until it is told otherwise.
struct Beginner(Arc<AtomicU64>);

impl Projector for Beginner {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn schema(&self) -> &'static str {
        "CREATE TABLE notes (journal INTEGER NOT NULL, seq INTEGER NOT NULL CHECK (seq <> 99))"
    }

    fn begin(&self, journal: &IndexedJournal, rows: &mut Rows) {
        let first = self.0.load(Ordering::Relaxed);
        rows.execute(INSERT, [journal.key().into(), first.into()]);
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let (key, seq) = (event.journal().key(), event.record().seq());
        rows.execute(INSERT, [key.into(), seq.into()]);
        Ok(())
    }
}

#[test]
fn a_projector_that_is_stopped_as_it_begins_begins_again() {
    let (_test, ctx, plain) = setup(2);
    let first = Arc::new(AtomicU64::new(99));
    let index = plain.with_projector(Beginner(Arc::clone(&first)));
    for _ in 0..3 {
        index.refresh().unwrap();
        let (found, state) = noted(&index);
        assert_eq!(found, [""; 0]);
        assert!(state[0].starts_with("at=Integer(0) stopped_at=Integer(0)"), "{state:?}");
        assert_eq!(differences(&index), []);
        note(&ctx, 1);
    }
    first.store(0, Ordering::Relaxed);
    index.refresh().unwrap();
    assert_eq!(noted(&index), (seqs(0..=5), at(5)));
    assert_eq!(differences(&index), []);
}

/// The library's own that write a row as they begin.
#[test]
fn a_first_event_that_does_not_read_leaves_its_task_and_its_run() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    Forger::behind(&ctx.run_path()).payload("run_status_changed", ("run", "RUN-1"), "17").write();
    let task = test.workspace().create_task("TASK-2", TaskOptions::default()).unwrap();
    let home = test.root().join(task.id().as_str());
    fs::write(home.join("journal/events.jsonl"), "").unwrap();
    Forger::behind(&home).payload("task_status_changed", ("task", "TASK-2"), "17").write();
    let index = Index::of(test.workspace());
    for _ in 0..3 {
        index.refresh().unwrap();
        assert_eq!(codes(&index), ["projection_stopped", "projection_stopped"]);
        let stopped = "projection_state WHERE stopped_at IS NOT NULL ORDER BY projector";
        assert_eq!(
            view(&index, "projector, stopped_at", stopped),
            ["projector=\"runs\" stopped_at=(1)", "projector=\"tasks\" stopped_at=(1)"]
        );
        assert_eq!(differences(&index), []);
        assert_equal(&index, test.workspace());
        for home in [&ctx.run_path(), &home] {
            Forger::behind(home).record("further", ("run", "RUN-1"), "").write();
        }
    }
}

#[test]
fn rows_of_a_projector_are_joined_by_journals() {
    let (test, _, plain) = setup(1);
    let schema = "CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE VIEW said AS
        SELECT j.task_id, j.run_id, n.seq FROM notes n JOIN journals j ON j.journal = n.journal";
    let index = plain.with_projector(Notes { schema, ..Notes::new() });
    index.refresh().unwrap();
    // Numbers are given in the order in which journals are found, and a rebuild finds this one first.
    note(&test.start_run("RUN-0").unwrap(), 2);
    index.refresh().unwrap();
    let said = "(SELECT * FROM said WHERE seq > 0 AND run_id = 'RUN-0' ORDER BY seq)";
    assert_eq!(view(&index, "seq", said), ["seq=(1)", "seq=(2)"]);
    let numbers = || view(&index, "*", "(SELECT * FROM journals ORDER BY journal)");
    let before = numbers();
    assert_eq!(before.len(), 3);
    assert_eq!(differences(&index), []);
    index.rebuild().unwrap();
    assert_ne!(numbers(), before);
}

#[test]
fn statements_of_a_projector_are_run_as_they_are() {
    let (_test, _, plain) = setup(1);
    let index = plain.with_projector(Notes { schema: SCHEMA, ..Notes::new() });
    index.refresh().unwrap();
    let sql = "SELECT COUNT(*) AS n FROM sqlite_schema WHERE name = 'notes' AND sql LIKE '%ROWID%'";
    assert_eq!(rows(&open(&index), sql), ["n=Integer(0)"]);
}

#[test]
fn parameters_are_meant_by_their_numbers() {
    let (_test, _ctx, index) = setup(3);
    let sql = "INSERT INTO notes (seq, journal) VALUES ($2, $1)";
    let index = index.with_projector(Notes { sql, ..Notes::new() });
    index.refresh().unwrap();
    assert_eq!(noted(&index).0, seqs(0..=3));
}

#[test]
fn the_tables_of_a_projector_are_those_that_its_schema_makes() {
    let (test, ctx, plain) = setup(1);
    let other = test.start_run("RUN-2").unwrap();
    note(&other, 2);
    let schema = "CREATE TABLE more (journal INTEGER, seq INTEGER);
        CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE INDEX notes_seq ON notes (seq)";
    let index = plain.clone().with_projector(Notes { schema, ..Notes::new() });
    index.refresh().unwrap();
    let listed = "SELECT tables FROM t_projectors WHERE name = 'notes'";
    assert_eq!(rows(&open(&index), listed), ["tables=\"more notes\""]);
    // A removed run, and one that is read anew.
    fs::remove_dir_all(other.run_path()).unwrap();
    let journal = fs::read(ctx.journal_path()).unwrap();
    fs::write(ctx.journal_path(), journal).unwrap();
    index.refresh_reading_data(&mut |_| {}).unwrap();
    let all = "SELECT COUNT(*) AS n FROM notes n LEFT JOIN t_journals j ON j.journal = n.journal \
               WHERE j.run_id IS NULL OR j.run_id <> ''";
    assert_eq!(rows(&open(&index), all), ["n=Integer(2)"]);
    let index = plain.with_projector(Notes { schema: SCHEMA, ..Notes::new() });
    index.refresh().unwrap();
    let more = "SELECT COUNT(*) AS n FROM sqlite_schema WHERE name = 'more'";
    assert_eq!(rows(&open(&index), more), ["n=Integer(0)"]);
    assert_eq!(differences(&index), []);
}

/// Says two things of each event, the second of which is refused at seq 3.
struct Pairs;

impl Projector for Pairs {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn schema(&self) -> &'static str {
        SCHEMA
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        let (key, seq) = (event.journal().key(), event.record().seq());
        let second = if seq == 3 { seq } else { seq + 100 };
        rows.execute(INSERT, [key.into(), seq.into()]);
        rows.execute(INSERT, [key.into(), second.into()]);
        Ok(())
    }
}

#[test]
fn of_an_event_all_is_written_or_nothing() {
    let (_test, _, plain) = setup(5);
    let index = plain.with_projector(Pairs);
    index.refresh().unwrap();
    let (found, state) = noted(&index);
    assert_eq!(found, seqs([1, 2, 101, 102]));
    assert!(state[0].starts_with("at=Integer(2) stopped_at=Integer(3)"), "{state:?}");
    assert_eq!(differences(&index), []);
}

#[test]
fn projectors_that_cannot_be_told_apart_or_have_no_tables_are_refused() {
    let (_test, _, plain) = setup(1);
    for name in ["notes", "tasks"] {
        let index = plain.clone().with_projector(Notes::new());
        let index = index.with_projector(Notes { name, ..Notes::new() });
        let refused = index.refresh();
        assert!(matches!(refused, Err(IndexError::BadProjector { .. })), "{refused:?}");
    }
    for schema in [
        "CREATE TABLE (",
        "",
        "CREATE TABLE IF NOT EXISTS t_events (journal INTEGER)",
        "CREATE TABLE notes (seq INTEGER)",
        "CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE TABLE more (seq INTEGER)",
        "CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE INDEX mine ON t_events (bytes)",
        "CREATE TABLE \"my notes\" (journal INTEGER, seq INTEGER)",
        "CREATE TABLE t_days (a)",
        "CREATE TABLE t_mine (journal INTEGER)",
        "CREATE TABLE runs (journal INTEGER)",
        "CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE VIEW Events AS SELECT 1 AS n",
        "CREATE TABLE notes (journal INTEGER, seq INTEGER); CREATE INDEX i_runs_status ON notes (seq)",
    ] {
        let bad = plain.clone().with_projector(Notes { schema, ..Notes::new() });
        let refused = bad.refresh();
        assert!(matches!(refused, Err(IndexError::BadProjector { .. })), "{schema}: {refused:?}");
    }
    plain.refresh().unwrap();
    assert_eq!(differences(&plain), []);
}

fn panics(index: &Index) -> bool {
    std::thread::scope(|scope| scope.spawn(|| index.refresh().map(drop)).join().is_err())
}

#[test]
fn a_projector_that_panics_is_no_reason_to_wait_for_ever() {
    let (test, _, plain) = setup(5);
    let index = plain.clone().with_projector(Notes { panics_at: 3, ..Notes::new() });
    assert!(panics(&index));
    plain.refresh().unwrap();
    assert_equal(&plain, test.workspace());
}

#[test]
fn what_was_committed_before_a_look_was_cut_short_is_whole() {
    // More records than go into one transaction, garbage among the first of them, and a panic behind it.
    let (test, ctx, plain) = setup(3);
    plain.refresh().unwrap();
    let journal = ctx.journal_path();
    fs::OpenOptions::new()
        .append(true)
        .open(&journal)
        .map(|mut file| {
            std::io::Write::write_all(&mut file, b"{\"half").unwrap();
        })
        .unwrap();
    for _ in 0..72 {
        note(&ctx, 1000);
    }
    let last = Notes { panics_at: 72_000, schema: SCHEMA, ..Notes::new() };
    let index = plain.clone().with_projector(last);
    assert!(panics(&index));
    let count = rows(&open(&plain), "SELECT COUNT(*) > 60000 AS n FROM t_events");
    assert_eq!(count, ["n=Integer(1)"], "nothing was committed before");
    plain.refresh().unwrap();
    assert_eq!(codes(&plain), ["garbage"]);
    assert_equal(&plain, test.workspace());
}

/// All rows of a view.
fn view(index: &Index, columns: &str, view: &str) -> Vec<String> {
    let rows = rows(&open(index), &format!("SELECT {columns} FROM {view}"));
    rows.into_iter().map(|row| row.replace("Integer", "")).collect()
}

#[test]
fn records_that_no_verb_writes_yet() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let digest = format!("blake3:{}", "ab".repeat(32));
    let lease = ("lease", "gpu");
    let mut task = Forger::behind(test.root().join("TASK-1").as_path());
    let claimed = task.seq;
    task.payload("lease_claimed", lease, r#"{"worker_id":"w1","ttl_ms":5,"expires_at":"never"}"#)
        .payload("lease_renewed", lease, r#"{"expires_at":"later"}"#)
        .payload("lease_released", ("lease", "other"), "{}")
        .payload("task_changed", ("task", "TASK-1"), r#"{"title":"Another"}"#)
        .write();
    Forger::behind(&ctx.run_path())
        .payload("work_enqueued", ("work", "W"), r#"{"priority":3,"not_before":"t"}"#)
        .payload("work_claimed", ("work", "W"), r#"{"attempt":1,"owner":"o"}"#)
        .payload("work_failed", ("work", "W"), r#"{"error":{"a":1}}"#)
        .payload("session_started", ("session", "S"), r#"{"provider":"p","status":"starting"}"#)
        .payload(
            "session_updated",
            ("session", "S"),
            r#"{"provider":"p","status":"running","resume_cursor":[1]}"#,
        )
        .payload("approval_requested", ("approval", "A"), r#"{"question":"?","options":["y"]}"#)
        .payload("approval_resolved", ("approval", "A"), r#"{"decision":"y","by":"me"}"#)
        .payload(
            "checkpoint_created",
            ("checkpoint", "1"),
            &format!(r#"{{"turn":1,"digest":"{digest}"}}"#),
        )
        .record(
            "command_rejected",
            ("run", "RUN-1"),
            r#","command_id":"C","payload":{"command_type":"go","error":"no"}"#,
        )
        .write();
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    assert_eq!(codes(&index), [""; 0]);
    let lease = format!(
        "resource=\"gpu\" token=({claimed}) worker_id=\"w1\" ttl_ms=(5) expires_at=\"later\" \
         state=\"held\" seq=({})",
        claimed + 1
    );
    assert_eq!(
        view(&index, "resource, token, worker_id, ttl_ms, expires_at, state, seq", "leases"),
        [lease]
    );
    assert_eq!(
        view(&index, "title, objective", "tasks"),
        ["title=\"Another\" objective=\"To be the same in every run\""]
    );
    assert_eq!(
        view(&index, "item, state, priority, not_before, attempt, owner, error, seq", "work"),
        [
            "item=\"W\" state=\"failed\" priority=(3) not_before=NULL attempt=(1) owner=NULL error=\"{\\\"a\\\":1}\" seq=(3)"
        ]
    );
    assert_eq!(
        view(&index, "session_id, provider, status, resume_cursor, seq", "sessions"),
        ["session_id=\"S\" provider=\"p\" status=\"running\" resume_cursor=\"[1]\" seq=(5)"]
    );
    assert_eq!(
        view(
            &index,
            "approval_id, question, options, decision, decided_by, requested_seq, resolved_seq",
            "approvals"
        ),
        [
            "approval_id=\"A\" question=\"?\" options=\"[\\\"y\\\"]\" decision=\"y\" decided_by=\"me\" requested_seq=(6) resolved_seq=(7)"
        ]
    );
    let checkpoint = format!("turn=(1) digest=\"{digest}\" seq=(8)");
    assert_eq!(view(&index, "turn, digest, seq", "checkpoints"), [checkpoint]);
    assert_eq!(
        view(&index, "command_id, command_type, state, first_seq, last_seq, error", "receipts"),
        [
            "command_id=\"C\" command_type=\"go\" state=\"rejected\" first_seq=(9) last_seq=(9) error=\"no\""
        ]
    );
    let audit = view(&index, "seq, action, entity_kind, detail", "audit");
    assert_eq!(
        audit.last().unwrap(),
        &format!(
            "seq=({}) action=\"task_changed\" entity_kind=\"task\" detail=\"{{\\\"title\\\":\\\"Another\\\"}}\"",
            claimed + 3
        )
    );
    assert_equal(&index, test.workspace());
}

#[test]
fn events_that_say_too_much_or_the_wrong_thing() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let step = ("step", "plan");
    Forger::behind(&ctx.run_path())
        .payload("step_started", step, r#"{"attempt":1}"#)
        .payload("step_started", step, r#"{"attempt":1}"#)
        .payload("step_completed", step, r#"{"attempt":2,"signal":"s"}"#)
        .payload("checkpoint_created", ("checkpoint", "7"), r#"{"turn":7}"#)
        .payload("checkpoint_created", ("checkpoint", "7"), r#"{"turn":7}"#)
        .payload("work_enqueued", ("work", "W"), r#"{"priority":"high"}"#)
        .payload("work_claimed", ("work", "W"), r#"{"owner":"o"}"#)
        .payload("artifact_written", ("artifact", "a"), "17")
        .payload("session_started", ("session", "S"), "{}")
        .write();
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    assert_eq!(
        codes(&index),
        [
            "duplicate_step",
            "duplicate_turn",
            "projection_stopped",
            "projection_stopped",
            "step_without_start"
        ]
    );
    let stopped =
        "(SELECT * FROM projection_state WHERE stopped_at IS NOT NULL ORDER BY projector)";
    assert_eq!(
        view(&index, "projector, run_id, last_applied_sequence AS at, stopped_at", stopped),
        [
            "projector=\"artifacts\" run_id=\"RUN-1\" at=(7) stopped_at=(8)",
            "projector=\"work\" run_id=\"RUN-1\" at=(5) stopped_at=(6)"
        ]
    );
    assert_eq!(view(&index, "COUNT(*) AS n", "sessions"), ["n=(1)"]);
    assert_eq!(view(&index, "step, attempt, state, started_seq, ended_seq", "steps").len(), 2);
    assert_equal(&index, test.workspace());

    // A seq that has no room in the index, as a journal may have it behind damage.
    let mut far = Forger::behind(&ctx.run_path());
    far.line("no record");
    far.seq = 1 << 33;
    far.payload("session_updated", ("session", "S"), r#"{"status":"far"}"#).write();
    index.refresh().unwrap();
    assert_eq!(codes(&index).iter().filter(|code| *code == "projection_stopped").count(), 3);
    assert!(codes(&index).contains(&"broken_chain".to_owned()));
    assert_eq!(view(&index, "last_seq, records", "runs"), ["last_seq=(8589934592) records=(9)"]);
    assert_equal(&index, test.workspace());
    ctx.append(Event::new("further")).unwrap();
    index.refresh().unwrap();
    assert_equal(&index, test.workspace());
}

#[test]
fn findings_that_a_comparison_tells() {
    let test = TestWorkspace::new().unwrap();
    let index = Index::of(test.workspace());
    let mut seen = std::collections::BTreeSet::new();
    let mut check = |expected: &[&str]| {
        index.refresh().unwrap();
        let found = codes(&index);
        assert_eq!(found, expected);
        assert_equal(&index, test.workspace());
        seen.extend(found);
    };
    let ctx = test.start_run("RUN-1").unwrap();
    let name = runjournal::ArtifactName::from_static("a.txt");
    ctx.artifacts().write_bytes(&name, b"abc").unwrap();
    check(&[]);
    fs::write(ctx.artifact_path(&name), "abd").unwrap();
    check(&["artifact_changed"]);
    fs::write(ctx.run_path().join("artifacts/b.txt"), "abd").unwrap();
    check(&["artifact_changed", "artifact_unjournaled"]);
    fs::remove_file(ctx.artifact_path(&name)).unwrap();
    check(&["artifact_missing", "artifact_unjournaled"]);
    fs::remove_file(ctx.run_path().join("artifacts/b.txt")).unwrap();
    let run = ctx.run().unwrap();
    run.set_status(runjournal::RunStatus::Executing, None).unwrap();
    run.complete(runjournal::Outcome::Success, None).unwrap();
    check(&["artifact_missing", "status_without_artifacts"]);
    let stage =
        ctx.events().unwrap().map(Result::unwrap).find(|r| r.event_type() == "artifact_written");
    let stage = ctx.run_path().join(".tmp").join(stage.unwrap().event_id().to_string());
    fs::write(&stage, "abc").unwrap();
    check(&["commit_not_applied", "status_without_artifacts"]);
    fs::rename(stage, ctx.artifact_path(&name)).unwrap();
    check(&[]);

    let other = ctx.run_path().with_file_name("RUN-2");
    fs::rename(ctx.run_path(), &other).unwrap();
    check(&["identity_differs", "orphaned_run", "unborn_run"]);
    fs::rename(&other, other.with_file_name("RUN 2")).unwrap();
    check(&["bad_id", "unborn_run"]);
    fs::rename(other.with_file_name("RUN 2"), ctx.run_path()).unwrap();
    fs::rename(ctx.journal_path(), test.root().join("kept")).unwrap();
    check(&["artifact_unjournaled", "journal_missing"]);
    fs::rename(test.root().join("kept"), ctx.journal_path()).unwrap();
    let genesis = ctx.run_path().join("run.json");
    let good = fs::read(&genesis).unwrap();
    fs::write(&genesis, "{}\n").unwrap();
    check(&["artifact_unjournaled", "genesis_damaged"]);
    fs::write(&genesis, good).unwrap();
    let task = test.workspace().task("TASK-1").unwrap();
    task.set_status(runjournal::TaskStatus::InProgress).unwrap();
    task.set_status(runjournal::TaskStatus::Done).unwrap();
    check(&[]);
    fs::remove_dir_all(ctx.run_path()).unwrap();
    check(&["done_without_success", "unborn_run"]);
    fs::remove_dir(test.root().join("TASK-1/runs")).unwrap();
    fs::write(test.root().join("TASK-1/runs"), "").unwrap();
    check(&["done_without_success", "unborn_run"]);
    fs::remove_file(test.root().join("TASK-1/runs")).unwrap();
    std::os::unix::fs::symlink("/", test.root().join("TASK-1/runs")).unwrap();
    check(&["done_without_success", "unborn_run", "unreadable"]);

    let journal = test.root().join("TASK-1/journal/events.jsonl");
    let bytes = fs::read(&journal).unwrap();
    fs::write(&journal, [&bytes[..], b"{\"half"].concat()).unwrap();
    check(&["done_without_success", "torn_tail", "unborn_run", "unreadable"]);
    fs::write(&journal, [&bytes[..], b"half\n"].concat()).unwrap();
    check(&["done_without_success", "journal_damaged", "unborn_run", "unreadable"]);
    assert!(seen.len() >= 14, "{seen:?}");
}

/// Says one statement for each event that is noted.
struct Says(&'static str, &'static str);

impl Projector for Says {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn schema(&self) -> &'static str {
        self.0
    }

    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
        if event.record().event_type() == "noted" {
            rows.execute(self.1, []);
        }
        Ok(())
    }
}

const PLAIN: &str = "CREATE TABLE notes (journal INTEGER NOT NULL)";

#[test]
fn a_users_projector_writes_to_its_own_tables_alone() {
    for sql in [
        "DELETE FROM t_runs",
        "UPDATE t_journals SET records = 77",
        "INSERT INTO t_words (word, text) VALUES (-1, 'x')",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT mine",
        "PRAGMA user_version = 7",
        "ATTACH ':memory:' AS other",
        "CREATE TABLE more (a INTEGER)",
        "DROP VIEW runs",
        "DROP TABLE notes",
    ] {
        let (test, _, plain) = setup(4);
        plain.rebuild().unwrap();
        let expected = dump(&plain);
        for index in [plain.clone(), Index::at(test.workspace(), test.root().join(".elsewhere"))] {
            let index = index.with_projector(Says(PLAIN, sql));
            index.refresh().unwrap();
            let connection = open(&index);
            let state = "SELECT last_applied_sequence AS at, stopped_at FROM projection_state \
                         WHERE projector = 'notes' AND run_id = 'RUN-1'";
            assert_eq!(rows(&connection, state), ["at=Integer(0) stopped_at=Integer(1)"], "{sql}");
            assert_eq!(codes(&index), ["projection_stopped"], "{sql}");
            let mut now = dump(&index);
            for (view, rows) in &mut now {
                if ["projection_state", "findings"].contains(&view.as_str()) {
                    rows.clone_from(&expected[view]);
                }
            }
            assert_eq!(compare(&now, &expected), [""; 0], "{sql}");
        }
    }
}

#[test]
fn a_users_schema_makes_its_own_tables_alone() {
    let (test, _, plain) = setup(4);
    plain.refresh().unwrap();
    for schema in [
        "CREATE TABLE notes (journal INTEGER NOT NULL); DELETE FROM t_runs",
        "CREATE TABLE notes (journal INTEGER NOT NULL); CREATE TABLE more (a INTEGER)",
        "CREATE TABLE notes (journal INTEGER NOT NULL); CREATE INDEX more ON t_runs (reason)",
        "CREATE TABLE notes (journal INTEGER NOT NULL); DROP VIEW runs",
        "CREATE TABLE notes (journal INTEGER NOT NULL); COMMIT",
    ] {
        let refused = plain.clone().with_projector(Says(schema, "SELECT 1")).refresh();
        assert!(matches!(refused, Err(IndexError::BadProjector { .. })), "{schema}: {refused:?}");
        assert_equal(&plain, test.workspace());
        assert_eq!(plain.refresh().unwrap().anew_because, None, "{schema}");
    }
    let schema = "CREATE TABLE notes (journal INTEGER NOT NULL PRIMARY KEY, n INTEGER UNIQUE);
        CREATE INDEX notes_n ON notes (n); CREATE VIEW noted AS SELECT n FROM notes";
    let sql = "INSERT INTO notes (journal, n) VALUES (2, 1) \
               ON CONFLICT (journal) DO UPDATE SET n = notes.n + 1";
    let index = plain.with_projector(Says(schema, sql));
    index.refresh().unwrap();
    assert_eq!(rows(&open(&index), "SELECT n FROM noted"), ["n=Integer(4)"]);
    assert_eq!(differences(&index), []);
}

#[test]
fn an_attempt_that_ends_twice_and_a_command_with_two_answers() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let (step, run) = (("step", "plan"), ("run", "RUN-1"));
    let refused = |command: &str| {
        let payload = r#""payload":{"command_type":"go","error":"no"}"#;
        format!(",\"command_id\":\"{command}\",{payload}")
    };
    Forger::behind(&ctx.run_path())
        .payload("step_started", step, r#"{"attempt":1}"#)
        .payload("step_failed", step, r#"{"attempt":1,"error":["no"]}"#)
        .payload("step_completed", step, r#"{"attempt":1,"signal":"s"}"#)
        .record("noted", run, ",\"command_id\":\"A\"")
        .record("command_rejected", run, &refused("A"))
        .record("command_rejected", run, &refused("B"))
        .record("noted", run, ",\"command_id\":\"B\"")
        .write();
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    let connection = open(&index);
    assert_eq!(
        rows(&connection, "SELECT code, reason FROM findings"),
        [
            "code=\"duplicate_step\" reason=\"attempt 1 of step plan started 1 times and ended 2 times\""
        ]
    );
    assert_eq!(
        rows(&connection, "SELECT state, signal, error, ended_seq FROM steps"),
        ["state=\"completed\" signal=\"s\" error=NULL ended_seq=Integer(3)"]
    );
    let sql = "SELECT command_id AS id, command_type, state, first_seq, last_seq, error FROM receipts \
               ORDER BY command_id";
    assert_eq!(
        rows(&connection, sql),
        [
            "id=\"A\" command_type=NULL state=\"accepted\" first_seq=Integer(4) last_seq=Integer(5) error=NULL",
            "id=\"B\" command_type=\"go\" state=\"rejected\" first_seq=Integer(6) last_seq=Integer(7) error=\"no\""
        ]
    );
    assert_equal(&index, test.workspace());
}

/// Every row says in which file it begins.
#[test]
fn every_view_of_events_names_the_journal() {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    Forger::behind(&ctx.run_path())
        .payload("step_started", ("step", "plan"), r#"{"attempt":1}"#)
        .payload("checkpoint_created", ("checkpoint", "7"), r#"{"turn":7}"#)
        .payload("session_started", ("session", "S"), "{}")
        .payload("approval_requested", ("approval", "A"), r#"{"question":"?"}"#)
        .record("noted", ("run", "RUN-1"), ",\"command_id\":\"A\"")
        .write();
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    let connection = open(&index);
    for (view, is_there) in [
        ("steps", true),
        ("checkpoints", true),
        ("sessions", true),
        ("approvals", true),
        ("receipts", true),
        ("work", false),
        ("leases", false),
    ] {
        let sql =
            format!("SELECT DISTINCT journal_path AS path FROM {view} WHERE run_id = 'RUN-1'");
        let found = rows(&connection, &sql);
        let wanted = ["path=\"TASK-1/runs/RUN-1/journal/events.jsonl\""];
        assert_eq!(found, &wanted[..usize::from(is_there)], "{view}");
    }
}

#[test]
fn records_beyond_all_numbers_are_one_finding_and_no_rows() {
    let (test, ctx, plain) = setup(1);
    let mut forged = Forger::behind(&ctx.run_path());
    forged.record("noted", ("run", "RUN-1"), "");
    forged.seq = 1 << 33;
    for _ in 0..1500 {
        forged.record("noted", ("run", "RUN-1"), "");
    }
    forged.write();
    // Behind damage, a journal may go on with any number.
    let journal = ctx.run_path().join("journal/events.jsonl");
    let mut bytes = fs::read(&journal).unwrap();
    let second = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 20;
    bytes[second] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let index = plain.with_projector(Notes::new());
    index.refresh().unwrap();
    assert_eq!(codes(&index), ["broken_chain", "projection_stopped"]);
    let (found, state) = noted(&index);
    assert_eq!(found, seqs(0..=1));
    assert!(state[0].ends_with("stopped_at=NULL error=NULL"), "{state:?}");
    forged.record("noted", ("run", "RUN-1"), "").write();
    let mut bytes = fs::read(&journal).unwrap();
    bytes[second] ^= 1;
    fs::write(&journal, bytes).unwrap();
    index.refresh().unwrap();
    assert_eq!(codes(&index), ["broken_chain", "projection_stopped"]);
    assert_eq!(differences(&index), []);
    assert_equal(&index, test.workspace());
}
