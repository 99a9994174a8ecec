//! The index of a workspace: derived from the tree, deleted at will, rebuilt to the row.
//!
//! In reading order: [`Index`], what it is asked for and what it does; where it is (`place`, `database`,
//! `schema`); how it comes to be (`build` walks, `look` reads, `chunk` is what they hand on, `writer`
//! writes); what makes rows of events ([`Projector`], `builtin`); what is asked ([`IndexReader`], [`RunSnapshot`]).

mod build;
mod builtin;
mod bulk;
mod chunk;
mod database;
mod error;
mod event;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod index;
mod look;
mod place;
mod projector;
mod query;
mod schema;
mod snapshot;
mod value;
mod verify;
mod writer;

pub use error::IndexError;
pub use index::{Built, Index, Progress};
pub use projector::{IndexedEvent, IndexedJournal, ProjectionError, Projector, Rows};
pub use query::{
    ArtifactQuery, ArtifactRow, EventQuery, EventRow, FindingQuery, IndexReader, Page, PageCursor,
    PageCursorError, ProjectionRow, RunQuery, RunRow, SqlRow, StepQuery, StepRow, StepState,
    TaskQuery, TaskRow,
};
pub use snapshot::{ApprovalRow, CheckpointRow, RunSnapshot, SessionRow};
pub use value::Value;
pub use verify::{Difference, Side};
