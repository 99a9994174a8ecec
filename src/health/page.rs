//! The page.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::HealthTrouble;
#[cfg(feature = "sqlite")]
use super::IndexHealth;
use crate::clock::Timestamp;
use crate::error::IoError;
use crate::id::{EventId, RunId, TaskId};
use crate::io::{Dir, Kind};
use crate::journal::types;
use crate::layout;
use crate::lease::LeaseError;
use crate::status::{Completed, Moved, RunStatus};
use crate::verify::{LastVerify, traces};
use crate::workspace::{Task, Workspace, WorkspaceError};

/// Of a disk with less than this, or less than a hundredth, it is told that it is nearly full.
const LITTLE: u64 = 1 << 30;

/// The state of a workspace on one page: a look at the ends of journals, which does not tell
/// whether they are whole.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Its root.
    pub root: Utf8PathBuf,
    /// The version of its format.
    pub format_version: u32,
    /// True if newer code made it, or its disk takes no writes.
    pub read_only: bool,
    /// Bytes that can still be written to its disk, where the system tells.
    pub free_bytes: Option<u64>,
    /// Bytes of its disk.
    pub total_bytes: Option<u64>,
    /// How many tasks there are.
    pub tasks: u64,
    /// How many runs there are.
    pub runs: RunsByStatus,
    /// How many runs are held.
    pub holds: u64,
    /// Journals that somebody has locked now: of tasks, and of runs that did not end.
    pub locked: Vec<LockedJournal>,
    /// Leases that were not released.
    pub leases: Vec<HealthLease>,
    /// Runs whose removal was interrupted: the next prune goes on with it.
    pub trash: u64,
    /// Directories that an interrupted restore left.
    pub restoring: u64,
    /// What the last verify of the whole workspace found; `None` where there was none.
    pub last_verify: Option<LastVerify>,
    /// How the index is.
    #[cfg(feature = "sqlite")]
    pub index: Option<IndexHealth>,
    /// What somebody should see to.
    pub troubles: Vec<HealthTrouble>,
}

/// How many runs have which status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RunsByStatus {
    /// `PLANNING`.
    pub planning: u64,
    /// `EXECUTING`.
    pub executing: u64,
    /// `VERIFYING`.
    pub verifying: u64,
    /// `SUCCESS`.
    pub success: u64,
    /// `FAILED`.
    pub failed: u64,
    /// Those whose journals cannot be read.
    pub unreadable: u64,
}

impl RunsByStatus {
    fn of(&mut self, status: RunStatus) -> &mut u64 {
        match status {
            RunStatus::Planning => &mut self.planning,
            RunStatus::Executing => &mut self.executing,
            RunStatus::Verifying => &mut self.verifying,
            RunStatus::Success => &mut self.success,
            RunStatus::Failed => &mut self.failed,
        }
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        let Self { planning, executing, verifying, success, failed, unreadable } = self;
        planning + executing + verifying + success + failed + unreadable
    }
}

/// A journal that somebody has locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LockedJournal {
    /// The journal, relative to the root.
    pub path: Utf8PathBuf,
    /// Who has it locked.
    pub holder: String,
}

/// A lease on a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HealthLease {
    /// The task.
    pub task: TaskId,
    /// Who claimed it.
    pub worker: String,
    /// When it ends without a renewal.
    pub expires_at: Timestamp,
    /// False once its time is over: then anybody may claim the task.
    pub live: bool,
}

impl Health {
    /// Looks at a workspace: the end of each journal, each lease, each lock, the disk, what the last verify found, and
    /// the index. It changes nothing and waits for nobody. A journal that is locked only while it is looked at is told
    /// too. Whether journals are whole, only a verify tells.
    ///
    /// # Errors
    /// Where the root cannot be read. A task or a run that cannot be read is a trouble.
    pub fn of(workspace: &Workspace) -> Result<Self, WorkspaceError> {
        let root = Dir::open_root(workspace.root())?;
        let space = root.space()?;
        let mut health = Self {
            root: workspace.root().to_owned(),
            format_version: workspace.genesis().format_version,
            read_only: workspace.is_read_only() || space.is_some_and(|space| space.read_only),
            free_bytes: space.map(|space| space.free),
            total_bytes: space.map(|space| space.total),
            tasks: 0,
            runs: RunsByStatus::default(),
            holds: 0,
            locked: Vec::new(),
            leases: Vec::new(),
            trash: entries(&root, layout::TRASH, |name| name.parse::<EventId>().is_ok())?,
            restoring: entries(&root, layout::RESTORING, |_| true)?,
            last_verify: LastVerify::read(workspace)?,
            #[cfg(feature = "sqlite")]
            index: None,
            troubles: Vec::new(),
        };
        if let Some(space) = space
            && space.free < LITTLE.max(space.total / 100)
            && space.total > 0
        {
            let (free_bytes, total_bytes) = (space.free, space.total);
            health.troubles.push(HealthTrouble::DiskNearlyFull { free_bytes, total_bytes });
        }
        if let Some(last) = health.last_verify.as_ref().filter(|last| last.errors > 0) {
            let (at, errors) = (last.at, last.errors);
            health.troubles.push(HealthTrouble::VerifiedWithErrors { at, errors });
        }
        health.note_nameless(&root, "", layout::TASK);
        for id in workspace.tasks()? {
            health.tasks += 1;
            let looked = workspace
                .task(id.clone())
                .map_err(LeaseError::from)
                .and_then(|task| health.look_at(&task));
            if let Err(error) = looked {
                health.unreadable(id.as_str(), &error);
            }
        }
        #[cfg(feature = "sqlite")]
        let health = health.with_index(&crate::index::Index::of(workspace));
        Ok(health)
    }

    /// True if nobody has to see to anything.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.troubles.is_empty()
    }

    fn look_at(&mut self, task: &Task) -> Result<(), LeaseError> {
        self.note_lock(task.id().as_str(), &Dir::open(&task.path())?)?;
        if let Some(lease) = task.lease()?.filter(|lease| !lease.released) {
            self.leases.push(HealthLease {
                task: task.id().clone(),
                live: lease.is_live(),
                worker: lease.worker,
                expires_at: lease.expires_at,
            });
        }
        self.holds += task.holds()?.len() as u64;
        self.note_nameless(&Dir::open(&task.path())?, layout::RUNS, layout::RUN);
        for run in task.runs()? {
            let home = format!("{}/{}/{run}", task.id(), layout::RUNS);
            let looked = status(task, &run).and_then(|status| {
                *self.runs.of(status) += 1;
                if !status.is_final() {
                    self.note_lock(&home, &Dir::open(&task.context(&run).run_path())?)?;
                }
                Ok(())
            });
            if let Err(error) = looked {
                self.runs.unreadable += 1;
                self.unreadable(&home, &error);
            }
        }
        Ok(())
    }

    fn note_lock(&mut self, home: &str, dir: &Dir) -> Result<(), IoError> {
        let lock = match dir.open_lock_shared(layout::LOCK) {
            Err(error) if error.is_not_found() => return Ok(()),
            other => other?,
        };
        if lock.try_shared()? {
            lock.unlock();
        } else {
            let path = Utf8PathBuf::from(home).join(layout::JOURNAL);
            self.locked.push(LockedJournal { path, holder: lock.holder() });
        }
        Ok(())
    }

    /// Tells of tasks or runs in a directory that lost their genesis files, so that they are not among those.
    fn note_nameless(&mut self, dir: &Dir, below: &str, genesis: &str) {
        // What cannot be listed is told of by whoever looks into it.
        for (name, kind) in dir.list(below).unwrap_or_default() {
            let home = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            let file = format!("{home}/{genesis}");
            let is_nameless = kind == Kind::Dir
                && !name.starts_with('.')
                && dir.stat(&file).is_ok_and(|found| found.is_none());
            if is_nameless && let Some(reason) = traces(dir, &format!("{home}/")) {
                let path = dir.path().join(file);
                let path = path.strip_prefix(&self.root).map_or(path.clone(), Utf8Path::to_owned);
                self.troubles.push(HealthTrouble::Unreadable { path, reason: reason.to_owned() });
            }
        }
    }

    fn unreadable(&mut self, path: &str, error: &LeaseError) {
        let (path, reason) = (Utf8PathBuf::from(path), error.to_string());
        self.troubles.push(HealthTrouble::Unreadable { path, reason });
    }
}

/// The status of a run, from the end of its journal.
fn status(task: &Task, run: &RunId) -> Result<RunStatus, LeaseError> {
    let ctx = task.context(run);
    let last = ctx.events()?.last(1)?.next().transpose()?;
    if let Some(last) = last.filter(|last| last.event_type() == types::EXECUTION_COMPLETE) {
        return Ok(last.payload::<Completed>()?.status.into());
    }
    let moved = ctx.events()?.of_type(types::RUN_STATUS_CHANGED).last(1)?.next().transpose()?;
    Ok(match moved {
        Some(moved) => moved.payload::<Moved>()?.to,
        None => RunStatus::default(),
    })
}

fn entries(root: &Dir, dir: &str, counts: impl Fn(&str) -> bool) -> Result<u64, IoError> {
    match root.list(dir) {
        Err(error) if error.is_not_found() => Ok(0),
        other => Ok(other?.iter().filter(|(name, _)| counts(name)).count() as u64),
    }
}
