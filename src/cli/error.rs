//! What can go wrong in the tool, and how it is told.

use std::error::Error;
use std::io::{self, ErrorKind};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::index::IndexError;
use runjournal::tree::TreeError;
use runjournal::{
    ApprovalError, ArtifactError, BackupError, CheckpointError, ContextError, CursorError,
    FlowError, FlowFileError, IoError, JournalError, LeaseError, LineageError, ManifestError,
    PruneError, RepairError, RunStatus, SessionError, StepFailure, TaskId, VerifyError, WorkError,
    WorkspaceError,
};

use super::advice::{is_foreign, joined, of_answer, parted};
use super::exit::{
    Exit, of_artifact, of_context, of_index, of_io, of_journal, of_lease, of_manifest, of_step,
    of_workspace,
};
use super::output::hint_lines;
use super::units::count;
use super::{
    approval, backup, checkpoint, exit, flow, lineage, prune, queue, repair, session, verify,
};

/// Of what a text may stand for, so much is listed.
const CANDIDATES: usize = 8;

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
    #[error("{text:?} names no turn; give its number behind the @, as in RUN@3")]
    BadTurn { text: String },
    #[error(transparent)]
    Tree(#[from] TreeError),
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
    #[error("the index cannot be brought up to the tree; ask it as it is with --stale")]
    NotRefreshed { source: IndexError },
    #[error("there is no {what}; {to_do}")]
    NotThere { what: String, to_do: &'static str },
    #[error(
        "there is no workspace at {from} or above it; make one with `runjournal init`, or name one with --root"
    )]
    NoWorkspace { from: Utf8PathBuf },
    #[error(
        "{root} is no workspace yet: a restore into it was begun, and has not ended; run the same `runjournal \
         backup restore` again, with that directory behind --to"
    )]
    RestoreNotEnded { root: Utf8PathBuf },
    #[error(
        "{backup} has no snapshot of the workspace at {root}, only of others; restore one of those elsewhere \
         (`--to DIR`), or name another backup"
    )]
    OtherWorkspace { backup: Utf8PathBuf, root: Utf8PathBuf },
    #[error(
        "{text:?} names a turn, and --tree compares runs as they stand now; leave the turn out"
    )]
    TreeOfTurn { text: String },
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
    #[error("{run:?} fits {}: {}; give more of the id, or TASK/RUN", count(candidates.len(), "run"), list(.candidates))]
    AmbiguousRun { run: String, candidates: Vec<String> },
    #[error("{origin} is not JSON{}; write one JSON value, in UTF-8", appended(*.before))]
    BadPayload {
        origin: String,
        /// Events of earlier batches, which stand.
        before: u64,
        source: serde_json::Error,
    },
    #[error("the batch that starts at line {line} of standard input was refused{}", appended(*.before))]
    BadBatch { line: u64, before: u64, source: Box<JournalError> },
    #[error("there is no seq {seq} in {run}, {}; list what is there with `runjournal event log`", last_seq(*.last))]
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
    #[error("{path} is not a file, so it is not replaced; choose another file")]
    NotAFile { path: Utf8PathBuf },
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

    /// Tells the user on standard error: what, why, and what to do, with the verb that was typed and the index that
    /// was named by `--index`.
    pub(crate) fn print(&self, verb: &str, index: Option<&Utf8Path>) -> Exit {
        if self.is_closed_pipe() {
            return Exit::Fine;
        }
        hint_lines(&self.told(verb, index));
        self.exit()
    }

    /// Three lines: what failed, why where more is known, what to do. In a message of ours, what to do stands behind
    /// its last `; `. What a text may stand for is a line each.
    fn told(&self, verb: &str, index: Option<&Utf8Path>) -> Vec<String> {
        let mut advices = Vec::new();
        let mut parts = Vec::new();
        let message = (self.to_string(), true);
        for (part, is_ours) in std::iter::once(message).chain(self.causes()) {
            let (what, to_do) = if is_ours { parted(&part) } else { (part.as_str(), None) };
            parts.push(what.to_owned());
            advices.extend(to_do.map(str::to_owned));
        }
        let mut what = parts.remove(0);
        let mut because = Vec::new();
        if let Some(candidates) = self.candidates() {
            let listed = format!(": {}", list(candidates));
            what = what.replace(&listed, "");
            because.push("  because: it is the beginning of each of these".to_owned());
            because.extend(first(candidates).map(|candidate| format!("    {candidate}")));
            because.extend(more(candidates).map(|more| format!("    and {more} more")));
        } else if !parts.is_empty() {
            because.push(format!("  because: {}", parts.join(": ")));
        }
        let system = of_answer(self);
        let advice = joined(&advices, system);
        let to_do = self.verb(advice.as_deref(), index).or(advice);
        let to_do = to_do.or(system.map(str::to_owned));
        let to_do = to_do.unwrap_or_else(|| self.exit().advice(verb));
        let mut lines = vec![format!("error: {what}")];
        lines.append(&mut because);
        lines.push(format!("  to do: {to_do}"));
        lines
    }

    /// What a text may stand for.
    fn candidates(&self) -> Option<&[String]> {
        match self {
            Self::AmbiguousRun { candidates, .. }
            | Self::Backup(BackupError::AmbiguousSnapshot { candidates, .. }) => Some(candidates),
            _ => None,
        }
    }

    /// What and why in one line, for pages that go on after it.
    pub(crate) fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        for (because, _) in self.causes() {
            text.push_str(&format!(": {because}"));
        }
        text
    }

    /// Why, in one line.
    pub(crate) fn why(&self) -> String {
        self.causes().into_iter().map(|(because, _)| because).collect::<Vec<_>>().join(": ")
    }

    /// The causes, outermost first, without those that a message before them holds already; and whether each is a
    /// message of ours.
    fn causes(&self) -> Vec<(String, bool)> {
        let mut told = self.to_string();
        let mut causes = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            let mut text = error.to_string();
            if !told.contains(&text) {
                // A path is told once.
                if let Some(IoError { action, path, .. }) = error.downcast_ref()
                    && told.split([' ', ',', ':', ';']).any(|word| word == path.as_str())
                {
                    text = format!("cannot {action} it");
                }
                told.push_str(&text);
                causes.push((text, !is_foreign(error)));
            }
            cause = error.source();
        }
        causes
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
            Self::Tree(TreeError::Io(error)) => of_io(error),
            Self::Tree(TreeError::Journal(error)) => of_journal(error),
            Self::Tree(_) => Exit::Usage,
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
            | Self::TreeOfTurn { .. }
            | Self::NotAFile { .. }
            | Self::BadCursor { .. }
            | Self::BadFlow { .. }
            | Self::BadPayload { .. } => Exit::Usage,
            Self::NotThere { .. }
            | Self::NoWorkspace { .. }
            | Self::OtherWorkspace { .. }
            | Self::RunNotFound { .. }
            | Self::NoTaskAndNoRun { .. }
            | Self::NoRecord { .. } => Exit::NotFound,
            Self::FileExists { .. } | Self::RestoreNotEnded { .. } | Self::OtherReason { .. } => {
                Exit::Conflict
            }
            Self::File { source, .. } => exit::of_system(source),
            Self::Input { .. } | Self::Interrupt { .. } | Self::Output(_) | Self::Render(_) => {
                Exit::Internal
            }
        }
    }
}

/// The first few candidates; a prefix such as `0` fits every UUID there is.
fn first(candidates: &[String]) -> impl Iterator<Item = &str> {
    candidates.iter().take(CANDIDATES).map(String::as_str)
}

/// How many more there are.
fn more(candidates: &[String]) -> Option<usize> {
    candidates.len().checked_sub(CANDIDATES).filter(|more| *more > 0)
}

fn list(candidates: &[String]) -> String {
    let mut text = first(candidates).collect::<Vec<_>>().join(", ");
    if let Some(more) = more(candidates) {
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
        0 => ", and nothing was appended".to_owned(),
        before => format!(", and the {before} events of the batches before it stand"),
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
