//! The file of a checkpoint made again from the journal.

use std::collections::BTreeMap;

use super::CheckpointError;
use super::checkpoint::Created;
use super::page::Page;
use crate::artifact::Last;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::error::IoError;
use crate::journal::{Events, Home, JournalError, types};
use crate::layout;

/// What the file of a turn's checkpoint must say, and the digest that its record names: a function of the records
/// before that one, which never change. `None` where no record tells of the turn.
pub(crate) fn from_journal(home: &Home, turn: u64) -> Result<Option<(Page, Digest)>, JournalError> {
    let mut artifacts = BTreeMap::new();
    for record in Events::open(home)? {
        let record = record?;
        Last::take_in(&record, &mut artifacts)?;
        if record.event_type() == types::CHECKPOINT_CREATED {
            let created: Created = record.payload()?;
            if created.turn == turn {
                let page = Page::new(turn, record.seq().saturating_sub(1), artifacts);
                return Ok(Some((page, created.digest)));
            }
        }
    }
    Ok(None)
}

/// True if the file of a turn's checkpoint, made again, is what its record names.
pub(crate) fn can_be_made_again(home: &Home, turn: u64) -> bool {
    let made = from_journal(home, turn).ok().flatten();
    made.is_some_and(|(page, digest)| page.digest().is_ok_and(|made| made == digest))
}

/// Makes the file of a turn's checkpoint again. What stands there is moved away first. Durable.
pub(crate) fn make_again(
    ctx: &RunContext,
    turn: u64,
    aside: &mut dyn FnMut(&str) -> Result<(), IoError>,
) -> Result<(), CheckpointError> {
    let path = layout::checkpoint(turn);
    let not_there = || CheckpointError::NotThere { turn, run: ctx.run_path() };
    let (page, digest) = from_journal(&ctx.home(), turn)?.ok_or_else(not_there)?;
    if page.digest()? != digest {
        return Err(CheckpointError::Damaged {
            path: ctx.run_path().join(&path),
            reason: format!("made again from the journal, it does not have the digest {digest}"),
        });
    }
    ctx.writer().with_log(|log| {
        let locked = log.lock()?;
        // Somebody may have been faster.
        if Page::unnamed(locked.dir(), &path).is_some_and(|there| there == page) {
            return Ok(());
        }
        aside(&path)?;
        page.write(locked.dir()).map(drop)
    })
}
