//! Which snapshot is meant, for all or for each task and run: by what it holds, and by what was wrong when it was
//! taken.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::snapshot::{Snapshot, SnapshotPage};
use super::{Backup, BackupError};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::finding::{Code, Finding, Severity};
use crate::layout::HomeId;
use crate::workspace::Scope;

/// A task or a run that is to be restored, and the snapshot that it is taken from.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) named: SnapshotPage,
    pub(super) snapshot_id: Uuid,
    pub(super) taken_at: Timestamp,
    /// What that snapshot found in it.
    pub(super) findings: Vec<Finding>,
    /// The errors that the newest snapshot found in it, where it is from an older one.
    pub(super) passed_over: Vec<Finding>,
    /// Its task is from a snapshot that does not know it.
    pub(super) is_left: bool,
}

/// A snapshot, and what it found in each task and run.
struct Found<'a> {
    snapshot: &'a Snapshot,
    findings: BTreeMap<HomeId, Vec<Finding>>,
}

impl<'a> Found<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, findings: snapshot.findings_by_home() }
    }

    /// What makes an older snapshot the better one.
    fn errors(&self, id: &HomeId) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.get(id).into_iter().flatten();
        findings.filter(|finding| is_damage(finding))
    }

    /// True where the journal of a home, or of its task, went on from less than a snapshot before had: behind it
    /// lies another history.
    fn goes_on_from_less(&self, id: &HomeId) -> bool {
        let task = HomeId::task(id.task.clone());
        let findings = [id, &task].into_iter().filter_map(|id| self.findings.get(id)).flatten();
        findings.into_iter().any(|finding| finding.code == Code::JournalShorter)
    }

    fn chosen(&self, id: &HomeId) -> Option<Chosen> {
        Some(Chosen {
            named: self.snapshot.named(id)?.clone(),
            snapshot_id: self.snapshot.id(),
            taken_at: self.snapshot.created_at(),
            findings: self.findings.get(id).cloned().unwrap_or_default(),
            passed_over: Vec::new(),
            is_left: false,
        })
    }
}

/// True for errors, but for a loss of records that others know: what was written since is not to be lost as well.
fn is_damage(finding: &Finding) -> bool {
    finding.code.severity() >= Severity::Error && finding.code != Code::JournalShorter
}

/// Where a home is taken from, of snapshots from the newest on, but for so many of them.
fn best(
    all: &[Found<'_>],
    id: &HomeId,
    from: usize,
    passes_over_errors: bool,
) -> Option<(usize, Chosen)> {
    let held = || {
        let mut other_history = false;
        let allowed = (from..).zip(all.iter().skip(from)).take_while(move |(_, found)| {
            let is_same = !other_history;
            other_history |= found.goes_on_from_less(id);
            is_same
        });
        allowed.filter_map(|(at, found)| Some((at, found, found.chosen(id)?)))
    };
    let best =
        held().find(|(_, found, _)| !passes_over_errors || found.errors(id).next().is_none());
    let newest = all.first()?;
    let Some((at, _, mut best)) = best.or_else(|| held().next()) else {
        // Only snapshots after that of its task hold it.
        return Some((0, Chosen { is_left: true, ..newest.chosen(id)? }));
    };
    if at > 0 {
        best.passed_over.extend(newest.errors(id).cloned());
    }
    Some((at, best))
}

/// A run that is asked for by itself, and its task as it was then, for where that is not there.
fn with_its_task(all: &[Found<'_>], homes: &[HomeId], passes_over_errors: bool) -> Vec<Chosen> {
    let (runs, tasks): (Vec<_>, Vec<_>) = homes.iter().partition(|home| home.run.is_some());
    let runs: Vec<_> =
        runs.into_iter().filter_map(|run| best(all, run, 0, passes_over_errors)).collect();
    let from = runs.first().map_or(0, |(at, _)| *at);
    let as_then =
        |id: &&HomeId| all.iter().skip(from).chain(all).find_map(|found| found.chosen(id));
    let tasks: Vec<_> = tasks.iter().filter_map(as_then).collect();
    tasks.into_iter().chain(runs.into_iter().map(|(_, run)| run)).collect()
}

impl Backup {
    /// The newest snapshot that [`holds`](Snapshot::holds) a scope, whatever it found in it; of several workspaces, of
    /// that with this id. What has errors there, a restore that
    /// [passes over them](crate::Restore::passing_over_errors) takes from an older one.
    ///
    /// # Errors
    /// [`BackupError::NoSnapshot`]; where the directory cannot be read.
    pub fn newest(&self, scope: &Scope, workspace: Option<Uuid>) -> Result<Snapshot, BackupError> {
        let is_of_it = |snapshot: &Snapshot| {
            workspace.is_none_or(|id| snapshot.workspace_id() == id) && snapshot.holds(scope)
        };
        self.snapshots()?.into_iter().rfind(is_of_it).ok_or_else(|| BackupError::NoSnapshot {
            path: self.path().to_owned(),
            id: format!("of {scope}"),
        })
    }

    /// What a file of a task or a run was, in each snapshot that has it and can be read: every digest once, newest
    /// first. Of a file that never changes, those are damage but one.
    pub(crate) fn digests_of(&self, home: &HomeId, path: &str) -> Result<Vec<Digest>, BackupError> {
        let mut digests = Vec::new();
        for snapshot in self.snapshots()?.into_iter().rev() {
            // Where a page is damaged, another snapshot may have what is needed.
            let Ok(Some(digest)) = snapshot.file(home, path) else { continue };
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        Ok(digests)
    }

    /// True if a snapshot of a task or a run that began with this genesis file has a record that ends behind a byte of
    /// its journal.
    pub(crate) fn knows_past(
        &self,
        home: &HomeId,
        genesis: Digest,
        offset: u64,
    ) -> Result<bool, BackupError> {
        let knows = |snapshot: &Snapshot| {
            let is_of_it = snapshot.file(home, home.genesis())? == Some(genesis);
            let known = snapshot.home(&home.task, home.run.as_ref())?;
            let cursor = known.and_then(|known| known.cursor);
            Ok::<_, BackupError>(is_of_it && cursor.is_some_and(|it| it.offset() > offset))
        };
        // Where a page is damaged, another snapshot may know.
        Ok(self.snapshots()?.iter().any(|snapshot| knows(snapshot).unwrap_or(false)))
    }
}

impl Snapshot {
    /// True if all of a scope is in it, as it was then: with a task its runs, with the workspace everything.
    #[must_use]
    pub fn holds(&self, scope: &Scope) -> bool {
        match (&scope.task, &scope.run) {
            (None, _) => *self.scope() == Scope::workspace(),
            (Some(task), run) => {
                let whole = run.is_some() || self.scope().run.is_none();
                whole && self.homes().any(|home| home == (task, run.as_ref()))
            }
        }
    }

    /// Tasks and runs of this snapshot, in its order, and where each is taken from: from here, or with errors
    /// passed over from the newest snapshot not after this one that found none in it; where each has some, from the
    /// newest of them. What was written after a loss of records is never passed over.
    ///
    /// No run is taken from a snapshot after that of its task, which would not know all leases that the run is bound
    /// to. Of a run that is asked for by itself, the task comes along from the run's snapshot.
    pub(super) fn choose(
        &self,
        homes: &[HomeId],
        scope: &Scope,
        passes_over_errors: bool,
    ) -> Result<Vec<Chosen>, BackupError> {
        let has_errors = passes_over_errors && self.bad().iter().any(|bad| homes.contains(bad));
        let older = if has_errors { self.older()? } else { Vec::new() };
        let all: Vec<_> = std::iter::once(self).chain(older.iter().rev()).map(Found::of).collect();
        if scope.run.is_some() {
            return Ok(with_its_task(&all, homes, passes_over_errors));
        }
        let mut of_task = (None, 0);
        let mut chosen = Vec::new();
        for id in homes {
            let from = if of_task.0 == Some(&id.task) { of_task.1 } else { 0 };
            let Some((at, best)) = best(&all, id, from, passes_over_errors) else { continue };
            if id.run.is_none() {
                of_task = (Some(&id.task), at);
            }
            chosen.push(best);
        }
        Ok(chosen)
    }

    /// Those of the [`findings`](Snapshot::findings) that are in a scope: of a run, its own and not its task's.
    pub fn findings_of(&self, scope: &Scope) -> impl Iterator<Item = &Finding> {
        self.findings().iter().filter(move |finding| match &scope.task {
            None => true,
            Some(_) => {
                let home = self.home_of(finding);
                home.is_some_and(|home| scope.covers(&home.task, home.run.as_ref()))
            }
        })
    }

    /// Those of the same workspace before it, oldest first.
    fn older(&self) -> Result<Vec<Self>, BackupError> {
        let mut older = self.backup().snapshots()?;
        older.retain(|older| {
            older.workspace_id() == self.workspace_id()
                && (older.created_at(), older.id()) < (self.created_at(), self.id())
        });
        Ok(older)
    }

    /// True if it found no error in a scope.
    pub(super) fn is_good(&self, scope: &Scope) -> bool {
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

    /// Where a finding is: what stands among a task's runs and is none, is in the task. A run that is gone is told
    /// where it was.
    fn home_of(&self, finding: &Finding) -> Option<HomeId> {
        let path = finding.place.path.as_str();
        let end = path.match_indices('/').nth(2).map_or(path.len(), |(at, _)| at);
        let is_run =
            |run: &HomeId| finding.code == Code::JournalMissing || self.named(run).is_some();
        let run = path.get(..end)?.parse().ok().filter(is_run);
        run.or_else(|| path.split('/').next()?.parse().ok())
    }
}
