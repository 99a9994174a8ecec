//! What a restore would put where: decided before anything is changed.

use std::collections::BTreeMap;
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use uuid::Uuid;

use super::choose::Chosen;
use super::page::Page;
use super::snapshot::Snapshot;
use super::stands::Stands;
use super::{BackupError, BackupProgress, Counts, check};
use crate::clock::Timestamp;
use crate::context::absolute;
use crate::finding::Finding;
use crate::genesis::{self, GenesisError, WorkspaceGenesis};
use crate::id::TaskId;
use crate::io::{Dir, LockFile, real_path};
use crate::journal::{LeaseRef, Runtime};
use crate::layout;
use crate::layout::HomeId;
use crate::threads;
use crate::workspace::Scope;

/// A restore that is being described.
#[derive(Debug, Clone)]
#[must_use = "nothing is restored before the plan is applied"]
pub struct Restore {
    pub(super) snapshot: Snapshot,
    pub(super) scope: Scope,
    pub(super) root: Utf8PathBuf,
    pub(super) lease: Option<LeaseRef>,
    reads_data: bool,
    passes_over_errors: bool,
}

/// What is to be done about a task or a run.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RestoreAction {
    /// It is put in its place, where nothing stands.
    Put,
    /// It stands there as the snapshot has it; a task may have gone on since.
    Same,
    /// Something else stands there, or stands in the way, and why.
    Refused(String),
    /// A run that is left out, and why: its task is from a snapshot that does not know it.
    Left(String),
}

/// A task or a run, and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreItem {
    /// Its path from the root.
    pub path: Utf8PathBuf,
    /// What is to be done.
    pub action: RestoreAction,
    /// Bytes of its files.
    pub bytes: u64,
    /// The snapshot that it is from.
    pub snapshot_id: Uuid,
    /// When that was begun.
    pub taken_at: Timestamp,
    /// The errors that made it not be from the newest snapshot.
    pub passed_over: Vec<Finding>,
    /// What was wrong with it when the snapshot was taken, and is wrong with what is put in place. Paths are
    /// from the root.
    pub findings: Vec<Finding>,
    pub(super) id: HomeId,
    pub(super) page: Page,
    /// The task's directory stands.
    pub(super) joins: bool,
}

/// What a restore would put where. It keeps the backup from being pruned as long as it lives.
#[derive(Debug)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct RestorePlan {
    pub(super) snapshot: Snapshot,
    pub(super) root: Utf8PathBuf,
    pub(super) lease: Option<LeaseRef>,
    pub(super) runtime: Runtime,
    pub(super) items: Vec<RestoreItem>,
    _lock: Option<LockFile>,
}

impl Snapshot {
    /// Describes a restore into a workspace's root: an empty directory, one that is not there, or a workspace,
    /// be it the one that the snapshot is of. Unless [`scope`](Restore::scope) says otherwise, of all that
    /// the snapshot holds.
    ///
    /// **It takes what this snapshot has, damaged or not**, unless
    /// [`passing_over_errors`](Restore::passing_over_errors) is said: then what has errors here comes from an older one.
    pub fn restore_to(&self, root: impl AsRef<Utf8Path>) -> Restore {
        let (snapshot, scope) = (self.clone(), self.scope().clone());
        let root = absolute(root.as_ref());
        Restore { snapshot, scope, root, lease: None, reads_data: false, passes_over_errors: false }
    }
}

impl Restore {
    /// Only a task, or a run. With a run whose task is not there, the task comes along, without its other runs.
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// In the name of a lease on the task: for a run that is put into a task that is held.
    pub fn with_lease(self, lease: LeaseRef) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// Has the plan read all content and check its digest, for who wants to know without restoring: applying it
    /// checks all content in any case, before anything is put in its place.
    pub fn reading_data(self) -> Self {
        Self { reads_data: true, ..self }
    }

    /// Takes each task and each run in which the snapshot found an error from the newest one before that found none
    /// in it, of the same workspace; where there is none, as it is. A run is never taken from a snapshot after that of its
    /// task: one that only such ones hold is [left out](RestoreAction::Left). Where the [`scope`](Restore::scope) is a
    /// run, its task comes along from the snapshot of the run.
    ///
    /// What was written after a loss of records (`journal_shorter`) is in no older snapshot, and is not passed over.
    pub fn passing_over_errors(self) -> Self {
        Self { passes_over_errors: true, ..self }
    }

    /// Looks what stands where, and whether the backup has what is needed. Nothing is changed.
    ///
    /// # Errors
    /// [`BackupError::NotInSnapshot`]; [`BackupError::Damaged`] where something needed is missing or not
    /// what was written; [`BackupError::Refused`] where the root is neither a workspace nor empty;
    /// [`BackupError::Inside`] where it and the backup lie in one another. What stands in the way of a
    /// task or a run is among the [`items`](RestorePlan::items).
    pub fn plan(self) -> Result<RestorePlan, BackupError> {
        self.plan_with(&mut |_| {})
    }

    /// The same, and tells how far it is about ten times a second: each task and each run is looked at twice, for
    /// what the backup has of it, and for what stands in its place.
    ///
    /// # Errors
    /// As [`plan`](Restore::plan).
    pub fn plan_with(
        self,
        progress: &mut dyn FnMut(&BackupProgress),
    ) -> Result<RestorePlan, BackupError> {
        let counts = Counts::default();
        let (items, lock) = counts.told(progress, || self.look(&counts))?;
        let runtime = self.snapshot.backup().runtime.clone();
        let Self { snapshot, root, lease, .. } = self;
        Ok(RestorePlan { snapshot, root, lease, runtime, items, _lock: lock })
    }

    /// What is to be done, and what keeps the backup from being pruned until then.
    fn look(&self, counts: &Counts) -> Result<(Vec<RestoreItem>, Option<LockFile>), BackupError> {
        let lock = self.snapshot.backup().lock_shared()?;
        self.check_root()?;
        let homes = self.snapshot.choose(&self.homes()?, &self.scope, self.passes_over_errors)?;
        let dir = self.snapshot.backup().objects()?;
        counts.add_known(homes.len() * 2);
        self.check_objects(&dir, &homes, counts)?;
        let runtime = self.snapshot.backup().runtime.clone();
        let target = match Dir::open_root(&self.root) {
            Err(error) if error.is_not_found() => None,
            other => Some(other?),
        };
        let mut joins: BTreeMap<&TaskId, bool> = BTreeMap::new();
        for home in &homes {
            let task = &home.named.path.task;
            let stands = match &target {
                Some(target) => target.stat(task.as_str())?.is_some(),
                None => false,
            };
            joins.insert(task, stands);
        }
        let stands = Stands {
            restore: self,
            counts,
            dir: &dir,
            runtime: &runtime,
            joins: &joins,
            free: Mutex::default(),
        };
        let items = threads::each(self.threads(), &homes, |home| {
            let item = stands.item(home)?;
            counts.add_done();
            Ok::<_, BackupError>(item)
        })?;
        Ok((items, lock))
    }

    fn check_root(&self) -> Result<(), BackupError> {
        let (backup, workspace) =
            (real_path(self.snapshot.backup().path())?, real_path(&self.root)?);
        if backup.starts_with(&workspace) || workspace.starts_with(&backup) {
            return Err(BackupError::Inside { backup, workspace });
        }
        let dir = match Dir::open_root(&self.root) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        match genesis::read::<WorkspaceGenesis>(&dir) {
            Ok(found) => Ok(found.writable(&self.root)?),
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                // What a killed restore left is no hindrance.
                if dir.list("")?.iter().all(|(name, _)| name == layout::RESTORING) {
                    return Ok(());
                }
                let reason = "it is not empty, and no workspace".to_owned();
                Err(BackupError::Refused { path: self.root.clone(), reason })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is to be restored, tasks before their runs.
    fn homes(&self) -> Result<Vec<HomeId>, BackupError> {
        let homes = self.snapshot.file.homes.iter().map(|home| &home.path);
        // A run's task comes along, for where it is not there.
        let is_its_task =
            |id: &HomeId| id.run.is_none() && self.scope.task.as_ref() == Some(&id.task);
        let belongs = |id: &HomeId| self.scope.covers(&id.task, id.run.as_ref()) || is_its_task(id);
        let homes: Vec<_> = homes.filter(|home| belongs(home)).cloned().collect();
        let has = |wanted: &dyn Fn(&HomeId) -> bool| homes.iter().any(wanted);
        let whole = match (&self.scope.task, &self.scope.run) {
            (None, _) => true,
            (Some(_), None) => has(&|id| id.run.is_none()),
            (Some(_), Some(run)) => has(&|id| id.run.as_ref() == Some(run)),
        };
        if whole {
            return Ok(homes);
        }
        let (snapshot, what) = (self.snapshot.id().to_string(), self.scope.to_string());
        Err(BackupError::NotInSnapshot { snapshot, what })
    }

    fn threads(&self) -> usize {
        threads::for_bytes(self.snapshot.totals().bytes)
    }

    /// Looks for every object that is needed.
    fn check_objects(
        &self,
        dir: &Dir,
        homes: &[Chosen],
        counts: &Counts,
    ) -> Result<(), BackupError> {
        let (backup, read) = (self.snapshot.backup(), self.reads_data.then_some(counts));
        threads::each(self.threads(), homes, |home| {
            let objects: BTreeMap<_, _> = match home.is_left {
                true => BTreeMap::new(),
                false => backup.page(dir, &home.named)?.objects().collect(),
            };
            let look = |(digest, size)| check::look(dir, digest, Some(size), read);
            let found = objects.into_iter().find_map(look);
            counts.add_done();
            match found {
                Some(finding) => {
                    let (path, reason) = (finding.place.path, finding.reason);
                    Err(BackupError::Damaged { path, reason })
                }
                None => Ok(()),
            }
        })?;
        Ok(())
    }
}

impl RestorePlan {
    /// Each task and run, and what is to be done about it, sorted by path.
    #[must_use]
    pub fn items(&self) -> &[RestoreItem] {
        &self.items
    }

    /// True if something stands in the way: then nothing is put in place.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.items.iter().any(|item| matches!(item.action, RestoreAction::Refused(_)))
    }
}
