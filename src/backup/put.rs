//! Putting back what a plan says: all of it is made and checked aside, then one rename for each directory.

use std::io::ErrorKind;

use camino::Utf8PathBuf;

use super::restore::{RestoreAction, RestoreItem, RestorePlan};
use super::{BackupError, BackupProgress, Counts, keep, stage};
use crate::error::IoError;
use crate::genesis::{self, GenesisError, WorkspaceGenesis};
use crate::id::{RunId, TaskId};
use crate::io::{Dir, LockFile, make_dirs};
use crate::journal::{Event, Home, JournalError, LockedLog, Log, types};
use crate::layout;
use crate::threads;
use crate::workspace::{JournalReach, RestoredRun, RunWord, RunWords};

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Restored {
    /// Tasks and runs that were put in place, by their paths from the root.
    pub put: Vec<Utf8PathBuf>,
    /// Those that stood there as the snapshot has them.
    pub same: Vec<Utf8PathBuf>,
    /// Runs that were [left out](RestoreAction::Left).
    pub left: Vec<Utf8PathBuf>,
    /// Bytes of those that were put in place.
    pub bytes: u64,
}

impl RestorePlan {
    /// Makes and checks all of it below `.restoring/` of the root, syncs it, and puts it in place: a task that is
    /// not there whole, by one rename, and so each run of a task that is. Nothing is replaced. That a run was
    /// put back is a record of its task's journal, durable before the run is there.
    ///
    /// Durable. Killed at any moment, it leaves each task and run whole or not there, and the same restore
    /// again ends as if it had not been killed.
    ///
    /// # Errors
    /// [`BackupError::Refused`] where the plan is, and [`BackupError::Damaged`] where content is not what was
    /// written: then nothing was put in place.
    pub fn apply(self) -> Result<Restored, BackupError> {
        self.apply_with(&mut |_| {})
    }

    /// The same, and tells how far it is about ten times a second.
    ///
    /// # Errors
    /// As [`apply`](RestorePlan::apply).
    pub fn apply_with(
        self,
        progress: &mut dyn FnMut(&BackupProgress),
    ) -> Result<Restored, BackupError> {
        let counts = Counts::default();
        counts.told(progress, || self.apply_counting(&counts))
    }

    fn apply_counting(&self, counts: &Counts) -> Result<Restored, BackupError> {
        for item in &self.items {
            if let RestoreAction::Refused(reason) = &item.action {
                let (path, reason) = (self.root.join(&item.path), reason.clone());
                return Err(BackupError::Refused { path, reason });
            }
        }
        make_dirs(&self.root)?;
        let root = Dir::open_root(&self.root)?;
        let restoring = Restoring::begin(&root, self)?;
        let (put, rest): (Vec<_>, Vec<_>) =
            self.items.iter().partition(|item| item.action == RestoreAction::Put);
        let (same, left): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|item| item.action == RestoreAction::Same);
        let done = self.put(&root, &restoring.staging, &put, counts);
        // Also where it failed: what was made aside is made again by the next one.
        let ended = restoring.end(&root);
        done?;
        ended?;
        let paths = |items: &[&RestoreItem]| items.iter().map(|item| item.path.clone()).collect();
        let bytes = put.iter().map(|item| item.bytes).sum();
        Ok(Restored { put: paths(&put), same: paths(&same), left: paths(&left), bytes })
    }

    /// Makes all of it aside, and then puts it in place.
    fn put(
        &self,
        root: &Dir,
        staging: &Dir,
        put: &[&RestoreItem],
        counts: &Counts,
    ) -> Result<(), BackupError> {
        self.stage(staging, put, counts)?;
        self.workspace(root, staging)?;
        for of_task in put.chunk_by(|a, b| a.id.task == b.id.task) {
            for item in of_task.iter().filter(|item| item.id.run.is_none()) {
                let task = item.id.task.as_str();
                self.name(staging.rename_new(task, root, task), item)?;
                // Both, so that it has one name.
                root.sync("")?;
                staging.sync("")?;
            }
            // The others came with their task.
            let joins = of_task.iter().filter_map(|item| Some((item.id.run.as_ref()?, *item)));
            let joins: Vec<_> = joins.filter(|(_, item)| item.joins).collect();
            if let Some((_, first)) = joins.first() {
                self.join(root, staging, &first.id.task, &joins)?;
            }
        }
        Ok(())
    }

    /// What came to stand in the place since the plan was made stays there.
    fn name(&self, named: Result<(), IoError>, item: &RestoreItem) -> Result<(), BackupError> {
        match named {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty
                ) =>
            {
                Err(self.came_between(item))
            }
            other => Ok(other?),
        }
    }

    fn came_between(&self, item: &RestoreItem) -> BackupError {
        BackupError::CameBetween { path: self.root.join(&item.path) }
    }

    fn stage(
        &self,
        staging: &Dir,
        put: &[&RestoreItem],
        counts: &Counts,
    ) -> Result<(), BackupError> {
        counts.add_known(put.len());
        let backup = self.snapshot.backup().objects()?;
        let bytes = put.iter().map(|item| item.bytes).sum();
        threads::each(threads::for_bytes(bytes), put, |item| {
            stage::stage(&backup, staging, &item.id, &item.page, &self.runtime, counts)?;
            counts.add_done();
            Ok::<_, BackupError>(())
        })?;
        let mut file = staging.create_new(layout::WORKSPACE)?;
        stage::object(&backup, self.snapshot.file.workspace, &mut file, counts)?;
        file.sync()?;
        // Whole, and no workspace.json: then what was put would be no workspace.
        genesis::read::<WorkspaceGenesis>(staging).map_err(|error| match error {
            GenesisError::Damaged { reason, .. } => {
                let path = backup.path().join(keep::name(self.snapshot.file.workspace));
                BackupError::Damaged { path, reason }
            }
            other => other.into(),
        })?;
        Ok(staging.sync_file_system()?)
    }

    /// Makes the root a workspace, if it is none: the one that the snapshot is of.
    fn workspace(&self, root: &Dir, staging: &Dir) -> Result<(), BackupError> {
        match staging.rename_new(layout::WORKSPACE, root, layout::WORKSPACE) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            other => other?,
        }
        Ok(root.sync("")?)
    }

    /// True if the task that stands is not the one of the plan any more: its genesis file says which it is.
    fn is_another_task(&self, home: &Home, task: &TaskId) -> Result<bool, BackupError> {
        let mut items = self.items.iter();
        let planned = items.find(|item| item.id.run.is_none() && item.id.task == *task);
        let files = planned.into_iter().flat_map(|item| &item.page.files);
        let genesis = files.into_iter().find(|file| file.path == layout::TASK);
        let there = home.open()?.genesis;
        Ok(genesis.is_some_and(|genesis| genesis.digest != there))
    }

    /// Puts runs into a task that stands. The task says so first: a run that it says was pruned would be taken
    /// away again. Its journal is read once; others may write between two runs.
    fn join(
        &self,
        root: &Dir,
        staging: &Dir,
        task: &TaskId,
        runs: &[(&RunId, &RestoreItem)],
    ) -> Result<(), BackupError> {
        let mut home = Home::of_task(root.path(), task, &self.runtime);
        home.lease.clone_from(&self.lease);
        let mut log = Log::open(&home)?;
        let mut words = RunWords::read(&home)?;
        let below = format!("{task}/{}", layout::RUNS);
        for (run, item) in runs {
            let mut locked = log.lock()?;
            let is_there = root.stat(&format!("{below}/{run}"))?.is_some();
            if is_there || self.is_another_task(&home, task)? {
                return Err(self.came_between(item));
            }
            note(&mut locked, &mut words, run, item)?;
            root.create_dir(&below)?;
            // Also where it is there: who made it may have died before this.
            root.sync(task.as_str())?;
            let (from, into) = (staging.open_dir(&below)?, root.open_dir(&below)?);
            self.name(from.rename_new(run.as_str(), &into, run.as_str()), item)?;
            into.sync("")?;
            from.sync("")?;
        }
        Ok(())
    }
}

/// Appends `run_restored`, unless that is the last thing that the task says of where the run is.
fn note(
    locked: &mut LockedLog<'_>,
    words: &mut RunWords,
    run: &RunId,
    item: &RestoreItem,
) -> Result<(), JournalError> {
    let journal = item.page.journal.as_ref().and_then(|journal| journal.cursor);
    let journal = journal.map(JournalReach::from);
    let payload = RestoredRun { run_id: run.clone(), snapshot_id: item.snapshot_id, journal };
    words.bring_up(locked)?;
    let word = RunWord::Restored(Box::new(payload.clone()));
    if words.word(run) != Some(&word) {
        let event = Event::new(types::RUN_RESTORED).stream("run", run.as_str()).payload(&payload);
        locked.append(std::slice::from_ref(&event))?;
    }
    // Also what a killed restore appended.
    locked.sync()
}

/// The place where a restore makes what it is to put, held by its lock. All of it goes in the end.
struct Restoring {
    staging: Dir,
    _lock: LockFile,
}

impl Restoring {
    fn begin(root: &Dir, plan: &RestorePlan) -> Result<Self, BackupError> {
        let lock = Self::lock(root, plan)?;
        let name = format!("{}/{}", layout::RESTORING, plan.snapshot.id());
        if root.stat(&name)?.is_some() {
            root.remove_tree(&name)?;
        }
        root.create_dir(&name)?;
        Ok(Self { staging: root.open_dir(&name)?, _lock: lock })
    }

    /// The lock goes when the restore is over, so who waited for it may hold one that nobody else sees.
    fn lock(root: &Dir, plan: &RestorePlan) -> Result<LockFile, BackupError> {
        let waited = plan.runtime.lock_timeout;
        loop {
            root.create_dir(layout::RESTORING)?;
            let path = format!("{}/{}", layout::RESTORING, layout::LOCK_OF_WHOLE);
            let lock = match root.open_lock(&path) {
                Err(error) if error.is_not_found() => continue,
                other => other?,
            };
            if !lock.wait(waited, LockFile::try_exclusive)? {
                return Err(BackupError::Busy { path: lock.path().to_owned(), waited });
            }
            if lock.is_at_path()? {
                return Ok(lock);
            }
        }
    }

    fn end(self, root: &Dir) -> Result<(), IoError> {
        // What else is there, killed restores left: nobody is at work on it, for the lock is ours.
        for (name, _) in root.list(layout::RESTORING)? {
            if name != layout::LOCK_OF_WHOLE {
                root.remove_tree(&format!("{}/{name}", layout::RESTORING))?;
            }
        }
        root.remove_file(&format!("{}/{}", layout::RESTORING, layout::LOCK_OF_WHOLE))?;
        match root.remove_dir(layout::RESTORING) {
            // Another one waits.
            Err(error) if !error.is_not_found() && !is_not_empty(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn is_not_empty(error: &IoError) -> bool {
    error.kind() == ErrorKind::DirectoryNotEmpty
}
