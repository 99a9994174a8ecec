//! The exit codes of the tool, and which one an error of the library has.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use runjournal::index::IndexError;
use runjournal::{
    ArtifactError, ContextError, GenesisError, IoError, JournalError, LeaseError, ManifestError,
    StepFailure, WorkspaceError,
};

/// The exit codes of the tool; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Fine = 0,
    /// Something was found, differs, or a program failed.
    Findings = 1,
    Usage = 2,
    NotFound = 3,
    Conflict = 4,
    /// Damage kept the verb from running.
    Damage = 5,
    ReadOnly = 6,
    Internal = 10,
}

impl Exit {
    /// What to do about trouble of this kind, where nobody knows better.
    pub(crate) fn advice(self, verb: &str) -> String {
        let to_do = match self {
            Self::Fine => "nothing",
            Self::Findings => "`runjournal verify` lists all that is not as it should be",
            Self::Usage => return format!("`runjournal {verb} --help` tells what it takes"),
            Self::NotFound => "look at the path, and at what `runjournal status` lists",
            Self::Conflict => "see who has it with `runjournal health`, and try again",
            Self::Damage => {
                "`runjournal verify` tells what is damaged, `runjournal repair` what can be mended"
            }
            Self::ReadOnly => "look at who may write there, and at `runjournal --version`",
            Self::Internal => {
                "look at the disk, and at who may read and write there, and try again"
            }
        };
        to_do.to_owned()
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

pub(super) fn of_system(error: &io::Error) -> Exit {
    match error.kind() {
        ErrorKind::NotFound => Exit::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Exit::ReadOnly,
        _ => Exit::Internal,
    }
}

pub(super) fn of_io(error: &IoError) -> Exit {
    of_system(&error.source)
}

pub(super) fn of_genesis(error: &GenesisError) -> Exit {
    match error {
        GenesisError::Io(error) => of_io(error),
        GenesisError::Damaged { .. } => Exit::Damage,
        GenesisError::NewerFormat { .. } => Exit::ReadOnly,
        GenesisError::TooLong { .. } => Exit::Usage,
        _ => Exit::Internal,
    }
}

pub(super) fn of_context(error: &ContextError) -> Exit {
    match error {
        ContextError::Run { source } => of_genesis(source),
        ContextError::NoWorkspace { .. } | ContextError::NoRun { .. } => Exit::NotFound,
        _ => Exit::Usage,
    }
}

pub(super) fn of_journal(error: &JournalError) -> Exit {
    match error {
        JournalError::Io(error) => of_io(error),
        JournalError::Genesis(error) => of_genesis(error),
        JournalError::MissingJournal { .. }
        | JournalError::DamagedTail { .. }
        | JournalError::ObjectMissing { .. }
        | JournalError::ObjectChanged { .. } => Exit::Damage,
        JournalError::Removed { .. } => Exit::NotFound,
        JournalError::LockTimeout { .. }
        | JournalError::Closed { .. }
        | JournalError::KeyConflict { .. }
        | JournalError::VersionConflict { .. }
        | JournalError::CursorMismatch { .. }
        | JournalError::StepSuperseded { .. }
        | JournalError::LeaseLost { .. }
        | JournalError::LeaseRequired { .. } => Exit::Conflict,
        JournalError::UnknownLease { .. } => Exit::ReadOnly,
        JournalError::TooLarge { .. } | JournalError::BadEvent { .. } => Exit::Usage,
        _ => Exit::Internal,
    }
}

pub(super) fn of_workspace(error: &WorkspaceError) -> Exit {
    match error {
        WorkspaceError::Io(error) => of_io(error),
        WorkspaceError::Genesis(error) => of_genesis(error),
        WorkspaceError::Journal(error) => of_journal(error),
        WorkspaceError::NotAWorkspace { .. }
        | WorkspaceError::TaskNotFound { .. }
        | WorkspaceError::RunNotFound { .. } => Exit::NotFound,
        WorkspaceError::WorkspaceExists { .. }
        | WorkspaceError::TaskExists { .. }
        | WorkspaceError::RunExists { .. }
        | WorkspaceError::RunPruned { .. }
        | WorkspaceError::RunLost { .. }
        | WorkspaceError::RunMoved { .. }
        | WorkspaceError::MoveUnfinished { .. }
        | WorkspaceError::CannotMove { .. }
        | WorkspaceError::RunHeld { .. }
        | WorkspaceError::RunBusy { .. }
        | WorkspaceError::GenesisLost { .. }
        | WorkspaceError::EndedOtherwise { .. }
        | WorkspaceError::RunsOpen { .. }
        | WorkspaceError::TaskArchived { .. }
        | WorkspaceError::StepsOpen { .. }
        | WorkspaceError::NotPassed { .. }
        | WorkspaceError::IllegalRunMove { .. }
        | WorkspaceError::IllegalTaskMove { .. }
        | WorkspaceError::NotApplied { .. } => Exit::Conflict,
        WorkspaceError::Id(_) | WorkspaceError::BadHold { .. } => Exit::Usage,
        WorkspaceError::GenesisMissing { .. } => Exit::Damage,
        _ => Exit::Internal,
    }
}

pub(super) fn of_artifact(error: &ArtifactError) -> Exit {
    match error {
        // Something stands where the run has a directory.
        ArtifactError::Io(error) if error.source.kind() == ErrorKind::NotADirectory => Exit::Damage,
        ArtifactError::Io(error) => of_io(error),
        ArtifactError::Journal(error) => of_journal(error),
        ArtifactError::Name(_) | ArtifactError::NotAFile { .. } => Exit::Usage,
        ArtifactError::NotFound { .. } => Exit::NotFound,
        ArtifactError::Conflict { .. } | ArtifactError::PathConflict { .. } => Exit::Conflict,
        ArtifactError::Changed { .. } => Exit::Findings,
        _ => Exit::Internal,
    }
}

pub(super) fn of_manifest(error: &ManifestError) -> Exit {
    match error {
        ManifestError::Io(error) => of_io(error),
        ManifestError::Journal(error) => of_journal(error),
        ManifestError::Damaged { .. } => Exit::Damage,
        ManifestError::NewerFormat { .. } => Exit::ReadOnly,
        ManifestError::NotThisRun { .. } => Exit::Conflict,
        _ => Exit::Internal,
    }
}

pub(super) fn of_step(error: &StepFailure) -> Exit {
    match error {
        // The program failed, unless its folder could not be made, or its outputs were refused.
        StepFailure::Failed { source, .. } => {
            let refused = source.downcast_ref::<ArtifactError>().map(of_artifact);
            let system = source.downcast_ref::<IoError>().map(of_io);
            refused.or(system).unwrap_or(Exit::Findings)
        }
        StepFailure::StepTaken { .. }
        | StepFailure::TurnOutOfOrder { .. }
        | StepFailure::OtherItem { .. } => Exit::Conflict,
        StepFailure::InputMissing { .. } => Exit::NotFound,
        StepFailure::BadName(_) | StepFailure::BadConfig { .. } => Exit::Usage,
        StepFailure::Journal { source, .. } => of_journal(source),
        StepFailure::Unfinished { source, .. } => of_artifact(source),
        _ => Exit::Internal,
    }
}

pub(super) fn of_lease(error: &LeaseError) -> Exit {
    match error {
        LeaseError::LeaseHeld { .. } => Exit::Conflict,
        LeaseError::BadClaim { .. } => Exit::Usage,
        LeaseError::NotBound { source, .. } => of_journal(source),
        LeaseError::Journal(error) => of_journal(error),
        LeaseError::Workspace(error) => of_workspace(error),
        LeaseError::Io(error) => of_io(error),
        _ => Exit::Internal,
    }
}

pub(super) fn of_index(error: &IndexError) -> Exit {
    match error {
        IndexError::Io(error) => of_io(error),
        IndexError::Workspace(error) => of_workspace(error),
        IndexError::NotBuilt { .. } | IndexError::NotIndexed { .. } => Exit::NotFound,
        IndexError::Busy { .. } | IndexError::StalePage { .. } | IndexError::MovedOn { .. } => {
            Exit::Conflict
        }
        IndexError::Damaged { .. } => Exit::Damage,
        IndexError::OtherSchema { .. }
        | IndexError::ReadOnly { .. }
        | IndexError::NoPlace { .. } => Exit::ReadOnly,
        IndexError::BadQuery { .. } => Exit::Usage,
        _ => Exit::Internal,
    }
}
