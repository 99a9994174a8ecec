//! A transaction: any number of writes, removals and events, committed whole or not at all.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::catalog::{ArtifactPayload, Catalog, Last};
use super::store::{parse, read};
use super::writer::{LockedRun, RunWriter};
use super::{Artifact, ArtifactError, apply, digest_on_disk};
use crate::digest::Digest;
use crate::error::IoError;
use crate::id::{EventId, StepName};
use crate::io::{Dir, Kind};
use crate::journal::{Appended, Durability, Event, ExpectedVersion, JournalError, types};
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
    /// Its last record must have this version: compare and swap by version.
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

/// An artifact as a commit left it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stored {
    /// Its name.
    pub name: ArtifactName,
    /// The digest of its content; `None` if it was removed.
    pub digest: Option<Digest>,
    /// Bytes.
    pub size: u64,
    /// The version of the file: 0 for its first record.
    pub version: u64,
    /// The record that says so.
    pub seq: u64,
    /// False if the same content was there before, and nothing was appended for it.
    pub changed: bool,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Committed {
    /// The artifacts, in the order in which they were first staged.
    pub artifacts: Vec<Stored>,
    /// The events, in the order in which they were staged.
    pub events: Vec<Appended>,
    /// True if the key had been used for the same transaction: nothing was done again.
    pub duplicate: bool,
}

/// A staged write or removal.
#[derive(Debug)]
struct Staged {
    name: ArtifactName,
    event_id: EventId,
    /// `None` for a removal.
    digest: Option<Digest>,
    size: u64,
    expect: Expect,
}

/// Any number of writes, removals and events of one run. Nothing of it is seen by others before
/// [`commit`](Transaction::commit); all of it after. Dropped without a commit, it leaves nothing.
///
/// Durable unless told otherwise: when `commit` returns, a power cut loses none of it. A crash at any
/// moment leaves all or nothing: what was committed and not put in place is put there by the next
/// append or artifact call in this run, by anybody.
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
    writer: Arc<RunWriter>,
    durability: Durability,
    key: Option<String>,
    staged: Vec<Staged>,
    events: Vec<Event>,
    /// Events that stand before the artifacts in the batch.
    head: Vec<Event>,
    /// Artifacts that must be durable along with this commit, whoever wrote them.
    also_sync: Vec<ArtifactName>,
}

impl Transaction {
    pub(crate) fn new(writer: Arc<RunWriter>) -> Self {
        Self {
            writer,
            durability: Durability::Durable,
            key: None,
            staged: Vec::new(),
            events: Vec::new(),
            head: Vec::new(),
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
        let name = artifact.into();
        let json = to_json(&name, value)?;
        self.stage(name, Some(json.as_bytes()), Expect::Any)
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
        if !there {
            return Err(ArtifactError::NotFound { name, run: dir.path().to_owned() });
        }
        self.stage(name, None, expect)
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

    /// An event that stands at the head of the batch.
    pub(crate) fn begin_with(&mut self, event: Event) {
        self.head.push(event);
    }

    /// Makes an artifact that somebody else wrote durable along with this commit.
    pub(crate) fn sync_also(&mut self, name: ArtifactName) {
        self.also_sync.push(name);
    }

    /// Commits: whole or not at all.
    ///
    /// # Errors
    /// A refusal leaves nothing behind. [`ArtifactError::CommittedNotApplied`] says that the commit
    /// stands and the next call in this run puts it in place; [`JournalError::NotDurable`] that it
    /// stands, and a power cut may lose it.
    pub fn commit(mut self) -> Result<Committed, ArtifactError> {
        let dir = self.writer.dir()?;
        if self.durability == Durability::Durable {
            self.sync_stages(&dir)?;
        }
        let writer = Arc::clone(&self.writer);
        writer.with_log(|log| {
            let mut locked = log.lock()?;
            self.commit_locked(&mut locked)
        })
    }

    fn commit_locked(
        &mut self,
        locked: &mut LockedRun<'_, ()>,
    ) -> Result<Committed, ArtifactError> {
        let mut batch = self.batch(&locked.fold().0);
        locked.check_not_damaged()?;
        if let Some(first) = locked.duplicate_of(&batch)? {
            self.make_durable(locked)?;
            return Ok(self.committed(&first, true));
        }
        locked.check_admitted()?;
        self.check_expectations(locked)?;
        self.check_paths(locked.dir())?;
        let unchanged = self.unchanged(locked)?;
        for staged in self.staged.iter().filter(|staged| staged.digest.is_some()) {
            apply::make_parents(locked.dir(), &staged.name)?;
        }
        batch.retain(|event| event.event_id.is_none_or(|id| !unchanged.iter().any(|u| u.0 == id)));

        // From here on the stages belong to the records: a crash, or a failure, leaves them in place.
        let staged = std::mem::take(&mut self.staged);
        let appended = match locked.append(&batch) {
            Ok(appended) => appended,
            Err(JournalError::Io(error)) => return Err(error.into()),
            Err(refused) => {
                self.staged = staged;
                return Err(refused.into());
            }
        };
        if self.durability == Durability::Durable {
            locked.sync()?;
        }
        let seq = appended.first().map_or(0, |first| first.seq);
        let result = self
            .put_in_place(locked, &staged)
            .map_err(|(name, source)| ArtifactError::CommittedNotApplied { name, seq, source });
        self.staged = staged;
        let committed = self.committed_with(&appended, &unchanged);
        self.staged.clear();
        result?;
        locked.fold_mut().0.all_applied();
        Ok(committed)
    }

    fn stage(
        &mut self,
        name: ArtifactName,
        content: Option<&[u8]>,
        expect: Expect,
    ) -> Result<(), ArtifactError> {
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
                let replaced = std::mem::replace(earlier, staged);
                dir.remove_file(&layout::stage(replaced.event_id))?;
            }
        }
        Ok(())
    }

    fn sync_stages(&self, dir: &Dir) -> Result<(), IoError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let sync = |staged: &Staged| dir.open_read(&layout::stage(staged.event_id))?.sync();
        let share = self.staged.len().div_ceil(SYNC_THREADS);
        if share == 1 && self.staged.len() == 1 {
            self.staged.iter().try_for_each(sync)?;
        } else {
            std::thread::scope(|scope| {
                let workers: Vec<_> = self
                    .staged
                    .chunks(share)
                    .map(|part| scope.spawn(move || part.iter().try_for_each(sync)))
                    .collect();
                workers.into_iter().try_for_each(|worker| {
                    worker.join().unwrap_or_else(|_| {
                        let source = std::io::Error::other("a thread that syncs panicked");
                        Err(IoError::new("sync", &dir.path().join(layout::TMP), source))
                    })
                })
            })?;
        }
        dir.sync(layout::TMP)
    }

    /// All records of this commit, in order.
    fn batch(&self, catalog: &Catalog) -> Vec<Event> {
        let step = self.writer.home().step.as_ref().map(|step| &step.name);
        let artifacts = self.staged.iter().map(|staged| staged.event(catalog, step));
        let head = self.head.iter().cloned();
        let mut batch: Vec<Event> =
            head.chain(artifacts).chain(self.events.iter().cloned()).collect();
        if let (Some(first), Some(key)) = (batch.first_mut(), &self.key) {
            first.key = Some(key.clone());
        }
        batch
    }

    fn check_expectations(&self, locked: &LockedRun<'_, ()>) -> Result<(), ArtifactError> {
        for staged in &self.staged {
            let name = &staged.name;
            let last = locked.fold().0.last(name);
            let journaled = last.and_then(|last| last.digest);
            let (met, found) = match staged.expect {
                Expect::Any => continue,
                Expect::Version(version) => (
                    last.is_some_and(|last| last.version == version),
                    last.map_or_else(
                        || "was never written".to_owned(),
                        |last| format!("has version {}", last.version),
                    ),
                ),
                Expect::Absent => {
                    let on_disk = locked.dir().stat(&layout::artifact(name.as_str()))?;
                    (journaled.is_none() && on_disk.is_none(), "is there".to_owned())
                }
                Expect::Digest(digest) => {
                    let on_disk = digest_on_disk(locked.dir(), name)?;
                    let met = on_disk == Some(digest) && journaled == Some(digest);
                    let found = on_disk.or(journaled).filter(|found| *found != digest);
                    (met, describe(found))
                }
            };
            if !met {
                let (name, expected) = (name.clone(), staged.expect.to_string());
                return Err(ArtifactError::Conflict { name, expected, found });
            }
        }
        Ok(())
    }

    /// Checks that each stage is still there, and that nothing stands in a path's way.
    fn check_paths(&self, dir: &Dir) -> Result<(), ArtifactError> {
        for staged in &self.staged {
            let name = &staged.name;
            let stage = layout::stage(staged.event_id);
            if dir.stat(&stage)?.is_none() {
                let path = dir.path().join(stage);
                return Err(ArtifactError::StageLost { name: name.clone(), path });
            }
            let conflict = |reason, other: &str| ArtifactError::PathConflict {
                name: name.clone(),
                reason,
                other: other.to_owned(),
            };
            let target = dir.stat(&layout::artifact(name.as_str()));
            match target.ok().flatten().map(|entry| entry.kind) {
                None | Some(Kind::File) => {}
                Some(Kind::Dir) => return Err(conflict("a directory stands", name.as_str())),
                Some(Kind::Other) => {
                    return Err(conflict("a link or a special file stands", name.as_str()));
                }
            }
            for (at, _) in name.as_str().match_indices('/') {
                let parent = name.as_str().get(..at).unwrap_or_default();
                let beside = self
                    .staged
                    .iter()
                    .any(|other| other.name.as_str() == parent && other.digest.is_some());
                match dir.stat(&layout::artifact(parent)).ok().flatten().map(|entry| entry.kind) {
                    Some(Kind::Dir) | None if !beside => {}
                    Some(Kind::Other) => {
                        return Err(conflict("a link or a special file stands", parent));
                    }
                    _ => return Err(conflict("a file stands", parent)),
                }
            }
        }
        Ok(())
    }

    /// Writes that need no record: the path's last record has this digest, for the same cause. With
    /// a key none is left out, so that a retry has as many records.
    fn unchanged(&self, locked: &LockedRun<'_, ()>) -> Result<Vec<(EventId, Last)>, ArtifactError> {
        if self.key.is_some() || self.head.iter().any(|event| event.key.is_some()) {
            return Ok(Vec::new());
        }
        let causation = locked.home().step.as_ref().map(|step| step.started);
        let same = self.staged.iter().filter_map(|staged| {
            let last = locked.fold().0.last(&staged.name)?;
            let same = last.digest == staged.digest && last.causation == causation;
            same.then(|| (staged.event_id, last.clone()))
        });
        Ok(same.collect())
    }

    /// Renames and removes, in order; durable where asked.
    fn put_in_place(
        &self,
        locked: &mut LockedRun<'_, ()>,
        staged: &[Staged],
    ) -> Result<(), (ArtifactName, IoError)> {
        let dir = locked.dir();
        for staged in staged {
            let fail = |error| (staged.name.clone(), error);
            let same_on_disk = match staged.digest {
                // Only a file of the same length can have the same digest.
                Some(_) => match dir.stat(&layout::artifact(staged.name.as_str())) {
                    Ok(Some(entry)) if entry.size == staged.size => {
                        digest_on_disk(dir, &staged.name).map_err(fail)? == staged.digest
                    }
                    Ok(_) => false,
                    Err(error) => return Err(fail(error)),
                },
                None => false,
            };
            if same_on_disk {
                if self.durability == Durability::Durable {
                    sync_file(dir, &staged.name).map_err(fail)?;
                }
                dir.remove_file(&layout::stage(staged.event_id)).map_err(fail)?;
            } else {
                apply::put(dir, &staged.name, &staged.as_last()).map_err(fail)?;
            }
        }
        if self.durability == Durability::Durable {
            let some = |error| {
                let name = staged.first().map(|staged| &staged.name).or(self.also_sync.first());
                (name.cloned().unwrap_or(ArtifactName::from_static("artifacts")), error)
            };
            for name in &self.also_sync {
                sync_file(dir, name).map_err(some)?;
            }
            if !staged.is_empty() || !self.also_sync.is_empty() {
                let names = staged.iter().map(|staged| &staged.name).chain(&self.also_sync);
                apply::sync_names(dir, names).map_err(some)?;
            }
        }
        Ok(())
    }

    /// Makes what an earlier commit with the same key wrote as durable as this caller asks.
    fn make_durable(&self, locked: &mut LockedRun<'_, ()>) -> Result<(), ArtifactError> {
        if self.durability == Durability::Durable {
            locked.sync()?;
            for staged in &self.staged {
                sync_file(locked.dir(), &staged.name)?;
            }
            apply::sync_names(locked.dir(), self.staged.iter().map(|staged| &staged.name))?;
        }
        Ok(())
    }

    fn committed(&self, appended: &[Appended], duplicate: bool) -> Committed {
        Committed { duplicate, ..self.committed_with(appended, &[]) }
    }

    fn committed_with(&self, appended: &[Appended], unchanged: &[(EventId, Last)]) -> Committed {
        let mut records = appended.iter().skip(self.head.len());
        let mut artifacts = Vec::with_capacity(self.staged.len());
        for staged in &self.staged {
            let before = unchanged.iter().find(|(id, _)| *id == staged.event_id);
            let (version, seq, changed) = match before {
                Some((_, last)) => (last.version, last.seq, false),
                None => match records.next() {
                    Some(record) => (record.stream_version, record.seq, !record.duplicate),
                    None => continue,
                },
            };
            let Staged { name, digest, size, .. } = staged;
            let (name, digest, size) = (name.clone(), *digest, *size);
            artifacts.push(Stored { name, digest, size, version, seq, changed });
        }
        Committed { artifacts, events: records.cloned().collect(), duplicate: false }
    }
}

/// How many files are synced at a time.
const SYNC_THREADS: usize = 8;

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

impl Staged {
    fn event(&self, catalog: &Catalog, step: Option<&StepName>) -> Event {
        let written = self.digest.is_some();
        let payload = ArtifactPayload {
            path: self.name.clone(),
            digest: self.digest,
            size: written.then_some(self.size),
            media_type: written.then(|| self.name.media_type().to_owned()),
            previous: catalog.digest(&self.name),
            step: step.cloned(),
        };
        let event_type = if written { types::ARTIFACT_WRITTEN } else { types::ARTIFACT_REMOVED };
        let expected = match self.expect {
            Expect::Version(version) => ExpectedVersion::Exact(version),
            _ => ExpectedVersion::Any,
        };
        payload.event(event_type, self.event_id).expect(expected)
    }

    fn as_last(&self) -> Last {
        Last {
            event_id: self.event_id,
            seq: 0,
            version: 0,
            digest: self.digest,
            previous: None,
            causation: None,
            staged: true,
        }
    }
}

pub(super) fn to_json<T: Serialize>(
    name: &ArtifactName,
    value: &T,
) -> Result<String, ArtifactError> {
    json::canonical(value).map_err(|source| ArtifactError::NotJson { name: name.clone(), source })
}

pub(super) fn sync_file(dir: &Dir, name: &ArtifactName) -> Result<(), IoError> {
    match dir.open_read(&layout::artifact(name.as_str())) {
        Err(error) if error.is_not_found() => Ok(()),
        file => file?.sync(),
    }
}

fn describe(found: Option<Digest>) -> String {
    found.map_or_else(|| "is not there".to_owned(), |digest| format!("has {digest}"))
}
