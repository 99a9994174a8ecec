//! Putting committed records in place: by the one who committed them, or by whoever comes next.

use std::collections::BTreeSet;
use std::io::ErrorKind;

use super::catalog::Last;
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding};
use crate::id::EventId;
use crate::io::{Dir, Kind};
use crate::journal::{JournalError, LockedLog};
use crate::layout;
use crate::name::ArtifactName;
use crate::planted::Bug;

/// The digest of a file, `None` where nothing stands. Anything but a regular file is an error.
pub(crate) fn digest_on_disk(dir: &Dir, name: &ArtifactName) -> Result<Option<Digest>, IoError> {
    match dir.open_read(&layout::artifact(name.as_str())) {
        Ok(mut file) => Ok(Some(file.digest()?.0)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is left over once records are in place: stages, and directories that removals may have
/// emptied. Stages go last, after the names of the artifacts were synced: as long as a stage is there,
/// whoever comes after a crash finishes the rest.
#[derive(Debug, Default)]
pub(super) struct LeftOver {
    stages: Vec<EventId>,
    removed: Vec<(ArtifactName, EventId)>,
}

impl LeftOver {
    pub(super) fn stage(&mut self, stage: EventId) {
        self.stages.push(stage);
    }

    fn removed(&mut self, name: &ArtifactName, stage: EventId) {
        self.removed.push((name.clone(), stage));
        self.stages.push(stage);
    }

    /// Removes the directories that are empty now that every record is in place. Where one cannot be removed,
    /// nothing is wrong, and the stages below it stay, so that whoever comes next tries again.
    pub(super) fn remove_directories(&mut self, dir: &Dir) {
        let stays = |(name, stage): &(ArtifactName, EventId)| {
            remove_empty_parents(dir, name).is_err().then_some(*stage)
        };
        let left: Vec<EventId> = self.removed.iter().filter_map(stays).collect();
        self.stages.retain(|stage| !left.contains(stage));
    }

    pub(super) fn remove_stages(self, dir: &Dir) -> Result<(), IoError> {
        self.stages.into_iter().try_for_each(|stage| dir.remove_file(&layout::stage(stage)))
    }
}

/// `.tmp/` and `artifacts/`, opened for one commit, with the lock held, from the run's directory and
/// without following a link. What the commit checks there is what it puts in place, and where the
/// next one looks after a crash: a directory that was swapped since its stage was made is found out.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) tmp: Dir,
    pub(super) artifacts: Dir,
}

impl Places {
    /// Opens `artifacts/` as well; it is made where it is missing.
    pub(super) fn open(dir: &Dir, tmp: Dir) -> Result<Self, IoError> {
        let artifacts = match dir.open_dir(layout::ARTIFACTS) {
            Err(error) if error.is_not_found() => {
                if dir.create_dir(layout::ARTIFACTS)? {
                    dir.sync("")?;
                }
                dir.open_dir(layout::ARTIFACTS)?
            }
            other => other?,
        };
        Ok(Self { tmp, artifacts })
    }
}

/// Puts staged content in place, or removes what a removal names; the caller knows that it may.
pub(super) fn put(
    places: &Places,
    name: &ArtifactName,
    event_id: EventId,
    digest: Option<Digest>,
    left_over: &mut LeftOver,
) -> Result<(), IoError> {
    if digest.is_some() {
        return places.tmp.rename(&layout::stage_name(event_id), &places.artifacts, name.as_str());
    }
    match places.artifacts.remove_file(name.as_str()) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    left_over.removed(name, event_id);
    Ok(())
}

/// Removes the directories above these artifacts that are empty, so that their names can be files.
pub(super) fn remove_directories<'a>(dir: &Dir, names: impl Iterator<Item = &'a ArtifactName>) {
    names.for_each(|name| {
        // Made for nothing, an empty directory does no harm.
        let _ = remove_empty_parents(dir, name);
    });
}

fn remove_empty_parents(dir: &Dir, name: &ArtifactName) -> Result<(), IoError> {
    let mut path = name.as_str();
    while let Some((parent, _)) = path.rsplit_once('/') {
        match dir.remove_dir(&layout::artifact(parent)) {
            Err(error) if is_in_use(&error) => break,
            // One that is gone was removed by somebody whom a crash kept from going on.
            Err(error) if !error.is_not_found() => return Err(error),
            _ => path = parent,
        }
    }
    Ok(())
}

/// Some systems say of a directory that is not empty that it exists.
fn is_in_use(error: &IoError) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists)
}

/// Makes the directories above an artifact.
pub(super) fn make_parents(places: &Places, name: &ArtifactName) -> Result<(), IoError> {
    for (at, _) in name.as_str().match_indices('/') {
        places.artifacts.create_dir(name.as_str().get(..at).unwrap_or_default())?;
    }
    Ok(())
}

/// The directories above an artifact, the first one first; the last of them holds its name.
fn holders(name: &ArtifactName) -> impl Iterator<Item = String> {
    let above = name.as_str().match_indices('/').map(|(at, _)| at);
    let above = above.filter(|_| !Bug::ParentsUnsynced.is_planted());
    let above = above.map(|at| layout::artifact(name.as_str().get(..at).unwrap_or_default()));
    std::iter::once(layout::ARTIFACTS.to_owned()).chain(above)
}

/// Waits until the names of the directories above these artifacts are on the disk: what is renamed into one whose
/// name is not would be lost with it, and its stage is gone.
pub(super) fn sync_above<'a>(
    dir: &Dir,
    names: impl Iterator<Item = &'a ArtifactName>,
) -> Result<(), IoError> {
    let of = |name| {
        let mut holders: Vec<_> = holders(name).collect();
        holders.pop();
        holders
    };
    sync_dirs(dir, &names.flat_map(of).collect())
}

/// Waits until the names of these artifacts, and of every directory above them, are on the disk.
pub(super) fn sync_names<'a>(
    dir: &Dir,
    names: impl Iterator<Item = &'a ArtifactName>,
) -> Result<(), IoError> {
    let mut dirs = BTreeSet::from([layout::ARTIFACTS.to_owned()]);
    dirs.extend(names.flat_map(holders));
    sync_dirs(dir, &dirs)?;
    // The stages' directory is synced last: a name must be on the disk before the one that it had.
    sync_dirs(dir, &BTreeSet::from([layout::TMP.to_owned()]))
}

fn sync_dirs(dir: &Dir, paths: &BTreeSet<String>) -> Result<(), IoError> {
    paths.iter().try_for_each(|path| match dir.sync(path) {
        // A removal may have taken the directory along; a copy may have left an empty one out.
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    })
}

/// The committed records that a crash left to be put in place, in the order of the journal: those
/// whose stage is still there, and which nothing superseded.
fn waiting(locked: &mut LockedLog<'_>) -> Result<Vec<(ArtifactName, Last)>, JournalError> {
    let dir = locked.dir();
    let stages: Vec<EventId> = match dir.list(layout::TMP) {
        Ok(entries) => entries.iter().filter_map(|(name, _)| name.parse().ok()).collect(),
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut waiting = Vec::new();
    for id in stages {
        let Some(record) = locked.artifact_event(id)? else { continue };
        let Some((name, last)) = Last::of(&record)? else { continue };
        let newest = Last::read(locked, &name)?;
        if newest.is_some_and(|newest| newest.event_id == id) || Bug::SupersededApplied.is_planted()
        {
            waiting.push((name, last));
        }
    }
    waiting.sort_by_key(|(_, last)| last.seq);
    Ok(waiting)
}

/// Finishes what a crash left. The journal is synced first: what is put in place must not outlive
/// the record that says so. What must not be put in place is a finding, and both files are kept.
pub(super) fn recover(locked: &mut LockedLog<'_>) -> Result<Vec<Finding>, JournalError> {
    let waiting = waiting(locked)?;
    if !waiting.is_empty() && !Bug::RecoveredUnsynced.is_planted() {
        locked.sync()?;
    }
    let dir = locked.dir();
    let mut findings = Vec::new();
    let (mut applied, mut left_over) = (Vec::new(), LeftOver::default());
    for (name, last) in waiting {
        match recover_one(dir, &name, &last, &mut left_over) {
            Ok(None) => applied.push(name),
            Ok(Some(finding)) => findings.push(finding),
            // One strange object is a finding, and does not stop the run.
            Err(error) if is_strange(&error) => findings.push(strange(error)),
            Err(error) => return Err(error.into()),
        }
    }
    if !applied.is_empty() {
        left_over.remove_directories(dir);
        sync_names(dir, applied.iter())?;
        // What stays holds only what is in place already.
        let _ = left_over.remove_stages(dir);
    }
    locked.all_applied();
    Ok(findings)
}

fn recover_one(
    dir: &Dir,
    name: &ArtifactName,
    last: &Last,
    left_over: &mut LeftOver,
) -> Result<Option<Finding>, IoError> {
    let stage = layout::stage(last.event_id);
    let target = layout::artifact(name.as_str());
    if dir.stat(&target)?.is_some_and(|entry| entry.kind != Kind::File) {
        return Ok(Some(not_applied(dir, &target, "something that is no file stands there")));
    }
    let on_disk = digest_on_disk(dir, name)?;
    if on_disk == last.digest {
        // Already in place, or already removed: the stage is left over, and what a removal empties.
        match last.digest {
            Some(_) => left_over.stage(last.event_id),
            None => left_over.removed(name, last.event_id),
        }
        return Ok(None);
    }
    let mut stage_file = dir.open_read(&stage)?;
    let staged = stage_file.digest()?.0;
    if staged != last.staged() && !Bug::StageUncompared.is_planted() {
        let reason = format!("it has the digest {staged}, not the one that seq {} names", last.seq);
        return Ok(Some(Finding::whole(dir.path().join(&stage), Code::StageDamaged, reason)));
    }
    if !last.may_replace(on_disk) && !Bug::ForeignReplaced.is_planted() {
        let reason =
            format!("the file there is neither that of seq {} nor the one before", last.seq);
        return Ok(Some(not_applied(dir, &target, &reason)));
    }
    let places = Places::open(dir, dir.open_dir(layout::TMP)?)?;
    if last.digest.is_some() {
        // It may replace content that was durable, so it has to be on the disk first.
        if !Bug::RecoveredStageUnsynced.is_planted() {
            stage_file.sync()?;
        }
        match make_parents(&places, name) {
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                let reason = "a file stands where a directory is needed";
                return Ok(Some(not_applied(dir, &target, reason)));
            }
            other => other?,
        }
        sync_above(dir, std::iter::once(name))?;
    }
    put(&places, name, last.event_id, last.digest, left_over)?;
    Ok(None)
}

/// True if the error is about what stands there, not about the disk.
pub(super) fn is_strange(error: &IoError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Other
            | ErrorKind::IsADirectory
            | ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
    )
}

fn strange(error: IoError) -> Finding {
    let reason = format!("cannot {}: {}", error.action, error.source);
    Finding::whole(error.path, Code::CommitNotApplied, reason)
}

fn not_applied(dir: &Dir, target: &str, reason: &str) -> Finding {
    Finding::whole(dir.path().join(target), Code::CommitNotApplied, reason)
}
