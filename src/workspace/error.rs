//! What can go wrong with workspaces, tasks and runs as a whole.

use camino::Utf8PathBuf;

use super::UnmetReport;
use crate::clock::Timestamp;
use crate::error::IoError;
use crate::genesis::GenesisError;
use crate::id::{IdError, RunId, TaskId};
use crate::journal::JournalError;
use crate::status::{RunStatus, TaskStatus};

/// A workspace, a task or a run cannot be made, found or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkspaceError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// A genesis file is damaged, or newer than this code.
    #[error(transparent)]
    Genesis(GenesisError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The text cannot be an id.
    #[error(transparent)]
    Id(IdError),
    /// There is no workspace.
    #[error("there is no workspace at {path}; create it, or choose another path")]
    NotAWorkspace {
        /// Where it was looked for.
        path: Utf8PathBuf,
    },
    /// There is a workspace already.
    #[error("{path} is a workspace already; open it, or choose another path")]
    WorkspaceExists {
        /// Its root.
        path: Utf8PathBuf,
    },
    /// Tasks stand there, so there was a workspace: another id would make all of its backups strangers.
    #[error(
        "{path} has lost its workspace.json: the task {task} stands there; copy the file from a backup \
         (`runjournal backup restore DEST --to ELSEWHERE` has it), or move the tasks away"
    )]
    GenesisLost {
        /// The root.
        path: Utf8PathBuf,
        /// A task that stands there.
        task: TaskId,
    },
    /// There is no such task.
    #[error("there is no task {task}; create it, or choose one that is there")]
    TaskNotFound {
        /// Its id.
        task: TaskId,
    },
    /// There is such a task already.
    #[error("the task {task} exists already; open it, or choose another id")]
    TaskExists {
        /// Its id.
        task: TaskId,
    },
    /// There is no such run.
    #[error("there is no run {task}/{run}; start it, or choose one that is there")]
    RunNotFound {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
    },
    /// There is such a run already; a run is never reused.
    #[error("the run {task}/{run} exists already; open it to go on with it, or choose another id")]
    RunExists {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
    },
    /// There was such a run, and it was pruned; its id is not given away again.
    #[error(
        "the run {task}/{run} was pruned at {at}; choose another id, or restore the run from a backup: `runjournal backup restore DEST {task}/{run}`"
    )]
    RunPruned {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// When it was pruned.
        at: Timestamp,
    },
    /// There was such a run, and it is lost: a new one under its id would hide that.
    #[error(
        "the run {task}/{run} was {done}, and is not there any more; put it back with `runjournal backup restore DEST {task}/{run}`, \
         give it up with `runjournal run unhold {task}/{run}`, or choose another id"
    )]
    RunLost {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// What was done with it that it was there for.
        done: &'static str,
    },
    /// There was such a run, and it was moved to another task; its id is not given away again.
    #[error("the run {task}/{run} was moved to {to} at {at}; use it there, or choose another id")]
    RunMoved {
        /// The task that it was in.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// `TASK/RUN` that it became.
        to: String,
        /// When it was moved.
        at: Timestamp,
    },
    /// A run was to be moved to this place, and is not there.
    #[error(
        "the run {task}/{run} was to be moved there from {from}, and is not there; `runjournal run move {from} {task}` \
         moves it, or choose another id"
    )]
    MoveUnfinished {
        /// The task that it was to be moved to.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// `TASK/RUN` that it was.
        from: String,
    },
    /// A run cannot be moved to this task.
    #[error("the run {task}/{run} cannot be moved to {to}: {reason}; choose another task")]
    CannotMove {
        /// The task that it is in.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// The task that it was to be moved to.
        to: TaskId,
        /// Why.
        reason: &'static str,
    },
    /// Somebody holds the run, so it stays where it is.
    #[error(
        "the run {task}/{run} is held: {reason}; let go of it with `runjournal run unhold {task}/{run}`"
    )]
    RunHeld {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// Why it is held.
        reason: String,
    },
    /// A step of the run runs now.
    #[error("a step of the run {task}/{run} runs now: {holder}; wait until it ends, or end it")]
    RunBusy {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// Who runs it.
        holder: String,
    },
    /// A hold cannot be placed with these words.
    #[error("the run {task}/{run} cannot be held: {what} {reason}")]
    BadHold {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// Which of the words.
        what: &'static str,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// The run ended before, and otherwise.
    #[error("{task}/{run} ended before, as {status}{}, and an end is final, with its reason; start a new run", brackets(.reason))]
    EndedOtherwise {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// How it ended.
        status: RunStatus,
        /// Why, where somebody said so.
        reason: Option<String>,
    },
    /// Runs of the task did not end, so it cannot be archived.
    #[error("{task} cannot be archived: {} did not end; complete or prune them first", few(runs))]
    RunsOpen {
        /// The task.
        task: TaskId,
        /// The runs.
        runs: Vec<RunId>,
    },
    /// The task is archived, which is final.
    #[error(
        "{task} is archived, and takes no new runs, so {run} is not started; make a new task for it with \
         `runjournal task create`"
    )]
    TaskArchived {
        /// The task.
        task: TaskId,
        /// The run that was to start.
        run: RunId,
    },
    /// Steps have started and not ended, so the run cannot succeed.
    #[error(
        "{task}/{run} cannot succeed: {} started and did not end; run them to their end, or complete it as failed",
        steps.join(", ")
    )]
    StepsOpen {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// The steps.
        steps: Vec<String>,
    },
    /// Reports that the run's success requires are not there, or do not pass.
    #[error(
        "{task}/{run} cannot succeed: {}; write reports that pass, or complete it as failed",
        faults(.reports)
    )]
    NotPassed {
        /// Its task.
        task: TaskId,
        /// Its id.
        run: RunId,
        /// Each of them, and what is wrong with it.
        reports: Vec<UnmetReport>,
    },
    /// A run cannot go from the one state to the other.
    #[error("a run cannot go from {from} to {to}{}", ways(.from, .from.next()))]
    IllegalRunMove {
        /// Where it is.
        from: RunStatus,
        /// Where it was to go.
        to: RunStatus,
    },
    /// A task cannot go from the one state to the other.
    #[error("a task cannot go from {from} to {to}{}", ways(.from, .from.next()))]
    IllegalTaskMove {
        /// Where it is.
        from: TaskStatus,
        /// Where it was to go.
        to: TaskStatus,
    },
    /// A committed artifact is not in place yet, so the run cannot be closed.
    #[error(
        "a committed artifact of {path} is not in place yet, so the run cannot complete; look at \
         its findings, which tell which it is, and what to do"
    )]
    NotApplied {
        /// The run's directory.
        path: Utf8PathBuf,
    },
    /// A journal stands where the run was not made to its end.
    #[error(
        "{path} holds records, but its run.json is missing: that is damage; `runjournal repair --from BACKUP` puts it \
         back"
    )]
    GenesisMissing {
        /// The journal.
        path: Utf8PathBuf,
    },
}

impl From<IdError> for WorkspaceError {
    fn from(error: IdError) -> Self {
        Self::Id(error)
    }
}

impl From<GenesisError> for WorkspaceError {
    fn from(error: GenesisError) -> Self {
        match error {
            GenesisError::Io(error) => Self::Io(error),
            other => Self::Genesis(other),
        }
    }
}

fn brackets(reason: &Option<String>) -> String {
    reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default()
}

fn faults(reports: &[UnmetReport]) -> String {
    reports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", and ")
}

/// The first of many.
fn few(runs: &[RunId]) -> String {
    const NAMED: usize = 10;
    let named: Vec<_> = runs.iter().take(NAMED).map(RunId::as_str).collect();
    let more = runs.len() - named.len();
    let others = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{others}", named.join(", "))
}

fn ways<T: std::fmt::Display>(from: &T, next: &[T]) -> String {
    if next.is_empty() {
        return format!(": {from} is final");
    }
    let next = next.iter().map(ToString::to_string).collect::<Vec<_>>();
    format!(", only to {}", next.join(", "))
}
