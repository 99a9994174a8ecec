//! `query`: asks the index.

use std::fmt::Display;
use std::ops::ControlFlow;

use runjournal::index::{
    ArtifactQuery, ArtifactRow, EventQuery, EventRow, FindingQuery, IndexError, IndexReader, Page,
    RunQuery, RunRow, StepQuery, StepRow, TaskQuery, TaskRow, Value,
};
use runjournal::{RunContext, TaskId};

use super::args::Format;
use super::error::CliError;
use super::exit::Exit;
use super::index_args::{EventFilter, Named, Paging, Query, Times};
use super::locate::Locator;
use super::output::{Columns, Output, exit_for, hint, tell_why, text};
use super::progress;
use super::units::{short, size};

/// A query with what the command line says, where it says something.
macro_rules! with {
    ($query:expr, $($method:ident($value:expr)),+ $(,)?) => {{
        let mut query = $query;
        $(if let Some(value) = $value { query = query.$method(value); })+
        query
    }};
}

/// A query for the rows that are to be printed.
macro_rules! paged {
    ($query:expr, $paging:expr) => {{
        let Paging { limit, after } = $paging;
        with!($query.limit(limit), after(after))
    }};
}

/// A query of what was made in these times, the newest first unless said otherwise.
macro_rules! timed {
    ($query:expr, $times:expr) => {{
        let Times { since, until, oldest_first } = $times;
        let query = with!($query, since(since), until(until));
        if oldest_first { query } else { query.newest_first() }
    }};
}

pub(crate) fn query(at: &Locator, query: Query, output: &mut Output) -> Result<Exit, CliError> {
    // A run that is not there is told before a long refresh.
    let run = |named: &Option<String>| named.as_deref().map(|run| at.named_run(run)).transpose();
    let reader = || open(at, query.stale);
    match query.named {
        Named::Tasks { status, times, paging } => {
            let query = paged!(timed!(with!(TaskQuery::new(), status(status)), times), paging);
            print("tasks", reader()?.tasks(&query)?, output, tasks)
        }
        Named::Runs { task, status, times, paging } => {
            let query = with!(RunQuery::new(), of_task(task), status(status));
            print("runs", reader()?.runs(&paged!(timed!(query, times), paging))?, output, runs)
        }
        Named::Latest { task } => {
            let run = reader()?.latest_run(&task)?;
            let run = run.ok_or_else(|| {
                unknown(
                    query.stale,
                    format!("run of {task}"),
                    "`runjournal run list` shows those there are",
                )
            })?;
            output.one(&run, |output| output.line(&place(&task, Some(&run.run_id))))?;
            Ok(Exit::Fine)
        }
        Named::Unfinished { task, times, paging } => {
            let query = with!(RunQuery::new().unfinished(), of_task(task));
            print("runs", reader()?.runs(&paged!(timed!(query, times), paging))?, output, runs)
        }
        Named::Artifacts { run: of, digest, path, larger_than, paging } => {
            let mut query = ArtifactQuery::new();
            query = with!(query, digest(digest), path(path), larger_than(larger_than));
            if let Some(run) = run(&of)? {
                query = query.of_run(run.task_id(), run.run_id());
            }
            let page = reader()?.artifacts(&paged!(query, paging))?;
            print("artifacts", page, output, artifacts)
        }
        Named::Events(filter) => {
            let query = filter.query(run(&filter.run)?);
            print("events", reader()?.events(&paged!(query, filter.paging))?, output, events)
        }
        Named::Causes { event_id } => {
            let rows = reader()?.causes(event_id)?;
            if rows.is_empty() {
                return Err(unknown(
                    query.stale,
                    format!("event {event_id}"),
                    "`runjournal query events` shows those there are",
                ));
            }
            output.many("events", &rows, |output| events(&rows, output))?;
            Ok(Exit::Fine)
        }
        Named::Steps { run: of, state, name, paging } => {
            let mut query = with!(StepQuery::new(), state(state), name(name));
            if let Some(run) = run(&of)? {
                query = query.of_run(run.task_id(), run.run_id());
            }
            print("steps", reader()?.steps(&paged!(query, paging))?, output, steps)
        }
        Named::Findings { run: of, paging } => {
            let mut query = FindingQuery::new();
            if let Some(run) = run(&of)? {
                query = query.of_run(run.task_id(), run.run_id());
            }
            let reader = reader()?;
            let root = at.workspace()?.root().to_owned();
            let exit = exit_for_all(&reader, query.clone())?;
            let page = reader.findings(&paged!(query, paging))?;
            print("findings", page, output, |rows, output| output.findings(rows, &root))?;
            Ok(exit)
        }
        Named::Sql { sql, values } => ask(&reader()?, &sql, values, output),
    }
}

/// The exit code that all findings have, whatever is on the page that is shown.
fn exit_for_all(reader: &IndexReader, query: FindingQuery) -> Result<Exit, CliError> {
    let mut query = query.limit(1000);
    loop {
        let page = reader.findings(&query)?;
        match (exit_for(&page.rows), page.next) {
            (Exit::Fine, Some(next)) => query = query.after(next),
            (exit, _) => return Ok(exit),
        }
    }
}

/// The index, opened for questions: brought up to the tree before, unless it is to be asked as it is.
fn open(at: &Locator, stale: bool) -> Result<IndexReader, CliError> {
    let index = at.index()?;
    if !stale {
        let built = index.refresh_with(&mut progress::of_index());
        let built = built.map_err(|source| CliError::NotRefreshed { source })?;
        tell_why(&built);
    }
    Ok(index.open()?)
}

impl EventFilter {
    fn query(&self, run: Option<RunContext>) -> EventQuery {
        let mut query = with!(
            EventQuery::new(),
            of_task(self.task.as_ref()),
            of_type(self.event_type.as_deref()),
            correlated(self.correlation.as_deref()),
            caused_by(self.caused_by),
            answering(self.command_id.as_deref()),
        );
        if let Some(run) = run {
            query = query.of_run(run.task_id(), run.run_id());
        }
        if let Some((kind, id)) = &self.stream {
            query = query.in_stream(kind, id);
        }
        if self.last_first { query.last_first() } else { query }
    }
}

/// What an index does not have that was just brought up to the tree, the tree does not have.
fn unknown(stale: bool, what: String, to_do: &'static str) -> CliError {
    if stale { IndexError::NotIndexed { what }.into() } else { CliError::NotThere { what, to_do } }
}

/// A page of rows; people are told how to go on, programs find it in the document.
fn print<T: serde::Serialize>(
    name: &'static str,
    page: Page<T>,
    output: &mut Output,
    table: impl FnOnce(&[T], &mut Output) -> Result<(), CliError>,
) -> Result<Exit, CliError> {
    output.page_of(name, &page.rows, page.next.as_ref(), |output| {
        if page.rows.is_empty() {
            hint(&format!("no such {name}"));
            return Ok(());
        }
        table(&page.rows, output)
    })?;
    if let Some(next) = page.next.filter(|_| output.format() != Format::Json) {
        output.flush()?;
        hint(&format!("there is more: --after {next}"));
    }
    Ok(Exit::Fine)
}

/// `TASK/RUN`, or `TASK` for a task itself.
fn place(task: &TaskId, run: Option<impl Display>) -> String {
    run.map_or_else(|| task.to_string(), |run| format!("{task}/{run}"))
}

fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn tasks(rows: &[TaskRow], output: &mut Output) -> Result<(), CliError> {
    let row = |task: &TaskRow| {
        let (id, status) = (task.task_id.to_string(), task.status.to_string());
        [id, status, output.ago(task.created_at), task.title.clone()]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    output.table(["TASK", "STATUS", "CREATED", "TITLE"], &rows)
}

fn runs(rows: &[RunRow], output: &mut Output) -> Result<(), CliError> {
    let row = |run: &RunRow| {
        [
            place(&run.task_id, Some(&run.run_id)),
            run.status.to_string(),
            run.records.to_string(),
            output.ago(run.created_at),
            run.completed_at.map(|time| output.ago(time)).unwrap_or_default(),
            run.reason.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    output.table(["RUN", "STATUS", "EVENTS", "CREATED", "ENDED", "REASON"], &rows)
}

fn artifacts(rows: &[ArtifactRow], output: &mut Output) -> Result<(), CliError> {
    let row = |artifact: &ArtifactRow| {
        let state = match (artifact.seq, artifact.digest, artifact.disk_digest) {
            (None, ..) => "unjournaled",
            (_, None, None) => "removed",
            (_, None, Some(_)) => "there, and removed",
            (_, Some(_), None) => "missing",
            (_, Some(record), Some(disk)) if record == disk => "",
            _ => "changed",
        };
        let digest = artifact.disk_digest.or(artifact.digest);
        [
            place(&artifact.task_id, Some(&artifact.run_id)),
            artifact.path.clone(),
            artifact.disk_size.or(artifact.size).map(size).unwrap_or_default(),
            digest.map(short).unwrap_or_default(),
            state.to_owned(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    output.table(["RUN", "NAME", "SIZE", "DIGEST", "STATE"], &rows)
}

fn events(rows: &[EventRow], output: &mut Output) -> Result<(), CliError> {
    let row = |event: &EventRow| {
        [
            place(&event.task_id, event.run_id.as_ref()),
            event.seq.to_string(),
            output.ago(event.occurred_at),
            event.event_type.clone(),
            format!("{}/{}", event.aggregate_kind, event.stream_id),
            event.event_id.to_string(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    output.table(["JOURNAL", "SEQ", "WHEN", "TYPE", "STREAM", "EVENT"], &rows)
}

fn steps(rows: &[StepRow], output: &mut Output) -> Result<(), CliError> {
    let row = |step: &StepRow| {
        let outcome = step.error.as_ref().or(step.signal.as_ref());
        [
            step.step.clone(),
            place(&step.task_id, Some(&step.run_id)),
            step.turn.to_string(),
            step.attempt.to_string(),
            step.state.to_string(),
            step.started_at.map(|time| output.ago(time)).unwrap_or_default(),
            number(step.duration_ms),
            outcome.cloned().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    output.table(["STEP", "RUN", "TURN", "ATTEMPT", "STATE", "STARTED", "MS", "OUTCOME"], &rows)
}

/// Asks in SQL. Lines of JSON stream through; a table, or a document, is gathered first.
fn ask(
    reader: &IndexReader,
    sql: &str,
    values: Vec<String>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let values: Vec<Value> = values.into_iter().map(Value::from).collect();
    let (mut rows, mut failed) = (Vec::new(), None);
    reader.sql(sql, &values, &mut |row| {
        let names = row.columns().iter().cloned();
        let row = Columns(names.zip(row.values().iter().cloned()).collect());
        if output.format() != Format::Jsonl {
            rows.push(row);
            return ControlFlow::Continue(());
        }
        match output.json_line(&row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    if output.format() == Format::Jsonl {
        return Ok(Exit::Fine);
    }
    output.many("rows", &rows, |output| {
        let Some(Columns(first)) = rows.first() else {
            hint("no rows");
            return Ok(());
        };
        let mut lines = vec![first.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()];
        for Columns(row) in &rows {
            lines.push(row.iter().map(|(_, value)| text(value)).collect());
        }
        output.aligned(&lines)
    })?;
    Ok(Exit::Fine)
}
