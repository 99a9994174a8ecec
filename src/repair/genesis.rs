//! A genesis file put back from a backup. Without it nothing of its run, or task, can be opened.

use std::sync::Arc;

use serde::de::IgnoredAny;

use super::close_off::{close_off_in, start_of_damage};
use super::mend::{KNOWN, Means, Origin};
use super::quarantine::Quarantine;
use super::site::{Site, Spot};
use super::sources::{gone_from_backup, in_backup};
use super::{Mend, RepairError};
use crate::artifact::HomeWriter;
use crate::backup::Backup;
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::Code;
use crate::io::Dir;
use crate::journal::{Home, JournalError, Log, MAX_LINE};
use crate::{layout, line};

/// No genesis file is longer.
const MOST: u64 = 1 << 20;

/// The name of the genesis file, if this is the place of one.
pub(super) fn file_of(spot: &Spot) -> Option<&'static str> {
    let name = spot.home.genesis();
    (spot.path == name).then_some(name)
}

/// The newest file in the backup that was given that the journal begins with: snapshots of the damage have others.
pub(super) fn find(site: &Site, spot: &Spot) -> Option<Means> {
    let (backup, name) = (site.backup.as_ref()?, file_of(spot)?);
    let digests = backup.digests_of(&spot.home, name).ok()?;
    let fits = |digest: &Digest| fits(site, spot, backup, *digest).unwrap_or(false);
    let digest = digests.into_iter().find(fits)?;
    Some(Means::PutBack { digest, from: Origin::Backup })
}

/// True if the backup has a whole genesis file with this digest, and the journal begins with it.
fn fits(site: &Site, spot: &Spot, backup: &Backup, digest: Digest) -> Option<bool> {
    let bytes = in_backup(backup, digest)?.read_little(MOST).ok()??;
    let is_whole = Digest::of(&bytes) == digest && line::read::<IgnoredAny>(&bytes).is_ok();
    Some(is_whole && begins(site, spot, digest).ok()?)
}

/// True if the first record of the journal follows a genesis file with this digest, or there is none.
fn begins(site: &Site, spot: &Spot, genesis: Digest) -> Result<bool, IoError> {
    let dir = Dir::open(site.home(spot).dir())?;
    let mut head = Vec::new();
    dir.open_read(layout::JOURNAL)?.read_at(0, MAX_LINE as u64, &mut head)?;
    let first = head.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let sealed = line::open(first);
    Ok(first.is_empty()
        || sealed.is_some_and(|sealed| Digest::chained(genesis, sealed.body) == sealed.hash))
}

/// The digest of the task's genesis file, where that is among what is to be put back: its journal, which is to
/// be told, cannot be opened with what stands there.
pub(super) fn lost(spot: &Spot, mends: &[Mend]) -> Option<Digest> {
    let mut starts = mends.iter().filter(|mend| mend.finding.code == Code::GenesisDamaged);
    match starts.next()?.means {
        Means::PutBack { digest, .. } if spot.home.run.is_none() => Some(digest),
        _ => None,
    }
}

/// The writer of a task's journal, opened with the backup's copy of the genesis file. Damage at the journal's
/// end, which nobody could see without that file, is closed off, unless the backup knows that records are in it.
pub(super) fn writer(
    site: &Site,
    task: Home,
    digest: Digest,
) -> Result<Arc<HomeWriter>, RepairError> {
    let moved_on = |reason: &str| RepairError::MovedOn {
        path: task.dir().join(layout::TASK),
        reason: reason.to_owned(),
    };
    let backup = site.backup.as_ref().ok_or_else(|| moved_on("no backup is given"))?;
    let copy = &mut gone_from_backup(backup, digest)?;
    let opened = task.open_writable_with(copy).map_err(JournalError::from)?;
    if opened.genesis != digest {
        return Err(moved_on("the backup's copy was changed"));
    }
    let mut log = Log::open_in(&task, opened.clone())?;
    if let Some(offset) = start_of_damage(&task, &mut log)?
        && backup.knows_past(task.id(), digest, offset)?
    {
        let path = task.dir().join(layout::JOURNAL);
        return Err(RepairError::NotBegun { path, reason: KNOWN.to_owned() });
    }
    close_off_in(&task, log)?;
    Ok(HomeWriter::of(task, opened))
}

/// Sets aside what stands there, and puts the file in its place, durably.
pub(super) fn put_back(
    site: &Site,
    spot: &Spot,
    digest: Digest,
    aside: &Quarantine<'_>,
) -> Result<(), RepairError> {
    let moved_on = |reason: &str| RepairError::MovedOn {
        path: site.home(spot).dir().join(&spot.path),
        reason: reason.to_owned(),
    };
    let backup = site.backup.as_ref().ok_or_else(|| moved_on("no backup is given"))?;
    let bytes = gone_from_backup(backup, digest)?.read_little(MOST)?;
    let bytes = bytes.filter(|bytes| Digest::of(bytes) == digest);
    let bytes = bytes.ok_or_else(|| moved_on("the backup's copy was changed"))?;
    let dir = Dir::open(site.home(spot).dir())?;
    let there = dir.open_read(&spot.path).and_then(|mut file| file.digest());
    if there.is_ok_and(|(there, _)| there == digest) {
        // Who put it there may have died before its name was on the disk.
        return Ok(dir.sync("")?);
    }
    let temporary = format!(".{}.{}", spot.path, site.new_id());
    let mut file = dir.create_new(&temporary)?;
    file.write(&bytes)?;
    file.sync()?;
    aside.keep(&spot.path)?;
    dir.rename(&temporary, &dir, &spot.path)?;
    Ok(dir.sync("")?)
}
