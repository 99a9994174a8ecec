//! What can go wrong with checkpoints.

use camino::Utf8PathBuf;

use crate::artifact::ArtifactError;
use crate::digest::Digest;
use crate::error::IoError;
use crate::genesis::GenesisError;
use crate::journal::JournalError;
use crate::name::ArtifactName;

/// A checkpoint cannot be made, read or restored. Unless a journal's or an artifact's error says otherwise,
/// nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An artifact cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Turns come in the order 1, 2, 3.
    #[error(
        "turn {turn} cannot be checkpointed: the next turn of {run} is {next}; leave the turn out, or \
         checkpoint that one first"
    )]
    NotNext {
        /// What was asked for.
        turn: u64,
        /// What can be had.
        next: u64,
        /// The run's directory.
        run: Utf8PathBuf,
    },
    /// There is no checkpoint of this turn.
    #[error(
        "{run} has no checkpoint of turn {turn}; `runjournal checkpoint list` shows those there are"
    )]
    NotThere {
        /// The turn.
        turn: u64,
        /// The run's directory.
        run: Utf8PathBuf,
    },
    /// A turn does not have an artifact of this name.
    #[error(
        "turn {turn} of {run} has no artifact {name}; `runjournal checkpoint restore {turn} --to DIR` writes \
         out those that it has"
    )]
    NotInTurn {
        /// The artifact.
        name: ArtifactName,
        /// The turn.
        turn: u64,
        /// The run's directory.
        run: Utf8PathBuf,
    },
    /// A file is not what the journal says, so that the bytes that the checkpoint would name are not there.
    #[error(
        "{path} {}, and the journal says {expected}; `runjournal artifact adopt {name}` journals what is \
         there, `runjournal verify` tells of all such files", found_there(*.found)
    )]
    NotAsJournaled {
        /// The artifact.
        name: ArtifactName,
        /// Its file.
        path: Utf8PathBuf,
        /// What the journal says.
        expected: Digest,
        /// What the file has; `None` where there is none.
        found: Option<Digest>,
    },
    /// A turn would be restored over a file that is not what the journal says.
    #[error(
        "{path} has the digest {found}, and the journal {}, so that restoring would lose what is there; \
         `runjournal artifact adopt {name}` and `runjournal checkpoint create` keep it, `--force` loses it",
        says(*.expected)
    )]
    ChangedByHand {
        /// The artifact.
        name: ArtifactName,
        /// Its file.
        path: Utf8PathBuf,
        /// What the journal says; `None` where it knows no such artifact now.
        expected: Option<Digest>,
        /// What the file has.
        found: Digest,
    },
    /// The checkpoint's file is gone.
    #[error(
        "{path} is missing, and seq {seq} names it; `runjournal repair --apply` makes it again from the journal"
    )]
    Missing {
        /// Where it should be.
        path: Utf8PathBuf,
        /// The record that names it.
        seq: u64,
    },
    /// The checkpoint's file is not what its record names.
    #[error(
        "{path} is damaged: {reason}; `runjournal repair --apply` makes it again from the journal"
    )]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint's file was written by newer code.
    #[error(
        "{path} has format version {found}, and this runjournal reads up to version {supported}; use a \
         newer runjournal"
    )]
    NewerFormat {
        /// The file.
        path: Utf8PathBuf,
        /// The version that the file has.
        found: u32,
        /// The newest version that this code reads.
        supported: u32,
    },
    /// The checkpoint's file would be too long to be read.
    #[error("{path} would be {length} bytes long, and at most {most} are read")]
    TooLong {
        /// The file.
        path: Utf8PathBuf,
        /// How long it would be.
        length: u64,
        /// How long it may be.
        most: u64,
    },
    /// The bytes of an artifact of a checkpoint are gone.
    #[error(
        "{path}, which holds {name} as of turn {turn}, is missing; `runjournal repair` brings it back from a \
         file with the same content, or from a backup"
    )]
    ObjectMissing {
        /// Where they should be.
        path: Utf8PathBuf,
        /// The artifact.
        name: ArtifactName,
        /// The turn.
        turn: u64,
    },
    /// What was read of a set is not what it should be.
    #[error(
        "{path}, which was to be {name}, has the digest {found}, and {expected} was expected; `runjournal \
         verify` tells what else differs"
    )]
    ContentChanged {
        /// The file.
        path: Utf8PathBuf,
        /// The artifact.
        name: ArtifactName,
        /// What it should have.
        expected: Digest,
        /// What it has.
        found: Digest,
    },
    /// Artifacts are exported into a directory of their own.
    #[error("{path} is not empty; name a directory that is, or that is not there yet")]
    NotEmpty {
        /// The directory.
        path: Utf8PathBuf,
    },
}

fn says(expected: Option<Digest>) -> String {
    let named = |digest| format!("says {digest}");
    expected.map_or_else(|| "knows no such artifact now".to_owned(), named)
}

fn found_there(found: Option<Digest>) -> String {
    found.map_or_else(|| "is not there".to_owned(), |digest| format!("has the digest {digest}"))
}

impl From<GenesisError> for CheckpointError {
    fn from(error: GenesisError) -> Self {
        Self::Journal(error.into())
    }
}
