//! What a transaction checks under the lock before it commits.

use super::apply::Places;
use super::catalog::Catalog;
use super::{ArtifactError, Expect, Transaction, digest_on_disk};
use crate::digest::Digest;
use crate::io::{Dir, Kind};
use crate::layout;
use crate::planted::Bug;

impl Transaction {
    /// Checks that what is to be removed is there now, if it was not before.
    pub(super) fn check_removals(&self, dir: &Dir) -> Result<(), ArtifactError> {
        for name in &self.to_be_found {
            if dir.stat(&layout::artifact(name.as_str()))?.is_none() {
                let run = dir.path().to_owned();
                return Err(ArtifactError::NotFound { name: name.clone(), run });
            }
        }
        Ok(())
    }

    pub(super) fn check_expectations(
        &self,
        dir: &Dir,
        catalog: &Catalog,
    ) -> Result<(), ArtifactError> {
        for staged in &self.staged {
            let name = &staged.name;
            let last = catalog.last(name);
            let journaled = last.and_then(|last| last.digest);
            let (met, found) = match staged.expect {
                Expect::Any => continue,
                Expect::Version(version) => (
                    last.is_some_and(|last| last.version == version),
                    last.map_or_else(
                        || "was never written".to_owned(),
                        |last| format!("has version {}", last.version),
                    ),
                ),
                Expect::Absent => {
                    let on_disk = dir.stat(&layout::artifact(name.as_str()))?;
                    (journaled.is_none() && on_disk.is_none(), "is there".to_owned())
                }
                Expect::Digest(digest) => {
                    let on_disk = digest_on_disk(dir, name)?;
                    let met = on_disk == Some(digest) && journaled == Some(digest);
                    let found = on_disk.or(journaled).filter(|found| *found != digest);
                    (met, describe(found))
                }
            };
            if !met {
                let (name, expected) = (name.clone(), staged.expect.to_string());
                return Err(ArtifactError::Conflict { name, expected, found });
            }
        }
        Ok(())
    }

    /// Checks that each stage is still there, and that nothing stands in a path's way. Returns, stage by
    /// stage, if the path holds a file of its length: only then can that have the same digest.
    pub(super) fn check_paths(&self, places: &Places) -> Result<Vec<bool>, ArtifactError> {
        let mut may_be_same = Vec::with_capacity(self.staged.len());
        for staged in &self.staged {
            let name = &staged.name;
            let stage = layout::stage_name(staged.event_id);
            if places.tmp.stat(&stage)?.is_none() && !Bug::StageLossUnseen.is_planted() {
                let path = places.tmp.path().join(stage);
                return Err(ArtifactError::StageLost { name: name.clone(), path });
            }
            let conflict = |reason, other: &str| ArtifactError::PathConflict {
                name: name.clone(),
                reason,
                other: other.to_owned(),
            };
            let there = places.artifacts.stat(name.as_str())?;
            may_be_same.push(there.is_some_and(|there| there.size == staged.size));
            match there.map(|there| there.kind) {
                None | Some(Kind::File) => {}
                Some(Kind::Dir) => return Err(conflict("a directory stands", name.as_str())),
                Some(Kind::Other) => {
                    return Err(conflict("a link or a special file stands", name.as_str()));
                }
            }
            for (at, _) in name.as_str().match_indices('/') {
                let parent = name.as_str().get(..at).unwrap_or_default();
                let beside = self
                    .staged
                    .iter()
                    .any(|other| other.name.as_str() == parent && other.digest.is_some());
                match places.artifacts.stat(parent)?.map(|entry| entry.kind) {
                    Some(Kind::Dir) | None if !beside => {}
                    Some(Kind::Other) => {
                        return Err(conflict("a link or a special file stands", parent));
                    }
                    _ => return Err(conflict("a file stands", parent)),
                }
            }
        }
        Ok(may_be_same)
    }
}

fn describe(found: Option<Digest>) -> String {
    found.map_or_else(|| "is not there".to_owned(), |digest| format!("has {digest}"))
}
