//! What can go wrong with an artifact.

use camino::Utf8PathBuf;

use crate::digest::Digest;
use crate::error::IoError;
use crate::genesis::GenesisError;
use crate::id::StepName;
use crate::journal::JournalError;
use crate::name::{ArtifactName, NameError};

/// Reading or writing an artifact was refused, or failed. Unless a variant says otherwise, nothing
/// was committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The text cannot name an artifact. So that `?` works on [`ArtifactName::new`] too.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There is no such artifact.
    #[error(
        "there is no artifact {name} in {run}; `runjournal artifact list` shows those there are"
    )]
    NotFound {
        /// Its name.
        name: ArtifactName,
        /// The run's directory.
        run: Utf8PathBuf,
    },
    /// The artifact is not what the caller expected it to be.
    #[error("the artifact {name} {found}, and {expected} was expected; read it again")]
    Conflict {
        /// Its name.
        name: ArtifactName,
        /// What the caller asked for.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A file stands where a directory is needed, or the other way round.
    #[error(
        "the artifact {name} cannot be written: {reason} at {other}; choose another name or remove it"
    )]
    PathConflict {
        /// Its name.
        name: ArtifactName,
        /// What stands in the way.
        reason: &'static str,
        /// Where.
        other: String,
    },
    /// A staged file was removed before it could be committed.
    #[error("the staged content of {name} is gone ({path}); write it again")]
    StageLost {
        /// The artifact.
        name: ArtifactName,
        /// The staged file.
        path: Utf8PathBuf,
    },
    /// **Committed, not applied**: the journal has it, and putting it in place failed. The next
    /// append, transaction or step in this run, by anybody, puts it in place.
    #[error(
        "seq {seq} is committed, but {name} is not in place yet: {source}; mend that, and the next command in this run puts it there"
    )]
    CommittedNotApplied {
        /// The artifact.
        name: ArtifactName,
        /// The first record of the commit.
        seq: u64,
        /// Why it is not in place.
        source: IoError,
    },
    /// The artifact is not JSON of that shape.
    #[error("{path} does not read as the JSON that was asked for")]
    Json {
        /// The file.
        path: Utf8PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// What a step was given is not of that shape, or it was given none.
    #[error(
        "the {what} of step {step} does not read as what was asked for; read it as what was recorded: null, where the step was given none"
    )]
    Given {
        /// The step.
        step: StepName,
        /// `configuration` or `item`.
        what: &'static str,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// Only a regular file can be imported.
    #[error("{path} is a directory, a pipe or a device; import a regular file")]
    NotAFile {
        /// What was to be imported.
        path: Utf8PathBuf,
    },
    /// A range that reaches over the end of an artifact.
    #[error(
        "the artifact {name} has {size} bytes, and {length} from {offset} were asked for; ask for less"
    )]
    OutOfRange {
        /// Its name.
        name: ArtifactName,
        /// Where the range begins.
        offset: u64,
        /// Its length.
        length: u64,
        /// The length of the open file.
        size: u64,
    },
    /// The value cannot be written as JSON.
    #[error("the value for {name} cannot be written as JSON")]
    NotJson {
        /// The artifact.
        name: ArtifactName,
        /// Why.
        source: serde_json::Error,
    },
    /// A step that declared its inputs read something else.
    #[error("step {step} declared its inputs, and {name} is not one of them; declare it as well")]
    Undeclared {
        /// What it read.
        name: ArtifactName,
        /// The step.
        step: StepName,
    },
    /// The content is not what its record says.
    #[error(
        "{path} has the digest {found}, and {expected} was expected; restore it from a backup \
         (`runjournal repair --from DEST --apply`) or write it again"
    )]
    Changed {
        /// The file.
        path: Utf8PathBuf,
        /// What the record says.
        expected: Digest,
        /// What the file has.
        found: Digest,
    },
}

impl From<GenesisError> for ArtifactError {
    fn from(error: GenesisError) -> Self {
        Self::Journal(error.into())
    }
}
