//! Findings: what is wrong, how bad it is, where, and what to do. One vocabulary for all rooms.

use std::fmt;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize, Serializer};

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
    /// A record of a journal that does not follow the one before it: something between them was changed,
    /// removed, added or moved.
    BrokenChain,
    /// The journal ends in a record, or a batch, that was not written to its end.
    TornTail,
    /// Records are missing between two that count.
    SequenceGap,
    /// Within a stream, versions are missing or come twice.
    VersionGap,
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
    /// An object that a record or a checkpoint names is not there.
    ObjectMissing,
    /// An object does not have the digest that is its name, or not the size that its record says.
    ObjectChanged,
    /// A checkpoint that its record names is not there.
    CheckpointMissing,
    /// A checkpoint is not what its record names.
    CheckpointDamaged,
    /// A checkpoint that no record names: a crash left it.
    CheckpointUnrecorded,
    /// A manifest is not what was written, or does not say what the journal says.
    ManifestDamaged,
    /// A journal does not reach the record that a manifest, a checkpoint or a backup knows, or has another in
    /// its place.
    JournalShorter,
    /// The cache beside a journal knows more of it than is there.
    HeadAhead,
    /// A genesis file is not what was written.
    GenesisDamaged,
    /// A task or a run stands, and its journal does not; or all of it is gone, somebody else (a backup, a
    /// manifest) has it, and no `run_pruned` says why.
    JournalMissing,
    /// Something could not be read.
    Unreadable,
    /// Newer code wrote it: it is read as far as this code understands it.
    NewerFormat,
    /// Names that differ by the case of letters alone: a file system that ignores case keeps one of them.
    CaseCollision,
    /// A symbolic link, a pipe or a device stands where only files and directories belong.
    SymbolicLink,
    /// In a place of the library's a file stands where a directory belongs, or a directory where a file does.
    WrongKind,
    /// The ids in a genesis file are not those of its place.
    IdentityDiffers,
    /// The name of a directory that holds a task or a run breaks the rule of ids.
    BadId,
    /// A run succeeded, and artifacts of it are missing or changed.
    StatusWithoutArtifacts,
    /// A task is done, and no run of it succeeded.
    DoneWithoutSuccess,
    /// A run that its task's journal does not know.
    OrphanedRun,
    /// A run that its task's journal knows, and that is not there.
    UnbornRun,
    /// A run that ended more than once, or went on after its end.
    TerminalTwice,
    /// An event that says it was caused by one that no journal of the workspace has.
    CausationNowhere,
    /// Turns of checkpoints, or of a step, that do not come in the order 1, 2, 3.
    TurnOutOfSequence,
    /// An attempt of a step that ended and was never started.
    StepWithoutStart,
    /// An attempt of a step that started more than once.
    DuplicateStep,
    /// A turn with more than one checkpoint.
    DuplicateTurn,
    /// An event stopped a projector of the index.
    ProjectionStopped,
    /// The index does not say what the tree says.
    IndexDrift,
}

impl Code {
    /// All codes, in the order of the enum.
    pub const ALL: &[Code] = &[
        Code::Garbage,
        Code::JournalDamaged,
        Code::BrokenChain,
        Code::TornTail,
        Code::SequenceGap,
        Code::VersionGap,
        Code::CommitNotApplied,
        Code::StageDamaged,
        Code::ArtifactMissing,
        Code::ArtifactChanged,
        Code::ArtifactUnjournaled,
        Code::ObjectMissing,
        Code::ObjectChanged,
        Code::CheckpointMissing,
        Code::CheckpointDamaged,
        Code::CheckpointUnrecorded,
        Code::ManifestDamaged,
        Code::JournalShorter,
        Code::HeadAhead,
        Code::GenesisDamaged,
        Code::JournalMissing,
        Code::Unreadable,
        Code::NewerFormat,
        Code::CaseCollision,
        Code::SymbolicLink,
        Code::WrongKind,
        Code::IdentityDiffers,
        Code::BadId,
        Code::StatusWithoutArtifacts,
        Code::DoneWithoutSuccess,
        Code::OrphanedRun,
        Code::UnbornRun,
        Code::TerminalTwice,
        Code::CausationNowhere,
        Code::TurnOutOfSequence,
        Code::StepWithoutStart,
        Code::DuplicateStep,
        Code::DuplicateTurn,
        Code::ProjectionStopped,
        Code::IndexDrift,
    ];

    /// True for damage of a journal: bytes of it do not count, and no killed writer left them.
    #[must_use]
    pub fn is_journal_damage(self) -> bool {
        matches!(self, Code::JournalDamaged | Code::BrokenChain)
    }

    /// How much findings of this code matter.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Code::Garbage
            | Code::UnbornRun
            | Code::CheckpointUnrecorded
            | Code::IdentityDiffers => Severity::Note,
            Code::TornTail
            | Code::ManifestDamaged
            | Code::HeadAhead
            | Code::NewerFormat
            | Code::CaseCollision
            | Code::SymbolicLink
            | Code::WrongKind
            | Code::CausationNowhere
            | Code::IndexDrift
            | Code::ArtifactUnjournaled
            | Code::BadId
            | Code::DoneWithoutSuccess
            | Code::OrphanedRun => Severity::Warning,
            Code::JournalDamaged
            | Code::BrokenChain
            | Code::SequenceGap
            | Code::VersionGap
            | Code::ObjectMissing
            | Code::ObjectChanged
            | Code::CheckpointMissing
            | Code::CheckpointDamaged
            | Code::TerminalTwice
            | Code::TurnOutOfSequence
            | Code::CommitNotApplied
            | Code::StageDamaged
            | Code::ArtifactMissing
            | Code::ArtifactChanged
            | Code::JournalShorter
            | Code::GenesisDamaged
            | Code::JournalMissing
            | Code::Unreadable
            | Code::StatusWithoutArtifacts
            | Code::StepWithoutStart
            | Code::DuplicateStep
            | Code::DuplicateTurn
            | Code::ProjectionStopped => Severity::Error,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Code::JournalDamaged | Code::BrokenChain => {
                "restore the run from a backup; where nothing that counts follows them and the run is not \
                 complete, `runjournal repair --apply` closes them off so that appends go on"
            }
            Code::Garbage => "nothing",
            Code::TornTail => "nothing: the next append seals it off",
            Code::CommitNotApplied => {
                "`runjournal repair --apply` sets the file aside and puts the committed content in place; or \
                 keep the file with `runjournal artifact adopt`"
            }
            Code::StageDamaged | Code::ArtifactMissing => {
                "`runjournal repair` brings it back if the run has its content elsewhere, with `--from BACKUP` \
                 also from there; or write the artifact again"
            }
            Code::ArtifactChanged => {
                "`runjournal repair` brings it back if the run has its content elsewhere, with `--from BACKUP` \
                 also from there; or, while the run is not complete, keep what is there with \
                 `runjournal artifact adopt`"
            }
            Code::ArtifactUnjournaled => {
                "move it out of `artifacts/`; or, if it is a file and the run is not complete, keep it with \
                 `runjournal artifact adopt`"
            }
            Code::SequenceGap | Code::VersionGap => {
                "restore the run from a backup that has the missing records"
            }
            Code::ObjectMissing | Code::ObjectChanged => {
                "`runjournal repair` brings it back if the run has its content elsewhere, with `--from BACKUP` \
                 also from there"
            }
            Code::CheckpointMissing | Code::CheckpointDamaged => {
                "`runjournal repair --apply` makes it again from the journal"
            }
            Code::CheckpointUnrecorded => "nothing: the next checkpoint of that turn replaces it",
            Code::ManifestDamaged => "`runjournal repair --apply` makes it again from the journal",
            Code::JournalShorter => "restore the run from a backup that reaches as far",
            Code::HeadAhead => {
                "nothing, after a power cut that took what was not durable: the next append makes the cache \
                 again; otherwise compare the run with a backup"
            }
            Code::GenesisDamaged => {
                "`runjournal repair --from BACKUP` puts it back: it never changes, so any backup is good"
            }
            Code::JournalMissing => "restore the task or the run from a backup",
            Code::Unreadable => "look at the disk, and at who may read it",
            Code::NewerFormat => "use a newer runjournal",
            Code::CaseCollision => {
                "rename one of them before the tree goes to a disk that ignores case"
            }
            Code::SymbolicLink => {
                "move it away: it is never followed; from a place of the library's `runjournal repair --apply` \
                 sets it aside"
            }
            Code::WrongKind => {
                "`runjournal repair --apply` sets it aside; a lock file's place is cleared by hand, while nobody \
                 works there"
            }
            Code::TerminalTwice | Code::DuplicateStep | Code::DuplicateTurn => {
                "look at the journal: no version of this library writes this"
            }
            Code::CausationNowhere => {
                "nothing, if what caused it was pruned or lies elsewhere; otherwise restore what is missing"
            }
            Code::TurnOutOfSequence | Code::StepWithoutStart => {
                "restore the run from a backup: a record of its journal is missing"
            }
            Code::IdentityDiffers => "nothing, if it was moved or copied there: the place holds",
            Code::BadId => "rename it: nothing finds it as it is",
            Code::StatusWithoutArtifacts => {
                "`runjournal repair`: see the findings of the run's artifacts"
            }
            Code::DoneWithoutSuccess => "reopen the task, or restore the run that did it",
            Code::OrphanedRun => {
                "nothing, if it was moved or copied there; otherwise restore the task's journal"
            }
            Code::UnbornRun => {
                "start it again under its id, or move it there again, if that was interrupted (nothing, if its task \
                 was archived since); restore it, if it was lost"
            }
            Code::ProjectionStopped => {
                "look at the event; a projector that takes it goes on from there at the next refresh"
            }
            Code::IndexDrift => "`runjournal index rebuild`: the index is derived",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
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

/// One thing that is not as it should be. As JSON it has its `severity` and its `advice` as well, which its code
/// says; they are not looked at when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
pub struct Finding {
    /// What was found.
    pub code: Code,
    /// Where.
    pub place: Place,
    /// Why it counts as this, in words.
    pub reason: String,
}

impl Finding {
    /// About a file or a directory as a whole.
    pub(crate) fn whole(
        path: impl Into<Utf8PathBuf>,
        code: Code,
        reason: impl Into<String>,
    ) -> Self {
        let place = Place { path: path.into(), offset: None, length: None };
        Self { code, place, reason: reason.into() }
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Told<'a> {
            severity: Severity,
            #[serde(flatten)]
            finding: Kept<'a>,
            advice: &'static str,
        }
        let (severity, advice) = (self.code.severity(), self.code.advice());
        Told { severity, finding: Kept::from(self), advice }.serialize(serializer)
    }
}

/// A finding as files keep it, without what its code says: that may be told otherwise one day.
#[derive(Serialize)]
pub(crate) struct Kept<'a> {
    code: Code,
    place: &'a Place,
    reason: &'a str,
}

impl<'a> From<&'a Finding> for Kept<'a> {
    fn from(Finding { code, place, reason }: &'a Finding) -> Self {
        Self { code: *code, place, reason }
    }
}

/// For `serialize_with`: findings as files keep them.
pub(crate) fn kept<S: Serializer>(findings: &[Finding], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(findings.iter().map(Kept::from))
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
/// A number of bytes, in the reason of a finding.
pub(crate) fn bytes(number: u64) -> String {
    if number == 1 { "1 byte".to_owned() } else { format!("{number} bytes") }
}
