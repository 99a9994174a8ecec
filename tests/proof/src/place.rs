//! Where a trial happens, and what its worker acknowledged.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::with_eager_heads;
use runjournal::{Appended, Committed, Digest, Run, RunContext, Stored, Task, Workspace};

use crate::{Outcome, Violation};

/// The task of every trial.
pub(crate) const TASK: &str = "TASK-1";
/// The run of every trial.
pub(crate) const RUN: &str = "RUN-1";

/// The directory of one trial: a workspace, and next to it what was acknowledged.
#[derive(Debug, Clone)]
pub struct Place {
    dir: Utf8PathBuf,
    again: bool,
    within: Arc<AtomicBool>,
}

impl Place {
    /// The place in this directory.
    #[must_use]
    pub fn new(dir: impl Into<Utf8PathBuf>) -> Self {
        Self { dir: dir.into(), again: false, within: Arc::default() }
    }

    /// The same place, for a caller who makes the call again after a crash.
    #[must_use]
    pub fn once_more(mut self) -> Self {
        self.again = true;
        self
    }

    /// True where the call may have been made before: "it exists already" is a good answer then.
    #[must_use]
    pub fn again(&self) -> bool {
        self.again
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// The workspace's root.
    #[must_use]
    pub fn root(&self) -> Utf8PathBuf {
        self.dir.join("above/workspaces")
    }

    /// The run's directory.
    #[must_use]
    pub fn run_dir(&self) -> Utf8PathBuf {
        self.root().join(TASK).join("runs").join(RUN)
    }

    /// From now on, and in every copy, each journal gets a head after every record.
    ///
    /// # Errors
    /// Where that cannot be noted.
    pub fn leave_heads(&self) -> Outcome {
        Ok(std::fs::write(self.dir.join(HEADS), "")?)
    }

    /// True if each journal gets a head after every record.
    #[must_use]
    pub fn has_heads(&self) -> bool {
        self.dir.join(HEADS).exists()
    }

    /// The workspace.
    ///
    /// # Errors
    /// Where there is none.
    pub fn workspace(&self) -> Outcome<Workspace> {
        let workspace = Workspace::open(self.root())?;
        Ok(if self.has_heads() { with_eager_heads(workspace) } else { workspace })
    }

    /// The task.
    ///
    /// # Errors
    /// Where there is none.
    pub fn task(&self) -> Outcome<Task> {
        Ok(self.workspace()?.task(TASK)?)
    }

    /// The run.
    ///
    /// # Errors
    /// Where there is none.
    pub fn run(&self) -> Outcome<Run> {
        Ok(self.task()?.run(RUN)?)
    }

    /// The run's context.
    ///
    /// # Errors
    /// Where there is no run.
    pub fn ctx(&self) -> Outcome<RunContext> {
        Ok(self.run()?.context().clone())
    }

    /// Marks where the system calls of the operation begin: a look at a file that is not there.
    pub fn begin(&self) {
        let _ = std::fs::metadata(BEGIN);
        self.within.store(true, Ordering::SeqCst);
    }

    /// Marks where they end.
    pub fn end(&self) {
        self.within.store(false, Ordering::SeqCst);
        let _ = std::fs::metadata(END);
    }

    /// True between the marks, in this process.
    pub(crate) fn within(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.within)
    }

    /// What was acknowledged so far, line by line.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn acknowledged(&self) -> Outcome<Vec<String>> {
        let text = std::fs::read_to_string(self.dir.join(ACKS)).unwrap_or_default();
        // A line without its end was not acknowledged: the worker died while it said so.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole.lines().map(str::to_owned).collect())
    }
}

/// The path that [`Place::begin`] looks at.
pub(crate) const BEGIN: &str = "proof-mark-begin";
/// The path that [`Place::end`] looks at.
pub(crate) const END: &str = "proof-mark-end";
const ACKS: &str = "acks";
const HEADS: &str = "eager-heads";

/// Where a worker tells what was acknowledged to it: one line, in one write, after the call returned.
#[derive(Debug)]
pub struct Acks {
    file: File,
}

impl Acks {
    /// Opens the acknowledgements of a place, before the operation begins.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(place: &Place) -> Outcome<Self> {
        let file = OpenOptions::new().append(true).create(true).open(place.dir.join(ACKS))?;
        Ok(Self { file })
    }

    /// Tells one line. A fact that no invariant knows is for the operation's own `holds`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn tell(&mut self, line: &str) -> Outcome {
        Ok(self.file.write_all(format!("{line}\n").as_bytes())?)
    }

    /// An event of the run was appended.
    ///
    /// # Errors
    /// As [`tell`](Acks::tell).
    pub fn appended(&mut self, appended: &Appended) -> Outcome {
        self.tell(&format!("event {} {}", appended.seq, appended.event_id))
    }

    /// The newest event of the run was appended, by a call that does not say which it is.
    ///
    /// # Errors
    /// As [`tell`](Acks::tell), and where the run has no event.
    pub fn newest(&mut self, ctx: &RunContext) -> Outcome {
        let newest = ctx.events()?.last(1)?.next().transpose()?;
        let newest = newest.ok_or_else(|| Violation::new("the run has no event"))?;
        self.tell(&format!("event {} {}", newest.seq(), newest.event_id()))
    }

    /// An artifact was written, removed or adopted.
    ///
    /// # Errors
    /// As [`tell`](Acks::tell).
    pub fn stored(&mut self, stored: &Stored) -> Outcome {
        let digest = stored.digest.map_or_else(|| "removed".to_owned(), |d: Digest| d.to_string());
        self.tell(&format!("artifact {} {digest} {}", stored.seq, stored.name))
    }

    /// A transaction was committed: one line for all of it.
    ///
    /// # Errors
    /// As [`tell`](Acks::tell).
    pub fn committed(&mut self, committed: &Committed) -> Outcome {
        for stored in &committed.artifacts {
            self.stored(stored)?;
        }
        committed.events.iter().try_for_each(|event| self.appended(event))
    }
}
