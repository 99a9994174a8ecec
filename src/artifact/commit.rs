//! The commit of a transaction: the record first, then its application.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::sync::Arc;

use super::apply::{self, LeftOver, Places};
use super::catalog::{ArtifactPayload, Catalog, Last};
use super::transaction::Staged;
use super::{ArtifactError, Transaction, digest_on_disk};
use crate::digest::Digest;
use crate::error::IoError;
use crate::id::{EventId, StepName};
use crate::io::Dir;
use crate::journal::{
    Appended, Durability, Event, JournalError, LockedLog, check_user_key, spill, types,
};
use crate::layout;
use crate::name::ArtifactName;

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

impl Transaction {
    /// Commits: whole or not at all.
    ///
    /// # Errors
    /// A refusal leaves nothing behind. [`ArtifactError::CommittedNotApplied`] says that the commit
    /// stands and the next call in this run puts it in place; [`JournalError::NotDurable`] that it
    /// stands, and a power cut may lose it.
    pub fn commit(self) -> Result<Committed, ArtifactError> {
        self.commit_with(|_| Ok(None))
    }

    /// Commits with an event before all else in the batch, which is made once the lock is held, from what
    /// the journal says of artifacts then.
    pub(crate) fn commit_with(
        mut self,
        first: impl FnOnce(&mut LockedLog<'_>) -> Result<Option<Event>, JournalError>,
    ) -> Result<Committed, ArtifactError> {
        self.check_user()?;
        let writer = Arc::clone(&self.writer);
        let dir = &writer.opened()?.dir;
        if let Cow::Owned(spilled) = spill(dir, &writer.home().runtime, &self.events)? {
            self.events = spilled;
        }
        if self.durability == Durability::Durable {
            // All that the records will name is on the disk before them.
            self.sync_stages(dir)?;
            self.sync_others(dir)?;
        }
        writer.with_log(|log| {
            let mut locked = log.lock()?;
            self.first = first(&mut locked)?;
            self.commit_locked(&mut locked)
        })
    }

    /// Checks what users may not ask for.
    fn check_user(&self) -> Result<(), JournalError> {
        for event in &self.events {
            event.check_user()?;
            if event.key.is_some() {
                return Err(event.bad("in a transaction the key is the transaction's"));
            }
        }
        let key = self.key.as_deref().map_or(Ok(()), check_user_key);
        key.map_err(|reason| JournalError::BadEvent { event_type: "transaction".into(), reason })
    }

    fn commit_locked(&mut self, locked: &mut LockedLog<'_>) -> Result<Committed, ArtifactError> {
        let catalog = Catalog::of(locked, self.staged.iter().map(|staged| &staged.name))?;
        let mut batch = self.batch(&catalog);
        locked.check_not_damaged()?;
        if let Some(first) = locked.duplicate_of(&batch)? {
            self.make_durable(locked)?;
            return Ok(self.committed(&first, true));
        }
        locked.check_admitted()?;
        self.check_removals(locked.dir())?;
        self.check_expectations(locked.dir(), &catalog)?;
        let places = self.check_places(locked.dir())?;
        let unchanged = self.unchanged(&catalog);
        batch.retain(|event| event.event_id.is_none_or(|id| !unchanged.iter().any(|u| u.0 == id)));
        // The event that was made under the lock may be large, and here a failure is still a refusal that
        // leaves nothing: out of the append it would look like a write that may have gone through.
        let batch = locked.spill(&batch)?;

        // From here on the stages belong to the records: a crash, or a failure, leaves them in place.
        let staged = std::mem::take(&mut self.staged);
        let appended = match locked.append(&batch) {
            Ok(appended) => appended,
            // Nobody knows whether these records will be found: their stages stay.
            Err(JournalError::Io(error)) if !wrote_too_little(&error) => return Err(error.into()),
            Err(refused) => {
                apply::remove_directories(locked.dir(), staged.iter().map(|staged| &staged.name));
                self.staged = staged;
                return Err(refused.into());
            }
        };
        if self.durability == Durability::Durable {
            locked.sync()?;
        }
        let seq = appended.first().map_or(0, |first| first.seq);
        let put = places.map_or(Ok(()), |places| self.put_in_place(locked.dir(), &places, &staged));
        let result = match put {
            Ok(()) => Ok(()),
            Err(NotInPlace::Apply(name, source)) => {
                Err(ArtifactError::CommittedNotApplied { name, seq, source })
            }
            Err(NotInPlace::Sync(source)) => Err(locked.poison(source).into()),
        };
        if result.is_ok() {
            locked.all_applied();
        }
        self.staged = staged;
        let committed = self.committed_with(&appended, &unchanged);
        self.staged.clear();
        result.map(|()| committed)
    }

    fn sync_stages(&self, dir: &Dir) -> Result<(), ArtifactError> {
        let Some(first) = self.staged.first() else { return Ok(()) };
        let tmp = dir.open_dir(layout::TMP).map_err(|error| first.or_lost(dir, error))?;
        let sync = |part: &[Staged]| {
            let synced =
                |staged: &Staged| tmp.open_read(&layout::stage_name(staged.event_id))?.sync();
            part.iter()
                .try_for_each(|staged| synced(staged).map_err(|error| staged.or_lost(dir, error)))
        };
        let mut parts = self.staged.chunks(self.staged.len().div_ceil(SYNC_THREADS));
        let first = parts.next().unwrap_or_default();
        std::thread::scope(|scope| {
            let mut workers = Vec::new();
            for part in parts {
                // Where no more threads are to be had, this one does the work.
                match std::thread::Builder::new().spawn_scoped(scope, move || sync(part)) {
                    Ok(worker) => workers.push(worker),
                    Err(_) => sync(part)?,
                }
            }
            sync(first)?;
            workers.into_iter().try_for_each(|worker| {
                worker.join().unwrap_or_else(|_| {
                    let source = std::io::Error::other("a thread that syncs panicked");
                    Err(IoError::new("sync", tmp.path(), source).into())
                })
            })
        })?;
        Ok(tmp.sync("")?)
    }

    /// All records of this commit, in order.
    fn batch(&self, catalog: &Catalog) -> Vec<Event> {
        let step = self.writer.home().step.as_ref().map(|step| &step.name);
        let cause = self.cause();
        let artifacts = self.staged.iter().map(|staged| {
            let event = staged.event(catalog, step);
            if let Some(cause) = cause { event.causation(cause) } else { event }
        });
        let first = self.first.iter().cloned();
        let mut batch: Vec<Event> =
            first.chain(artifacts).chain(self.events.iter().cloned()).collect();
        if let (Some(first), Some(key)) = (batch.first_mut(), &self.key) {
            first.key = Some(key.clone());
        }
        batch
    }

    /// What the records of artifacts name as their cause.
    fn cause(&self) -> Option<EventId> {
        self.writer.home().step.as_ref().map(|step| step.started).or(self.cause)
    }

    /// Writes that need no record: the path's last record has this digest, for the same cause. With
    /// a key none is left out, so that a retry has as many records.
    fn unchanged(&self, catalog: &Catalog) -> Vec<(EventId, Last)> {
        if self.key.is_some() || self.first.iter().any(|event| event.key.is_some()) {
            return Vec::new();
        }
        let causation = self.cause();
        let same = self.staged.iter().filter_map(|staged| {
            let last = catalog.last(&staged.name)?;
            let same = last.digest == staged.digest && last.causation == causation;
            same.then(|| (staged.event_id, last.clone()))
        });
        same.collect()
    }

    /// Where the stages are and where they go, once nothing is in the way of them, and what
    /// [`check_paths`](Self::check_paths) found; `None` if there are none.
    fn check_places(&self, dir: &Dir) -> Result<Option<(Places, Vec<bool>)>, ArtifactError> {
        let Some(first) = self.staged.first() else { return Ok(None) };
        let tmp = dir.open_dir(layout::TMP).map_err(|error| first.or_lost(dir, error))?;
        let places = Places::open(dir, tmp)?;
        let may_be_same = self.check_paths(&places)?;
        for staged in self.staged.iter().filter(|staged| staged.digest.is_some()) {
            apply::make_parents(&places, &staged.name)?;
        }
        if self.durability == Durability::Durable {
            let written = self.staged.iter().filter(|staged| staged.digest.is_some());
            apply::sync_above(dir, written.map(|staged| &staged.name))?;
        }
        Ok(Some((places, may_be_same)))
    }

    /// Renames and removes, in order; durable where asked.
    fn put_in_place(
        &self,
        dir: &Dir,
        (places, may_be_same): &(Places, Vec<bool>),
        staged: &[Staged],
    ) -> Result<(), NotInPlace> {
        let mut left_over = LeftOver::default();
        for (staged, may_be_same) in staged.iter().zip(may_be_same) {
            let fail = |error| NotInPlace::Apply(staged.name.clone(), error);
            let same_on_disk = staged.digest.is_some()
                && *may_be_same
                && digest_on_disk(dir, &staged.name).map_err(fail)? == staged.digest;
            if same_on_disk {
                if self.durability == Durability::Durable {
                    sync_file(dir, &staged.name).map_err(NotInPlace::Sync)?;
                }
                left_over.stage(staged.event_id);
            } else {
                let Staged { name, event_id, digest, .. } = staged;
                apply::put(places, name, *event_id, *digest, &mut left_over).map_err(fail)?;
            }
        }
        left_over.remove_directories(dir);
        if self.durability == Durability::Durable && !staged.is_empty() {
            apply::sync_names(dir, staged.iter().map(|staged| &staged.name))
                .map_err(NotInPlace::Sync)?;
        }
        // A stage that stays does no harm: it holds what is in place already.
        let _ = left_over.remove_stages(dir);
        Ok(())
    }

    /// Makes durable what the records name and somebody else wrote.
    fn sync_others(&self, dir: &Dir) -> Result<(), IoError> {
        if self.also_sync.is_empty() {
            return Ok(());
        }
        self.also_sync.iter().try_for_each(|name| sync_file(dir, name))?;
        apply::sync_names(dir, self.also_sync.iter())
    }

    /// Makes what an earlier commit with the same key wrote as durable as this caller asks.
    fn make_durable(&self, locked: &mut LockedLog<'_>) -> Result<(), ArtifactError> {
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
        let mut records = appended.iter().skip(usize::from(self.first.is_some()));
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

/// True for an append that cannot have written a whole record, let alone a batch.
fn wrote_too_little(error: &IoError) -> bool {
    matches!(error.kind(), ErrorKind::WriteZero | ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Why a committed transaction is not all in place and durable.
enum NotInPlace {
    /// This artifact could not be put in place; the next catch-up does it.
    Apply(ArtifactName, IoError),
    /// All is in place, and a sync failed.
    Sync(IoError),
}

/// How many files are synced at a time.
const SYNC_THREADS: usize = 8;

impl Staged {
    /// Puts an error that says that the stage is gone into words.
    fn or_lost(&self, dir: &Dir, error: IoError) -> ArtifactError {
        if error.kind() != ErrorKind::NotFound {
            return error.into();
        }
        let path = dir.path().join(layout::stage(self.event_id));
        ArtifactError::StageLost { name: self.name.clone(), path }
    }

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
        payload.event(event_type, self.event_id)
    }
}

pub(super) fn sync_file(dir: &Dir, name: &ArtifactName) -> Result<(), IoError> {
    match dir.open_read(&layout::artifact(name.as_str())) {
        Err(error) if error.is_not_found() => Ok(()),
        file => file?.sync(),
    }
}
