//! One thing mended.

use super::RepairError;
use super::genesis;
use super::mend::{Means, Mend, Origin};
use super::quarantine::Quarantine;
use super::site::{Site, Spot};
use super::sources::Sources;
use crate::artifact::HomeWriter;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::journal::Log;
use crate::manifest::Manifest;
use crate::name::ArtifactName;
use crate::verify::is_misplaced;
use crate::{checkpoint, layout, object};

/// Mends one thing, which is looked at again first.
pub(super) fn mend(
    site: &Site,
    spot: &Spot,
    mend: &Mend,
    aside: &Quarantine<'_>,
) -> Result<(), RepairError> {
    let moved_on = |reason: &str| RepairError::MovedOn {
        path: mend.finding.place.path.clone(),
        reason: reason.to_owned(),
    };
    let context = site.context(spot);
    match (&mend.means, context) {
        // Done before, by one record for all of a journal.
        (Means::CloseOff, _) => Ok(()),
        (Means::SetAside, _) => set_aside(site, spot, aside),
        (Means::PutBack { digest, .. }, _) if genesis::file_of(spot).is_some() => {
            genesis::put_back(site, spot, *digest, aside)
        }
        (Means::PutBack { digest, from }, context) => {
            let sources = Sources::open(site, spot)?;
            if layout::object_of(&spot.path) == Some(*digest) {
                return put_back_object(site, spot, &sources, (*digest, from), aside);
            }
            let context = context.ok_or_else(|| moved_on("only runs have artifacts"))?;
            let name = sources.name_of(spot, *digest);
            let name = name.ok_or_else(|| moved_on("the journal names another content"))?;
            let mut source = sources.open_origin(*digest, from)?;
            let mut take = |path: &str| aside.take(path).map(drop);
            context.writer().stage_again(&name, *digest, &mut source, &mut take)?;
            put_in_place(&context, &name, aside)
        }
        (Means::PutInPlace, Some(context)) => {
            let name =
                layout::artifact_of(&spot.path).ok_or_else(|| moved_on("it is no artifact"))?;
            put_in_place(&context, &name, aside)
        }
        (Means::Adopt, Some(context)) => {
            let name =
                layout::artifact_of(&spot.path).ok_or_else(|| moved_on("it is no artifact"))?;
            context.artifacts().adopt(name)?;
            Ok(())
        }
        (Means::MakeAgain, Some(context)) => make_again(&context, spot, aside),
        (_, None) => Err(moved_on("it is in no run")),
    }
}

/// Moves away what is in the way of committed content, and has it put in place.
fn put_in_place(
    context: &RunContext,
    name: &ArtifactName,
    aside: &Quarantine<'_>,
) -> Result<(), RepairError> {
    let writer = context.writer();
    writer.clear_the_way(name, &mut |path| aside.take(path).map(drop))?;
    let findings = context.catch_up()?;
    // What stood in the way is gone, so an error here is the disk's.
    if writer.is_in_place(name)? {
        return Ok(());
    }
    let reason = findings.first().map_or("it is not in place", |finding| &finding.reason);
    let path = context.artifact_path(name);
    Err(RepairError::MovedOn { path, reason: reason.to_owned() })
}

/// Under the lock, which whoever makes what belongs there holds, or waits for.
fn set_aside(site: &Site, spot: &Spot, aside: &Quarantine<'_>) -> Result<(), RepairError> {
    let mut log = Log::open(&site.home(spot))?;
    let locked = log.lock()?;
    let there = locked.dir().stat(&spot.path)?;
    if there.is_some_and(|there| is_misplaced(&spot.path, spot.home.run.is_some(), there.kind)) {
        aside.take(&spot.path)?;
    }
    Ok(())
}

fn make_again(
    context: &RunContext,
    spot: &Spot,
    aside: &Quarantine<'_>,
) -> Result<(), RepairError> {
    if let Some(turn) = layout::turn_of(&spot.path) {
        let mut take = |path: &str| aside.take(path).map(drop);
        return Ok(checkpoint::make_again(context, turn, &mut take)?);
    }
    let manifest = context.manifest()?;
    if Manifest::read(context).is_ok_and(|there| there.as_ref() == Some(&manifest)) {
        return Ok(());
    }
    // The page of a run that ended is a witness: it is not to be missing at any moment.
    aside.keep(&spot.path)?;
    Ok(manifest.write(context)?)
}

/// Under the lock: a writer that needs the object may be about to mend it itself.
fn put_back_object(
    site: &Site,
    spot: &Spot,
    sources: &Sources,
    (digest, from): (Digest, &Origin),
    aside: &Quarantine<'_>,
) -> Result<(), RepairError> {
    let mut source = sources.open_origin(digest, from)?;
    let found = HomeWriter::new(site.home(spot)).with_log(|log| {
        let locked = log.lock()?;
        let new_id = || site.new_id();
        let take = || aside.take(&layout::object(digest)).map(drop);
        let found = object::replace_file(locked.dir(), &new_id, &mut source, digest, take)?;
        object::sync_names(locked.dir(), [digest])?;
        Ok::<_, RepairError>(found)
    })?;
    if found == digest {
        return Ok(());
    }
    let (path, reason) = (source.path().to_owned(), format!("it has the digest {found} now"));
    Err(RepairError::MovedOn { path, reason })
}
