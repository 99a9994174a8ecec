//! The file of a checkpoint made again from the journal.

use std::collections::BTreeMap;

use super::checkpoint::Created;
use super::page::Page;
use super::{CheckpointError, create};
use crate::artifact::Last;
use crate::context::RunContext;
use crate::error::IoError;
use crate::layout;

/// Makes the file of a turn's checkpoint again: it is a function of the records before its own. What stands
/// there is moved away first. Durable.
pub(crate) fn make_again(
    ctx: &RunContext,
    turn: u64,
    aside: &mut dyn FnMut(&str) -> Result<(), IoError>,
) -> Result<(), CheckpointError> {
    ctx.writer().with_log(|log| {
        let mut locked = log.lock()?;
        let not_there = || CheckpointError::NotThere { turn, run: ctx.run_path() };
        let record = create::made(&mut locked, turn)?.ok_or_else(not_there)?;
        let Created { digest, .. } = record.payload()?;
        let mut artifacts = BTreeMap::new();
        locked.replay(None, &mut |seen| {
            if seen.seq() < record.seq()
                && let Some((name, last)) = Last::of(seen)?
            {
                match last.digest {
                    Some(digest) => artifacts.insert(name, digest),
                    None => artifacts.remove(&name),
                };
            }
            Ok(())
        })?;
        let page = Page::new(turn, record.seq().saturating_sub(1), artifacts);
        let path = layout::checkpoint(turn);
        let differs = || CheckpointError::Damaged {
            path: ctx.run_path().join(&path),
            reason: format!(
                "made again from the journal, it is not what seq {} names",
                record.seq()
            ),
        };
        if page.digest()? != digest {
            return Err(differs());
        }
        aside(&path)?;
        page.write(locked.dir()).map(drop)
    })
}
