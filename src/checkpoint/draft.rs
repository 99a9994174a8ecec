//! A checkpoint in the making: what the journal says of each artifact, and whose bytes are kept already.

use std::collections::{BTreeMap, BTreeSet};

use super::CheckpointError;
use super::checkpoint::Created;
use super::page::Page;
use crate::artifact::Last;
use crate::digest::Digest;
use crate::error::IoError;
use crate::io::{Dir, ReadFile};
use crate::journal::{Cursor, Events, Home, JournalError, LockedLog, Record};
use crate::name::ArtifactName;
use crate::{layout, object};

#[derive(Debug, Default)]
pub(super) struct Draft {
    artifacts: BTreeMap<ArtifactName, Digest>,
    /// How far the journal was read.
    read: Option<Cursor>,
    /// The bytes with these digests are objects: because the checkpoint before names them, or because they
    /// were kept for this one.
    kept: BTreeSet<Digest>,
    /// Those that were kept for this one without the lock.
    kept_ahead: BTreeSet<Digest>,
    /// What was tried to be kept ahead and could not: the file is not, or not yet, what the journal says.
    tried: BTreeSet<(ArtifactName, Digest)>,
}

/// How many files are copied at a time.
const THREADS: usize = 8;

impl Draft {
    /// Begins with what a checkpoint says. Where that cannot be read, or there is none, everything is
    /// looked at anew.
    pub(super) fn after(dir: &Dir, before: Option<&Record>) -> Result<Self, CheckpointError> {
        let Some(before) = before else { return Ok(Self::default()) };
        let Created { turn, digest, .. } = before.payload()?;
        match Page::read(dir, turn, before.seq(), digest) {
            Ok(page) => Ok(Self {
                kept: page.artifacts.values().copied().collect(),
                artifacts: page.artifacts,
                read: Some(before.cursor()),
                ..Self::default()
            }),
            Err(CheckpointError::Missing { .. } | CheckpointError::Damaged { .. }) => {
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Takes in what was appended, without the lock.
    pub(super) fn read_on(&mut self, home: &Home) -> Result<(), JournalError> {
        let mut events = Events::open(home)?;
        if let Some(cursor) = self.read {
            events = events.from(cursor)?;
        }
        for record in events.by_ref() {
            self.take_in(&record?)?;
        }
        self.read = Some(events.cursor());
        Ok(())
    }

    /// Takes in what was appended, up to the last record, under the lock.
    pub(super) fn catch_up(&mut self, locked: &mut LockedLog<'_>) -> Result<(), JournalError> {
        if let Some(cursor) = self.read
            && !locked.fits(cursor)?
        {
            // The journal was put back under our hands, and maybe the objects with it.
            *self = Self::default();
        }
        locked.replay(self.read, &mut |record| self.take_in(record))
    }

    fn take_in(&mut self, record: &Record) -> Result<(), JournalError> {
        Last::take_in(record, &mut self.artifacts)
    }

    /// Keeps what is not kept yet, while others write: what they replace meanwhile is left for later. False
    /// if there was nothing to do.
    pub(super) fn keep_ahead(&mut self, dir: &Dir, home: &Home) -> Result<bool, CheckpointError> {
        let mut missing = self.missing();
        missing.retain(|(name, digest)| !self.tried.contains(&(name.clone(), *digest)));
        let found = keep_all(dir, home, &missing)?;
        for ((name, digest), found) in missing.iter().zip(&found) {
            if *found == Some(*digest) {
                self.kept.insert(*digest);
                self.kept_ahead.insert(*digest);
            } else {
                self.tried.insert((name.clone(), *digest));
            }
        }
        Ok(!missing.is_empty())
    }

    /// Keeps all the rest, under the lock, which has put in place what was committed; and what was removed
    /// since it was kept ahead: an old object that no record names yet is anybody's to prune.
    pub(super) fn keep(&mut self, dir: &Dir, home: &Home) -> Result<(), CheckpointError> {
        for digest in &self.kept_ahead {
            if object::look_at(dir, *digest)?.is_none() {
                self.kept.remove(digest);
            }
        }
        let missing = self.missing();
        let found = keep_all(dir, home, &missing)?;
        for ((name, expected), found) in missing.into_iter().zip(found) {
            if found != Some(expected) {
                let path = dir.path().join(layout::artifact(name.as_str()));
                return Err(CheckpointError::NotAsJournaled { name, path, expected, found });
            }
            self.kept.insert(expected);
        }
        Ok(())
    }

    pub(super) fn into_artifacts(self) -> BTreeMap<ArtifactName, Digest> {
        self.artifacts
    }

    /// One artifact for each content that is not kept yet.
    fn missing(&self) -> Vec<(ArtifactName, Digest)> {
        let mut seen = BTreeSet::new();
        let missing = self
            .artifacts
            .iter()
            .filter(|(_, digest)| !self.kept.contains(*digest) && seen.insert(**digest));
        missing.map(|(name, digest)| (name.clone(), *digest)).collect()
    }
}

/// Keeps the content of these artifacts, durably; returns the digest that each has, `None` where there is no
/// file. Only one that has the expected digest was kept.
fn keep_all(
    dir: &Dir,
    home: &Home,
    wanted: &[(ArtifactName, Digest)],
) -> Result<Vec<Option<Digest>>, CheckpointError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let keep = |part: &[(ArtifactName, Digest)]| -> Result<Vec<_>, IoError> {
        part.iter().map(|(name, digest)| keep_one(dir, home, name, *digest)).collect()
    };
    let mut parts = wanted.chunks(wanted.len().div_ceil(THREADS));
    let first = parts.next().unwrap_or_default();
    let found = std::thread::scope(|scope| {
        let mut helpers = Vec::new();
        for part in parts {
            helpers.push((part, std::thread::Builder::new().spawn_scoped(scope, || keep(part))));
        }
        let mut found = keep(first)?;
        for (part, helper) in helpers {
            // Where no more threads are to be had, or one panicked, this one does the work.
            let kept = helper.ok().and_then(|helper| helper.join().ok());
            found.extend(kept.unwrap_or_else(|| keep(part))?);
        }
        Ok::<_, IoError>(found)
    })?;
    let kept = wanted.iter().zip(&found).filter(|((_, digest), found)| Some(*digest) == **found);
    object::sync_names(dir, kept.map(|((_, digest), _)| *digest))?;
    Ok(found)
}

fn keep_one(
    dir: &Dir,
    home: &Home,
    name: &ArtifactName,
    digest: Digest,
) -> Result<Option<Digest>, IoError> {
    let mut file: ReadFile = match dir.open_read(&layout::artifact(name.as_str())) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    object::keep_file(dir, &|| home.runtime.next_event_id(), &mut file, digest).map(Some)
}
