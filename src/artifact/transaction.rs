//! A transaction: any number of writes, removals and events, committed whole or not at all.

use std::fmt;
use std::io::Read;
use std::sync::Arc;

use camino::Utf8Path;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::stage::{Content, Stage};
use super::store::{open, parse};
use super::stream::StagedWriter;
use super::writer::HomeWriter;
use super::{Artifact, ArtifactError, ArtifactReader};
use crate::digest::Digest;
use crate::id::EventId;
use crate::journal::{Durability, Event};
use crate::name::ArtifactName;
use crate::{json, layout};

/// What an artifact must be for a write or removal to go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Expect {
    /// Anything: replace what is there.
    #[default]
    Any,
    /// It must not be there: create only.
    Absent,
    /// Its file, and the journal's last word, must have this digest: compare and swap by content.
    Digest(Digest),
    /// Its last record must have this version: compare and swap by version. For new content that is
    /// made from the old, swap by digest: a version from [`list`](crate::Artifacts::list) may be that
    /// of a commit whose file is not in place yet, so that the file read with it is the one before.
    Version(u64),
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Any => f.write_str("anything"),
            Expect::Absent => f.write_str("no such artifact"),
            Expect::Digest(digest) => digest.fmt(f),
            Expect::Version(version) => write!(f, "version {version}"),
        }
    }
}

/// A staged write or removal.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) name: ArtifactName,
    pub(super) event_id: EventId,
    /// `None` for a removal.
    pub(super) digest: Option<Digest>,
    pub(super) size: u64,
    pub(super) expect: Expect,
}

/// Any number of writes, removals and events of one run. Nothing of it is seen by others before
/// [`commit`](Transaction::commit); all of it after. Dropped without a commit, it leaves nothing.
///
/// Durable unless told otherwise: when `commit` returns, a power cut loses none of it. A crash at any
/// moment leaves all or nothing: what was committed and not put in place is put there by the next
/// append, transaction or step in this run, by anybody.
///
/// ```no_run
/// # use runjournal::{Artifact, Event, RunContext};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = RunContext::from_env()?;
/// const PLAN: Artifact<Vec<String>> = Artifact::json("plan.json");
/// let mut tx = ctx.transaction();
/// tx.write(PLAN, &vec!["fetch".to_owned(), "build".to_owned()])?;
/// tx.append(Event::new("planned"));
/// tx.commit()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is written until the transaction is committed"]
pub struct Transaction {
    pub(super) writer: Arc<HomeWriter>,
    pub(super) durability: Durability,
    pub(super) key: Option<String>,
    pub(super) staged: Vec<Staged>,
    /// What is to be removed and was not there when that was staged.
    pub(super) to_be_found: Vec<ArtifactName>,
    pub(super) events: Vec<Event>,
    /// An event that stands before all else in the batch; known once the lock is held.
    pub(super) first: Option<Event>,
    /// Artifacts that must be durable along with this commit, whoever wrote them.
    pub(super) also_sync: Vec<ArtifactName>,
    /// What led to it, where it is no step.
    pub(super) cause: Option<EventId>,
}

impl Transaction {
    pub(crate) fn new(writer: Arc<HomeWriter>) -> Self {
        Self {
            writer,
            durability: Durability::Durable,
            key: None,
            staged: Vec::new(),
            to_be_found: Vec::new(),
            events: Vec::new(),
            first: None,
            also_sync: Vec::new(),
            cause: None,
        }
    }

    /// What the commit survives once it returned; `Durable` unless said otherwise.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// An idempotency key for the whole transaction: a second commit with it returns the first one's
    /// result and changes nothing.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Stages a value as canonical JSON. The last write of a path wins.
    ///
    /// # Errors
    /// Where the value is not JSON, or the disk refuses; what was staged before stays staged.
    pub fn write<T: Serialize>(
        &mut self,
        artifact: Artifact<T>,
        value: &T,
    ) -> Result<(), ArtifactError> {
        self.write_if(artifact, value, Expect::Any)
    }

    /// Stages bytes as they are.
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn write_bytes(
        &mut self,
        name: impl Into<ArtifactName>,
        bytes: &[u8],
    ) -> Result<(), ArtifactError> {
        self.write_bytes_if(name, bytes, Expect::Any)
    }

    /// Stages bytes that are written only if the artifact is what is expected at the commit.
    ///
    /// # Errors
    /// Where the disk refuses. The expectation is checked by [`commit`](Transaction::commit).
    pub fn write_bytes_if(
        &mut self,
        name: impl Into<ArtifactName>,
        bytes: &[u8],
        expect: Expect,
    ) -> Result<(), ArtifactError> {
        let content = Stage::of_bytes(&self.writer, bytes)?;
        self.add(name.into(), content, expect)
    }

    /// Stages a value that is written only if the artifact is what is expected at the commit.
    ///
    /// # Errors
    /// As [`write`](Transaction::write). The expectation is checked by [`commit`](Transaction::commit).
    pub fn write_if<T: Serialize>(
        &mut self,
        artifact: Artifact<T>,
        value: &T,
        expect: Expect,
    ) -> Result<(), ArtifactError> {
        let name = artifact.into();
        let json = to_json(&name, value)?;
        self.write_bytes_if(name, json.as_bytes(), expect)
    }

    /// A writer for content of any size, which is staged once the writer is finished.
    ///
    /// ```no_run
    /// # use runjournal::{ArtifactName, RunContext};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ctx = RunContext::from_env()?;
    /// # let rows: [Vec<u8>; 0] = [];
    /// const ROWS: ArtifactName = ArtifactName::from_static("rows.csv");
    /// let mut tx = ctx.transaction();
    /// let mut file = tx.create(ROWS)?;
    /// for row in rows {
    ///     std::io::Write::write_all(&mut file, &row)?;
    /// }
    /// file.finish()?;
    /// tx.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the disk refuses.
    pub fn create(
        &mut self,
        name: impl Into<ArtifactName>,
    ) -> Result<StagedWriter<'_>, ArtifactError> {
        let writer = Arc::clone(&self.writer);
        let add = move |name, content, expect| self.add(name, content, expect);
        StagedWriter::create(&writer, name.into(), add)
    }

    /// Stages all that a reader holds, in flat memory.
    ///
    /// # Errors
    /// Where the reader fails, or the disk refuses; then nothing of it is staged.
    pub fn write_from(
        &mut self,
        name: impl Into<ArtifactName>,
        content: impl Read,
    ) -> Result<(), ArtifactError> {
        let mut file = self.create(name)?;
        file.write_from(content)?;
        file.finish()
    }

    /// Stages the content of a file, as [`Artifacts::import`](super::Artifacts::import) does.
    ///
    /// # Errors
    /// As [`Artifacts::import`](super::Artifacts::import); then nothing of it is staged.
    pub fn import(
        &mut self,
        name: impl Into<ArtifactName>,
        source: impl AsRef<Utf8Path>,
    ) -> Result<(), ArtifactError> {
        let mut file = self.create(name)?;
        file.import(source)?;
        file.finish()
    }

    /// Stages a removal.
    ///
    /// # Errors
    /// Where the artifact is not there, neither on disk nor staged, or the disk refuses.
    pub fn remove(&mut self, name: impl Into<ArtifactName>) -> Result<(), ArtifactError> {
        self.remove_if(name, Expect::Any)
    }

    /// Stages a removal that is done only if the artifact is what is expected at the commit.
    ///
    /// # Errors
    /// As [`remove`](Transaction::remove).
    pub fn remove_if(
        &mut self,
        name: impl Into<ArtifactName>,
        expect: Expect,
    ) -> Result<(), ArtifactError> {
        let name = name.into();
        let dir = self.writer.dir()?;
        let there = match self.staged(&name) {
            Some(staged) => staged.is_some(),
            None => dir.stat(&layout::artifact(name.as_str()))?.is_some(),
        };
        // With a key it may be gone because this very transaction was committed before.
        if !there && self.key.is_none() {
            return Err(ArtifactError::NotFound { name, run: dir.path().to_owned() });
        }
        let content = Stage::of_removal(&self.writer)?;
        self.add(name.clone(), content, expect)?;
        if !there {
            self.to_be_found.push(name);
        }
        Ok(())
    }

    /// Stages an event.
    pub fn append(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Reads JSON as this transaction would leave it.
    ///
    /// # Errors
    /// Where the artifact is not there, or does not read as a `T`.
    pub fn read<T: DeserializeOwned>(&self, artifact: Artifact<T>) -> Result<T, ArtifactError> {
        let name = ArtifactName::from(artifact);
        parse(self.writer.home().dir(), &name, &self.read_bytes(&name)?)
    }

    /// Reads bytes as this transaction would leave them.
    ///
    /// # Errors
    /// Where the artifact is not there.
    pub fn read_bytes(&self, name: impl Into<ArtifactName>) -> Result<Vec<u8>, ArtifactError> {
        Ok(self.open(name)?.read_all()?)
    }

    /// Opens an artifact as this transaction would leave it.
    ///
    /// # Errors
    /// Where the artifact is not there.
    pub fn open(&self, name: impl Into<ArtifactName>) -> Result<ArtifactReader, ArtifactError> {
        let name = name.into();
        let dir = self.writer.dir()?;
        let file = match self.staged.iter().find(|staged| staged.name == name) {
            None => open(&dir, &name)?,
            Some(Staged { digest: Some(_), event_id, .. }) => {
                dir.open_read(&layout::stage(*event_id))?
            }
            Some(_) => return Err(ArtifactError::NotFound { name, run: dir.path().to_owned() }),
        };
        let staged = self.staged(&name).flatten();
        Ok(ArtifactReader::new(self.writer.home(), name, file, staged))
    }

    /// What is staged for a path: its digest, or `None` for a removal.
    pub(crate) fn staged(&self, name: &ArtifactName) -> Option<Option<Digest>> {
        self.staged.iter().find(|staged| staged.name == *name).map(|staged| staged.digest)
    }

    /// Every staged path with its digest, `None` for a removal.
    pub(crate) fn all_staged(&self) -> impl Iterator<Item = (&ArtifactName, Option<Digest>)> {
        self.staged.iter().map(|staged| (&staged.name, staged.digest))
    }

    /// Makes an artifact that somebody else wrote durable along with this commit.
    pub(crate) fn sync_also(&mut self, name: ArtifactName) {
        self.also_sync.push(name);
    }

    /// Says which event led to the records of artifacts, unless they are written in a step.
    pub(crate) fn caused_by(&mut self, event: EventId) {
        self.cause = Some(event);
    }

    /// Stages a removal of what the journal says is there, be there a file or not.
    pub(crate) fn remove_journaled(
        &mut self,
        name: ArtifactName,
        expect: Expect,
    ) -> Result<(), ArtifactError> {
        let content = Stage::of_removal(&self.writer)?;
        self.add(name, content, expect)
    }

    /// Takes in finished content. The last write of a path wins.
    pub(crate) fn add(
        &mut self,
        name: ArtifactName,
        content: Content,
        expect: Expect,
    ) -> Result<(), ArtifactError> {
        let Content { event_id, digest, size } = content;
        let mut staged = Staged { name, event_id, digest, size, expect };
        match self.staged.iter_mut().find(|earlier| earlier.name == staged.name) {
            None => self.staged.push(staged),
            Some(earlier) => {
                if staged.expect == Expect::Any {
                    // What an earlier write of the path expects still has to hold.
                    staged.expect = earlier.expect;
                }
                let replaced = std::mem::replace(earlier, staged);
                self.writer.opened()?.dir.remove_file(&layout::stage(replaced.event_id))?;
            }
        }
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.staged.is_empty() {
            return;
        }
        if let Ok(opened) = self.writer.opened() {
            for staged in &self.staged {
                // What stays is unnamed, and prune takes it.
                let _ = opened.dir.remove_file(&layout::stage(staged.event_id));
            }
        }
    }
}

/// A value as the canonical JSON of an artifact.
pub(crate) fn to_json<T: Serialize>(
    name: &ArtifactName,
    value: &T,
) -> Result<String, ArtifactError> {
    json::canonical(value).map_err(|source| ArtifactError::NotJson { name: name.clone(), source })
}
