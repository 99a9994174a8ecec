//! A snapshot: what a workspace, a task or a run was at one time.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::page::Page;
use super::store::read_versioned;
use super::{Backup, BackupError};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finding::{self, Finding};
use crate::id::{RunId, TaskId};
use crate::io::Dir;
use crate::journal::Cursor;
use crate::layout;
use crate::layout::HomeId;
use crate::line;
use crate::manifest::Witness;
use crate::name::ArtifactName;
use crate::verify::Verify;
use crate::workspace::Scope;
use crate::workspace::hold_fault;

/// No snapshot is longer, which is room for some millions of runs: whoever reads one holds it in memory.
const MAX_BYTES: u64 = 1 << 30;

/// What a workspace, a task or a run was at one time. A value: nothing is open.
#[derive(Debug, Clone)]
pub struct Snapshot {
    backup: Backup,
    pub(super) file: SnapshotFile,
    hold: Option<Result<Hold, HoldFault>>,
}

/// A hold that cannot be read: it holds all the same.
#[derive(Debug, Clone)]
struct HoldFault {
    path: Utf8PathBuf,
    reason: String,
}

/// What `snapshots/<id>.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotFile {
    pub(super) format_version: u32,
    pub(super) snapshot_id: Uuid,
    pub(super) created_at: Timestamp,
    pub(super) workspace_id: Uuid,
    pub(super) scope: Scope,
    /// The one whose objects were trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<Uuid>,
    /// `workspace.json`, an object.
    pub(super) workspace: Digest,
    /// Sorted by path.
    pub(super) homes: Vec<SnapshotPage>,
    #[serde(serialize_with = "finding::kept")]
    pub(super) findings: Vec<Finding>,
    pub(super) totals: SnapshotTotals,
}

/// A task or a run, and the page that says what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SnapshotPage {
    pub(super) path: HomeId,
    pub(super) page: Digest,
}

/// How much a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SnapshotTotals {
    /// Tasks.
    pub tasks: u64,
    /// Runs.
    pub runs: u64,
    /// Files, journals among them.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that the backup did not have before.
    pub new_bytes: u64,
}

/// What `snapshots/<id>.hold` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    format_version: u32,
    snapshot_id: Uuid,
    placed_at: Timestamp,
    reason: String,
}

/// What a snapshot knows of one task or run: a later look at it can be held against this.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotHome {
    /// Behind the last record that counted; `None` where nobody could tell.
    pub cursor: Option<Cursor>,
    /// The artifacts that were what the journal said, sorted by path.
    pub artifacts: Vec<(ArtifactName, Digest)>,
}

impl From<Page> for SnapshotHome {
    fn from(page: Page) -> Self {
        let sound = page.files.iter().filter(|file| !file.differs);
        let artifacts = sound.filter_map(|file| {
            let name = file.path.strip_prefix(layout::ARTIFACTS)?.strip_prefix('/')?;
            Some((ArtifactName::new(name).ok()?, file.digest))
        });
        let cursor = page.journal.as_ref().and_then(|journal| journal.cursor);
        Self { cursor, artifacts: artifacts.collect() }
    }
}

impl Snapshot {
    pub(super) fn new(backup: Backup, file: SnapshotFile) -> Self {
        Self { backup, file, hold: None }
    }

    pub(super) fn read(backup: &Backup, id: Uuid) -> Result<Self, BackupError> {
        let dir = backup.dir()?.open_dir(layout::SNAPSHOTS)?;
        let name = layout::snapshot(id);
        let bytes = read_all(&dir, &name)?;
        let path = dir.path().join(&name);
        let file: SnapshotFile = read_versioned(&path, &bytes)?;
        if file.snapshot_id != id || !file.homes.is_sorted_by(|a, b| a.path < b.path) {
            let reason = "it is not the snapshot that its name says".to_owned();
            return Err(BackupError::Damaged { path, reason });
        }
        let hold = Hold::read(&dir, id);
        Ok(Self { backup: backup.clone(), file, hold })
    }

    pub(super) fn backup(&self) -> &Backup {
        &self.backup
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.file.snapshot_id
    }

    /// The file that says so.
    pub(super) fn path(&self) -> Utf8PathBuf {
        self.backup.path().join(layout::SNAPSHOTS).join(layout::snapshot(self.id()))
    }

    /// When it was begun.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.file.created_at
    }

    /// What it is of.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.file.scope
    }

    /// The workspace that it is of.
    #[must_use]
    pub fn workspace_id(&self) -> Uuid {
        self.file.workspace_id
    }

    /// The snapshot before it, whose objects it took to be there.
    #[must_use]
    pub fn parent(&self) -> Option<Uuid> {
        self.file.parent
    }

    /// How much it holds.
    #[must_use]
    pub fn totals(&self) -> SnapshotTotals {
        self.file.totals
    }

    /// What was not as it should be when it was taken. What was damaged is in the snapshot as it was; what was
    /// missing, could not be read, or was a link or a special file, is not in it. Paths are from the root of the
    /// workspace.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.file.findings
    }

    /// Why it is kept, if somebody said so. A hold that cannot be read holds as well, and what is wrong with it
    /// stands here; [`Backup::unreadable`] tells of it. Held anew or [lifted](Snapshot::lift), it is gone.
    #[must_use]
    pub fn hold_reason(&self) -> Option<&str> {
        self.hold.as_ref().map(|hold| match hold {
            Ok(hold) => hold.reason.as_str(),
            Err(fault) => fault.reason.as_str(),
        })
    }

    /// What is wrong with the file of its hold.
    pub(super) fn hold_damage(&self) -> Option<BackupError> {
        let HoldFault { path, reason } = self.hold.as_ref()?.as_ref().err()?.clone();
        let (dest, snapshot) = (self.backup.path().to_owned(), self.id().to_string());
        Some(BackupError::HoldDamaged { path, reason, dest, snapshot })
    }

    /// The runs that it holds, and before them the task itself, as `None`; sorted.
    pub fn homes(&self) -> impl Iterator<Item = (&TaskId, Option<&RunId>)> {
        self.file.homes.iter().map(|home| (&home.path.task, home.path.run.as_ref()))
    }

    /// The digest of a file that lies in a run, or in what is a task's own.
    pub(super) fn file(&self, home: &HomeId, path: &str) -> Result<Option<Digest>, BackupError> {
        let Some(page) = self.page_of(&home.task, home.run.as_ref())? else { return Ok(None) };
        Ok(page.files.iter().find(|file| file.path == path).map(|file| file.digest))
    }

    /// Where it says what a home was.
    pub(super) fn named(&self, id: &HomeId) -> Option<&SnapshotPage> {
        let homes = &self.file.homes;
        homes.binary_search_by(|home| home.path.cmp(id)).ok().and_then(|at| homes.get(at))
    }

    fn page_of(&self, task: &TaskId, run: Option<&RunId>) -> Result<Option<Page>, BackupError> {
        let id = HomeId { task: task.clone(), run: run.cloned() };
        self.named(&id).map(|named| self.backup.page(&self.backup.objects()?, named)).transpose()
    }

    /// What it knows of a run, or of a task itself; `None` where it does not hold that.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] where its page is.
    pub fn home(
        &self,
        task: &TaskId,
        run: Option<&RunId>,
    ) -> Result<Option<SnapshotHome>, BackupError> {
        let Some(page) = self.page_of(task, run)? else { return Ok(None) };
        Ok(Some(page.into()))
    }

    /// Has a verify hold what it looks at against what this snapshot knows: records that were lost from a
    /// journal's end, files that were changed together with their records, and tasks and runs that are
    /// gone, of which no `run_pruned` says why (`journal_missing`, as they are to be restored). What went on
    /// since is no finding. The caller sees to it that the snapshot is of that workspace, by the ids of
    /// tasks and runs. What the snapshot has as damaged is not held against anything.
    ///
    /// Reads the page of each task and run that is looked at, and keeps in memory what they name.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] where a page is; where the backup is being pruned.
    pub fn witness(&self, mut verify: Verify) -> Result<Verify, BackupError> {
        let _lock = self.backup.lock_shared()?;
        let objects = self.backup.objects()?;
        for named in &self.file.homes {
            let HomeId { task, run } = &named.path;
            if !verify.scope().covers(task, run.as_ref()) {
                continue;
            }
            let known = SnapshotHome::from(self.backup.page(&objects, named)?);
            let Some(cursor) = known.cursor else { continue };
            let by = format!("snapshot {}", self.id());
            let artifacts = known.artifacts.into_iter().collect();
            // What was damaged then is left out.
            let witness = Witness { by, cursor, artifacts, names_all: false };
            verify = verify.witnessed(task.clone(), run.clone(), witness);
        }
        Ok(verify)
    }

    /// Keeps the snapshot from [`Backup::prune`], or says anew why. Durable.
    ///
    /// # Errors
    /// [`BackupError::BadHold`] for a reason that is empty, longer than 1,024 bytes, or of several lines; where it
    /// cannot be written.
    pub fn hold(&mut self, reason: &str) -> Result<(), BackupError> {
        if let Some(reason) = hold_fault(reason) {
            return Err(BackupError::BadHold { reason });
        }
        let _lock = self.backup.lock_shared()?;
        let placed_at = self.backup.runtime.clock.now();
        let (format_version, snapshot_id) = (layout::FORMAT_VERSION, self.id());
        let hold = Hold { format_version, snapshot_id, placed_at, reason: reason.to_owned() };
        // One that was pruned meanwhile is not to be held.
        Self::read(&self.backup, self.id())?;
        put(&self.backup, &layout::hold(self.id()), &hold)?;
        self.hold = Some(Ok(hold));
        Ok(())
    }

    /// Lifts the hold, if there is one. Durable.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub fn lift(&mut self) -> Result<(), BackupError> {
        let _lock = self.backup.lock_shared()?;
        let dir = self.backup.dir()?.open_dir(layout::SNAPSHOTS)?;
        match dir.remove_file(&layout::hold(self.id())) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => dir.sync("")?,
        }
        self.hold = None;
        Ok(())
    }
}

impl Hold {
    /// The hold on a snapshot. Whoever cannot read one must take it that there is one.
    fn read(dir: &Dir, id: Uuid) -> Option<Result<Self, HoldFault>> {
        let name = layout::hold(id);
        let path = dir.path().join(&name);
        let read = read_all(dir, &name).and_then(|bytes| read_versioned::<Self>(&path, &bytes));
        let reason = match read {
            Ok(hold) => return Some(Ok(hold)),
            Err(BackupError::Io(error)) if error.is_not_found() => return None,
            Err(BackupError::Io(error)) => format!("cannot {}: {}", error.action, error.source),
            Err(BackupError::Damaged { reason, .. }) => reason,
            Err(error) => error.to_string(),
        };
        let reason =
            format!("the hold cannot be read ({reason}), and holds; hold it anew, or lift it");
        Some(Err(HoldFault { path, reason }))
    }
}

fn read_all(dir: &Dir, name: &str) -> Result<Vec<u8>, BackupError> {
    let mut file = dir.open_read(name)?;
    let bytes = file.read_little(MAX_BYTES)?;
    bytes.ok_or_else(|| {
        let path = file.path().to_owned();
        BackupError::Damaged { path, reason: "it is longer than any snapshot".to_owned() }
    })
}

/// Puts a sealed line into `snapshots/`, durably, or in the place of the one that is there.
pub(super) fn put<T: Serialize>(backup: &Backup, name: &str, value: &T) -> Result<(), BackupError> {
    let dir = backup.dir()?;
    for needed in [layout::TMP, layout::SNAPSHOTS] {
        dir.create_dir(needed)?;
    }
    let (bytes, _) = line::seal(&serde_json::to_string(value)?, Digest::of);
    let temporary = Utf8Path::new(layout::TMP).join(backup.runtime.next_event_id().to_string());
    let mut file = dir.create_new(temporary.as_str())?;
    let put = file.write(&bytes).and_then(|()| file.sync()).and_then(|()| {
        dir.rename(temporary.as_str(), &dir, &format!("{}/{name}", layout::SNAPSHOTS))
    });
    if put.is_err() {
        // The caller hears of the failure; what is left is nobody's, and prune takes it.
        let _ = dir.remove_file(temporary.as_str());
    }
    put?;
    dir.sync(layout::SNAPSHOTS)?;
    Ok(dir.sync("")?)
}
