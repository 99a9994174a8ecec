//! A transaction: any number of writes, removals and events, committed whole or not at all.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{parse, read};
use super::writer::RunWriter;
use super::{Artifact, ArtifactError};
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
    pub(super) writer: Arc<RunWriter>,
    pub(super) durability: Durability,
    /// That the run may be written to.
    pub(super) checked: bool,
    pub(super) key: Option<String>,
    pub(super) staged: Vec<Staged>,
    /// What is to be removed and was not there when that was staged.
    pub(super) to_be_found: Vec<ArtifactName>,
    pub(super) events: Vec<Event>,
    /// An event that stands before all else in the batch; known once the lock is held.
    pub(super) head: Option<Event>,
    /// Artifacts that must be durable along with this commit, whoever wrote them.
    pub(super) also_sync: Vec<ArtifactName>,
}

impl Transaction {
    pub(crate) fn new(writer: Arc<RunWriter>) -> Self {
        Self {
            writer,
            durability: Durability::Durable,
            checked: false,
            key: None,
            staged: Vec::new(),
            to_be_found: Vec::new(),
            events: Vec::new(),
            head: None,
            also_sync: Vec::new(),
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
        self.stage(name.into(), Some(bytes), Expect::Any)
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
        self.stage(name.into(), Some(bytes), expect)
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
        self.stage(name, Some(json.as_bytes()), expect)
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
        self.stage(name.clone(), None, expect)?;
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
        let name = name.into();
        let dir = self.writer.dir()?;
        match self.staged.iter().find(|staged| staged.name == name) {
            None => read(&dir, &name),
            Some(Staged { digest: Some(_), event_id, .. }) => {
                Ok(dir.open_read(&layout::stage(*event_id))?.read_all()?)
            }
            Some(_) => Err(ArtifactError::NotFound { name, run: dir.path().to_owned() }),
        }
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

    fn stage(
        &mut self,
        name: ArtifactName,
        content: Option<&[u8]>,
        expect: Expect,
    ) -> Result<(), ArtifactError> {
        if !self.checked {
            // Not a byte goes beside a run that newer code made.
            self.writer.home().open_writable()?;
            self.checked = true;
        }
        let dir = self.writer.dir()?;
        let event_id = self.writer.home().runtime.next_event_id();
        let path = layout::stage(event_id);
        let mut file = match dir.create_new(&path) {
            Err(error) if error.is_not_found() => {
                dir.create_dir(layout::TMP)?;
                dir.create_new(&path)?
            }
            other => other?,
        };
        let bytes = content.unwrap_or_default();
        if let Err(error) = file.write(bytes) {
            // The caller hears of the failed write; a half stage is nobody's, and prune takes it.
            let _ = dir.remove_file(&path);
            return Err(error.into());
        }
        let digest = content.map(Digest::of);
        let staged = Staged { name, event_id, digest, size: bytes.len() as u64, expect };
        match self.staged.iter_mut().find(|earlier| earlier.name == staged.name) {
            None => self.staged.push(staged),
            Some(earlier) => {
                let mut staged = staged;
                if staged.expect == Expect::Any {
                    // What an earlier write of the path expects still has to hold.
                    staged.expect = earlier.expect;
                }
                let replaced = std::mem::replace(earlier, staged);
                dir.remove_file(&layout::stage(replaced.event_id))?;
            }
        }
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let (false, Ok(dir)) = (self.staged.is_empty(), self.writer.dir()) {
            for staged in &self.staged {
                // What stays is unnamed, and prune takes it.
                let _ = dir.remove_file(&layout::stage(staged.event_id));
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
