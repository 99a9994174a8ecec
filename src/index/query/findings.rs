//! Findings: what was not as it should be when the index was brought up to the tree.

use std::fmt;

use super::IndexReader;
use super::columns::Columns;
use super::gather::Gather;
use super::page::{Page, Paging, paged};
use super::select::Select;
use crate::finding::{Code, Finding, Place};
use crate::index::IndexError;

/// Which findings: by task, run, file. Filters hold together; of two of one kind the later holds.
#[derive(Debug, Clone, Default)]
pub struct FindingQuery {
    filter: Filter,
    paging: Paging,
}

#[derive(Debug, Clone, Default)]
struct Filter {
    task: Option<String>,
    run: Option<String>,
    code: Option<Code>,
}

impl FindingQuery {
    /// All findings.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this task and its runs.
    #[must_use]
    pub fn of_task(mut self, task: impl fmt::Display) -> Self {
        self.filter = Filter { task: Some(task.to_string()), run: None, ..self.filter };
        self
    }

    /// Of this run.
    #[must_use]
    pub fn of_run(mut self, task: impl fmt::Display, run: impl fmt::Display) -> Self {
        let (task, run) = (Some(task.to_string()), Some(run.to_string()));
        self.filter = Filter { task, run, ..self.filter };
        self
    }

    /// With this code.
    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.filter.code = Some(code);
        self
    }

    paged!();

    fn select(&self) -> Select {
        let keys = &[
            "f.task_id",
            "f.run_id",
            "f.path",
            "f.code",
            "COALESCE(f.first_byte, -1)",
            "COALESCE(f.bytes, -1)",
            "f.reason",
        ];
        let columns = "f.code, f.path, f.first_byte, f.bytes, f.reason FROM \
                       (SELECT DISTINCT * FROM findings) f WHERE f.code <> ''";
        let Filter { task, run, code } = &self.filter;
        Select::new(keys, columns)
            .given_some("f.task_id = ?", task.as_deref())
            .given_some("f.run_id = ?", run.as_deref())
            .given_some("f.code = ?", code.map(|code| code.to_string()))
    }
}

fn read(columns: &mut Columns<'_, '_>) -> rusqlite::Result<Finding> {
    Ok(Finding {
        code: columns.word()?,
        place: Place {
            path: columns.next::<String>()?.into(),
            offset: columns.number_if_any()?,
            length: columns.number_if_any()?,
        },
        reason: columns.next()?,
    })
}

impl IndexReader {
    /// Findings. Most of them are found by comparing: what a journal says with what is on the disk, a
    /// task with its runs. So, unlike other questions, each page reads the whole index, or all of the task
    /// or run; ask for large pages.
    ///
    /// # Errors
    /// As [`tasks`](IndexReader::tasks).
    pub fn findings(&self, query: &FindingQuery) -> Result<Page<Finding>, IndexError> {
        let (filter, paging) = (&query.filter, &query.paging);
        let mut findings = Gather::new(self, filter, paging, (7, false), read)?;
        findings.add(query.select())?;
        let mut page = findings.page();
        for finding in &mut page.rows {
            finding.place.path = self.full_path(&finding.place.path);
        }
        Ok(page)
    }
}
