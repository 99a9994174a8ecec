//! Findings: what is wrong, how bad it is, where, and what to do. One vocabulary for all rooms.

use std::fmt;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Nothing is wrong: a crash left it, and it was dealt with.
    Note,
    /// Nothing acknowledged is touched: a crash left it, and the next append deals with it.
    Warning,
    /// Something that was acknowledged is damaged or missing.
    Error,
}

/// What was found. The text form, `torn_tail`, is stable: scripts may match on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// Bytes of a journal that do not count and are accounted for: a killed writer left them and the
    /// next one sealed them off, or a repair closed them off.
    Garbage,
    /// Bytes of a journal that do not count and that no killed writer can have left.
    JournalDamaged,
    /// The journal ends in a record, or a batch, that was not written to its end.
    TornTail,
    /// A committed artifact was not put in place, because the file there is not the one it replaces.
    CommitNotApplied,
    /// A staged file no longer has the digest that its record names.
    StageDamaged,
    /// An artifact is not there, and its last record says that it is.
    ArtifactMissing,
    /// An artifact does not have the digest that its last record names, or is no file any more.
    ArtifactChanged,
    /// Under `artifacts/` something stands that no record put there.
    ArtifactUnjournaled,
    /// A journal does not reach the record that a manifest knows, or has another in its place.
    JournalShorter,
}

impl Code {
    /// How much findings of this code matter.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Code::Garbage => Severity::Note,
            Code::TornTail | Code::ArtifactUnjournaled => Severity::Warning,
            Code::JournalDamaged
            | Code::CommitNotApplied
            | Code::StageDamaged
            | Code::ArtifactMissing
            | Code::ArtifactChanged
            | Code::JournalShorter => Severity::Error,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Code::JournalDamaged => {
                "restore these bytes from a backup; where nothing that counts follows them and the run is \
                 not complete, `runjournal repair --apply` closes them off so that appends go on"
            }
            Code::Garbage => "nothing",
            Code::TornTail => "nothing: the next append seals it off",
            Code::CommitNotApplied => {
                "keep the file on disk with `runjournal artifact adopt`, or move it away and run the \
                 command again to put the committed content in place"
            }
            Code::StageDamaged => "write the artifact again",
            Code::ArtifactMissing => "restore the file from a backup, or write the artifact again",
            Code::ArtifactChanged => {
                "restore the file from a backup; or, while the run is not complete, keep what is there with \
                 `runjournal artifact adopt`"
            }
            Code::ArtifactUnjournaled => {
                "move it out of `artifacts/`; or, if it is a file and the run is not complete, keep it with \
                 `runjournal artifact adopt`"
            }
            Code::JournalShorter => "restore the journal from a backup that reaches as far",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Code::Garbage => "garbage",
            Code::JournalDamaged => "journal_damaged",
            Code::TornTail => "torn_tail",
            Code::CommitNotApplied => "commit_not_applied",
            Code::StageDamaged => "stage_damaged",
            Code::ArtifactMissing => "artifact_missing",
            Code::ArtifactChanged => "artifact_changed",
            Code::ArtifactUnjournaled => "artifact_unjournaled",
            Code::JournalShorter => "journal_shorter",
        })
    }
}

/// Where a finding is: a file and, in a journal, the bytes of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub path: Utf8PathBuf,
    /// The first byte, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// What was found.
    pub code: Code,
    /// Where.
    pub place: Place,
    /// Why it counts as this, in words.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.place.path)?;
        if let (Some(offset), Some(length)) = (self.place.offset, self.place.length) {
            write!(f, ", {length} bytes at {offset}")?;
        }
        write!(f, ": {}", self.reason)
    }
}
