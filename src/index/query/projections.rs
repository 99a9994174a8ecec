//! How far each projector came.

use std::fmt;

use serde::Serialize;

use super::IndexReader;
use super::columns::Columns;
use super::select::Select;
use crate::id::RunId;
use crate::index::IndexError;
use crate::journal::Cursor;

/// How far a projector came in a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProjectionRow {
    /// Its name.
    pub projector: String,
    /// The seq of the last event that it took; 0 before the first.
    pub last_applied_sequence: u64,
    /// The place behind that event; `None` where it has not begun.
    pub cursor: Option<Cursor>,
    /// The event that stopped it,
    pub stopped_at: Option<u64>,
    /// and why.
    pub error: Option<String>,
}

const PROJECTION: &str = "COALESCE(l.seq, j.seq), COALESCE(l.seq, j.seq), COALESCE(l.bytes, j.bytes), \
     CASE WHEN l.journal IS NULL THEN j.hash ELSE l.hash END, l.stopped_at, l.error \
     FROM t_journals j CROSS JOIN t_projectors p LEFT JOIN t_laggards l \
     ON l.projector = p.projector AND l.journal = j.journal WHERE j.task_id = $1 AND j.run_id = $2";

impl IndexReader {
    /// How far the projectors came in the journal of a run, or, with `None`, of the task itself. Empty where
    /// the index knows no such journal.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] where the index is.
    pub fn projections(
        &self,
        task: impl fmt::Display,
        run: Option<&RunId>,
    ) -> Result<Vec<ProjectionRow>, IndexError> {
        let mut select = Select::new(&["p.name"], PROJECTION);
        select.values = vec![task.to_string().into(), run.map_or("", RunId::as_str).into()];
        self.ask(&select, |row| {
            let mut columns = Columns::from(row, 0);
            Ok(ProjectionRow {
                projector: columns.next()?,
                last_applied_sequence: columns.number()?,
                cursor: columns.cursor()?,
                stopped_at: columns.number_if_any()?,
                error: columns.next()?,
            })
        })
    }
}
