//! Questions to the index, held against what reading the whole tree answers.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use runjournal::index::{
    ArtifactQuery, EventQuery, EventRow, FindingQuery, Index, IndexError, IndexReader, Page,
    PageCursor, RunQuery, StepQuery, StepState, TaskQuery, Value,
};
use runjournal::testing::TestWorkspace;
use runjournal::{
    Artifact, ArtifactName, Code, Digest, Event, EventId, Outcome, Record, RunContext, RunStatus,
    Signal, TaskOptions, TaskStatus, Workspace,
};
use serde_json::json;

const PLAN: Artifact<u32> = Artifact::json("plan.json");

/// All pages of an answer.
fn pages<T>(mut ask: impl FnMut(Option<PageCursor>) -> Result<Page<T>, IndexError>) -> Vec<T> {
    let (mut rows, mut next) = (Vec::new(), None);
    loop {
        // A cursor is a text to whoever keeps it.
        let kept = next.map(|cursor: PageCursor| cursor.to_string().parse().unwrap());
        let page = ask(kept).unwrap();
        let more = page.next.is_some();
        assert!(!page.rows.is_empty() || !more, "a page leads on, and holds nothing");
        rows.extend(page.rows);
        next = page.next;
        if !more {
            return rows;
        }
    }
}

/// The pages of a query of this kind.
macro_rules! all {
    ($reader:expr, $ask:ident, $query:expr, $limit:expr) => {
        pages(|next| {
            let query = $query.clone().limit($limit);
            $reader.$ask(&match next {
                Some(cursor) => query.after(cursor),
                None => query,
            })
        })
    };
}

/// What reading the tree says of it: each journal's task, run (empty for a task's own) and records.
fn journals(workspace: &Workspace) -> Vec<(String, String, Vec<Record>)> {
    let mut journals = Vec::new();
    for id in workspace.tasks().unwrap() {
        let task = workspace.task(&id).unwrap();
        let records = task.events().unwrap().read_all().unwrap().0;
        journals.push((id.to_string(), String::new(), records));
        for run in task.runs().unwrap() {
            let records = task.run(&run).unwrap().context().events().unwrap().read_all().unwrap().0;
            journals.push((id.to_string(), run.to_string(), records));
        }
    }
    journals
}

type Key = (String, String, u64);

fn key(event: &EventRow) -> Key {
    let run = event.run_id.as_ref().map(ToString::to_string).unwrap_or_default();
    (event.task_id.to_string(), run, event.seq)
}

/// Asks for events, and holds them against the records that are wanted.
fn check_events(
    reader: &IndexReader,
    journals: &[(String, String, Vec<Record>)],
    query: &EventQuery,
    wanted: impl Fn(&str, &str, &Record) -> bool,
) {
    let mut expected = BTreeSet::new();
    for (task, run, records) in journals {
        for record in records.iter().filter(|record| wanted(task, run, record)) {
            expected.insert((task.clone(), run.clone(), record.seq()));
        }
    }
    for limit in [1, 3, 1000] {
        let found = all!(reader, events, query, limit);
        let keys: Vec<Key> = found.iter().map(key).collect();
        assert_eq!(keys.iter().cloned().collect::<BTreeSet<_>>(), expected, "{query:?}, {limit}");
        assert_eq!(keys.len(), expected.len(), "none twice: {query:?}, {limit}");
        for pair in keys.windows(2) {
            let of_one_journal = (&pair[0].0, &pair[0].1) == (&pair[1].0, &pair[1].1);
            assert!(!of_one_journal || pair[0].2 < pair[1].2, "in order: {query:?}");
        }
        let mut backwards: Vec<Key> =
            all!(reader, events, query.clone().last_first(), limit).iter().map(key).collect();
        backwards.reverse();
        assert_eq!(backwards, keys, "{query:?}");
    }
}

/// What one does to a tree, in short.
#[derive(Debug, Clone)]
enum Op {
    Append { run: usize, kind: usize, stream: usize, joined: usize, command: usize, cause: usize },
    Write { run: usize, name: usize, value: u32 },
    Remove { run: usize, name: usize },
    Foreign { run: usize, name: usize, value: u32 },
    Step { run: usize, name: usize, fails: bool },
    Complete { run: usize },
    Refresh,
}

fn op() -> impl Strategy<Value = Op> {
    let run = 0..6_usize;
    let part = || 0..3_usize;
    prop_oneof![
        6 => (run.clone(), part(), 0..5_usize, part(), part(), part()).prop_map(
            |(run, kind, stream, joined, command, cause)| Op::Append {
                run, kind, stream, joined, command, cause
            }
        ),
        3 => (run.clone(), part(), 0..3_u32).prop_map(|(run, name, value)| Op::Write { run, name, value }),
        1 => (run.clone(), part()).prop_map(|(run, name)| Op::Remove { run, name }),
        1 => (run.clone(), 0..4_usize, 0..3_u32)
            .prop_map(|(run, name, value)| Op::Foreign { run, name, value }),
        2 => (run.clone(), part(), any::<bool>())
            .prop_map(|(run, name, fails)| Op::Step { run, name, fails }),
        1 => run.prop_map(|run| Op::Complete { run }),
        1 => Just(Op::Refresh),
    ]
}

const NAMES: [&str; 4] = ["a.json", "b.json", "dir/c.json", "foreign.json"];

/// A tree in which tasks, streams, correlations and causes cross runs, and an index of it.
fn grown(ops: &[Op]) -> (TestWorkspace, Index) {
    let test = TestWorkspace::new().unwrap();
    let workspace = test.workspace().clone();
    let index = Index::of(&workspace);
    let mut last: Vec<EventId> = Vec::new();
    for op in ops {
        // Some occur at the same time.
        test.clock().advance(if last.len().is_multiple_of(2) { 0 } else { 1_000_000 });
        let context = |number: usize| -> RunContext {
            let id = format!("TASK-{}", number % 2 + 1);
            let task = workspace.open_or_create_task(id.as_str(), TaskOptions::default()).unwrap();
            task.open_or_start_run(format!("RUN-{number}").as_str()).unwrap()
        };
        match *op {
            Op::Append { run, kind, stream, joined, command, cause } => {
                let ctx = context(run);
                let mut event = Event::new(["noted", "called", "said"][kind]);
                if let Some(stream) = stream.checked_sub(2) {
                    event = event.stream("topic", format!("S-{stream}"));
                }
                if joined > 0 {
                    event = event.correlation(format!("J-{joined}"));
                }
                if command > 0 {
                    event = event.command_id(format!("C-{command}"));
                }
                if let Some(id) = last.len().checked_sub(cause + 1).filter(|_| cause > 0) {
                    event = event.causation(last[id]);
                }
                if let Ok(appended) = ctx.append(event) {
                    last.push(appended.event_id);
                }
            }
            Op::Write { run, name, value } => {
                let name: Artifact<u32> = Artifact::json(NAMES[name]);
                let _ = context(run).artifacts().write(name, &value);
            }
            Op::Remove { run, name } => {
                let _ = context(run).artifacts().remove(ArtifactName::new(NAMES[name]).unwrap());
            }
            Op::Foreign { run, name, value } => {
                let path = context(run).run_path().join("artifacts").join(NAMES[name]);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, format!("{value}\n")).unwrap();
            }
            Op::Step { run, name, fails } => {
                let _ = context(run).step(["plan", "execute", "verify"][name], |_| {
                    if fails {
                        Err(runjournal::StepError::message("no"))
                    } else {
                        Ok(Signal::new("done"))
                    }
                });
            }
            Op::Complete { run } => {
                let _ = context(run).run().unwrap().complete(Outcome::Success, None);
            }
            Op::Refresh => drop(index.refresh().unwrap()),
        }
    }
    index.refresh().unwrap();
    (test, index)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn answers_are_what_reading_the_tree_says(ops in prop::collection::vec(op(), 1..60)) {
        let (test, index) = grown(&ops);
        let reader = index.open().unwrap();
        let journals = journals(test.workspace());
        let new = EventQuery::new;
        check_events(&reader, &journals, &new(), |_, _, _| true);
        for of_type in ["noted", "run_started", "artifact_written", "never"] {
            check_events(&reader, &journals, &new().of_type(of_type), |_, _, r| r.event_type() == of_type);
            let query = new().of_type(of_type).of_run("TASK-1", "RUN-0");
            check_events(&reader, &journals, &query, |_, run, r| run == "RUN-0" && r.event_type() == of_type);
        }
        check_events(&reader, &journals, &new().of_task("TASK-1"), |task, run, _| {
            task == "TASK-1" && run.is_empty()
        });
        let streams = [("topic", "S-0"), ("run", "RUN-1"), ("task", "TASK-2"), ("artifact", "a.json"), ("x", "y")];
        for (kind, id) in streams {
            let is = move |r: &Record| (r.aggregate_kind(), r.stream_id()) == (kind, id);
            check_events(&reader, &journals, &new().in_stream(kind, id), |_, _, r| is(r));
            let query = new().in_stream(kind, id).correlated("J-1");
            check_events(&reader, &journals, &query, |_, _, r| is(r) && r.correlation_id() == Some("J-1"));
            let query = new().in_stream(kind, id).of_type("noted");
            check_events(&reader, &journals, &query, |_, _, r| is(r) && r.event_type() == "noted");
        }
        let traces = journals.iter().filter_map(|(_, _, records)| records.first()?.correlation_id());
        for id in traces.chain(["J-1", "J-2", "J-9"]) {
            check_events(&reader, &journals, &new().correlated(id), |_, _, r| r.correlation_id() == Some(id));
        }
        check_events(&reader, &journals, &new().answering("C-1"), |_, _, r| r.command_id() == Some("C-1"));
        for (_, _, records) in &journals {
            for record in records {
                let id = record.event_id();
                let row = reader.event(id).unwrap().unwrap();
                let read = reader.record(&row).unwrap();
prop_assert_eq!(read.line(), record.line());
                prop_assert_eq!(row.occurred_at, record.occurred_at());
                prop_assert_eq!((row.first_byte, row.first_byte + row.bytes), (record.offset(), record.cursor().offset()));
                prop_assert_eq!(row.stream_version, record.stream_version());
            }
        }
        let some = journals.iter().flat_map(|(_, _, records)| records).filter_map(Record::causation_event_id);
        for cause in some {
            check_events(&reader, &journals, &new().caused_by(cause), |_, _, r| {
                r.causation_event_id() == Some(cause)
            });
        }
        check_rows(&test, &reader);
    }
}

/// Tasks, runs, artifacts and steps, held against the tree.
fn check_rows(test: &TestWorkspace, reader: &IndexReader) {
    let workspace = test.workspace();
    let (mut runs, mut artifacts) = (Vec::new(), Vec::new());
    for id in workspace.tasks().unwrap() {
        let task = workspace.task(&id).unwrap();
        for run_id in task.runs().unwrap() {
            let run = task.run(&run_id).unwrap();
            let state = run.state().unwrap();
            runs.push((id.clone(), run_id.clone(), state.status));
            for entry in run.context().artifacts().list().unwrap() {
                artifacts.push((run_id.to_string(), entry));
            }
        }
    }
    for limit in [1, 2, 1000] {
        let tasks = all!(reader, tasks, TaskQuery::new(), limit);
        assert_eq!(tasks.len(), workspace.tasks().unwrap().len());
        let done = all!(reader, tasks, TaskQuery::new().status(TaskStatus::Done), limit);
        assert!(done.is_empty());
        for query in [RunQuery::new(), RunQuery::new().newest_first()] {
            let found = all!(reader, runs, query, limit);
            let set: BTreeSet<_> = found.iter().map(|run| &run.run_id).collect();
            assert_eq!((set.len(), found.len()), (runs.len(), runs.len()));
            assert!(found.windows(2).all(|pair| {
                let (a, b) = (pair[0].created_at, pair[1].created_at);
                if format!("{query:?}").contains("newest_first: true") { a >= b } else { a <= b }
            }));
            for run in &found {
                let same = |(task, id, status): &(_, _, _)| {
                    (task, id, *status) == (&run.task_id, &run.run_id, run.status)
                };
                assert!(runs.iter().any(same), "{run:?}");
                assert!(reader.full_path(&run.run_path).join("run.json").exists());
            }
            let middle = found.get(found.len() / 2).map(|run| run.created_at);
            if let Some(middle) = middle {
                let since = all!(reader, runs, query.clone().since(middle), limit);
                assert_eq!(since.len(), found.iter().filter(|r| r.created_at >= middle).count());
                let until = all!(reader, runs, query.clone().until(middle), limit);
                assert_eq!(until.len(), found.iter().filter(|r| r.created_at < middle).count());
            }
            for task in ["TASK-1", "TASK-2"] {
                let of_task = all!(reader, runs, query.clone().of_task(task), limit);
                assert_eq!(of_task.len(), runs.iter().filter(|r| r.0.as_str() == task).count());
                let open = all!(reader, runs, query.clone().of_task(task).unfinished(), limit);
                let wanted = |r: &&(_, _, RunStatus)| r.2 != RunStatus::Success;
                let of_task = runs.iter().filter(|(t, _, _)| t.as_str() == task);
                assert_eq!(open.len(), of_task.filter(wanted).count());
            }
            let done = all!(reader, runs, query.clone().status(RunStatus::Success), limit);
            assert_eq!(done.len(), runs.iter().filter(|r| r.2 == RunStatus::Success).count());
            assert!(done.iter().all(|run| run.completed_at.is_some()));
        }
        let found = all!(reader, artifacts, ArtifactQuery::new(), limit);
        let listed = found.iter().filter(|row| row.digest.is_some() || row.disk_digest.is_some());
        assert_eq!(listed.count(), artifacts.len(), "{found:#?}\n{artifacts:#?}");
        let names: BTreeSet<_> = found.iter().map(|row| &row.file_path).collect();
        assert_eq!(names.len(), found.len());
        for row in &found {
            let file = fs::read(reader.full_path(&row.file_path)).ok();
            assert_eq!(row.disk_digest, file.map(|bytes| Digest::of(&bytes)), "{row:?}");
        }
        for value in ["0\n", "1\n", "2\n"] {
            let digest = Digest::of(value.as_bytes());
            let holds = all!(reader, artifacts, ArtifactQuery::new().digest(digest), limit);
            let wanted: Vec<_> = found
                .iter()
                .filter(|row| row.digest == Some(digest) || row.disk_digest == Some(digest))
                .cloned()
                .collect();
            assert_eq!(holds, wanted);
        }
        for name in NAMES {
            let named = all!(reader, artifacts, ArtifactQuery::new().path(name), limit);
            let wanted: Vec<_> = found.iter().filter(|row| row.path == name).cloned().collect();
            assert_eq!(named, wanted);
        }
        let of_run = all!(reader, artifacts, ArtifactQuery::new().of_run("TASK-1", "RUN-0"), limit);
        assert_eq!(of_run.len(), found.iter().filter(|row| row.run_id.as_str() == "RUN-0").count());
        let large = all!(reader, artifacts, ArtifactQuery::new().larger_than(1), limit);
        assert_eq!(large.len(), found.iter().filter(|row| row.disk_size > Some(1)).count());
        assert!(large.windows(2).all(|pair| pair[0].disk_size >= pair[1].disk_size));

        let steps = all!(reader, steps, StepQuery::new(), limit);
        let keys: BTreeSet<_> =
            steps.iter().map(|s| (&s.journal_path, &s.step, s.attempt)).collect();
        assert_eq!(keys.len(), steps.len());
        for state in [StepState::Started, StepState::Completed, StepState::Failed] {
            let found = all!(reader, steps, StepQuery::new().state(state), limit);
            let wanted: Vec<_> = steps.iter().filter(|step| step.state == state).cloned().collect();
            assert_eq!(found, wanted);
            let found = all!(reader, steps, StepQuery::new().state(state).name("plan"), limit);
            let wanted: Vec<_> = wanted.into_iter().filter(|step| step.step == "plan").collect();
            assert_eq!(found, wanted);
        }
        let of_run = all!(reader, steps, StepQuery::new().of_run("TASK-1", "RUN-0"), limit);
        let wanted: Vec<_> = steps.into_iter().filter(|s| s.run_id.as_str() == "RUN-0").collect();
        assert_eq!(of_run, wanted);
    }
}

/// A workspace with one run, and its index.
fn small() -> (TestWorkspace, RunContext, Index) {
    let test = TestWorkspace::new().unwrap();
    let ctx = test.start_run("RUN-1").unwrap();
    let index = Index::of(test.workspace());
    index.refresh().unwrap();
    (test, ctx, index)
}

#[test]
fn pages_hold_while_rows_come() {
    let (test, ctx, index) = small();
    for _ in 0..9 {
        ctx.append(Event::new("noted")).unwrap();
    }
    index.refresh().unwrap();
    let reader = index.open().unwrap();
    for backwards in [false, true] {
        let known = reader.events(&EventQuery::new()).unwrap().rows;
        let mut query = EventQuery::new().limit(2);
        if backwards {
            query = query.last_first();
        }
        let mut seen = Vec::new();
        let mut runs = 0;
        loop {
            let page = reader.events(&query).unwrap();
            seen.extend(page.rows.iter().map(key));
            ctx.append(Event::new("noted")).unwrap();
            runs += 1;
            test.start_run(&format!("NEW-{backwards}-{runs}")).unwrap();
            index.refresh().unwrap();
            let Some(next) = page.next.filter(|_| runs < 40) else { break };
            query = query.after(next);
        }
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "none twice");
        assert!(known.iter().all(|row| seen.contains(&key(row))), "none left out");
    }
}

#[test]
fn a_page_goes_on_only_where_it_can() {
    let (_test, ctx, index) = small();
    ctx.append(Event::new("noted")).unwrap();
    ctx.append(Event::new("noted")).unwrap();
    index.refresh().unwrap();
    let reader = index.open().unwrap();
    let query = EventQuery::new().of_type("noted").limit(1);
    let next = reader.events(&query).unwrap().next.unwrap();
    let stale = |result: Result<_, IndexError>| {
        assert!(matches!(result, Err(IndexError::StalePage { .. })), "{result:?}");
    };
    stale(reader.events(&query.clone().of_type("other").after(next.clone())).map(drop));
    stale(reader.runs(&RunQuery::new().after(next.clone())).map(drop));
    let again = query.after(next).limit(7);
    assert_eq!(reader.events(&again).unwrap().rows.len(), 1);
    index.rebuild().unwrap();
    // The reader reads the generation that it opened.
    assert_eq!(reader.events(&again).unwrap().rows.len(), 1);
    stale(index.open().unwrap().events(&again).map(drop));
}

#[test]
fn a_reader_stays_on_its_generation() {
    let (test, ctx, index) = small();
    let reader = index.open().unwrap();
    let count = |reader: &IndexReader| reader.runs(&RunQuery::new()).unwrap().rows.len();
    test.start_run("RUN-2").unwrap();
    assert_eq!(count(&reader), 1, "a question does not refresh");
    index.refresh().unwrap();
    assert_eq!(count(&reader), 2, "what a refresh wrote is seen");
    test.start_run("RUN-3").unwrap();
    index.rebuild().unwrap();
    ctx.append(Event::new("noted")).unwrap();
    index.refresh().unwrap();
    assert_eq!(count(&reader), 2);
    assert_eq!(count(&index.open().unwrap()), 3);
    // It can be handed to another thread.
    std::thread::spawn(move || assert_eq!(count(&reader), 2)).join().unwrap();
    fs::remove_dir_all(index.path()).unwrap();
    assert!(matches!(index.open(), Err(IndexError::NotBuilt { .. })));
}

#[test]
fn causes_lead_up_to_the_root() {
    let (test, ctx, index) = small();
    let other = test.start_run("RUN-2").unwrap();
    let append = |ctx: &RunContext, cause: Option<EventId>| {
        let event = Event::new("noted");
        let event = cause.into_iter().fold(event, |event, cause| event.causation(cause));
        ctx.append(event).unwrap().event_id
    };
    let root = append(&ctx, None);
    let middle = append(&other, Some(root));
    let last = append(&ctx, Some(middle));
    let unknown = append(&ctx, Some(EventId::from(uuid::Uuid::from_u128(9))));
    index.refresh().unwrap();
    let reader = index.open().unwrap();
    let ids = |id| {
        let chain = reader.causes(id).unwrap();
        chain.iter().map(|event| event.event_id).collect::<Vec<_>>()
    };
    assert_eq!(ids(last), [last, middle, root]);
    assert_eq!(ids(root), [root]);
    assert_eq!(ids(unknown), [unknown]);
    assert_eq!(ids(EventId::from(uuid::Uuid::from_u128(9))), []);
    assert_eq!(reader.events(&EventQuery::new().caused_by(root)).unwrap().rows[0].event_id, middle);
}

#[test]
fn a_copied_run_has_causes_of_its_own() {
    let (_test, ctx, index) = small();
    let root = ctx.append(Event::new("noted")).unwrap().event_id;
    let last = ctx.append(Event::new("noted").causation(root)).unwrap().event_id;
    // The copy comes first in every order.
    let copy = ctx.run_path().with_file_name("AAA");
    fs::create_dir_all(copy.join("journal")).unwrap();
    for file in ["run.json", "journal/events.jsonl"] {
        fs::copy(ctx.run_path().join(file), copy.join(file)).unwrap();
    }
    let newest = ctx.append(Event::new("noted").causation(last)).unwrap().event_id;
    index.rebuild().unwrap();
    let reader = index.open().unwrap();
    let runs = |rows: Vec<EventRow>| -> Vec<String> {
        rows.into_iter().map(|row| row.run_id.unwrap().to_string()).collect()
    };
    assert_eq!(runs(reader.events(&EventQuery::new().id(last)).unwrap().rows), ["AAA", "RUN-1"]);
    assert_eq!(runs(reader.causes(newest).unwrap()), ["RUN-1"; 3]);
}

#[test]
fn a_record_that_is_elsewhere_now_is_told() {
    let (test, ctx, index) = small();
    ctx.append(Event::new("noted").payload(&json!({"x": 1}))).unwrap();
    index.refresh().unwrap();
    let reader = index.open().unwrap();
    let events = reader.events(&EventQuery::new().of_type("noted")).unwrap().rows;
    assert_eq!(reader.record(&events[0]).unwrap().payload_json().unwrap().unwrap(), r#"{"x":1}"#);
    let second = test.start_run("RUN-2").unwrap();
    let moved_on = || {
        let result = reader.record(&events[0]);
        assert!(matches!(result, Err(IndexError::MovedOn { seq: 1.., .. })), "{result:?}");
    };
    let journal = ctx.journal_path();
    let kept = fs::read(&journal).unwrap();
    fs::write(&journal, &kept[..kept.len() / 2]).unwrap();
    moved_on();
    fs::write(&journal, &kept).unwrap();
    assert!(reader.record(&events[0]).is_ok());
    fs::rename(ctx.run_path(), ctx.run_path().with_file_name("RUN-9")).unwrap();
    moved_on();
    fs::rename(second.run_path(), ctx.run_path()).unwrap();
    moved_on();
}

#[test]
fn sql_reads_and_does_nothing_else() {
    let (test, ctx, index) = small();
    test.start_run("RUN-2").unwrap();
    ctx.run().unwrap().complete(Outcome::Failed, None).unwrap();
    index.refresh().unwrap();
    let reader = index.open().unwrap();
    let ask = |sql: &str, values: &[Value]| {
        let mut rows = Vec::new();
        let asked = reader.sql(sql, values, &mut |row| {
            rows.push(row.values().to_vec());
            ControlFlow::Continue(())
        });
        asked.map(|()| rows)
    };
    let sql = "SELECT run_id, records FROM runs WHERE status = $1 -- and a comment;";
    let rows = ask(sql, &["FAILED".into()]).unwrap();
    assert_eq!(rows[0][0], Value::from("RUN-1"));
    assert_eq!(
        ask("WITH a AS (SELECT 1 AS n) SELECT n, x'00', NULL, 1.5 FROM a", &[]).unwrap(),
        [[Value::Integer(1), Value::Blob(vec![0]), Value::Null, Value::Real(1.5)]]
    );
    for view in ["tasks", "steps", "artifacts", "events", "findings", "projection_state", "audit"] {
        ask(&format!("SELECT * FROM {view}"), &[]).unwrap();
    }
    let other = index.path().join("other.db");
    let refused = [
        "DELETE FROM t_runs",
        "UPDATE t_runs SET status = 'SUCCESS' RETURNING status",
        "CREATE TEMP TABLE a (b)",
        "DROP VIEW runs",
        "BEGIN",
        "SAVEPOINT a",
        "VACUUM",
        "PRAGMA query_only = 0",
        "PRAGMA locking_mode = EXCLUSIVE",
        "/* SELECT */ PRAGMA journal_mode = DELETE",
        &format!("ATTACH '{other}' AS other"),
        "SELECT 1; SELECT 2",
        "SELECT 1; DELETE FROM t_runs",
        "SELECT nothing FROM nowhere",
        "SELEC 1",
        "",
        "SELECT $1, $2",
    ];
    for sql in refused {
        let result = ask(sql, &[]);
        assert!(matches!(result, Err(IndexError::BadQuery { .. })), "{sql}: {result:?}");
    }
    assert!(!other.exists());
    // Nothing of it lasts.
    assert_eq!(reader.runs(&RunQuery::new()).unwrap().rows.len(), 2);
    let mut rows = 0;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    reader
        .sql(endless, &[], &mut |row| {
            rows += 1;
            assert_eq!(row.get("i"), Some(&Value::Integer(rows)));
            if rows == 1000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(rows, 1000);
}

#[test]
fn damage_is_told_and_never_an_answer() {
    let (_test, ctx, index) = small();
    for number in 0..3000 {
        ctx.append(Event::new("noted").command_id(format!("C-{number}"))).unwrap();
    }
    index.rebuild().unwrap();
    let database = index.database_path().unwrap();
    let bytes = fs::read(&database).unwrap();
    let whole = all!(index.open().unwrap(), events, EventQuery::new(), 500).len();
    let page = 8192;
    let (mut damaged, mut same) = (0, 0);
    for number in 1..bytes.len() / page {
        let mut bytes = bytes.clone();
        bytes[number * page..][..page].fill(0xa5);
        fs::write(&database, &bytes).unwrap();
        let read = || {
            let reader = index.open()?;
            let mut query = EventQuery::new().limit(500);
            let mut count = 0;
            loop {
                let page = reader.events(&query)?;
                count += page.rows.len();
                match page.next {
                    Some(next) => query = query.after(next),
                    None => return Ok(count),
                }
            }
        };
        match read() {
            // It did not need that page.
            Ok(count) if count == whole => same += 1,
            Err(IndexError::Damaged { .. }) => damaged += 1,
            other => panic!("page {number}: {other:?}"),
        }
    }
    assert!(damaged > 5 && same > 0, "{damaged}, {same}");
}

#[test]
fn findings_are_the_crates_own() {
    let (_test, ctx, index) = small();
    ctx.artifacts().write(PLAN, &1).unwrap();
    fs::write(ctx.run_path().join("artifacts/plan.json"), "2\n").unwrap();
    fs::write(ctx.run_path().join("artifacts/foreign.txt"), "2\n").unwrap();
    fs::create_dir_all(ctx.root().join("bad id")).unwrap();
    fs::copy(ctx.root().join("TASK-1/task.json"), ctx.root().join("bad id/task.json")).unwrap();
    index.refresh().unwrap();
    let reader = index.open().unwrap();
    let found = all!(reader, findings, FindingQuery::new(), 1);
    let codes: Vec<_> = found.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::BadId, Code::ArtifactUnjournaled, Code::ArtifactChanged]);
    assert_eq!(found[2].place.path, ctx.run_path().join("artifacts/plan.json"));
    let of_run = reader.findings(&FindingQuery::new().of_run("TASK-1", "RUN-1")).unwrap().rows;
    assert_eq!(of_run, found[1..]);
    let changed = FindingQuery::new().of_task("TASK-1").code(Code::ArtifactChanged);
    assert_eq!(reader.findings(&changed).unwrap().rows, found[2..]);
}

#[test]
fn a_snapshot_is_a_run_and_its_place() {
    let (test, ctx, index) = small();
    ctx.step("plan", |s| {
        s.write(PLAN, &1)?;
        Ok(Signal::new("planned"))
    })
    .unwrap();
    let reader = index.open().unwrap();
    let before = reader.snapshot(&ctx).unwrap();
    assert_eq!((before.sequence, before.steps.len()), (0, 0), "what the index knows, not the tree");
    assert_eq!(before.cursor.offset(), 0);
    assert_eq!(ctx.events().unwrap().from(before.cursor).unwrap().count(), 3);
    index.refresh().unwrap();
    ctx.append(Event::new("noted")).unwrap();
    let snapshot = reader.snapshot(&ctx).unwrap();
    assert_eq!(snapshot.run.run_id.as_str(), "RUN-1");
    assert_eq!(snapshot.steps[0].signal.as_deref(), Some("planned"));
    assert_eq!(snapshot.artifacts[0].digest, Some(Digest::of(b"1\n")));
    assert_eq!(snapshot.cursor.seq(), snapshot.sequence);
    let rest: Vec<_> = ctx.events().unwrap().from(snapshot.cursor).unwrap().collect();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].as_ref().unwrap().seq(), snapshot.sequence + 1);
    let unknown = test.start_run("RUN-2").unwrap();
    assert!(matches!(reader.snapshot(&unknown), Err(IndexError::NotIndexed { .. })));
    let projections = reader.projections("TASK-1", Some(ctx.run_id())).unwrap();
    assert!(projections.iter().all(|row| row.cursor == Some(snapshot.cursor)), "{projections:?}");
    assert!(projections.len() >= 12);
}

/// While threads append and others bring the index up to date, a snapshot and what follows it are all
/// events, each once.
#[test]
fn a_hand_off_loses_nothing_while_writers_are_at_work() {
    let (_test, ctx, index) = small();
    let done = AtomicBool::new(false);
    let name = |number: u32| ArtifactName::new(format!("file-{number}.json")).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (ctx, done) = (&ctx, &done);
            scope.spawn(move || {
                for number in 0..60 {
                    let content = format!("{number}");
                    ctx.artifacts()
                        .write_bytes(name(writer * 1000 + number), content.as_bytes())
                        .unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
        }
        let (index, ctx, done) = (&index, &ctx, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                index.refresh().unwrap();
            }
        });
        let reader = index.open().unwrap();
        while !done.load(Ordering::Relaxed) {
            check_hand_off(ctx, &reader);
        }
    });
    index.refresh().unwrap();
    let snapshot = check_hand_off(&ctx, &index.open().unwrap());
    assert_eq!(snapshot, (180, 0));
}

/// How many files the snapshot knows, and how many the rest adds.
fn check_hand_off(ctx: &RunContext, reader: &IndexReader) -> (usize, usize) {
    let snapshot = reader.snapshot(ctx).unwrap();
    let told: BTreeSet<u64> =
        snapshot.artifacts.iter().filter_map(|artifact| artifact.seq).collect();
    // Each record is of a file of its own: the snapshot has one row for each up to its place.
    assert_eq!(told, (1..=snapshot.sequence).collect::<BTreeSet<_>>());
    let rest: Vec<_> = ctx
        .events()
        .unwrap()
        .from(snapshot.cursor)
        .unwrap()
        .map(|record| record.unwrap().seq())
        .collect();
    let wanted: Vec<u64> = (snapshot.sequence + 1..).take(rest.len()).collect();
    assert_eq!(rest, wanted);
    (told.len(), rest.len())
}

/// Appends records that a later version of the library writes: type, kind and id of the stream, payload.
fn forge(ctx: &RunContext, events: &[(&str, &str, &str, serde_json::Value)]) {
    let mut bytes = fs::read(ctx.journal_path()).unwrap();
    let records = bytes.iter().filter(|byte| **byte == b'\n').count();
    let at = bytes.len() - 67;
    let mut parent = blake3::Hash::from_hex(&bytes[at..at + 64]).unwrap();
    for (number, (event_type, kind, id, payload)) in events.iter().enumerate() {
        let seq = records + number + 1;
        let body = format!(
            "{{\"seq\":{seq},\"event_id\":\"00000000-0000-7000-8000-{seq:012}\",\
             \"event_type\":\"{event_type}\",\"occurred_at\":\"2026-01-01T00:00:00.000000Z\",\
             \"aggregate_kind\":\"{kind}\",\"stream_id\":\"{id}\",\"stream_version\":{number},\
             \"actor_kind\":\"node\",\"payload\":{payload}"
        );
        parent = blake3::hash(&[parent.as_bytes(), body.as_bytes()].concat());
        bytes.extend(format!("{body},\"hash\":\"{}\"}}\n", parent.to_hex()).into_bytes());
    }
    fs::write(ctx.journal_path(), bytes).unwrap();
}

#[test]
fn what_is_no_end_and_no_artifact_for_a_run_is_none_for_the_index() {
    let lax = [
        (
            "execution_complete",
            ("run", "RUN-1"),
            json!({"status": "PLANNING", "counts": {
            "steps_completed": 0, "steps_failed": 0}}),
            "runs",
        ),
        ("execution_complete", ("run", "RUN-1"), json!({"status": "SUCCESS"}), "runs"),
        ("run_status_changed", ("run", "RUN-1"), json!({"to": "EXECUTING"}), "runs"),
        ("artifact_written", ("artifact", "x"), json!({"path": "../x", "size": 1}), "artifacts"),
    ];
    for (event_type, (kind, id), payload, projector) in lax {
        let (_test, ctx, index) = small();
        ctx.append(Event::new("noted")).unwrap();
        forge(&ctx, &[(event_type, kind, id, payload)]);
        ctx.manifest().unwrap_err();
        index.refresh().unwrap();
        let reader = index.open().unwrap();
        let run = reader.latest_run("TASK-1").unwrap().unwrap();
        assert_eq!((run.status, run.completed_at), (RunStatus::Planning, None), "{event_type}");
        assert!(reader.artifacts(&ArtifactQuery::new()).unwrap().rows.is_empty());
        let stopped = reader.projections("TASK-1", Some(ctx.run_id())).unwrap();
        let stopped = stopped.iter().filter(|projection| projection.stopped_at.is_some());
        assert_eq!(stopped.map(|p| p.projector.as_str()).collect::<Vec<_>>(), [projector]);
    }
}

#[test]
fn a_snapshot_goes_on_where_the_slowest_of_its_projectors_stands() {
    let (_test, ctx, index) = small();
    ctx.append(Event::new("noted")).unwrap();
    let digest = Digest::of(b"x");
    let root = digest.to_string();
    forge(
        &ctx,
        &[
            ("session_started", "session", "S-1", json!({"provider": "p", "status": "running"})),
            (
                "approval_requested",
                "approval",
                "A-1",
                json!({"question": "ok?", "options": ["y", "n"]}),
            ),
            ("checkpoint_created", "checkpoint", "1", {
                json!({"turn": 1, "digest": digest, "artifacts_root": root})
            }),
            ("session_updated", "session", "S-1", json!({"provider": 5})),
            ("approval_resolved", "approval", "A-1", json!({"decision": "y", "by": "me"})),
        ],
    );
    index.refresh().unwrap();
    let reader = index.open().unwrap();
    let snapshot = reader.snapshot(&ctx).unwrap();
    assert_eq!(snapshot.sequence, 4, "seq 5 stopped the sessions");
    assert_eq!(snapshot.run.last_seq, 6);
    let session = &snapshot.sessions[0];
    assert_eq!((session.session_id.as_str(), session.seq), ("S-1", 2));
    assert_eq!(
        (session.provider.as_deref(), session.status.as_deref()),
        (Some("p"), Some("running"))
    );
    let approval = &snapshot.approvals[0];
    assert_eq!(
        (approval.question.as_deref(), approval.decision.as_deref()),
        (Some("ok?"), Some("y"))
    );
    assert_eq!((approval.requested_seq, approval.resolved_seq), (Some(3), Some(6)));
    let checkpoint = &snapshot.checkpoints[0];
    assert_eq!((checkpoint.turn, checkpoint.digest, checkpoint.seq), (1, Some(digest), 4));
    let rest = ctx.events().unwrap().from(snapshot.cursor).unwrap();
    let rest: Vec<u64> = rest.map(|record| record.unwrap().seq()).collect();
    assert_eq!(rest, [5, 6]);
    let stopped: Vec<_> = reader
        .projections("TASK-1", Some(ctx.run_id()))
        .unwrap()
        .into_iter()
        .filter(|projection| projection.stopped_at.is_some())
        .map(|projection| {
            (projection.projector, projection.last_applied_sequence, projection.stopped_at)
        })
        .collect();
    assert_eq!(stopped, [("sessions".to_owned(), 4, Some(5))]);
    let findings = reader.findings(&FindingQuery::new().code(Code::ProjectionStopped)).unwrap();
    assert_eq!(findings.rows.len(), 1);
}
