//! Runs: by task, status and time, and those that have no end.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::IndexReader;
use super::columns::Columns;
use super::gather::Gather;
use super::page::{Page, Paging, paged};
use super::select::Select;
use crate::clock::Timestamp;
use crate::id::{RunId, TaskId};
use crate::index::IndexError;
use crate::layout;
use crate::status::RunStatus;

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunRow {
    /// Its task.
    pub task_id: TaskId,
    /// Its id.
    pub run_id: RunId,
    /// Its state.
    pub status: RunStatus,
    /// Why it is in that state, where somebody said so.
    pub reason: Option<String>,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it ended; `None` while it has no end.
    pub completed_at: Option<Timestamp>,
    /// The run that started it.
    pub parent: Option<String>,
    /// What joins its events with those of other runs.
    pub trace_id: Option<String>,
    /// Records of its journal.
    pub records: u64,
    /// The seq of the last of them.
    pub last_seq: u64,
    /// Its directory.
    pub run_path: Utf8PathBuf,
}

/// Which runs, and in which order: the oldest first, unless said otherwise. Filters hold together; of two
/// of one kind the later holds.
#[derive(Debug, Clone, Default)]
pub struct RunQuery {
    filter: Filter,
    paging: Paging,
}

#[derive(Debug, Clone, Default)]
struct Filter {
    task: Option<String>,
    status: Option<RunStatus>,
    unfinished: bool,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    newest_first: bool,
}

/// The columns of a run, and the tables that they are in.
pub(in crate::index) const RUN: &str = "j.task_id, j.run_id, r.status, r.reason, r.created_at, r.completed_at, r.parent, j.trace_id, j.records, j.seq \
     FROM t_runs r CROSS JOIN t_journals j WHERE j.journal = r.journal";

impl RunQuery {
    /// All runs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this task.
    #[must_use]
    pub fn of_task(mut self, task: impl fmt::Display) -> Self {
        self.filter.task = Some(task.to_string());
        self
    }

    /// In this state.
    #[must_use]
    pub fn status(mut self, status: RunStatus) -> Self {
        self.filter.status = Some(status);
        self
    }

    /// That have no end: they go on, or nobody said that they do not.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.filter.unfinished = true;
        self
    }

    /// Started at this time, or later.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.filter.since = Some(time);
        self
    }

    /// Started before this time.
    #[must_use]
    pub fn until(mut self, time: Timestamp) -> Self {
        self.filter.until = Some(time);
        self
    }

    /// The newest first.
    #[must_use]
    pub fn newest_first(mut self) -> Self {
        self.filter.newest_first = true;
        self
    }

    paged!();

    fn select(&self) -> Select {
        let Filter { task, status, unfinished, since, until, newest_first } = &self.filter;
        // The page before ended within these times: one bound is enough.
        let begun = self.paging.after.is_some();
        let since = since.filter(|_| !begun || *newest_first);
        let until = until.filter(|_| !begun || !*newest_first);
        let mut select = Select::new(&["r.created_at", "r.journal"], RUN)
            .given_some("r.task_id = ?", task.as_deref())
            .given_some("r.status = ?", status.map(|status| status.to_string()))
            .given_some("r.created_at >= ?", since)
            .given_some("r.created_at < ?", until);
        if *unfinished {
            select = select.given("r.completed_at IS NULL", []);
        }
        select
    }
}

impl RunRow {
    pub(in crate::index) fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let (task_id, run_id): (TaskId, RunId) = (columns.parsed()?, columns.parsed()?);
        Ok(Self {
            run_path: layout::run_dir("".into(), &task_id, &run_id),
            task_id,
            run_id,
            status: columns.word()?,
            reason: columns.next()?,
            created_at: columns.parsed()?,
            completed_at: columns.time_if_any()?,
            parent: columns.next()?,
            trace_id: columns.next()?,
            records: columns.number()?,
            last_seq: columns.number()?,
        })
    }
}

impl IndexReader {
    /// Runs.
    ///
    /// # Errors
    /// As [`tasks`](IndexReader::tasks).
    pub fn runs(&self, query: &RunQuery) -> Result<Page<RunRow>, IndexError> {
        let (filter, paging) = (&query.filter, &query.paging);
        let order = (2, filter.newest_first);
        let mut runs = Gather::new(self, filter, paging, order, RunRow::read)?;
        runs.add(query.select())?;
        Ok(runs.page())
    }
}
