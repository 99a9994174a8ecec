//! From events to rows: what a projector is, and what it is handed.

use std::fmt;

use serde::de::DeserializeOwned;

use super::Value;
use crate::clock::Timestamp;
use crate::error::in_one_line;
use crate::id::{RunId, TaskId};
use crate::journal::{JournalError, Record};

/// Makes rows of events: a table or more of its own in the index, of every task and run, that rebuilds
/// from the journals like all the others.
///
/// For each journal, `begin` is called once, then `apply` for each counted record in its order; later
/// refreshes go on where the last one stopped. Both say what is to be written, and write nothing
/// themselves; the rows and the place that the projector has reached move in one transaction. What
/// they say must follow from their arguments alone, or a rebuilt index is not equal.
///
/// The view `journals (journal, task_id, run_id)` says whose the rows are; by it they are joined with the
/// other views.
///
/// ```
/// use runjournal::index::{IndexedEvent, IndexedJournal, ProjectionError, Projector, Rows};
///
/// /// How often each tool was called, run by run.
/// struct ToolCalls;
///
/// #[derive(serde::Deserialize)]
/// struct ToolCalled {
///     tool: String,
/// }
///
/// impl Projector for ToolCalls {
///     fn name(&self) -> &'static str {
///         "tool_calls"
///     }
///     fn schema(&self) -> &'static str {
///         "CREATE TABLE tool_calls (
///              journal INTEGER NOT NULL, seq INTEGER NOT NULL, tool TEXT NOT NULL,
///              PRIMARY KEY (journal, seq))"
///     }
///     fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError> {
///         if event.record().event_type() == "tool_called" {
///             let call: ToolCalled = event.payload()?;
///             rows.execute(
///                 "INSERT INTO tool_calls (journal, seq, tool) VALUES ($1, $2, $3)",
///                 [event.journal().key().into(), event.record().seq().into(), call.tool.into()],
///             );
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Projector: Send + Sync {
    /// Its name, which must never change: under it the index knows how far it got.
    fn name(&self) -> &'static str;

    /// The statements that make its tables, one at least, and their indexes and views, with a `;` between
    /// them, and do nothing else. Each table has a column `journal`, by which the rows of a journal that is gone, or is another
    /// one, are removed. Their names are not those of the library's views, and do not begin with `t_` or
    /// `i_`. See `docs/portability.md` for SQL that any backend takes.
    ///
    /// When this text changes, the rows are made anew, and only then: where `begin` or `apply` say something
    /// else than before, change a comment here, such as `-- version 2` on a line of its own.
    fn schema(&self) -> &'static str;

    /// The first thing for each journal.
    fn begin(&self, journal: &IndexedJournal, rows: &mut Rows) {
        let _ = (journal, rows);
    }

    /// The next event.
    ///
    /// # Errors
    /// An error stops this projector for this journal before the event, and no other. The index says
    /// where and why (`projection_state`), each refresh tries again, and tells how many stand stopped
    /// ([`Built::stopped`](super::Built)). The text should name no
    /// path, or the index of a copied tree is not equal.
    fn apply(&self, event: &IndexedEvent<'_>, rows: &mut Rows) -> Result<(), ProjectionError>;
}

/// Why a projector cannot take an event. Any error becomes one with `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionError {
    reason: String,
}

impl<E: std::error::Error> From<E> for ProjectionError {
    fn from(error: E) -> Self {
        Self { reason: in_one_line(&error) }
    }
}

impl ProjectionError {
    /// From words.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// That a payload does not read.
    pub(super) fn of_payload(error: JournalError) -> Self {
        match error {
            JournalError::Payload { source, .. } => {
                Self::new(format!("its payload does not read: {source}"))
            }
            JournalError::Io(error) => {
                Self::new(format!("its object does not read: {}", error.source))
            }
            _ => Self::new("its payload does not read: its object is not what was written"),
        }
    }
}

impl fmt::Display for ProjectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.reason)
    }
}

/// A journal as projectors see it: a task's or a run's.
#[derive(Debug, Clone)]
pub struct IndexedJournal {
    pub(super) key: i64,
    pub(super) task: TaskId,
    pub(super) run: Option<RunId>,
    pub(super) genesis: IndexedGenesis,
}

/// What the genesis file says, as far as rows are made of it.
#[derive(Debug, Clone)]
pub(super) enum IndexedGenesis {
    Task(crate::genesis::TaskGenesis),
    Run(crate::genesis::RunGenesis),
}

impl IndexedJournal {
    /// The number that joins the rows of a journal, as the view `journals` shows it. It differs from index
    /// to index.
    #[must_use]
    pub fn key(&self) -> i64 {
        self.key
    }

    /// The task.
    #[must_use]
    pub fn task_id(&self) -> &TaskId {
        &self.task
    }

    /// The run; `None` for a task's own journal.
    #[must_use]
    pub fn run_id(&self) -> Option<&RunId> {
        self.run.as_ref()
    }

    /// When the task or the run was made.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        match &self.genesis {
            IndexedGenesis::Task(genesis) => genesis.created_at,
            IndexedGenesis::Run(genesis) => genesis.created_at,
        }
    }

    /// The stream of events that name none: (`run`, its id) or (`task`, its id).
    pub(super) fn own_stream(&self) -> (&'static str, &str) {
        match &self.run {
            Some(run) => ("run", run.as_str()),
            None => ("task", self.task.as_str()),
        }
    }

    /// What joins its events with those of other journals, unless they say otherwise.
    pub(super) fn trace_id(&self) -> Option<&str> {
        match &self.genesis {
            IndexedGenesis::Task(_) => None,
            IndexedGenesis::Run(genesis) => Some(&genesis.trace_id),
        }
    }
}

/// An event as projectors see it.
#[derive(Debug, Clone, Copy)]
pub struct IndexedEvent<'a> {
    pub(super) journal: &'a IndexedJournal,
    pub(super) record: &'a Record,
}

impl IndexedEvent<'_> {
    /// The journal that it is in.
    #[must_use]
    pub fn journal(&self) -> &IndexedJournal {
        self.journal
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record {
        self.record
    }

    /// Its payload. Like [`Record::payload`], with an error that is the same wherever the tree is.
    ///
    /// # Errors
    /// Where the payload is not a `T`, or the object that holds it is missing or damaged.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, ProjectionError> {
        self.record.payload().map_err(ProjectionError::of_payload)
    }
}

/// What projectors say is to be written, in order.
#[derive(Debug, Default)]
pub struct Rows {
    pub(super) statements: Vec<Statement>,
    pub(super) values: Vec<Value>,
    /// Of the values, as far as they are long.
    pub(super) bytes: usize,
}

/// A statement, and the end of its values among all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    pub(super) sql: &'static str,
    pub(super) values_end: usize,
}

impl Rows {
    /// Has one statement executed, with values for `$1`, `$2`, ... It may write to the projector's own
    /// tables alone, and is refused otherwise, which stops the projector; it should write rows with the
    /// `journal` of the event.
    pub fn execute(&mut self, sql: &'static str, values: impl IntoIterator<Item = Value>) {
        let known = self.values.len();
        self.values.extend(values);
        self.bytes += self.values.iter().skip(known).map(Value::bytes).sum::<usize>();
        self.statements.push(Statement { sql, values_end: self.values.len() });
    }

    /// Forgets what was said since.
    pub(super) fn truncate(&mut self, statements: usize) {
        self.statements.truncate(statements);
        let left = self.statements.last().map_or(0, |last| last.values_end);
        self.bytes -= self.values.iter().skip(left).map(Value::bytes).sum::<usize>();
        self.values.truncate(left);
    }
}
