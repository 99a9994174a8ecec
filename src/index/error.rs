//! What can go wrong with an index. None of it touches the tree.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::IoError;
use crate::journal::JournalError;
use crate::workspace::WorkspaceError;

/// An index cannot be read, built or brought up to date. Whatever it is, the tree is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The workspace cannot be read.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// There is no index.
    #[error("there is no index at {path}; make one by a rebuild")]
    NotBuilt {
        /// Where it would be.
        path: Utf8PathBuf,
    },
    /// The index was made with other tables than this code knows.
    #[error(
        "the index {path} was made with schema {found}, and this runjournal reads {known}; make it \
         anew by a rebuild"
    )]
    OtherSchema {
        /// The database.
        path: Utf8PathBuf,
        /// What it says of its schema.
        found: String,
        /// What this code would say.
        known: String,
    },
    /// The index is damaged. It is derived, so nothing is lost.
    #[error("the index {path} is damaged ({reason}); make it anew by a rebuild")]
    Damaged {
        /// The database, or the file that names it.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process writes to the index.
    #[error(
        "the index is being written by {holder}, which held {path} for {waited:?}; wait for it, or end that \
         process"
    )]
    Busy {
        /// The lock file.
        path: Utf8PathBuf,
        /// Who holds it.
        holder: String,
        /// How long this call waited.
        waited: Duration,
    },
    /// The index cannot be written where it is.
    #[error(
        "the index cannot be written at {path}; have it elsewhere, in a program with `Index::at`, with the \
         tool by --index"
    )]
    ReadOnly {
        /// Its directory.
        path: Utf8PathBuf,
        /// What the system answered.
        #[source]
        source: IoError,
    },
    /// There can be no index where it is to be: something else is there, or on the way.
    #[error(
        "there can be no index at {path}; have it elsewhere, in a program with `Index::at`, with the tool by \
         --index"
    )]
    NoPlace {
        /// Its directory.
        path: Utf8PathBuf,
        /// What the system answered.
        #[source]
        source: IoError,
    },
    /// The disk that holds the index, or SQLite's temporary files, is full.
    #[error(
        "no room for the index {path}; make room, or have it elsewhere, in a program with `Index::at`, with \
         the tool by --index"
    )]
    Full {
        /// The database.
        path: Utf8PathBuf,
    },
    /// SQLite refused.
    #[error("cannot {action} the index {path}")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// The database.
        path: Utf8PathBuf,
        /// What SQLite answered.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement of the caller's is not one that reads.
    #[error("{sql:?} cannot be run: {reason}")]
    BadQuery {
        /// The statement.
        sql: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two projectors cannot be told apart, or one cannot make its tables.
    #[error("the projector {name:?} cannot be used: {reason}")]
    BadProjector {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A page cannot go on from that cursor.
    #[error("cannot go on from {cursor}: {reason}; begin with the first page")]
    StalePage {
        /// The cursor.
        cursor: String,
        /// Why not.
        reason: &'static str,
    },
    /// A journal does not have a record where the index has it.
    #[error(
        "{path} does not have seq {seq} at byte {offset} any more; bring the index up to it by a refresh"
    )]
    MovedOn {
        /// The journal.
        path: Utf8PathBuf,
        /// Where the record was.
        offset: u64,
        /// Its seq.
        seq: u64,
        /// Why the journal cannot be read there; `None` where it has something else there.
        source: Option<Box<JournalError>>,
    },
    /// The index does not know a run, or an event.
    #[error("the index has no {what}; bring it up to the tree by a refresh")]
    NotIndexed {
        /// What was asked for.
        what: String,
    },
}

impl IndexError {
    /// An answer of SQLite's.
    pub(super) fn sqlite(
        action: &'static str,
        path: &Utf8Path,
    ) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| {
            use rusqlite::ErrorCode::{
                ConstraintViolation, DatabaseCorrupt, DiskFull, NotADatabase, Unknown,
            };
            let path = path.clone();
            match error.sqlite_error_code() {
                // The library's own statements break no rule and fit their tables, so where SQLite, or a
                // value's type, says that they do not, the tables are not what was written.
                Some(DatabaseCorrupt | NotADatabase | ConstraintViolation | Unknown) | None => {
                    Self::Damaged { path, reason: error.to_string() }
                }
                Some(DiskFull) => Self::Full { path },
                _ => Self::Sqlite { action, path, source: Box::new(error) },
            }
        }
    }

    /// True where a new index is the cure.
    pub(super) fn wants_rebuild(&self) -> bool {
        matches!(self, Self::NotBuilt { .. } | Self::OtherSchema { .. } | Self::Damaged { .. })
    }
}
