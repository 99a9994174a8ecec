//! The store: artifacts one at a time.

use std::io::Read;
use std::sync::Arc;

use camino::Utf8Path;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::catalog::{ArtifactPayload, Catalog, Last};
use super::commit::sync_file;
use super::transaction::to_json;
use super::writer::HomeWriter;
use super::{
    Artifact, ArtifactError, ArtifactReader, ArtifactWriter, Expect, Stored, Transaction, apply,
};
use crate::digest::Digest;
use crate::io::{Dir, Kind, ReadFile};
use crate::journal::{Durability, JournalError, types};
use crate::layout;
use crate::name::ArtifactName;

/// The artifacts of a run. Each write is a transaction of one, durable unless told otherwise. Keep
/// the store to write many: it keeps the journal open between them.
///
/// ```
/// use runjournal::{Artifact, ArtifactName, Expect};
///
/// const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json"); // a bad name does not compile
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap();
/// # let task = runjournal::Workspace::open_or_create(&root.join("workspaces"))?
/// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
/// # let ctx = task.open_or_start_run("RUN-1")?;
/// # let download = root.join("download");
/// # std::fs::write(&download, "from,to\n")?;
/// let store = ctx.artifacts();
/// let written = store.write(PLAN, &vec!["fetch".into(), "sort".into()])?;
/// assert_eq!(store.read(PLAN)?.len(), 2);
/// store.write_if(PLAN, &vec!["fetch".into()], Expect::Version(written.version))?;
///
/// // Names that are known only when the program runs, and files larger than memory, in and out.
/// let name = ArtifactName::new(format!("tables/{}.csv", "routes"))?;
/// let stored = store.import(&name, &download)?;
/// let mut table = store.open(&name)?;
/// assert_eq!(Some(table.verify()?), stored.digest);
/// let mut copy = std::fs::File::create(root.join("copy"))?;
/// std::io::copy(&mut table, &mut copy)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Artifacts {
    writer: Arc<HomeWriter>,
    durability: Durability,
}

/// A file under `artifacts/`, and what the journal says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArtifactEntry {
    /// Its name.
    pub name: ArtifactName,
    /// Bytes on disk; `None` if the file is missing, though the journal says it should be there.
    pub size: Option<u64>,
    /// Bytes as the journal says; `None` where it does not say.
    pub journaled_size: Option<u64>,
    /// The digest that the journal says; `None` for a file that was never journaled, or was put
    /// there after the artifact was removed.
    pub digest: Option<Digest>,
    /// The version of its last record.
    pub version: Option<u64>,
    /// The seq of its last record.
    pub seq: Option<u64>,
}

impl ArtifactEntry {
    fn of(name: &ArtifactName, last: Option<&Last>) -> Self {
        Self {
            name: name.clone(),
            size: None,
            journaled_size: last.and_then(|last| last.size),
            digest: last.and_then(|last| last.digest),
            version: last.map(|last| last.version),
            seq: last.map(|last| last.seq),
        }
    }
}

impl Artifacts {
    pub(crate) fn new(writer: Arc<HomeWriter>) -> Self {
        Self { writer, durability: Durability::Durable }
    }

    pub(super) fn writer(&self) -> &HomeWriter {
        &self.writer
    }

    /// What each write survives once it returned; `Durable` unless said otherwise.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Starts a transaction that uses this store's open journal.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(Arc::clone(&self.writer)).durability(self.durability)
    }

    /// Reads JSON.
    ///
    /// # Errors
    /// Where the artifact is not there, or does not read as a `T`.
    pub fn read<T: DeserializeOwned>(&self, artifact: Artifact<T>) -> Result<T, ArtifactError> {
        let name = ArtifactName::from(artifact);
        parse(self.writer.home().dir(), &name, &self.read_bytes(&name)?)
    }

    /// Reads bytes: the old content or the new one, never a mix.
    ///
    /// # Errors
    /// Where the artifact is not there.
    pub fn read_bytes(&self, name: impl Into<ArtifactName>) -> Result<Vec<u8>, ArtifactError> {
        Ok(open(&self.writer.dir()?, &name.into())?.read_all()?)
    }

    /// Opens an artifact to read it piece by piece: the old content or the new one, never a mix.
    ///
    /// # Errors
    /// Where the artifact is not there.
    pub fn open(&self, name: impl Into<ArtifactName>) -> Result<ArtifactReader, ArtifactError> {
        let name = name.into();
        let file = open(&self.writer.dir()?, &name)?;
        Ok(ArtifactReader::new(self.writer.home(), name, file, None))
    }

    /// Writes a value as canonical JSON, replacing what is there.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn write<T: Serialize>(
        &self,
        artifact: Artifact<T>,
        value: &T,
    ) -> Result<Stored, ArtifactError> {
        self.write_if(artifact, value, Expect::Any)
    }

    /// Writes a value if the artifact is what is expected: create only, or compare and swap.
    ///
    /// # Errors
    /// [`ArtifactError::Conflict`] where it is not; otherwise as [`Transaction::commit`].
    pub fn write_if<T: Serialize>(
        &self,
        artifact: Artifact<T>,
        value: &T,
        expect: Expect,
    ) -> Result<Stored, ArtifactError> {
        let name = ArtifactName::from(artifact);
        let json = to_json(&name, value)?;
        self.write_bytes_if(name, json.as_bytes(), expect)
    }

    /// Writes bytes as they are, replacing what is there.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    pub fn write_bytes(
        &self,
        name: impl Into<ArtifactName>,
        bytes: &[u8],
    ) -> Result<Stored, ArtifactError> {
        self.write_bytes_if(name, bytes, Expect::Any)
    }

    /// Writes bytes if the artifact is what is expected.
    ///
    /// # Errors
    /// [`ArtifactError::Conflict`] where it is not; otherwise as [`Transaction::commit`].
    pub fn write_bytes_if(
        &self,
        name: impl Into<ArtifactName>,
        bytes: &[u8],
        expect: Expect,
    ) -> Result<Stored, ArtifactError> {
        let name = name.into();
        let mut transaction = self.transaction();
        transaction.write_bytes_if(&name, bytes, expect)?;
        self.commit_one(transaction, name)
    }

    /// A writer for content of any size, in flat memory; nothing is seen of it before its
    /// [`commit`](ArtifactWriter::commit).
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn create(&self, name: impl Into<ArtifactName>) -> Result<ArtifactWriter, ArtifactError> {
        ArtifactWriter::new(self, name.into())
    }

    /// Writes all that a reader holds, in flat memory, replacing what is there.
    ///
    /// # Errors
    /// Where the reader fails; otherwise as [`Transaction::commit`]. Nothing is changed then.
    pub fn write_from(
        &self,
        name: impl Into<ArtifactName>,
        content: impl Read,
    ) -> Result<Stored, ArtifactError> {
        let mut file = self.create(name)?;
        file.write_from(content)?;
        file.commit()
    }

    /// Writes the content of a file that lies anywhere, replacing what is there: where the disk can
    /// (btrfs, xfs), the artifact shares its blocks, else it is copied, in flat memory. A symbolic
    /// link is followed. If the file changes meanwhile, what was stored is what the digest says. To
    /// expect something of the artifact, use [`create`](Artifacts::create).
    ///
    /// # Errors
    /// [`ArtifactError::NotAFile`] where it is no regular file, [`ArtifactError::Io`] where it cannot
    /// be read; otherwise as [`Transaction::commit`].
    pub fn import(
        &self,
        name: impl Into<ArtifactName>,
        source: impl AsRef<Utf8Path>,
    ) -> Result<Stored, ArtifactError> {
        let mut file = self.create(name)?;
        file.import(source)?;
        file.commit()
    }

    /// Removes an artifact.
    ///
    /// # Errors
    /// [`ArtifactError::NotFound`] where it is not there; otherwise as [`Transaction::commit`].
    pub fn remove(&self, name: impl Into<ArtifactName>) -> Result<Stored, ArtifactError> {
        self.remove_if(name, Expect::Any)
    }

    /// Removes an artifact if it is what is expected.
    ///
    /// # Errors
    /// [`ArtifactError::Conflict`] where it is not; otherwise as [`remove`](Artifacts::remove).
    pub fn remove_if(
        &self,
        name: impl Into<ArtifactName>,
        expect: Expect,
    ) -> Result<Stored, ArtifactError> {
        let name = name.into();
        let mut transaction = self.transaction();
        transaction.remove_if(&name, expect)?;
        self.commit_one(transaction, name)
    }

    pub(super) fn commit_one(
        &self,
        transaction: Transaction,
        name: ArtifactName,
    ) -> Result<Stored, ArtifactError> {
        let run = self.writer.home().dir().to_owned();
        let committed = transaction.commit()?;
        committed.artifacts.into_iter().next().ok_or(ArtifactError::NotFound { name, run })
    }

    /// Journals a file that something else put under `artifacts/`, as it is. Adopting it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`ArtifactError::NotFound`] where no such file is.
    pub fn adopt(&self, name: impl Into<ArtifactName>) -> Result<Stored, ArtifactError> {
        let name = name.into();
        self.writer.with_log(|log| {
            let mut locked = log.lock()?;
            let mut file = open(locked.dir(), &name)?;
            let (digest, size) = file.digest()?;
            if self.durability == Durability::Durable {
                file.sync()?;
                apply::sync_names(locked.dir(), std::iter::once(&name))?;
            }
            let last = Last::read(&mut locked, &name)?;
            let (version, seq, changed) = match last {
                Some(last) if last.digest == Some(digest) => (last.version, last.seq, false),
                last => {
                    let home = locked.home();
                    let payload = ArtifactPayload {
                        path: name.clone(),
                        digest: Some(digest),
                        size: Some(size),
                        media_type: Some(name.media_type().to_owned()),
                        previous: last.and_then(|last| last.digest),
                        step: home.step.as_ref().map(|step| step.name.clone()),
                    };
                    let id = home.runtime.next_event_id();
                    let event = payload.event(types::ARTIFACT_ADOPTED, id);
                    let appended = locked.append(std::slice::from_ref(&event))?;
                    let first = appended.first();
                    let version = first.map_or(0, |first| first.stream_version);
                    (version, first.map_or(0, |first| first.seq), true)
                }
            };
            if self.durability == Durability::Durable {
                locked.sync()?;
            }
            Ok(Stored { name: name.clone(), digest: Some(digest), size, version, seq, changed })
        })
    }

    /// True if the file is there.
    ///
    /// # Errors
    /// Where the disk refuses to say.
    pub fn exists(&self, name: impl Into<ArtifactName>) -> Result<bool, ArtifactError> {
        let name = name.into();
        let entry = self.writer.dir()?.stat(&layout::artifact(name.as_str()))?;
        Ok(entry.is_some_and(|entry| entry.kind == Kind::File))
    }

    /// Every artifact, sorted by name: what is on disk, and what the journal says.
    ///
    /// # Errors
    /// Where the tree or the journal cannot be read.
    pub fn list(&self) -> Result<Vec<ArtifactEntry>, ArtifactError> {
        let catalog = Catalog::read(self.writer.home())?;
        let known = catalog.iter().filter(|(_, last)| last.digest.is_some());
        let known = known.map(|(name, last)| (name.clone(), ArtifactEntry::of(name, Some(last))));
        let mut entries: std::collections::BTreeMap<ArtifactName, ArtifactEntry> = known.collect();
        for (path, size) in self.writer.dir()?.files_below(layout::ARTIFACTS)? {
            // A name that cannot be an artifact is not listed; verify reports it.
            let Ok(name) = ArtifactName::new(path) else { continue };
            let unjournaled = ArtifactEntry::of(&name, None);
            entries.entry(name).or_insert(unjournaled).size = Some(size);
        }
        Ok(entries.into_values().collect())
    }

    /// Checks that an artifact's file has the digest that the journal's last word says. An older
    /// version is not good enough: to check what a reader holds open, which may have been replaced
    /// meanwhile, there is [`ArtifactReader::verify`].
    ///
    /// # Errors
    /// [`ArtifactError::Changed`] names the file and both digests.
    pub fn check(&self, name: impl Into<ArtifactName>) -> Result<Digest, ArtifactError> {
        let name = name.into();
        let mut newest = None;
        for said in Last::all(self.writer.home(), &name)? {
            newest = said?.digest;
        }
        let dir = self.writer.dir()?;
        let found = open(&dir, &name)?.digest()?.0;
        match newest {
            Some(expected) if expected != found => {
                let path = dir.path().join(layout::artifact(name.as_str()));
                Err(ArtifactError::Changed { path, expected, found })
            }
            Some(_) => Ok(found),
            None => Err(ArtifactError::NotFound { name, run: dir.path().to_owned() }),
        }
    }

    /// Waits until an artifact that was written buffered, and its record, are on the disk.
    ///
    /// # Errors
    /// Where the sync fails.
    pub fn sync(&self, name: impl Into<ArtifactName>) -> Result<(), ArtifactError> {
        let name = name.into();
        let dir = self.writer.dir()?;
        self.writer.with_log(|log| Ok::<_, JournalError>(log.unsynced()))?.sync()?;
        sync_file(&dir, &name)?;
        Ok(apply::sync_names(&dir, std::iter::once(&name))?)
    }
}

pub(super) fn open(dir: &Dir, name: &ArtifactName) -> Result<ReadFile, ArtifactError> {
    dir.open_read(&layout::artifact(name.as_str())).map_err(|error| {
        if error.is_not_found() {
            ArtifactError::NotFound { name: name.clone(), run: dir.path().to_owned() }
        } else {
            error.into()
        }
    })
}

pub(super) fn parse<T: DeserializeOwned>(
    run: &Utf8Path,
    name: &ArtifactName,
    bytes: &[u8],
) -> Result<T, ArtifactError> {
    serde_json::from_slice(bytes).map_err(|source| {
        let path = run.join(layout::artifact(name.as_str()));
        ArtifactError::Json { path, source }
    })
}
