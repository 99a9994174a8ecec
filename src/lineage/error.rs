//! What can go wrong with questions of lineage.

use camino::Utf8PathBuf;

use crate::journal::JournalError;
use crate::name::ArtifactName;

/// The question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineageError {
    /// The journal cannot be read, or one of its payloads is not what the format says.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal says nothing of it.
    #[error(
        "the journal of {run} says nothing of {name}; `runjournal artifact list` shows what it knows, and \
         `runjournal artifact adopt` takes in a file that is there"
    )]
    NotInJournal {
        /// The artifact.
        name: ArtifactName,
        /// The run's directory.
        run: Utf8PathBuf,
    },
}
