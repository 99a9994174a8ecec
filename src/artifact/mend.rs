//! What a repair needs: the stage of a committed record made again, and the way to its place cleared. The rest
//! is done by whoever locks the journal next, as after a crash.

use super::apply::{digest_on_disk, is_strange};
use super::catalog::Last;
use super::stage::Stage;
use super::writer::HomeWriter;
use super::{ArtifactError, Catalog};
use crate::digest::Digest;
use crate::error::IoError;
use crate::id::EventId;
use crate::io::{Dir, Kind, ReadFile};
use crate::layout;
use crate::name::ArtifactName;

/// Moves something out of the way, by its path relative to the run.
pub(crate) type Aside<'a> = &'a mut dyn FnMut(&str) -> Result<(), IoError>;

impl HomeWriter {
    /// Makes the stage of a path's last record again from bytes that are elsewhere, durably. False, and
    /// nothing is done, where the record does not name this digest any more, or the file has it.
    pub(crate) fn stage_again(
        &self,
        name: &ArtifactName,
        digest: Digest,
        source: &mut ReadFile,
        aside: Aside<'_>,
    ) -> Result<bool, ArtifactError> {
        let mut stage = Stage::create(self)?;
        stage.import(source)?;
        let content = stage.finish()?;
        let temporary = layout::stage(content.event_id);
        let remove = |dir: &Dir| dir.remove_file(&temporary);
        if content.digest != Some(digest) {
            remove(&self.opened()?.dir)?;
            let (path, found) = (source.path().to_owned(), content.digest.unwrap_or(digest));
            return Err(ArtifactError::Changed { path, expected: digest, found });
        }
        self.with_log(|log| {
            let mut locked = log.lock()?;
            let last = Last::read(&mut locked, name)?.filter(|last| last.digest == Some(digest));
            let dir = locked.dir();
            let Some(last) = last.filter(|_| !has(dir, name, Some(digest))) else {
                remove(dir)?;
                return Ok(false);
            };
            let stage = layout::stage(last.event_id);
            if dir.stat(&stage)?.is_some() {
                aside(&stage)?;
            }
            dir.open_read(&temporary)?.sync()?;
            dir.rename(&temporary, dir, &stage)?;
            dir.sync(layout::TMP)?;
            Ok(true)
        })
    }

    /// Moves away what is in the way of a path's last record, whose stage waits: what stands there, and what
    /// stands where a directory has to be. A file that is what the record says stays.
    pub(crate) fn clear_the_way(
        &self,
        name: &ArtifactName,
        aside: Aside<'_>,
    ) -> Result<(), ArtifactError> {
        self.with_log(|log| {
            let mut locked = log.lock()?;
            let Some(last) = Last::read(&mut locked, name)? else { return Ok(()) };
            let dir = locked.dir();
            if has(dir, name, last.digest) || !waits(dir, last.event_id)? {
                return Ok(());
            }
            let path = layout::artifact(name.as_str());
            for (at, _) in path.match_indices('/') {
                let above = path.get(..at).unwrap_or_default();
                if dir.stat(above)?.is_some_and(|entry| entry.kind != Kind::Dir) {
                    aside(above)?;
                    return Ok(());
                }
            }
            if dir.stat(&path)?.is_some() {
                aside(&path)?;
            }
            Ok(())
        })
    }

    /// True if the file is what the journal's last word says.
    pub(crate) fn is_in_place(&self, name: &ArtifactName) -> Result<bool, ArtifactError> {
        let digest = Catalog::read(self.home())?.digest(name);
        match digest_on_disk(&self.dir()?, name) {
            Ok(found) => Ok(found == digest),
            // It is no file.
            Err(error) if is_strange(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

fn has(dir: &Dir, name: &ArtifactName, digest: Option<Digest>) -> bool {
    digest_on_disk(dir, name).is_ok_and(|found| found == digest)
}

fn waits(dir: &Dir, stage: EventId) -> Result<bool, IoError> {
    Ok(dir.stat(&layout::stage(stage))?.is_some())
}
