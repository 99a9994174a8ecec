//! What can go wrong in the tool, and how it is told.

use std::error::Error;
use std::io::{self, ErrorKind, Write as _};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::index::IndexError;
use runjournal::{
    ApprovalError, ArtifactError, BackupError, CheckpointError, ContextError, CursorError,
    FlowError, FlowFileError, JournalError, LeaseError, LineageError, ManifestError, PruneError,
    RepairError, RunStatus, SessionError, StepFailure, TaskId, VerifyError, WorkError,
    WorkspaceError,
};

use super::exit::{
    Exit, of_artifact, of_context, of_index, of_journal, of_lease, of_manifest, of_step, of_system,
    of_workspace,
};
use super::{approval, backup, checkpoint, flow, lineage, prune, queue, repair, session, verify};

/// Why a verb did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Step(#[from] StepFailure),
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("{file} holds no flow that can be run")]
    BadFlow { file: Utf8PathBuf, source: FlowFileError },
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(
        "no lease on {task} is given; name its token with --token N, or set RUNJOURNAL_LEASE to {task}/TOKEN"
    )]
    NoLease { task: TaskId },
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Approval(#[from] ApprovalError),
    #[error(transparent)]
    Lineage(#[from] LineageError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("{text:?} names no turn; after the @ comes its number, as in RUN@3")]
    BadTurn { text: String },
    #[error(transparent)]
    Prune(#[from] PruneError),
    #[error(transparent)]
    Repair(#[from] RepairError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Work(#[from] WorkError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("the index cannot be brought up to the tree; --stale asks it as it is")]
    NotRefreshed { source: IndexError },
    #[error("there is no {what}")]
    NotThere { what: String },
    #[error(
        "there is no workspace at {from} or above it; make one with `runjournal init`, or name one with --root"
    )]
    NoWorkspace { from: Utf8PathBuf },
    #[error("the place of the new workspace is given twice, as {dir} and by --root; give one")]
    TwoPlaces { dir: Utf8PathBuf },
    #[error(
        "no run is given; name one with `-r RUN` (`runjournal run list` shows them), or set RUNJOURNAL_RUN"
    )]
    NoRun,
    #[error(
        "no run's id is {run:?} or starts with it; `runjournal run list` shows those there are"
    )]
    RunNotFound { run: String },
    #[error(
        "there is no task {named}, and no run's id is {named} or starts with it; `runjournal task list` and \
         `runjournal run list` show those there are"
    )]
    NoTaskAndNoRun { named: String },
    #[error("{run:?} fits {}; give more of the id, or TASK/RUN", list(.candidates))]
    AmbiguousRun { run: String, candidates: Vec<String> },
    #[error("{origin} is not JSON{}", appended(*.before))]
    BadPayload {
        origin: String,
        /// Events of earlier batches, which stand.
        before: u64,
        source: serde_json::Error,
    },
    #[error("the batch that starts at line {line} of standard input was refused{}", appended(*.before))]
    BadBatch { line: u64, before: u64, source: Box<JournalError> },
    #[error("there is no seq {seq} in {run}; {}", last_seq(*.last))]
    NoRecord { seq: u64, run: String, last: u64 },
    #[error("--follow has no end to close a document at; give --format jsonl")]
    EndlessDocument,
    #[error(
        "{file} does not hold a cursor; name another file, or remove it to print from the first event"
    )]
    BadCursor { file: Utf8PathBuf, source: CursorError },
    #[error(
        "the cursor in {file} is of another history; remove the file to print from the first event"
    )]
    StaleCursor { file: Utf8PathBuf, source: Box<JournalError> },
    #[error("{path} exists already; give --force to replace it, or choose another file")]
    FileExists { path: Utf8PathBuf },
    #[error("{run} ended before, as {status} too, but {}; give that reason, or start a new run", reason_of(.reason))]
    OtherReason { run: String, status: RunStatus, reason: Option<String> },
    #[error("cannot {action} {path}")]
    File { action: &'static str, path: Utf8PathBuf, source: io::Error },
    #[error("cannot read standard input")]
    Input { source: io::Error },
    #[error("cannot wait for Ctrl-C and its like")]
    Interrupt { source: io::Error },
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
    #[error("the result cannot be written as JSON")]
    Render(#[from] serde_json::Error),
}

impl CliError {
    /// For `map_err` of an operation on a file of the user's.
    pub(crate) fn file<'a>(
        action: &'static str,
        path: &'a Utf8Path,
    ) -> impl Fn(io::Error) -> Self + use<'a> {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    /// Tells the user: what, why, and what to do, with the index that was named by `--index`.
    pub(crate) fn print(&self, index: Option<&Utf8Path>) -> Exit {
        if self.is_closed_pipe() {
            return Exit::Fine;
        }
        let mut text = format!("error: {self}\n");
        for because in self.causes() {
            text.push_str(&format!("  because: {because}\n"));
        }
        if let Some(verb) = self.verb(index) {
            text.push_str(&format!("  to do: {verb}\n"));
        }
        // Where standard error is closed, the exit code has to do.
        let _ = io::stderr().write_all(text.as_bytes());
        self.exit()
    }

    /// What and why in one line, for pages that go on after it.
    pub(crate) fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        for because in self.causes() {
            text.push_str(&format!(": {because}"));
        }
        text
    }

    /// Why, in one line.
    pub(crate) fn why(&self) -> String {
        self.causes().join(": ")
    }

    /// The causes, outermost first, without those that a message before them holds already.
    fn causes(&self) -> Vec<String> {
        let mut told = self.to_string();
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.contains(&text) {
                told.push_str(&text);
                causes.push(text);
            }
            cause = error.source();
        }
        causes
    }

    /// What the tool offers, where the library's message cannot name a verb.
    fn verb(&self, index: Option<&Utf8Path>) -> Option<String> {
        let error = match self {
            Self::Workspace(error) => error,
            Self::Index(error) | Self::NotRefreshed { source: error } => {
                return verb_of_index(error, index);
            }
            Self::Flow(error) => return verb_of_flow(error),
            Self::BadFlow { file, .. } => {
                return Some(format!("`runjournal flow check {file}` lists what is wrong"));
            }
            _ => return None,
        };
        Some(match error {
            WorkspaceError::NotAWorkspace { .. } => "`runjournal init` makes one".to_owned(),
            WorkspaceError::WorkspaceExists { .. }
            | WorkspaceError::TaskExists { .. }
            | WorkspaceError::RunExists { .. } => "--if-absent uses it as it is".to_owned(),
            WorkspaceError::TaskNotFound { .. } => {
                "`runjournal task list` shows those there are".to_owned()
            }
            WorkspaceError::RunNotFound { task, .. } => {
                format!("`runjournal run list {task}` shows those there are")
            }
            WorkspaceError::NotApplied { .. } => {
                "`runjournal run show` tells which, and what to do about it".to_owned()
            }
            _ => return None,
        })
    }

    /// The reader of our output has seen enough: no error.
    fn is_closed_pipe(&self) -> bool {
        match self {
            Self::Output(error) => error.kind() == ErrorKind::BrokenPipe,
            Self::Render(error) => error.io_error_kind() == Some(ErrorKind::BrokenPipe),
            _ => false,
        }
    }

    /// The exit code that says what kind of trouble it is.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Workspace(error) => of_workspace(error),
            Self::Context(error) => of_context(error),
            Self::Journal(error) => of_journal(error),
            Self::Artifact(error) => of_artifact(error),
            Self::Manifest(error) => of_manifest(error),
            Self::Step(error) => of_step(error),
            Self::Flow(error) => flow::exit_of(error),
            Self::Lease(error) => of_lease(error),
            Self::Session(error) => session::exit_of(error),
            Self::Approval(error) => approval::exit_of(error),
            Self::Lineage(error) => lineage::exit_of(error),
            Self::Checkpoint(error) => checkpoint::exit_of(error),
            Self::Prune(error) => prune::exit_of(error),
            Self::Repair(error) => repair::exit_of(error),
            Self::Verify(error) => verify::exit_of(error),
            Self::Work(error) => queue::exit_of(error),
            Self::Backup(error) => backup::exit_of(error),
            Self::Index(error) | Self::NotRefreshed { source: error } => of_index(error),
            Self::BadBatch { source, .. } | Self::StaleCursor { source, .. } => of_journal(source),
            Self::TwoPlaces { .. }
            | Self::NoRun
            | Self::NoLease { .. }
            | Self::AmbiguousRun { .. }
            | Self::EndlessDocument
            | Self::BadTurn { .. }
            | Self::BadCursor { .. }
            | Self::BadFlow { .. }
            | Self::BadPayload { .. } => Exit::Usage,
            Self::NotThere { .. }
            | Self::NoWorkspace { .. }
            | Self::RunNotFound { .. }
            | Self::NoTaskAndNoRun { .. }
            | Self::NoRecord { .. } => Exit::NotFound,
            Self::FileExists { .. } | Self::OtherReason { .. } => Exit::Conflict,
            Self::File { source, .. } => of_system(source),
            Self::Input { .. } | Self::Interrupt { .. } | Self::Output(_) | Self::Render(_) => {
                Exit::Internal
            }
        }
    }
}

fn verb_of_flow(error: &FlowError) -> Option<String> {
    let verb = match error {
        FlowError::Step(StepFailure::Failed { .. } | StepFailure::InputMissing { .. }) => {
            "`runjournal flow resume` tries it again; the run is open"
        }
        FlowError::Stopped { .. } => "`runjournal flow resume` goes on; the run is open",
        FlowError::AlreadyRunning { .. } => "`runjournal flow show` tells how far it is",
        _ => return None,
    };
    Some(verb.to_owned())
}

fn verb_of_index(error: &IndexError, index: Option<&Utf8Path>) -> Option<String> {
    let named = index.map(|index| format!(" --index {index}")).unwrap_or_default();
    let verb = match error {
        IndexError::NotBuilt { .. }
        | IndexError::OtherSchema { .. }
        | IndexError::Damaged { .. } => "rebuild",
        IndexError::MovedOn { .. } | IndexError::NotIndexed { .. } => "refresh",
        _ => return None,
    };
    Some(format!("`runjournal{named} index {verb}`"))
}

/// The first few candidates; a prefix such as `0` fits every UUID there is.
fn list(candidates: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = candidates.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = candidates.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

fn reason_of(reason: &Option<String>) -> String {
    match reason {
        Some(reason) => format!("the reason was {reason:?}"),
        None => "without a reason".to_owned(),
    }
}

fn last_seq(last: u64) -> String {
    if last == 0 { "it has no events yet".to_owned() } else { format!("its last is {last}") }
}

fn appended(before: u64) -> String {
    match before {
        0 => "; nothing was appended".to_owned(),
        before => format!("; the {before} events of the batches before it stand"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_cannot_be_had_has_a_code_for_each_reason() {
        let path = || Utf8PathBuf::from("x");
        let busy = IndexError::Busy {
            path: path(),
            holder: "somebody".to_owned(),
            waited: std::time::Duration::ZERO,
        };
        let other = IndexError::OtherSchema { path: path(), found: "9".into(), known: "1".into() };
        let damaged = IndexError::Damaged { path: path(), reason: "bits".to_owned() };
        assert_eq!(of_index(&IndexError::NotBuilt { path: path() }) as u8, 3);
        assert_eq!(of_index(&busy) as u8, 4);
        assert_eq!(of_index(&damaged) as u8, 5);
        assert_eq!(of_index(&other) as u8, 6);
        let told = CliError::NotRefreshed { source: busy };
        assert_eq!(told.exit() as u8, 4);
        assert!(told.in_one_line().contains("--stale"), "{}", told.in_one_line());
    }
}
