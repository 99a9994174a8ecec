//! What a repair mends, by which means; and what it leaves.

use std::fmt;

use serde::Serialize;

use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::name::ArtifactName;

/// A finding, and what mends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mend {
    /// What is wrong.
    pub finding: Finding,
    /// What mends it.
    #[serde(flatten)]
    pub means: Means,
}

/// How something is mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "means")]
#[non_exhaustive]
pub enum Means {
    /// One record is appended that vouches for the damaged bytes as they are, so that appends go on.
    CloseOff,
    /// The bytes with this digest are put in place; what stands there is set aside.
    PutBack {
        /// Their digest.
        digest: Digest,
        /// Where they are.
        from: Origin,
    },
    /// The committed content that waits in `.tmp/` is put in place; what is in its way is set aside.
    PutInPlace,
    /// The file is journaled as it is.
    Adopt,
    /// It is made again from the journal; what stands there is set aside.
    MakeAgain,
    /// It is set aside; what belongs there is made by whoever needs it.
    SetAside,
}

/// Where bytes with the right digest are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// In the run's, or the task's, objects.
    Object,
    /// In another artifact of the run.
    Artifact(ArtifactName),
    /// In the backup that was given.
    Backup,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloseOff => {
                f.write_str("close it off with a record; the bytes are kept as they are")
            }
            Self::PutBack { from: Origin::Object, .. } => {
                f.write_str("put it back from the objects")
            }
            Self::PutBack { from: Origin::Artifact(name), .. } => {
                write!(f, "put it back from {name}, which has the same content")
            }
            Self::PutBack { from: Origin::Backup, .. } => {
                f.write_str("put it back from the backup")
            }
            Self::PutInPlace => {
                f.write_str("put the committed content in place, and set aside what is in its way")
            }
            Self::Adopt => f.write_str("adopt it: journal the file as it is"),
            Self::SetAside => f.write_str("set it aside, so that what belongs there can be made"),
            Self::MakeAgain => f.write_str("make it again from the journal"),
        }
    }
}

/// A finding that is not mended, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Left {
    /// What is wrong.
    pub finding: Finding,
    /// Why nothing is done about it.
    pub why: &'static str,
}

const NO_BYTES: &str =
    "no content with its digest is in the run: name a backup that has it with `--from BACKUP`";
const NOT_IN_BACKUP: &str = "no content with its digest is in the run or in the backup";

/// Somebody else knows that the damaged bytes were acknowledged records.
pub(super) const KNOWN: &str = "others know records that are damaged here, and closing off would give their \
     numbers out again: move it away and restore it, `runjournal backup restore BACKUP TASK/RUN`";
/// The record that says what the file should be may be among those that are damaged or gone.
pub(super) const UNSETTLED: &str = "a record that is damaged or gone may name what is there: settle the journal first \
     (close off its end, or restore the run), look at the file, and plan again";

/// It was mended just now, and is found again.
pub(super) const AGAIN: &str =
    "it was mended, and is wrong again: look at the disk, and at who writes there";

/// Why nothing mends findings of a code.
pub(super) fn why(code: Code, has_backup: bool) -> &'static str {
    match code {
        Code::ArtifactMissing
        | Code::ArtifactChanged
        | Code::StageDamaged
        | Code::ObjectMissing
        | Code::ObjectChanged
        | Code::GenesisDamaged => {
            if has_backup {
                NOT_IN_BACKUP
            } else {
                NO_BYTES
            }
        }
        Code::JournalDamaged | Code::BrokenChain | Code::SequenceGap | Code::VersionGap => {
            "a journal is never edited: what counts is read all the same; restore the run from a backup to \
             have the rest"
        }
        Code::JournalMissing
        | Code::JournalShorter
        | Code::TurnOutOfSequence
        | Code::StepWithoutStart => "records are gone: restore the run from a backup that has them",
        Code::WrongKind | Code::SymbolicLink => {
            "a repair does not move it, as somebody may need or hold it: move it away by hand, while nobody works there"
        }
        Code::CheckpointMissing | Code::CheckpointDamaged => {
            "made again from the journal, it is not what its record names: restore the run from a backup"
        }
        Code::ArtifactUnjournaled => {
            "it may be wanted: `--adopt` journals it in a run that is not complete; or move it away"
        }
        Code::IndexDrift | Code::ProjectionStopped => {
            "the index is derived: `runjournal index rebuild`"
        }
        // It is for a person to decide.
        _ => code.advice(),
    }
}
