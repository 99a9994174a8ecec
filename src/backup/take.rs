//! Taking a snapshot, while others write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;

use super::keep::{Keep as _, Pool};
use super::look::{self, Taken};
use super::page::Page;
use super::reach::{Before, Earlier};
use super::snapshot::{self, Snapshot, SnapshotFile, SnapshotPage, SnapshotTotals};
use super::{Backup, BackupError, BackupProgress, Counts, Known};
use crate::clock::Timestamp;
use crate::finding::{Code, Finding};
use crate::genesis::{self, WorkspaceGenesis};
use crate::id::{RunId, TaskId};
use crate::io::{Dir, Kind, real_path};
use crate::layout::HomeId;
use crate::layout::{self, FORMAT_VERSION};
use crate::planted::Bug;
use crate::threads;
use crate::workspace::Scope;
use crate::workspace::Subject;

impl Backup {
    /// Takes a snapshot of a workspace, a task or a run (with the task's own journal). Others may go on writing:
    /// each journal is copied up to a record that counts, each artifact as the journal says there. A run that is
    /// removed meanwhile is left out, and so is one that is started meanwhile.
    ///
    /// What is not as the journal says, with nobody at work on it, is copied as it is and is among
    /// [`Snapshot::findings`]; so is a journal with damage. Links and special files are told, and neither followed
    /// nor copied. Content that the backup has already is read, and not written again; a workspace that
    /// did not change costs a line for each run. Modes and times of files are not kept.
    ///
    /// Told are `genesis_damaged`, `journal_missing`, `journal_damaged`, `broken_chain`, `sequence_gap`,
    /// `journal_shorter`, `artifact_missing`, `artifact_changed`, `artifact_unjournaled`, `commit_not_applied`,
    /// `checkpoint_missing`, `checkpoint_damaged`, `object_missing`, `object_changed`, `symbolic_link`, `bad_id`,
    /// `newer_format` and `unreadable`: what a copy has or lacks. What records say of one another and what is derived
    /// from them, only a [`Verify`](crate::Verify) tells.
    ///
    /// A task or a run that a snapshot here has, of the same workspace, and that is gone is `journal_missing` as well,
    /// unless its task says that it was pruned: each time, until it is back. Snapshots are looked at from the newest
    /// of the whole workspace that found no error.
    ///
    /// A journal is too short (`journal_shorter`) where it has no damage and does not reach a record that the manifest
    /// or a checkpoint beside it knows, or the newest snapshot here that found no error in that task or run: each
    /// time, until the records are back. A run that was put back since by [`RestorePlan::apply`](super::RestorePlan::apply)
    /// need not reach what was before.
    ///
    /// Durable: once it returned, a power cut does not lose it. A crash leaves content that no snapshot
    /// names, which the next one uses, and no snapshot.
    ///
    /// # Errors
    /// [`BackupError::Inside`] where backup and workspace lie in one another; where the workspace is newer
    /// than this code; where a journal stays locked. Then there is no snapshot.
    pub fn take(&self, source: impl Into<Subject>) -> Result<Snapshot, BackupError> {
        self.take_with(source, &mut |_| {})
    }

    /// The same, and tells how far it is about ten times a second.
    ///
    /// # Errors
    /// As [`take`](Backup::take).
    pub fn take_with(
        &self,
        source: impl Into<Subject>,
        progress: &mut dyn FnMut(&BackupProgress),
    ) -> Result<Snapshot, BackupError> {
        let (source, counts) = (source.into(), Counts::default());
        counts.told(progress, || self.take_counting(&source, &counts))
    }

    fn take_counting(&self, source: &Subject, counts: &Counts) -> Result<Snapshot, BackupError> {
        self.check_apart(source)?;
        let root = Dir::open_root(source.root())?;
        let workspace = genesis::read::<WorkspaceGenesis>(&root)?;
        workspace.writable(source.root())?;
        let _lock = self.lock_shared()?;
        let objects = self.objects()?;
        // Not before those that are there, whatever the clock says now or said then.
        let mut before = self.snapshots()?;
        let newest = before.last().map(Snapshot::created_at);
        let after = newest.map(|newest| newest.as_microseconds().saturating_add(1));
        let now = self.runtime.clock.now();
        let created_at = after.map_or(now, |after| now.max(Timestamp::from_microseconds(after)));
        let pool = Pool::open(&self.dir()?, &self.runtime, counts)?;
        before.retain(|snapshot| snapshot.workspace_id() == workspace.value.workspace_id);
        let parent = parent(&before, source).cloned();
        // What was not there then, and is now, was made or put back since.
        let all = Scope::workspace();
        let clean = before.iter().rposition(|before| before.holds(&all) && before.is_good(&all));
        before.drain(..clean.unwrap_or_default());
        let before: Vec<_> = before.into_iter().rev().map(Before::from).collect();
        let taking = Taking::new(self, source, &objects, &pool, parent.as_ref(), &before, counts);
        let (homes, mut findings, mut totals) = taking.all(&root)?;
        let bytes = root.open_read(layout::WORKSPACE)?.read_all()?;
        let workspace_file = pool.bytes(&bytes, &Known::default())?;
        if !Bug::SnapshotEarly.is_planted() {
            pool.sync()?;
        }
        findings
            .sort_by(|a, b| (&a.place.path, a.place.offset).cmp(&(&b.place.path, b.place.offset)));
        totals.new_bytes = pool.written();
        let file = SnapshotFile {
            format_version: FORMAT_VERSION,
            snapshot_id: self.runtime.ids.next_id(created_at),
            created_at,
            workspace_id: workspace.value.workspace_id,
            scope: source.scope().clone(),
            parent: parent.map(|parent| parent.id()),
            workspace: workspace_file,
            homes,
            findings,
            totals,
        };
        snapshot::put(self, &layout::snapshot(file.snapshot_id), &file)?;
        Ok(Snapshot::new(self.clone(), file))
    }

    /// Refuses a backup that would be a part of what it is of, or the other way round.
    fn check_apart(&self, source: &Subject) -> Result<(), BackupError> {
        let (backup, workspace) = (real_path(self.path())?, real_path(source.root())?);
        if backup.starts_with(&workspace) || workspace.starts_with(&backup) {
            return Err(BackupError::Inside { backup, workspace });
        }
        Ok(())
    }
}

/// The newest snapshot, best with the same scope.
fn parent<'a>(before: &'a [Snapshot], source: &Subject) -> Option<&'a Snapshot> {
    let same = before.iter().rfind(|snapshot| *snapshot.scope() == *source.scope());
    same.or(before.last())
}

/// So many homes leave processors to the files of each.
const FEW: usize = 4;

/// The findings that a copy has, the homes that it is of.
type Copied = (Vec<SnapshotPage>, Vec<Finding>, SnapshotTotals);

struct Taking<'a> {
    backup: &'a Backup,
    source: &'a Subject,
    objects: &'a Dir,
    pool: &'a Pool<'a>,
    counts: &'a Counts,
    /// Whose objects are taken to be there.
    parent: Option<&'a Snapshot>,
    /// Of the same workspace, newest first.
    before: &'a [Before],
    findings: Mutex<Vec<Finding>>,
}

/// A home that was copied.
struct CopiedHome {
    page: SnapshotPage,
    files: u64,
    bytes: u64,
    pruned: BTreeSet<RunId>,
}

impl<'a> Taking<'a> {
    fn new(
        backup: &'a Backup,
        source: &'a Subject,
        objects: &'a Dir,
        pool: &'a Pool<'a>,
        parent: Option<&'a Snapshot>,
        before: &'a [Before],
        counts: &'a Counts,
    ) -> Self {
        let findings = Mutex::default();
        Self { backup, source, objects, pool, counts, parent, before, findings }
    }

    /// Runs first, then the journals of their tasks: so these know every lease that a run is bound to.
    fn all(self, root: &Dir) -> Result<Copied, BackupError> {
        let (tasks, runs) = self.homes(root)?;
        self.counts.add_known(tasks.len() + runs.len());
        let mut copied: BTreeMap<HomeId, CopiedHome> = BTreeMap::new();
        let mut pruned = BTreeSet::new();
        for homes in [runs, tasks] {
            // A single large run is copied by several threads, many small ones by one each.
            let threads = if homes.len() < 2 { 1 } else { threads::all() };
            let done = threads::each(threads, &homes, |id| {
                let copied = self.home(id, homes.len() <= FEW)?;
                self.counts.add_done();
                Ok::<_, BackupError>(copied)
            })?;
            for home in done.into_iter().flatten() {
                let task = &home.page.path.task;
                pruned.extend(home.pruned.iter().map(|run| HomeId::run(task.clone(), run.clone())));
                copied.insert(home.page.path.clone(), home);
            }
        }
        // One that was pruned after it was copied. Where a crash kept the prune from going on, it stands, and may
        // have gone on since.
        for run in pruned.iter().filter(|run| !stands(root, run)) {
            copied.remove(run);
        }
        self.tell_of_gone(root, &copied, &pruned);
        let mut totals = SnapshotTotals::default();
        for (id, home) in &copied {
            let counted = if id.run.is_some() { &mut totals.runs } else { &mut totals.tasks };
            *counted += 1;
            totals.files += home.files;
            totals.bytes += home.bytes;
        }
        let homes = copied.into_values().map(|home| home.page).collect();
        let findings = self.findings.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok((homes, findings, totals))
    }

    /// Tells of tasks and runs that a snapshot before has, and that are gone, unless they were pruned. Of a task
    /// that is gone its runs are not told by themselves. What came back since is no loss.
    fn tell_of_gone(
        &self,
        root: &Dir,
        copied: &BTreeMap<HomeId, CopiedHome>,
        pruned: &BTreeSet<HomeId>,
    ) {
        let scope = self.source.scope();
        let mut gone: BTreeMap<&HomeId, &Before> = BTreeMap::new();
        for before in self.before {
            for home in before.homes().filter(|home| !copied.contains_key(*home)) {
                if scope.covers(&home.task, home.run.as_ref()) && !pruned.contains(home) {
                    gone.entry(home).or_insert(before);
                }
            }
        }
        gone.retain(|home, _| !stands(root, home));
        let whole: BTreeSet<_> = gone.keys().filter(|home| home.run.is_none()).copied().collect();
        for (home, before) in &gone {
            if home.run.is_none() || !whole.contains(&HomeId::task(home.task.clone())) {
                let path = format!("{home}/{}", layout::JOURNAL);
                self.tell(Code::JournalMissing, path, &before.holds_what_is_gone());
            }
        }
    }

    /// The tasks and the runs that belong to the source.
    fn homes(&self, root: &Dir) -> Result<(Vec<HomeId>, Vec<HomeId>), BackupError> {
        let scope = self.source.scope();
        let tasks = match &scope.task {
            Some(task) => vec![task.clone()],
            None => self.tasks(root)?,
        };
        let mut runs = Vec::new();
        for task in &tasks {
            match &scope.run {
                Some(run) => runs.push(HomeId::run(task.clone(), run.clone())),
                None => runs.extend(self.runs(root, task)?),
            }
        }
        Ok((tasks.into_iter().map(HomeId::task).collect(), runs))
    }

    /// The tasks. What stands in the place of one is told.
    fn tasks(&self, root: &Dir) -> Result<Vec<TaskId>, BackupError> {
        let mut tasks = Vec::new();
        for (name, kind) in list(root, "")? {
            match (name.parse(), kind) {
                (Ok(task), Kind::Dir) => tasks.push(task),
                (_, Kind::Other) if !name.starts_with('.') => {
                    self.tell(Code::SymbolicLink, name, look::SPECIAL);
                }
                (Err(_), Kind::Dir)
                    if root.stat(&format!("{name}/{}", layout::TASK))?.is_some() =>
                {
                    self.tell(Code::BadId, name, "no task can have this name; it is not copied");
                }
                _ => {}
            }
        }
        Ok(tasks)
    }

    /// The runs of a task. What else stands among them is told.
    fn runs(&self, root: &Dir, task: &TaskId) -> Result<Vec<HomeId>, BackupError> {
        let below = format!("{task}/{}", layout::RUNS);
        let mut runs = Vec::new();
        if is_other(root, &below) {
            self.tell(Code::SymbolicLink, below, look::SPECIAL);
            return Ok(runs);
        }
        for (name, kind) in list(root, &below)? {
            let path = format!("{below}/{name}");
            match (name.parse(), kind) {
                (Ok(run), Kind::Dir) => runs.push(HomeId::run(task.clone(), run)),
                (_, Kind::Other) => self.tell(Code::SymbolicLink, path, look::SPECIAL),
                (Err(_), Kind::Dir) if !name.starts_with('.') => {
                    self.tell(Code::BadId, path, "no run can have this name; it is not copied");
                }
                _ => {}
            }
        }
        Ok(runs)
    }

    fn tell(&self, code: Code, path: impl Into<Utf8PathBuf>, reason: &str) {
        let finding = Finding::whole(path, code, reason);
        self.counts.add_findings(1);
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    fn home(&self, id: &HomeId, is_of_few: bool) -> Result<Option<CopiedHome>, BackupError> {
        // What cannot be read is not trusted, and everything it named is checked.
        let page = |named: &SnapshotPage| self.backup.page(self.objects, named).ok();
        let parent = self.parent.and_then(|parent| parent.named(id));
        let parent_page = parent.and_then(page);
        let known = Known::of(parent_page.iter().flat_map(Page::objects));
        let good = self.before.iter().find_map(|before| before.good(id));
        let good_page = good.and_then(|good| good.named(id)).and_then(|named| match parent {
            Some(parent) if parent.page == named.page => parent_page,
            _ => page(named),
        });
        let earlier = good.zip(good_page.as_ref());
        let earlier = earlier.map(|(snapshot, page)| Earlier { snapshot, page });
        let (root, runtime) = (self.source.root(), self.source.runtime());
        let taken = look::take(root, runtime, id, self.pool, &known, is_of_few, earlier.as_ref())?;
        let Some(Taken { page, mut findings, pruned }) = taken else { return Ok(None) };
        for finding in &mut findings {
            let relative = finding.place.path.strip_prefix(root).map(Utf8PathBuf::from);
            finding.place.path = relative.unwrap_or_else(|_| finding.place.path.clone());
        }
        self.counts.add_findings(findings.len());
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).extend(findings);
        let digest = self.pool.bytes(&page.to_bytes()?, &Known::default())?;
        let (files, bytes) =
            (page.files.len() as u64 + u64::from(page.journal.is_some()), page.size());
        Ok(Some(CopiedHome {
            page: SnapshotPage { path: id.clone(), page: digest },
            files,
            bytes,
            pruned,
        }))
    }
}

/// True if something stands where a directory should, and is none.
fn is_other(root: &Dir, path: &str) -> bool {
    root.stat(path).is_ok_and(|entry| entry.is_some_and(|entry| entry.kind != Kind::Dir))
}

/// True if a task or a run is there, as far as anybody can look.
fn stands(root: &Dir, home: &HomeId) -> bool {
    root.stat(&format!("{home}/{}", home.genesis())).is_ok_and(|entry| entry.is_some())
}

/// What stands in a directory; nothing where that is not there.
fn list(root: &Dir, below: &str) -> Result<Vec<(String, Kind)>, BackupError> {
    match root.list(below) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => Ok(other?),
    }
}
