//! Putting a set of artifacts back: into an open run, or into a directory elsewhere.

use camino::Utf8Path;

use super::set::Source;
use super::{ArtifactSet, CheckpointError};
use crate::artifact::{ArtifactError, Catalog, Committed, Expect, Transaction, digest_on_disk};
use crate::context::RunContext;
use crate::digest::Digest;
use crate::error::IoError;
use crate::io::{Dir, make_dirs};
use crate::journal::{JournalError, MAX_BATCH_RECORDS, TooLarge};
use crate::name::ArtifactName;
use crate::{layout, object};

/// How often it is tried to put back what others change meanwhile.
const TRIES: usize = 8;

/// What becomes of a file that is not what the journal says, where a turn is restored over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ByHand {
    /// The restore is refused: nothing else may have these bytes.
    #[default]
    Refuse,
    /// It is replaced or removed, and its bytes are lost.
    Replace,
}

/// What a restore does to one artifact, from [`ArtifactSet::plan_restore`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreChange {
    /// The artifact.
    pub name: ArtifactName,
    /// What it becomes; `None` where it is removed.
    pub to: Option<Digest>,
}

/// What has to become of an artifact, and what it is now.
struct Change {
    name: ArtifactName,
    to: Option<Digest>,
    expect: Expect,
    said: Option<Digest>,
    found: Option<Digest>,
    /// Its last record is not in place yet: the next that writes does that.
    is_pending: bool,
}

impl Change {
    /// Whether bytes would be lost that the journal does not know.
    fn is_over_by_hand(&self) -> bool {
        let is_other = self.found.is_some() && self.found != self.said && self.found != self.to;
        is_other && !self.is_pending
    }
}

impl ArtifactSet {
    /// Makes the artifacts of an open run those of this set, in one transaction: whole or not at all, and
    /// durable. Artifacts that the set does not have are removed, and what is equal is left alone. What the
    /// journal says *and* what stands on the disk are looked at: a file that was removed by hand is put back, and
    /// one that was changed by hand is refused ([`restore_with`](ArtifactSet::restore_with) replaces it). A file
    /// that was never journaled, and is not of the set, stays.
    ///
    /// The records name the turn's `checkpoint_created` as their cause, or the step in which the context
    /// stands. Every artifact of the run is hashed.
    ///
    /// # Errors
    /// [`CheckpointError::ChangedByHand`] names a file that would be lost; [`TooLarge::BatchRecords`] where more
    /// than 1,024 artifacts differ; [`CheckpointError::ObjectMissing`] and [`CheckpointError::ContentChanged`] where bytes of the set are not
    /// what they should be; [`ArtifactError::PathConflict`] where a directory stands in the place of a file;
    /// [`ArtifactError::Conflict`] where others go on changing what differs; otherwise as
    /// [`Transaction::commit`]. Nothing is changed then, unless that says otherwise.
    pub fn restore(&self, ctx: &RunContext) -> Result<Committed, CheckpointError> {
        self.restore_with(ctx, ByHand::Refuse)
    }

    /// The same, with a word on files that were changed by hand.
    ///
    /// # Errors
    /// As [`restore`](ArtifactSet::restore).
    pub fn restore_with(
        &self,
        ctx: &RunContext,
        by_hand: ByHand,
    ) -> Result<Committed, CheckpointError> {
        let mut tries = TRIES;
        loop {
            tries = tries.saturating_sub(1);
            match self.try_restore(ctx, by_hand) {
                // Somebody wrote what was looked at before it could be put back.
                Err(CheckpointError::Artifact(ArtifactError::Conflict { .. })) if tries > 0 => {}
                other => return other,
            }
        }
    }

    /// What [`restore_with`](ArtifactSet::restore_with) would do now, in the order of the names. It changes
    /// nothing.
    ///
    /// # Errors
    /// [`CheckpointError::ChangedByHand`], [`TooLarge::BatchRecords`], and where the run cannot be read.
    pub fn plan_restore(
        &self,
        ctx: &RunContext,
        by_hand: ByHand,
    ) -> Result<Vec<RestoreChange>, CheckpointError> {
        let mut tries = TRIES;
        let mut changes = loop {
            tries = tries.saturating_sub(1);
            let catalog = Catalog::read(&ctx.home())?;
            let changes = self.changes(ctx, &catalog)?;
            match refuse_by_hand(ctx, by_hand, &catalog, &changes) {
                Err(CheckpointError::Artifact(ArtifactError::Conflict { .. })) if tries > 0 => {}
                other => break other.map(|()| changes)?,
            }
        };
        changes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(changes.into_iter().map(|Change { name, to, .. }| RestoreChange { name, to }).collect())
    }

    fn try_restore(&self, ctx: &RunContext, by_hand: ByHand) -> Result<Committed, CheckpointError> {
        let writer = ctx.writer();
        let catalog = Catalog::read(&ctx.home())?;
        // What is committed and not in place yet would look as if it was changed by hand.
        writer.catch_up()?;
        let changes = self.changes(ctx, &catalog)?;
        refuse_by_hand(ctx, by_hand, &catalog, &changes)?;
        let mut transaction = Transaction::new(writer);
        if let Source::Turn { event, .. } = self.source {
            transaction.caused_by(event);
        }
        for Change { name, to, expect, .. } in changes {
            let Some(digest) = to else {
                transaction.remove_journaled(name, expect)?;
                continue;
            };
            let mut source = self.open_file(&name)?;
            let mut stage = transaction.create(&name)?.expect(expect);
            stage.import_part(&mut source, u64::MAX, &|| false)?;
            stage.finish()?;
            let staged = transaction.staged(&name).flatten();
            self.check(&source, &name, digest, staged.unwrap_or_else(|| Digest::of(b"")))?;
        }
        Ok(transaction.commit()?)
    }

    /// What differs between a run and this set.
    fn changes(&self, ctx: &RunContext, catalog: &Catalog) -> Result<Vec<Change>, CheckpointError> {
        let dir = Dir::open(&ctx.run_path())?;
        let mut changes = Vec::new();
        let expect = |name| {
            let last = catalog.last(name);
            last.map_or(Expect::Any, |last| Expect::Version(last.version))
        };
        let is_pending = |name| match catalog.last(name) {
            Some(last) => Ok::<_, IoError>(dir.stat(&layout::stage(last.event_id))?.is_some()),
            None => Ok(false),
        };
        for name in self.names() {
            // A file of a set from the disk may be gone by now.
            let Some(digest) = self.digest(name)? else { continue };
            let (said, found) = (catalog.digest(name), digest_on_disk(&dir, name)?);
            if said != Some(digest) || found != Some(digest) {
                let (expect, is_pending) = (expect(name), is_pending(name)?);
                let (name, to) = (name.clone(), Some(digest));
                changes.push(Change { name, to, expect, said, found, is_pending });
            }
        }
        let names = self.names();
        for (name, last) in catalog.iter() {
            if last.digest.is_some() && names.binary_search(&name).is_err() {
                let (said, found) = (last.digest, digest_on_disk(&dir, name)?);
                let (expect, is_pending) = (expect(name), is_pending(name)?);
                let (name, to) = (name.clone(), None);
                changes.push(Change { name, to, expect, said, found, is_pending });
            }
        }
        if changes.len() > MAX_BATCH_RECORDS {
            let (what, size, limit) = (TooLarge::BatchRecords, changes.len(), MAX_BATCH_RECORDS);
            return Err(JournalError::TooLarge { what, size, limit }.into());
        }
        Ok(changes)
    }

    /// Writes the artifacts into a directory, which must be empty or not there yet; those above it are made
    /// too. Each is checked while it is copied. They survive this process, not a power cut: nothing is synced.
    ///
    /// # Errors
    /// [`CheckpointError::NotEmpty`]; [`CheckpointError::ObjectMissing`] and
    /// [`CheckpointError::ContentChanged`] where bytes of the set are not what they should be; where the disk
    /// refuses. What was written before stays.
    pub fn export(&self, dir: impl AsRef<Utf8Path>) -> Result<(), CheckpointError> {
        let path = dir.as_ref();
        make_dirs(path)?;
        let dir = Dir::open_root(path)?;
        if !dir.list("")?.is_empty() {
            return Err(CheckpointError::NotEmpty { path: path.to_owned() });
        }
        self.names().into_iter().try_for_each(|name| self.export_one(&dir, name))
    }

    fn export_one(&self, dir: &Dir, name: &ArtifactName) -> Result<(), CheckpointError> {
        let mut source = self.open_file(name)?;
        let path = name.as_str();
        for (at, _) in path.match_indices('/') {
            dir.create_dir(path.get(..at).unwrap_or_default())?;
        }
        let mut file = dir.create_new(path)?;
        let found = object::copy(&mut source, &mut file)?;
        let expected = self.known(name).unwrap_or(found);
        self.check(&source, name, expected, found).inspect_err(|_| {
            // Nobody should take it for what it is named.
            let _ = dir.remove_file(path);
        })
    }
}

/// Refuses to lose what the journal does not know. Where the journal went on since the catalog was read, the file
/// may be as it says by now: a conflict, to be looked at again.
fn refuse_by_hand(
    ctx: &RunContext,
    by_hand: ByHand,
    catalog: &Catalog,
    changes: &[Change],
) -> Result<(), CheckpointError> {
    let mut lost = changes.iter().filter(|_| by_hand == ByHand::Refuse);
    let Some(Change { name, said, found: Some(found), .. }) =
        lost.find(|change| change.is_over_by_hand())
    else {
        return Ok(());
    };
    let version = |catalog: &Catalog| catalog.last(name).map_or(0, |last| last.version);
    let (then, now) = (version(catalog), version(&Catalog::read(&ctx.home())?));
    if then != now {
        let (expected, found) = (format!("version {then}"), format!("has version {now}"));
        return Err(ArtifactError::Conflict { name: name.clone(), expected, found }.into());
    }
    let (path, name) = (ctx.artifact_path(name), name.clone());
    Err(CheckpointError::ChangedByHand { name, path, expected: *said, found: *found })
}
