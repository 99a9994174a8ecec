//! A checkpoint, as its record tells of it; and those that a run has.

use serde::{Deserialize, Serialize};

use super::page::Page;
use super::{ArtifactSet, CheckpointError};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::id::EventId;
use crate::io::Dir;
use crate::journal::{Home, JournalError, Record, types};

/// The kind of the streams of checkpoints; their ids are the turns.
pub(super) const STREAM: &str = "checkpoint";

/// The payload of `checkpoint_created`, in the order of its members.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Created {
    pub(super) turn: u64,
    /// Of the bytes of the checkpoint's file.
    pub(super) digest: Digest,
    pub(super) artifacts_root: Digest,
}

/// The artifacts of a run as they were at a turn: from [`RunContext::checkpoint`].
///
/// It says what the *journal* says of each path; a file that was never journaled is not in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its number: 1, 2, 3.
    pub turn: u64,
    /// The last record that it knows of.
    pub seq: u64,
    /// The digest of its file, `checkpoints/<turn>.json`.
    pub digest: Digest,
    /// Names the artifacts, as [`Manifest::artifacts_root`](crate::Manifest::artifacts_root) does: equal
    /// artifacts, equal root.
    pub artifacts_root: Digest,
    /// True if this call made it; false if it stood there.
    pub created: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its `checkpoint_created`.
    event: EventId,
    home: Home,
}

impl Checkpoint {
    /// What its record says.
    pub(crate) fn of(record: &Record, home: &Home, created: bool) -> Result<Self, JournalError> {
        let Created { turn, digest, artifacts_root } = record.payload()?;
        Ok(Self {
            turn,
            seq: record.seq().saturating_sub(1),
            digest,
            artifacts_root,
            created,
            created_at: record.occurred_at(),
            event: record.event_id(),
            home: home.clone(),
        })
    }

    /// The artifacts that it names; their bytes are opened when they are asked for.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`] and [`CheckpointError::Damaged`] where its file is not what its record
    /// names.
    pub fn artifacts(&self) -> Result<ArtifactSet, CheckpointError> {
        let dir = Dir::open(self.home.dir())?;
        let page = Page::read(&dir, self.turn, self.seq.saturating_add(1), self.digest)?;
        Ok(ArtifactSet::of_checkpoint(&self.home, self.turn, self.event, page.artifacts))
    }
}

impl RunContext {
    /// The run's checkpoints, in order, as the journal lists them: read without a lock.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, CheckpointError> {
        let home = self.home();
        let records = self.events()?.of_type(types::CHECKPOINT_CREATED);
        records.map(|record| Ok(Checkpoint::of(&record?, &home, false)?)).collect()
    }

    /// The checkpoint of a turn: its record is looked for from the journal's end, without a lock.
    ///
    /// # Errors
    /// [`CheckpointError::NotThere`]; where the run's journal cannot be read.
    pub fn checkpoint_at(&self, turn: u64) -> Result<Checkpoint, CheckpointError> {
        let newest = self.events()?.in_stream(STREAM, turn.to_string()).last(1)?.next();
        let not_there = || CheckpointError::NotThere { turn, run: self.run_path() };
        let record = newest.ok_or_else(not_there)??;
        Ok(Checkpoint::of(&record, &self.home(), false)?)
    }
}
