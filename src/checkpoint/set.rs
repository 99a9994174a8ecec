//! The artifacts of a run at one moment: as a checkpoint names them, or as they stand on the disk.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::CheckpointError;
use crate::artifact::{Artifact, ArtifactError, ArtifactReader};
use crate::context::RunContext;
use crate::digest::Digest;
use crate::error::IoError;
use crate::id::EventId;
use crate::io::{Dir, ReadFile};
use crate::journal::Home;
use crate::name::ArtifactName;
use crate::{layout, object};

/// The artifacts of a run at one moment, to be read, compared ([`Diff`](crate::Diff)), or put back: those of a
/// turn ([`Checkpoint::artifacts`](crate::Checkpoint::artifacts)), or what stands on the disk now
/// ([`ArtifactSet::of`]). It holds names and digests, and nothing that is open.
#[derive(Debug, Clone)]
pub struct ArtifactSet {
    pub(super) home: Home,
    pub(super) source: Source,
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Objects, by the names that a checkpoint gives them.
    Turn { turn: u64, event: EventId, artifacts: BTreeMap<ArtifactName, Digest> },
    /// Files under `artifacts/`.
    Disk { names: Vec<ArtifactName> },
}

impl ArtifactSet {
    /// The files that stand under `artifacts/` now, journaled or not. They are hashed and read when they are
    /// asked for, as they are then. What cannot be an artifact by its name is left out.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn of(ctx: &RunContext) -> Result<Self, CheckpointError> {
        let files = Dir::open(&ctx.run_path())?.files_below(layout::ARTIFACTS)?;
        let mut names: Vec<_> =
            files.into_iter().filter_map(|(path, _)| ArtifactName::new(path).ok()).collect();
        names.sort();
        Ok(Self { home: ctx.home(), source: Source::Disk { names } })
    }

    pub(super) fn of_checkpoint(
        home: &Home,
        turn: u64,
        event: EventId,
        artifacts: BTreeMap<ArtifactName, Digest>,
    ) -> Self {
        Self { home: home.clone(), source: Source::Turn { turn, event, artifacts } }
    }

    /// The names, sorted by their bytes.
    #[must_use]
    pub fn names(&self) -> Vec<&ArtifactName> {
        match &self.source {
            Source::Turn { artifacts, .. } => artifacts.keys().collect(),
            Source::Disk { names } => names.iter().collect(),
        }
    }

    /// The digest of an artifact; `None` where there is none of this name, or none any more. That of a turn is
    /// known, that of a file is found by reading it.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn digest(&self, name: &ArtifactName) -> Result<Option<Digest>, CheckpointError> {
        match &self.source {
            Source::Turn { artifacts, .. } => Ok(artifacts.get(name).copied()),
            Source::Disk { .. } => match self.open_file(name) {
                Err(CheckpointError::Artifact(ArtifactError::NotFound { .. })) => Ok(None),
                file => Ok(Some(file?.digest()?.0)),
            },
        }
    }

    /// Opens an artifact to read it piece by piece. What is read of a turn is checked by
    /// [`verify`](ArtifactReader::verify), if you ask for it.
    ///
    /// # Errors
    /// [`CheckpointError::NotInTurn`], or [`ArtifactError::NotFound`] for files, where there is none of this
    /// name; [`CheckpointError::ObjectMissing`].
    pub fn open(&self, name: impl Into<ArtifactName>) -> Result<ArtifactReader, CheckpointError> {
        let name = name.into();
        let file = self.open_file(&name)?;
        let known = self.known(&name);
        Ok(ArtifactReader::new(&self.home, name, file, known))
    }

    /// Reads bytes, and checks those of a turn.
    ///
    /// # Errors
    /// As [`open`](ArtifactSet::open); [`CheckpointError::ContentChanged`] where they are not what the turn
    /// names.
    pub fn read_bytes(&self, name: impl Into<ArtifactName>) -> Result<Vec<u8>, CheckpointError> {
        let name = name.into();
        let mut file = self.open_file(&name)?;
        let bytes = file.read_all()?;
        if let Some(expected) = self.known(&name) {
            self.check(&file, &name, expected, Digest::of(&bytes))?;
        }
        Ok(bytes)
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// As [`read_bytes`](ArtifactSet::read_bytes); [`ArtifactError::Json`] where they do not read as a `T`.
    pub fn read<T: DeserializeOwned>(&self, artifact: Artifact<T>) -> Result<T, CheckpointError> {
        let name = ArtifactName::from(artifact);
        let bytes = self.read_bytes(&name)?;
        serde_json::from_slice(&bytes).map_err(|source| {
            let path = self.path(&name);
            ArtifactError::Json { path, source }.into()
        })
    }

    /// What the one who made the set knows of an artifact.
    pub(super) fn known(&self, name: &ArtifactName) -> Option<Digest> {
        match &self.source {
            Source::Turn { artifacts, .. } => artifacts.get(name).copied(),
            Source::Disk { .. } => None,
        }
    }

    /// Opens the file that holds an artifact, an object or the artifact's own.
    pub(super) fn open_file(&self, name: &ArtifactName) -> Result<ReadFile, CheckpointError> {
        let dir = Dir::open(self.home.dir())?;
        let (copy, run) = (|| name.clone(), || self.home.dir().to_owned());
        match &self.source {
            Source::Turn { turn, artifacts, .. } => {
                let turn = *turn;
                let not_in_it = || CheckpointError::NotInTurn { name: copy(), turn, run: run() };
                let digest = *artifacts.get(name).ok_or_else(not_in_it)?;
                let gone =
                    || CheckpointError::ObjectMissing { path: self.path(name), name: copy(), turn };
                or_gone(object::open(&dir, digest), gone)
            }
            Source::Disk { .. } => {
                let not_found = || ArtifactError::NotFound { name: copy(), run: run() }.into();
                or_gone(dir.open_read(&layout::artifact(name.as_str())), not_found)
            }
        }
    }

    /// Refuses content that is not what it should be.
    pub(super) fn check(
        &self,
        file: &ReadFile,
        name: &ArtifactName,
        expected: Digest,
        found: Digest,
    ) -> Result<(), CheckpointError> {
        if expected == found {
            return Ok(());
        }
        let (path, name) = (file.path().to_owned(), name.clone());
        Err(CheckpointError::ContentChanged { path, name, expected, found })
    }

    fn path(&self, name: &ArtifactName) -> camino::Utf8PathBuf {
        let file = self.known(name).map_or_else(|| layout::artifact(name.as_str()), layout::object);
        self.home.dir().join(file)
    }
}

fn or_gone(
    opened: Result<ReadFile, IoError>,
    gone: impl FnOnce() -> CheckpointError,
) -> Result<ReadFile, CheckpointError> {
    opened.map_err(|error| if error.is_not_found() { gone() } else { error.into() })
}
