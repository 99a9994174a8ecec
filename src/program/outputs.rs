//! What a program leaves to be committed.

use super::error::ProgramError;
use super::place::Place;
use crate::io::Kind;
use crate::name::ArtifactName;
use crate::step::{StepContext, StepError};

/// Names the folder whose files become artifacts.
pub(super) const OUT: &str = "RUNJOURNAL_OUT";

/// A file that was left, and its length when its program had ended: one that left the group may write on.
pub(super) type Left = (ArtifactName, u64);

/// The files that were left, once all of them are known to be good.
pub(super) fn checked(place: &Place) -> Result<Vec<Left>, StepError> {
    // A program may have put something else in its place.
    if place.dir.stat(&place.out)?.is_none_or(|entry| entry.kind != Kind::Dir) {
        let path = place.work_dir().join(&place.out);
        return Err(ProgramError::NotAFolder { path }.into());
    }
    let mut left = Vec::new();
    for (path, entry) in place.dir.entries_below(&place.out)? {
        // First, as a folder below which nothing can have a name is told of as well.
        let name = ArtifactName::new(path.as_str())
            .map_err(|source| ProgramError::BadName { path: path.clone(), source })?;
        if entry.kind != Kind::File {
            return Err(ProgramError::NotRegular { path }.into());
        }
        left.push((name, entry.size));
    }
    Ok(left)
}

/// Stages files that were left.
pub(super) fn stage(place: &Place, s: &StepContext, left: &[Left]) -> Result<(), StepError> {
    for (name, len) in left {
        // From the folder that is held open, without following a link.
        let file = place.dir.open_read(&format!("{}/{}", place.out, name.as_str()))?;
        s.import_open(name, file, *len)?;
    }
    Ok(())
}
