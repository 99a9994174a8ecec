//! What looking at a journal yields, on its way to the index.

use std::sync::Arc;

use super::event::EventRows;
use super::projector::{IndexedJournal, Rows};
use crate::digest::Digest;
use crate::finding::Finding;
use crate::id::{EventId, RunId, TaskId};
use crate::io::Stamp;
use crate::journal::Cursor;

/// A task's or a run's directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    pub(super) task: TaskId,
    pub(super) run: Option<RunId>,
}

/// A piece of what is new about a journal. All of it is written in one transaction.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) key: i64,
    /// What was known is wrong: forget it, and begin with this.
    pub(super) anew: Option<Anew>,
    /// `None` where there is no journal to speak of.
    pub(super) journal: Option<Arc<IndexedJournal>>,
    /// For the projector of all events.
    pub(super) events: EventRows,
    /// What the other projectors say is to be written,
    pub(super) rows: Rows,
    /// and what of it belongs to whom.
    pub(super) said: Vec<Said>,
    /// Where the journal's projectors are then; a laggard has a place of its own.
    pub(super) cursor: Option<Cursor>,
    pub(super) laggards: Vec<(usize, Lag)>,
    /// Findings before the cursor, or a little behind it: they stay, whatever becomes of this look.
    pub(super) lasting: Vec<Finding>,
    /// The look begins here: findings from here on are found again, if the journal still has them.
    pub(super) begins: Option<u64>,
    pub(super) end: Option<End>,
}

impl Chunk {
    /// True if it is all there is to say of a journal that the index did not know.
    pub(super) fn is_whole(&self) -> bool {
        self.end.is_some() && self.anew.as_ref().is_some_and(|anew| !anew.known)
    }

    pub(super) fn new(key: i64, journal: Option<Arc<IndexedJournal>>) -> Self {
        Self {
            key,
            anew: None,
            journal,
            events: EventRows::default(),
            rows: Rows::default(),
            said: Vec::new(),
            cursor: None,
            laggards: Vec::new(),
            begins: None,
            lasting: Vec::new(),
            end: None,
        }
    }
}

/// A journal that the index did not know, or not like this.
#[derive(Debug)]
pub(super) struct Anew {
    pub(super) address: Address,
    pub(super) start: Option<Cursor>,
    /// False if nothing of it can be there.
    pub(super) known: bool,
}

/// What a projector said of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// Its number among the projectors.
    pub(super) by: usize,
    /// The place before the event,
    pub(super) before: Cursor,
    /// and the event's seq; 0 before the first.
    pub(super) seq: u64,
    /// The end of it among all statements.
    pub(super) statements_end: usize,
}

/// Where a projector stands that is not, or was not, where the others are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lag {
    /// It will go on from here.
    Behind(Cursor),
    /// The event behind this place stopped it.
    Stopped {
        before: Cursor,
        seq: u64,
        error: String,
    },
    CaughtUp,
}

/// The last of a journal.
#[derive(Debug, Default)]
pub(super) struct End {
    /// Of what may be different at the next look.
    pub(super) findings: Vec<Finding>,
    /// The files that are new or changed, and the paths of those that are gone.
    pub(super) files: Vec<FileRow>,
    pub(super) gone: Vec<String>,
    pub(super) stages: Vec<EventId>,
    /// Somebody may be writing at the journal's end.
    pub(super) in_flight: bool,
    /// The next refresh may go by it.
    pub(super) signature: Option<[u8; 16]>,
    /// How many files there are, and how many bytes were read to tell.
    pub(super) looked_at: (u64, u64),
    /// The stamp of the journal, where the next look may go by it, or by its length alone.
    pub(super) stamp: Option<Stamp>,
}

/// A file under `artifacts/`.
#[derive(Debug, Clone)]
pub(super) struct FileRow {
    pub(super) path: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Where the next look may go by it.
    pub(super) stamp: Option<Stamp>,
}
