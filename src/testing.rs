//! For tests, ours and yours: a workspace in a temporary directory whose times and ids are the same
//! in every run. Feature `testing`, which belongs among your dev-dependencies:
//! `cargo add --dev --path ../runjournal --features testing`.
//!
//! What is stable: what one process appends in one order. The clock and the ids do not cross to child
//! processes, and threads take ids in the order in which they come. A snapshot of a whole run,
//! `assert_run_snapshot!`, depends on neither. `docs/testing.md` shows how a node, a flow and a crash are tested.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use uuid::Uuid;

use crate::clock::{Clock, Timestamp};
use crate::context::RunContext;
use crate::id::{IdError, IdSource, RunId, TaskId};
use crate::journal::{HeadPolicy, Runtime};
pub use crate::step::crash;
use crate::workspace::{Task, TaskOptions, Workspace, WorkspaceError};

/// A clock that starts at a fixed time and goes on by a millisecond each time it is read.
#[derive(Debug)]
pub struct FixedClock {
    microseconds: AtomicI64,
}

impl FixedClock {
    /// Starts at this time.
    #[must_use]
    pub fn starting_at(time: Timestamp) -> Self {
        Self { microseconds: AtomicI64::new(time.as_microseconds()) }
    }

    /// Moves the clock, forward or back.
    pub fn advance(&self, microseconds: i64) {
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }
}

impl Default for FixedClock {
    /// Starts at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::starting_at(Timestamp::from_microseconds(1_767_225_600_000_000))
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microseconds(self.microseconds.fetch_add(1000, Ordering::Relaxed))
    }
}

/// Ids that count: `00000000-0000-7000-8000-000000000001` and so on.
#[derive(Debug, Default)]
pub struct CountingIds {
    last: AtomicU64,
}

impl IdSource for CountingIds {
    fn next_id(&self, _now: Timestamp) -> Uuid {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        Uuid::from_u128(0x7000_8000_0000_0000_0000 | u128::from(number))
    }
}

/// With `RUNJOURNAL_TEST_HEADS=eager` in the environment, all test workspaces are as
/// [`TestWorkspace::with_eager_heads`] makes them.
fn head_policy() -> HeadPolicy {
    if std::env::var_os("RUNJOURNAL_TEST_HEADS").is_some_and(|value| value == "eager") {
        EAGER_HEADS
    } else {
        HeadPolicy::default()
    }
}

const EAGER_HEADS: HeadPolicy = HeadPolicy {
    scanned_records: 1,
    scanned_bytes: 1,
    behind_records: 1,
    behind_bytes: 1,
    names: 3,
    bytes: 1,
    names_scanning: 4,
    recent: 5,
};

/// The same workspace with heads as [`TestWorkspace::with_eager_heads`] has them: for another process
/// that works on it, or on a workspace that is none of a test's.
#[must_use]
pub fn with_eager_heads(workspace: Workspace) -> Workspace {
    workspace.with_heads(EAGER_HEADS)
}

/// A test could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// No temporary directory could be made, or its path is not UTF-8.
    #[error("cannot make a temporary directory")]
    Directory(#[from] std::io::Error),
    /// The workspace could not be made.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// An id of the test breaks the rule of ids.
    #[error(transparent)]
    Id(#[from] IdError),
}

/// A workspace in a temporary directory, with a [`FixedClock`] and [`CountingIds`]; the directory goes
/// when it is dropped.
///
/// ```
/// # #[cfg(feature = "testing")] fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use runjournal::testing::TestWorkspace;
/// use runjournal::{Artifact, Signal};
///
/// const ANSWER: Artifact<u32> = Artifact::json("answer.json");
///
/// let test = TestWorkspace::new()?;
/// let ctx = test.start_run("RUN-1")?;
/// let signal = ctx.step("think", |s| {
///     s.write(ANSWER, &42)?;
///     Ok(Signal::new("done"))
/// })?;
/// assert_eq!(signal, "done");
/// assert_eq!(ctx.artifacts().read(ANSWER)?, 42);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "testing"))] fn main() {}
/// ```
#[derive(Debug)]
pub struct TestWorkspace {
    workspace: Workspace,
    task: Task,
    clock: Arc<FixedClock>,
    /// Last, so that the directory goes after everything that points into it.
    dir: tempfile::TempDir,
}

impl TestWorkspace {
    /// A new workspace with one task, `TASK-1`.
    ///
    /// # Errors
    /// Where the temporary directory, or the workspace in it, cannot be made.
    pub fn new() -> Result<Self, TestError> {
        Self::with(head_policy())
    }

    /// A new workspace whose journals get a head after every record, and tables of a few entries: what
    /// long journals get, in short ones.
    ///
    /// # Errors
    /// As [`new`](TestWorkspace::new).
    pub fn with_eager_heads() -> Result<Self, TestError> {
        Self::with(EAGER_HEADS)
    }

    fn with(head: HeadPolicy) -> Result<Self, TestError> {
        let dir = tempfile::tempdir()?;
        let root = Utf8PathBuf::from_path_buf(dir.path().join("workspaces"))
            .map_err(|_| std::io::Error::other("its path is not UTF-8"))?;
        let clock = Arc::new(FixedClock::default());
        let runtime = Runtime {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Arc::new(CountingIds::default()),
            head,
            ..Runtime::default()
        };
        let workspace = Workspace::create_with(&root, runtime)?;
        let options = TaskOptions {
            title: "A task for tests".to_owned(),
            objective: "To be the same in every run".to_owned(),
        };
        let task = workspace.create_task(TaskId::new("TASK-1")?, options)?;
        Ok(Self { workspace, task, clock, dir })
    }

    /// The workspace.
    #[must_use]
    pub fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Its task.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Its clock, to be moved.
    #[must_use]
    pub fn clock(&self) -> &FixedClock {
        &self.clock
    }

    /// The workspace's root.
    #[must_use]
    pub fn root(&self) -> &Utf8Path {
        self.workspace.root()
    }

    /// Starts a run of the task.
    ///
    /// # Errors
    /// Where there is a run with that id, or the id cannot be one.
    pub fn start_run(&self, run_id: &str) -> Result<RunContext, TestError> {
        Ok(self.task.start_run_as(RunId::new(run_id)?)?)
    }

    /// Keeps the directory, to look at it after a failed test, and tells where it is.
    #[must_use]
    pub fn keep(self) -> Utf8PathBuf {
        let root = self.workspace.root().to_owned();
        let _ = self.dir.keep();
        root
    }
}
