//! The page.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::HealthTrouble;
#[cfg(feature = "sqlite")]
use super::IndexHealth;
use crate::clock::Timestamp;
use crate::error::IoError;
use crate::id::{EventId, TaskId};
use crate::io::Dir;
use crate::layout;
use crate::status::RunStatus;
use crate::verify::LastVerify;
use crate::workspace::{Workspace, WorkspaceError};

/// Of a disk with less than this, or less than a hundredth, it is told that it is nearly full.
const LITTLE: u64 = 1 << 30;

/// The state of a workspace on one page: a look at the ends of journals, which does not tell
/// whether they are whole.
#[derive(Debug, Clone, Default, Serialize)]
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
    pub(super) fn of(&mut self, status: RunStatus) -> &mut u64 {
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
    /// Looks at a workspace as [`Overview`](super::Overview::of) does: the journals of tasks and of runs that did not end,
    /// the ends of others, each lease, each lock, the disk, what the last verify found, and the index. It changes
    /// nothing and waits for nobody. A journal that is locked only while it is looked at is told too. Whether journals
    /// are whole, only a verify tells.
    ///
    /// # Errors
    /// Where the root cannot be read. A task or a run that cannot be read is a trouble.
    pub fn of(workspace: &Workspace) -> Result<Self, WorkspaceError> {
        let health = super::overview::health_of(workspace)?;
        #[cfg(feature = "sqlite")]
        let health = health.with_index(&crate::index::Index::of(workspace));
        Ok(health)
    }

    /// What can be told before its tasks are looked at.
    pub(super) fn begin(workspace: &Workspace, root: &Dir) -> Result<Self, WorkspaceError> {
        let space = root.space()?;
        let mut health = Self {
            root: workspace.root().to_owned(),
            format_version: workspace.genesis().format_version,
            read_only: workspace.is_read_only() || space.is_some_and(|space| space.read_only),
            free_bytes: space.map(|space| space.free),
            total_bytes: space.map(|space| space.total),
            trash: entries(root, layout::TRASH, |name| name.parse::<EventId>().is_ok())?,
            restoring: entries(root, layout::RESTORING, |_| true)?,
            last_verify: LastVerify::read(workspace)?,
            ..Self::default()
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
        Ok(health)
    }

    /// True if nobody has to see to anything.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.troubles.is_empty()
    }
}

fn entries(root: &Dir, dir: &str, counts: impl Fn(&str) -> bool) -> Result<u64, IoError> {
    match root.list(dir) {
        Err(error) if error.is_not_found() => Ok(0),
        other => Ok(other?.iter().filter(|(name, _)| counts(name)).count() as u64),
    }
}
