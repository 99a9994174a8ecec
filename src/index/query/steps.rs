//! Steps: by state, by name, by run.

use std::fmt;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::IndexReader;
use super::columns::Columns;
use super::gather::Gather;
use super::page::{Page, Paging, paged};
use super::select::{JOURNAL_OF, Select};
use crate::clock::Timestamp;
use crate::id::{RunId, TaskId};
use crate::index::IndexError;
use crate::layout;

/// How far an attempt of a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepState {
    /// It has no end: it goes on, or its process died.
    Started,
    /// It is done.
    Completed,
    /// It failed.
    Failed,
}

impl fmt::Display for StepState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StepState::Started => "started",
            StepState::Completed => "completed",
            StepState::Failed => "failed",
        })
    }
}

/// An attempt of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StepRow {
    /// Its task.
    pub task_id: TaskId,
    /// Its run.
    pub run_id: RunId,
    /// Its name.
    pub step: String,
    /// 1 for the first try.
    pub attempt: u64,
    /// The turn of the loop that it is an attempt of; 1 where nobody counts.
    pub turn: u64,
    /// How far it came.
    pub state: StepState,
    /// What it returned.
    pub signal: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// The seq of its start,
    pub started_seq: Option<u64>,
    /// and when that was.
    pub started_at: Option<Timestamp>,
    /// The seq of its end,
    pub ended_seq: Option<u64>,
    /// and when that was.
    pub ended_at: Option<Timestamp>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// The journal of its run.
    pub journal_path: Utf8PathBuf,
}

/// Which attempts of steps. They come by name, and run by run for each. Filters hold together; of two of one
/// kind the later holds.
#[derive(Debug, Clone, Default)]
pub struct StepQuery {
    filter: Filter,
    paging: Paging,
}

#[derive(Debug, Clone, Default)]
struct Filter {
    run: Option<(String, String)>,
    name: Option<String>,
    state: Option<StepState>,
}

/// The columns of a step, and the tables that they are in.
pub(in crate::index) const STEP: &str = "j.task_id, j.run_id, s.step, s.attempt, s.turn, s.state, s.signal, \
     s.error, s.started_seq, s.started_at, s.ended_seq, s.ended_at, s.duration_ms \
     FROM t_steps s CROSS JOIN t_journals j WHERE j.journal = s.journal";

impl StepQuery {
    /// All attempts of all steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this run.
    #[must_use]
    pub fn of_run(mut self, task: impl fmt::Display, run: impl fmt::Display) -> Self {
        self.filter.run = Some((task.to_string(), run.to_string()));
        self
    }

    /// Of steps with this name.
    #[must_use]
    pub fn name(mut self, step: impl fmt::Display) -> Self {
        self.filter.name = Some(step.to_string());
        self
    }

    /// That came this far.
    #[must_use]
    pub fn state(mut self, state: StepState) -> Self {
        self.filter.state = Some(state);
        self
    }

    paged!();

    fn select(&self) -> Select {
        let Filter { run, name, state } = &self.filter;
        let select = Select::new(&["s.step", "s.journal", "s.attempt"], STEP)
            .given_some("s.step = ?", name.as_deref())
            .given_some("s.state = ?", state.map(|state| state.to_string()));
        let Some((task, run)) = run else { return select };
        select.given(
            &format!("s.journal = {JOURNAL_OF}"),
            [task.as_str().into(), run.as_str().into()],
        )
    }
}

impl StepRow {
    pub(in crate::index) fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let (task_id, run_id): (TaskId, RunId) = (columns.parsed()?, columns.parsed()?);
        let mut journal_path = layout::run_dir("".into(), &task_id, &run_id);
        journal_path.push(layout::JOURNAL);
        Ok(Self {
            journal_path,
            task_id,
            run_id,
            step: columns.next()?,
            attempt: columns.number()?,
            turn: columns.number()?,
            state: columns.word()?,
            signal: columns.next()?,
            error: columns.next()?,
            started_seq: columns.number_if_any()?,
            started_at: columns.time_if_any()?,
            ended_seq: columns.number_if_any()?,
            ended_at: columns.time_if_any()?,
            duration_ms: columns.number_if_any()?,
        })
    }
}

impl IndexReader {
    /// Attempts of steps.
    ///
    /// # Errors
    /// As [`tasks`](IndexReader::tasks).
    pub fn steps(&self, query: &StepQuery) -> Result<Page<StepRow>, IndexError> {
        let (filter, paging) = (&query.filter, &query.paging);
        let mut steps = Gather::new(self, filter, paging, (3, false), StepRow::read)?;
        steps.add(query.select())?;
        Ok(steps.page())
    }
}
