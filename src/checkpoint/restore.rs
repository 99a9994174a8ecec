//! Putting a set of artifacts back: into an open run, or into a directory elsewhere.

use camino::Utf8Path;

use super::set::Source;
use super::{ArtifactSet, CheckpointError};
use crate::artifact::{ArtifactError, Catalog, Committed, Expect, Transaction, digest_on_disk};
use crate::context::RunContext;
use crate::digest::Digest;
use crate::io::{Dir, make_dirs};
use crate::journal::{JournalError, MAX_BATCH_RECORDS, TooLarge};
use crate::name::ArtifactName;
use crate::object;

/// How often it is tried to put back what others change meanwhile.
const TRIES: usize = 8;

/// What has to become of an artifact: its content, or `None` for its removal.
struct Change {
    name: ArtifactName,
    to: Option<Digest>,
    expect: Expect,
}

impl ArtifactSet {
    /// Makes the artifacts of an open run those of this set, in one transaction: whole or not at all, and
    /// durable. Artifacts that the set does not have are removed, and what is equal is left alone. What the
    /// journal says *and* what stands on the disk are looked at, so a file that was changed or removed by hand
    /// is put right too; a file that was never journaled, and is not of the set, stays.
    ///
    /// The records name the turn's `checkpoint_created` as their cause, or the step in which the context
    /// stands. Every artifact of the run is hashed.
    ///
    /// # Errors
    /// [`TooLarge::BatchRecords`] where more than 1,024 artifacts differ;
    /// [`CheckpointError::ObjectMissing`] and [`CheckpointError::ContentChanged`] where bytes of the set are not
    /// what they should be; [`ArtifactError::PathConflict`] where a directory stands in the place of a file;
    /// [`ArtifactError::Conflict`] where others go on changing what differs; otherwise as
    /// [`Transaction::commit`]. Nothing is changed then, unless that says otherwise.
    pub fn restore(&self, ctx: &RunContext) -> Result<Committed, CheckpointError> {
        let mut tries = TRIES;
        loop {
            tries = tries.saturating_sub(1);
            match self.try_restore(ctx) {
                // Somebody wrote what was looked at before it could be put back.
                Err(CheckpointError::Artifact(ArtifactError::Conflict { .. })) if tries > 0 => {}
                other => return other,
            }
        }
    }

    fn try_restore(&self, ctx: &RunContext) -> Result<Committed, CheckpointError> {
        let writer = ctx.writer();
        // What is committed and not in place yet would look as if it was changed by hand.
        writer.catch_up()?;
        let changes = self.changes(ctx)?;
        let mut transaction = Transaction::new(writer);
        if let Source::Turn { event, .. } = self.source {
            transaction.caused_by(event);
        }
        for Change { name, to, expect } in changes {
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
    fn changes(&self, ctx: &RunContext) -> Result<Vec<Change>, CheckpointError> {
        let catalog = Catalog::read(&ctx.home())?;
        let dir = Dir::open(&ctx.run_path())?;
        let mut changes = Vec::new();
        let expect = |name| {
            let last = catalog.last(name);
            last.map_or(Expect::Any, |last| Expect::Version(last.version))
        };
        for name in self.names() {
            // A file of a set from the disk may be gone by now.
            let Some(digest) = self.digest(name)? else { continue };
            let said = catalog.digest(name);
            if said != Some(digest) || digest_on_disk(&dir, name)? != Some(digest) {
                let (name, expect) = (name.clone(), expect(name));
                changes.push(Change { name, to: Some(digest), expect });
            }
        }
        let names = self.names();
        for (name, last) in catalog.iter() {
            if last.digest.is_some() && names.binary_search(&name).is_err() {
                changes.push(Change { name: name.clone(), to: None, expect: expect(name) });
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
