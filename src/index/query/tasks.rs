//! Tasks: by status and by time.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::IndexReader;
use super::columns::Columns;
use super::gather::Gather;
use super::page::{Page, Paging, paged};
use super::select::Select;
use crate::clock::Timestamp;
use crate::id::TaskId;
use crate::index::IndexError;
use crate::layout;
use crate::status::TaskStatus;

/// A task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TaskRow {
    /// Its id.
    pub task_id: TaskId,
    /// Its state.
    pub status: TaskStatus,
    /// One line for people.
    pub title: String,
    /// What it is to reach.
    pub objective: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Records of its journal.
    pub records: u64,
    /// Its journal.
    pub journal_path: Utf8PathBuf,
}

/// Which tasks, and in which order: the oldest first, unless said otherwise. Filters hold together; of two
/// of one kind the later holds.
#[derive(Debug, Clone, Default)]
pub struct TaskQuery {
    filter: Filter,
    paging: Paging,
}

#[derive(Debug, Clone, Default)]
struct Filter {
    status: Option<TaskStatus>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    newest_first: bool,
}

impl TaskQuery {
    /// All tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// In this state.
    #[must_use]
    pub fn status(mut self, status: TaskStatus) -> Self {
        self.filter.status = Some(status);
        self
    }

    /// Made at this time, or later.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.filter.since = Some(time);
        self
    }

    /// Made before this time.
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
        let Filter { status, since, until, newest_first } = &self.filter;
        // The page before ended within these times: one bound is enough.
        let begun = self.paging.after.is_some();
        let since = since.filter(|_| !begun || *newest_first);
        let until = until.filter(|_| !begun || !*newest_first);
        Select::new(
            &["t.created_at", "t.journal"],
            "j.task_id, t.status, t.title, t.objective, t.created_at, j.records \
             FROM t_tasks t CROSS JOIN t_journals j WHERE j.journal = t.journal",
        )
        .given_some("t.status = ?", status.map(|status| status.to_string()))
        .given_some("t.created_at >= ?", since)
        .given_some("t.created_at < ?", until)
    }
}

impl TaskRow {
    fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Self> {
        let task_id: TaskId = columns.parsed()?;
        let mut journal_path = layout::task_dir("".into(), &task_id);
        journal_path.push(layout::JOURNAL);
        Ok(Self {
            journal_path,
            task_id,
            status: columns.word()?,
            title: columns.next()?,
            objective: columns.next()?,
            created_at: columns.parsed()?,
            records: columns.number()?,
        })
    }
}

impl IndexReader {
    /// Tasks.
    ///
    /// # Errors
    /// [`IndexError::StalePage`] where the page before was of another query, or the index was made anew
    /// since; [`IndexError::Damaged`] where the index is.
    pub fn tasks(&self, query: &TaskQuery) -> Result<Page<TaskRow>, IndexError> {
        let (filter, paging) = (&query.filter, &query.paging);
        let order = (2, filter.newest_first);
        let mut tasks = Gather::new(self, filter, paging, order, TaskRow::read)?;
        tasks.add(query.select())?;
        Ok(tasks.page())
    }
}
