//! Questions to an index, and their answers as typed rows, a page at a time.
//!
//! In reading order: [`IndexReader`]; what is common to all questions (`page`, `select`, `gather`); the
//! questions, one a file.

mod artifacts;
mod behind;
mod causes;
mod columns;
mod events;
mod findings;
mod gather;
mod page;
mod projections;
mod reader;
mod runs;
mod select;
mod sql;
mod steps;
mod tasks;

pub use artifacts::{ArtifactQuery, ArtifactRow};
pub(super) use columns::Columns;
pub use events::{EventQuery, EventRow};
pub use findings::FindingQuery;
pub use page::{Page, PageCursor, PageCursorError};
pub use projections::ProjectionRow;
pub use reader::IndexReader;
pub(super) use runs::RUN;
pub use runs::{RunQuery, RunRow};
pub(super) use select::{JOURNAL_OF, Select};
pub use sql::SqlRow;
pub(super) use steps::STEP;
pub use steps::{StepQuery, StepRow, StepState};
pub use tasks::{TaskQuery, TaskRow};
