//! Making a checkpoint: what changed since the one before is copied while others write, and what they changed
//! meanwhile under the journal's lock.

use super::checkpoint::{Created, STREAM};
use super::draft::Draft;
use super::page::Page;
use super::{Checkpoint, CheckpointError};
use crate::artifact::HomeWriter;
use crate::context::RunContext;
use crate::journal::{Event, JournalError, LockedLog, Record, types};
use crate::planted::Bug;

impl RunContext {
    /// Keeps the artifacts as they are now, under the number of a turn: 1 first, then 2, and so on, each once.
    /// A turn that stands already is returned as it is ([`created`](Checkpoint::created) is false), whatever
    /// changed since.
    ///
    /// It costs about what changed since the turn before: only new content is copied, by sharing its blocks
    /// where the disk can (btrfs, xfs). What is kept is what the *journal* says of each artifact; files that
    /// were put there by something else, and not [adopted](crate::Artifacts::adopt), are not in it.
    ///
    /// Durable: when it returns, a power cut loses nothing of it. A crash before leaves no checkpoint, and at
    /// most files that no record names.
    ///
    /// ```
    /// # use runjournal::*;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = Workspace::open_or_create(&root)?.open_or_create_task("T", TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// const NOTES: ArtifactName = ArtifactName::from_static("notes.txt");
    /// ctx.artifacts().write_bytes(NOTES, b"first\n")?;
    /// let first = ctx.next_checkpoint()?;
    /// ctx.artifacts().write_bytes(NOTES, b"second\n")?;
    /// let second = ctx.checkpoint(first.turn + 1)?;
    /// assert_eq!(ctx.checkpoint_at(1)?.artifacts()?.read_bytes(NOTES)?, b"first\n");
    ///
    /// let (before, after) = (first.artifacts()?, second.artifacts()?);
    /// let diff = Diff::between(&before, &after)?;
    /// assert!(diff.unified()?.ends_with("@@ -1 +1 @@\n-first\n+second\n"));
    ///
    /// first.artifacts()?.restore(&ctx)?;
    /// assert_eq!(ctx.artifacts().read_bytes(NOTES)?, b"first\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`CheckpointError::NotNext`] names the turn that can be had; [`CheckpointError::NotAsJournaled`] names a
    /// file that is not what the journal says, and would have to be copied; otherwise as an append.
    pub fn checkpoint(&self, turn: u64) -> Result<Checkpoint, CheckpointError> {
        make(self, Some(turn))
    }

    /// The same for the turn that is next: of several callers at once each gets one of its own.
    ///
    /// # Errors
    /// As [`checkpoint`](RunContext::checkpoint).
    pub fn next_checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        make(self, None)
    }
}

/// Where a turn stands.
enum Standing {
    /// It was made before.
    Made(Record),
    /// It can be made, behind this one.
    Next { turn: u64, before: Option<Record> },
}

/// How often what changed while others were copied is copied without the lock.
const ROUNDS: usize = 3;

fn make(ctx: &RunContext, wanted: Option<u64>) -> Result<Checkpoint, CheckpointError> {
    let writer = ctx.writer();
    let home = writer.home();
    loop {
        let (standing, unsynced) = writer.with_log(|log| {
            let standing = standing(&mut log.lock()?, wanted)?;
            Ok::<_, CheckpointError>((standing, log.unsynced()))
        })?;
        let before = match standing {
            Standing::Made(record) => {
                // Who made it may have died before it was durable.
                unsynced.sync()?;
                return Ok(Checkpoint::of(&record, home, false)?);
            }
            Standing::Next { before, .. } => before,
        };
        let dir = &writer.opened()?.dir;
        let mut draft = Draft::after(dir, before.as_ref())?;
        for _ in 0..ROUNDS {
            draft.read_on(home)?;
            if !draft.keep_ahead(dir, home)? {
                break;
            }
        }
        if let Some(made) = finish(&writer, wanted, before.as_ref(), draft)? {
            return Ok(made);
        }
    }
}

/// Makes the checkpoint under the lock; `None` where another one came between.
fn finish(
    writer: &HomeWriter,
    wanted: Option<u64>,
    before: Option<&Record>,
    mut draft: Draft,
) -> Result<Option<Checkpoint>, CheckpointError> {
    writer.with_log(|log| {
        let mut locked = log.lock()?;
        let turn = match standing(&mut locked, wanted)? {
            Standing::Next { turn, before: now }
                if now.as_ref().map(Record::hash) == before.map(Record::hash) =>
            {
                turn
            }
            _ => return Ok(None),
        };
        if !Bug::CheckpointBehind.is_planted() {
            draft.catch_up(&mut locked)?;
        }
        draft.keep(locked.dir(), writer.home())?;
        // After a power cut the file must not know more than the journal.
        if !Bug::CheckpointAhead.is_planted() {
            locked.sync()?;
        }
        let page = Page::new(turn, locked.last_seq(), draft.into_artifacts());
        let digest = page.write(locked.dir())?;
        let created = Created { turn, digest, artifacts_root: page.artifacts_root };
        let event = Event::new(types::CHECKPOINT_CREATED)
            .stream(STREAM, turn.to_string())
            .key(key(turn))
            .payload(&created);
        locked.append(std::slice::from_ref(&event))?;
        locked.sync()?;
        let record = made(&mut locked, turn)?;
        let record = record.ok_or_else(|| event.bad("it was not appended"))?;
        Ok(Some(Checkpoint::of(&record, writer.home(), true)?))
    })
}

fn standing(locked: &mut LockedLog<'_>, wanted: Option<u64>) -> Result<Standing, CheckpointError> {
    if let Some(turn) = wanted
        && let Some(record) = made(locked, turn)?
    {
        return Ok(Standing::Made(record));
    }
    let before = locked.last_of_type(types::CHECKPOINT_CREATED)?;
    let last = before.as_ref().map(Record::payload::<Created>).transpose()?;
    let next = last.map_or(1, |last| last.turn.saturating_add(1));
    let turn = wanted.unwrap_or(next);
    if turn != next {
        let run = locked.dir().path().to_owned();
        return Err(CheckpointError::NotNext { turn, next, run });
    }
    // Before anything is copied, and once more before anything is written.
    locked.check_not_damaged()?;
    locked.check_admitted()?;
    Ok(Standing::Next { turn, before })
}

/// The record of a turn.
fn made(locked: &mut LockedLog<'_>, turn: u64) -> Result<Option<Record>, JournalError> {
    Ok(locked.keyed(&key(turn))?.and_then(|batch| batch.into_iter().next()))
}

fn key(turn: u64) -> String {
    format!("turn:{turn}")
}
