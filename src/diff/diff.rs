//! What differs between two sets of artifacts.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::numbered;
use super::text::{self, Content};
use crate::artifact::ArtifactError;
use crate::checkpoint::{ArtifactSet, CheckpointError};
use crate::context::RunContext;
use crate::digest::Digest;
use crate::name::ArtifactName;
use crate::tree::{self, MOST_BYTES, TreeError};

/// What differs between two sets of artifacts: two turns of a run, two runs, or a turn and what stands on the
/// disk now.
///
/// What is there of both is compared by digest, so of two turns nothing but what differs is read, and that
/// only for its text.
#[derive(Debug)]
pub struct Diff<'a> {
    before: &'a ArtifactSet,
    after: &'a ArtifactSet,
    changes: Vec<ArtifactChange>,
}

/// An artifact that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ArtifactChange {
    /// Its name.
    pub path: ArtifactName,
    /// How it differs.
    pub kind: ChangeKind,
    /// What it was; `None` where it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<DiffSide>,
    /// What it is; `None` where it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<DiffSide>,
}

/// An artifact on one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiffSide {
    /// The digest of its content.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// How an artifact differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// The second set has it, the first does not.
    Added,
    /// The first set has it, the second does not.
    Removed,
    /// Both have it, with other content.
    Changed,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ChangeKind::Added => "added",
            ChangeKind::Removed => "removed",
            ChangeKind::Changed => "changed",
        })
    }
}

impl<'a> Diff<'a> {
    /// Compares two sets; of sets of a turn only names and digests are read, of sets from the disk every file.
    ///
    /// # Errors
    /// Where a file, or what differs, cannot be opened.
    pub fn between(
        before: &'a ArtifactSet,
        after: &'a ArtifactSet,
    ) -> Result<Self, CheckpointError> {
        let names: BTreeSet<_> = before.names().into_iter().chain(after.names()).collect();
        let mut changes = Vec::new();
        for name in names {
            let (old, new) = (before.digest(name)?, after.digest(name)?);
            let kind = match (old, new) {
                (None, Some(_)) => ChangeKind::Added,
                (Some(_), None) => ChangeKind::Removed,
                (Some(old), Some(new)) if old != new => ChangeKind::Changed,
                _ => continue,
            };
            let (old, new) = (side(before, name, old)?, side(after, name, new)?);
            changes.push(ArtifactChange { path: name.clone(), kind, before: old, after: new });
        }
        Ok(Self { before, after, changes })
    }

    /// What differs between the texts of two runs ([`tree::render`](crate::tree::render)), as a unified diff;
    /// empty where nothing does. With the usual options that is what the two runs did otherwise: ids, times
    /// and directories have the same names in both. Where one has an event or an id more, the numbers behind it
    /// are others, which is no difference of those lines as long as each name stands for one and the same of
    /// the other run; they are printed as the second run has them.
    ///
    /// # Errors
    /// Where one of them cannot be rendered.
    pub fn trees(
        before: &RunContext,
        after: &RunContext,
        options: &tree::Options,
    ) -> Result<String, TreeError> {
        let name = |run: &RunContext| format!("{}/{}", run.task_id(), run.run_id());
        let (old, new) = (tree::render(before, options)?, tree::render(after, options)?);
        let old: Vec<_> = old.split_inclusive('\n').collect();
        let new: Vec<_> = new.split_inclusive('\n').collect();
        Ok(text::hunks(&name(before), &name(after), &old, &new, numbered::compare(&old, &new)))
    }

    /// Keeps only the changes of some artifacts.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&ArtifactName) -> bool) -> Self {
        self.changes.retain(|change| wanted(&change.path));
        self
    }

    /// What differs, sorted by the bytes of the path.
    #[must_use]
    pub fn changes(&self) -> &[ArtifactChange] {
        &self.changes
    }

    /// True if nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// A change as `git diff` prints it: a unified diff of the text with three lines around each change, which
    /// `git apply` and `patch -p1` take. Of content that is not text (no UTF-8, or with a NUL), or has over
    /// 4 MiB, it says in one line that it differs. The time for a file is bounded, about two seconds: of
    /// texts that take longer to compare, the diff is longer than it need be.
    ///
    /// # Errors
    /// Where a file cannot be read; [`CheckpointError::ContentChanged`] where content of a turn is not what it
    /// should be.
    pub fn text_of(&self, change: &ArtifactChange) -> Result<String, CheckpointError> {
        let before = content(self.before, &change.path, change.before)?;
        let after = content(self.after, &change.path, change.after)?;
        Ok(text::unified(change.path.as_str(), &before, &after))
    }

    /// How many lines a change adds and takes away; `None` where it has no text to compare.
    ///
    /// # Errors
    /// As [`text_of`](Diff::text_of).
    pub fn lines_of(&self, change: &ArtifactChange) -> Result<Option<(u64, u64)>, CheckpointError> {
        let before = content(self.before, &change.path, change.before)?;
        let after = content(self.after, &change.path, change.after)?;
        Ok(text::count(&before, &after))
    }

    /// The text of all changes, one after the other, held in memory.
    ///
    /// # Errors
    /// As [`text_of`](Diff::text_of).
    pub fn unified(&self) -> Result<String, CheckpointError> {
        self.changes.iter().map(|change| self.text_of(change)).collect()
    }
}

fn side(
    set: &ArtifactSet,
    name: &ArtifactName,
    digest: Option<Digest>,
) -> Result<Option<DiffSide>, CheckpointError> {
    let Some(digest) = digest else { return Ok(None) };
    let size = set.open(name)?.size()?;
    Ok(Some(DiffSide { digest, size }))
}

/// The content of an artifact, if it is short enough to be compared.
fn content(
    set: &ArtifactSet,
    name: &ArtifactName,
    side: Option<DiffSide>,
) -> Result<Content, CheckpointError> {
    let Some(side) = side else { return Ok(Content::Nothing) };
    if side.size > MOST_BYTES {
        return Ok(Content::NoText);
    }
    let bytes = match set.read_bytes(name) {
        // A file that was removed since it was compared.
        Err(CheckpointError::Artifact(ArtifactError::NotFound { .. })) => {
            return Ok(Content::Nothing);
        }
        other => other?,
    };
    Ok(Content::of(bytes))
}
