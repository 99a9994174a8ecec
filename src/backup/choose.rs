//! Which snapshot is meant: by what it holds, and by what was wrong when it was taken.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::scope::HomeId;
use super::snapshot::Snapshot;
use super::{Backup, BackupError, BackupScope};
use crate::digest::Digest;
use crate::finding::{Finding, Severity};
use crate::id::{RunId, TaskId};

impl Backup {
    /// The newest snapshot that [`holds`](Snapshot::holds) a scope and found no error in it; `None` where each has
    /// one, or there is none. Of several workspaces, that with this id. It may miss what was written since:
    /// compare it with the newest.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn newest_good(
        &self,
        scope: &BackupScope,
        workspace: Option<Uuid>,
    ) -> Result<Option<Snapshot>, BackupError> {
        let good = |snapshot: &Snapshot| {
            let is_of_it = workspace.is_none_or(|id| snapshot.workspace_id() == id);
            is_of_it && snapshot.holds(scope) && snapshot.is_good(scope)
        };
        Ok(self.snapshots()?.into_iter().rev().find(good))
    }

    /// What a file of a task or a run was, in each snapshot that has it and can be read: every digest once, newest
    /// first. Of a file that never changes, those are damage but one.
    pub(crate) fn digests_of(
        &self,
        task: &TaskId,
        run: Option<&RunId>,
        path: &str,
    ) -> Result<Vec<Digest>, BackupError> {
        let mut digests = Vec::new();
        for snapshot in self.snapshots()?.into_iter().rev() {
            // Where a page is damaged, another snapshot may have what is needed.
            let Ok(Some(digest)) = snapshot.file(task, run, path) else { continue };
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        Ok(digests)
    }
}

impl Snapshot {
    /// True if all of a scope is in it, as it was then: with a task its runs, with the workspace everything.
    #[must_use]
    pub fn holds(&self, scope: &BackupScope) -> bool {
        match (&scope.task, &scope.run) {
            (None, _) => *self.scope() == BackupScope::workspace(),
            (Some(task), run) => {
                let whole = run.is_some() || self.scope().run.is_none();
                whole && self.homes().any(|home| home == (task, run.as_ref()))
            }
        }
    }

    /// Those of the [`findings`](Snapshot::findings) that are in a scope: of a run, its own and not its task's.
    pub fn findings_of(&self, scope: &BackupScope) -> impl Iterator<Item = &Finding> {
        self.findings().iter().filter(move |finding| match &scope.task {
            None => true,
            Some(task) => self.home_of(finding).is_some_and(|home| {
                home.task == *task && (scope.run.is_none() || home.run == scope.run)
            }),
        })
    }

    /// True if it found no error in a scope.
    pub(super) fn is_good(&self, scope: &BackupScope) -> bool {
        self.findings_of(scope).all(|finding| finding.code.severity() < Severity::Error)
    }

    /// The tasks and runs in which it found errors.
    pub(super) fn bad(&self) -> BTreeSet<HomeId> {
        let errors =
            self.findings().iter().filter(|finding| finding.code.severity() >= Severity::Error);
        errors.filter_map(|finding| self.home_of(finding)).collect()
    }

    /// The findings of each task and run by itself.
    pub(super) fn findings_by_home(&self) -> BTreeMap<HomeId, Vec<Finding>> {
        let mut by_home: BTreeMap<HomeId, Vec<Finding>> = BTreeMap::new();
        for finding in self.findings() {
            if let Some(home) = self.home_of(finding) {
                by_home.entry(home).or_default().push(finding.clone());
            }
        }
        by_home
    }

    /// Where a finding is: what stands among a task's runs and is none, is in the task.
    fn home_of(&self, finding: &Finding) -> Option<HomeId> {
        let path = finding.place.path.as_str();
        let end = path.match_indices('/').nth(2).map_or(path.len(), |(at, _)| at);
        let run = path.get(..end)?.parse().ok().filter(|run| self.named(run).is_some());
        run.or_else(|| path.split('/').next()?.parse().ok())
    }
}
