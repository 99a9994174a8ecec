//! Which snapshots are kept, and what goes with the others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use uuid::Uuid;

use super::snapshot::Snapshot;
use super::{Backup, BackupError, check};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::io::{Dir, Kind};
use crate::layout;
use crate::layout::HomeId;
use crate::threads;
use crate::workspace::Scope;

/// Which snapshots are kept: those that one of these keeps, those with a hold, and of each workspace and scope
/// the newest, the newest that found no error, and of each task and run in which the newest found one, the newest
/// that did not. A task or a run that is gone and was not pruned is such an error.
///
/// The default says neither number nor age, and so keeps one of each of these: all others go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Retention {
    /// How many of the newest, of each workspace and scope.
    pub keep_last: Option<usize>,
    /// Those that are not older.
    pub keep_within: Option<Duration>,
}

impl Retention {
    /// Keeps so many of the newest.
    #[must_use]
    pub fn keep_last(self, count: usize) -> Self {
        Self { keep_last: Some(count), ..self }
    }

    /// Keeps those that are not older.
    #[must_use]
    pub fn keep_within(self, age: Duration) -> Self {
        Self { keep_within: Some(age), ..self }
    }
}

/// Why a snapshot is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SnapshotKept {
    /// Somebody holds it.
    Held,
    /// It is among the newest.
    Newest,
    /// It is not old enough.
    Recent,
    /// It is the newest that found no error, in all or in some task or run: the newer ones are of damage.
    NewestGood,
}

/// A prune of a backup that is being described: [`plan`](BackupPrune::plan) it, then
/// [`apply`](BackupPrunePlan::apply) the plan, as a [`Prune`](crate::Prune) of a workspace.
#[derive(Debug, Clone)]
#[must_use = "nothing is looked at before `plan`"]
pub struct BackupPrune {
    backup: Backup,
    retention: Retention,
}

/// What a prune would remove.
#[derive(Debug, Clone)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct BackupPrunePlan {
    backup: Backup,
    keep: Vec<(Snapshot, SnapshotKept)>,
    remove: Vec<Snapshot>,
    objects: u64,
    bytes: u64,
}

/// What a prune removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[non_exhaustive]
pub struct BackupPruned {
    /// Snapshots.
    pub snapshots: u64,
    /// Objects that no snapshot names any more, and what killed backups left.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Backup {
    /// Describes a prune, which keeps what this says.
    pub fn prune(&self, retention: Retention) -> BackupPrune {
        BackupPrune { backup: self.clone(), retention }
    }

    fn plan_prune(&self, retention: Retention) -> Result<BackupPrunePlan, BackupError> {
        let _lock = self.lock_shared()?;
        let now = self.runtime.clock.now();
        let mut groups: BTreeMap<(Uuid, Scope), Vec<Snapshot>> = BTreeMap::new();
        for snapshot in self.list()? {
            let snapshot = snapshot.map_err(|error| stopped(error, None))?;
            let group = (snapshot.workspace_id(), snapshot.scope().clone());
            groups.entry(group).or_default().push(snapshot);
        }
        let (mut keep, mut remove) = (Vec::new(), Vec::new());
        for snapshots in groups.into_values() {
            let good = good(&snapshots);
            for (newer, snapshot) in snapshots.into_iter().rev().enumerate() {
                let newest_good = good.contains(&snapshot.id()).then_some(SnapshotKept::NewestGood);
                match kept(&snapshot, newer, retention, now).or(newest_good) {
                    Some(why) => keep.push((snapshot, why)),
                    None => remove.push(snapshot),
                }
            }
        }
        keep.sort_by_key(|(snapshot, _)| (snapshot.created_at(), snapshot.id()));
        remove.sort_by_key(|snapshot| (snapshot.created_at(), snapshot.id()));
        let kept: Vec<_> = keep.iter().map(|(snapshot, _)| snapshot.clone()).collect();
        let named = self.named(&kept)?;
        let (mut objects, mut bytes) = (0, 0);
        self.unnamed(&named, |_, size| {
            objects += 1;
            bytes += size;
            Ok(())
        })?;
        Ok(BackupPrunePlan { backup: self.clone(), keep, remove, objects, bytes })
    }

    /// Every object that some snapshots name.
    fn named(&self, snapshots: &[Snapshot]) -> Result<BTreeSet<Digest>, BackupError> {
        let dir = self.objects()?;
        let pages = check::pages(snapshots);
        let bytes = snapshots.iter().map(|snapshot| snapshot.totals().bytes).sum();
        let objects = threads::each(threads::for_bytes(bytes), &pages, |named| {
            let page = self.page(&dir, named).map_err(|error| {
                let names = |snapshot: &&Snapshot| {
                    snapshot.named(&named.path).is_some_and(|held| held.page == named.page)
                };
                stopped(error, snapshots.iter().find(names))
            })?;
            Ok::<_, BackupError>(page.objects().map(|(digest, _)| digest).collect::<BTreeSet<_>>())
        })?;
        let mut named: BTreeSet<_> = objects.into_iter().flatten().collect();
        named.extend(pages.iter().map(|named| named.page));
        named.extend(snapshots.iter().map(|snapshot| snapshot.file.workspace));
        Ok(named)
    }

    /// Tells of every object that is not named, with its size. What has no digest for a name is not ours, and no
    /// directory is.
    fn unnamed(
        &self,
        named: &BTreeSet<Digest>,
        mut tell: impl FnMut(&str, u64) -> Result<(), BackupError>,
    ) -> Result<(), BackupError> {
        let dir = self.dir()?;
        for (fan, kind) in list(&dir, layout::OBJECTS)? {
            if kind != Kind::Dir {
                continue;
            }
            let below = format!("{}/{fan}", layout::OBJECTS);
            for (name, kind) in list(&dir, &below)? {
                let hex = format!("{fan}{name}");
                let digest = hex.as_bytes().try_into().ok().and_then(Digest::from_hex);
                let is_named = digest.is_none_or(|digest| named.contains(&digest));
                if !is_named && kind != Kind::Dir {
                    let path = format!("{below}/{name}");
                    let size = dir.stat(&path)?.map_or(0, |entry| entry.size);
                    tell(&path, size)?;
                }
            }
        }
        Ok(())
    }
}

impl BackupPrune {
    /// Decides which snapshots go, for each workspace and scope by itself. Nothing is changed.
    ///
    /// # Errors
    /// Where a snapshot, or a page of one, cannot be read: what it names is not known then, and nothing may be
    /// removed.
    pub fn plan(&self) -> Result<BackupPrunePlan, BackupError> {
        self.backup.plan_prune(self.retention)
    }
}

impl BackupPrunePlan {
    /// The snapshots that stay, oldest first, and why.
    #[must_use]
    pub fn keep(&self) -> &[(Snapshot, SnapshotKept)] {
        &self.keep
    }

    /// The snapshots that go, oldest first.
    #[must_use]
    pub fn remove(&self) -> &[Snapshot] {
        &self.remove
    }

    /// How many objects no snapshot would name any more; killed backups left some of them, perhaps.
    #[must_use]
    pub fn objects(&self) -> u64 {
        self.objects
    }

    /// Their bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Removes the snapshots, and then what none of those that are left names. Nobody else uses the backup
    /// meanwhile. A snapshot that was held since the plan stays. Killed, it leaves content that no snapshot
    /// names, which the next prune removes.
    ///
    /// # Errors
    /// [`BackupError::Busy`] where the backup stays in use; where a snapshot that stays cannot be read. Then
    /// nothing is removed.
    pub fn apply(self) -> Result<BackupPruned, BackupError> {
        let backup = &self.backup;
        let _lock = backup.lock_alone()?;
        let planned: BTreeSet<_> = self.remove.iter().map(Snapshot::id).collect();
        let all = backup.list()?.into_iter().collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| stopped(error, None))?;
        let goes = |snapshot: &Snapshot| {
            planned.contains(&snapshot.id()) && snapshot.hold_reason().is_none()
        };
        let (gone, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(goes);
        let named = backup.named(&kept)?;
        let dir = backup.dir()?;
        let mut pruned = BackupPruned { snapshots: gone.len() as u64, ..BackupPruned::default() };
        for snapshot in &gone {
            dir.remove_file(&format!("{}/{}", layout::SNAPSHOTS, layout::snapshot(snapshot.id())))?;
        }
        if !gone.is_empty() {
            // No snapshot may come back after a power cut and miss what it names.
            dir.sync(layout::SNAPSHOTS)?;
        }
        backup.unnamed(&named, |path, size| {
            dir.remove_file(path)?;
            pruned.objects += 1;
            pruned.bytes += size;
            Ok(())
        })?;
        for (name, kind) in list(&dir, layout::TMP)? {
            // No backup makes a directory there.
            if kind != Kind::Dir {
                dir.remove_file(&format!("{}/{name}", layout::TMP))?;
            }
        }
        Ok(pruned)
    }
}

/// Of snapshots, oldest first: the newest without errors, and of each task and run in which the newest has errors,
/// or which it lacks though nobody pruned it, the newest without errors in it.
fn good(snapshots: &[Snapshot]) -> BTreeSet<Uuid> {
    let whole = snapshots.iter().rfind(|snapshot| snapshot.is_good(snapshot.scope()));
    let mut good: BTreeSet<_> = whole.map(Snapshot::id).into_iter().collect();
    let Some((newest, older)) = snapshots.split_last() else { return good };
    let mut left = newest.bad();
    left.extend(runs_gone_with_their_task(newest, older, &left));
    for snapshot in older.iter().rev() {
        if left.is_empty() {
            break;
        }
        let (bad, before) = (snapshot.bad(), left.len());
        left.retain(|home| snapshot.named(home).is_none() || bad.contains(home));
        if left.len() < before {
            good.insert(snapshot.id());
        }
    }
    // Of what is gone and no snapshot has without errors, there is nothing better than the last copy.
    for home in left.iter().filter(|home| newest.named(home).is_none()) {
        let last = older.iter().rfind(|snapshot| snapshot.named(home).is_some());
        good.extend(last.map(Snapshot::id));
    }
    good
}

/// A task that is gone is told once. Its runs are those that the last snapshot to have it had or missed.
fn runs_gone_with_their_task(
    newest: &Snapshot,
    older: &[Snapshot],
    bad: &BTreeSet<HomeId>,
) -> Vec<HomeId> {
    let is_gone = |home: &&HomeId| home.run.is_none() && newest.named(home).is_none();
    let mut runs = Vec::new();
    for task in bad.iter().filter(is_gone) {
        if let Some(last) = older.iter().rfind(|snapshot| snapshot.named(task).is_some()) {
            let held = last.file.homes.iter().map(|home| home.path.clone());
            runs.extend(held.chain(last.bad()).filter(|home| home.task == task.task));
        }
    }
    runs
}

/// Why a prune goes no further, and what to do.
fn stopped(error: BackupError, names: Option<&Snapshot>) -> BackupError {
    let BackupError::Damaged { path, reason } = error else { return error };
    let of = names.map_or_else(|| path.clone(), |names| names.path());
    BackupError::PruneStopped { path, reason, of }
}

fn kept(
    snapshot: &Snapshot,
    newer: usize,
    retention: Retention,
    now: Timestamp,
) -> Option<SnapshotKept> {
    if snapshot.hold_reason().is_some() {
        return Some(SnapshotKept::Held);
    }
    if newer < retention.keep_last.unwrap_or(1).max(1) {
        return Some(SnapshotKept::Newest);
    }
    let within = i64::try_from(retention.keep_within?.as_micros()).unwrap_or(i64::MAX);
    let age = now.as_microseconds().saturating_sub(snapshot.created_at().as_microseconds());
    (age <= within).then_some(SnapshotKept::Recent)
}

fn list(dir: &Dir, below: &str) -> Result<Vec<(String, Kind)>, BackupError> {
    match dir.list(below) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => Ok(other?),
    }
}
