//! What a program leaves to be committed.

use super::error::ProgramError;
use super::place::Place;
use crate::io::Kind;
use crate::name::ArtifactName;
use crate::step::{StepContext, StepError};

/// Names the folder whose files become artifacts.
pub(super) const OUT: &str = "RUNJOURNAL_OUT";

/// The names of the files that were left, once all of them are known to be good.
pub(super) fn checked(place: &Place) -> Result<Vec<ArtifactName>, StepError> {
    // A program may have put something else in its place.
    if place.dir.stat(&place.out)?.is_none_or(|entry| entry.kind != Kind::Dir) {
        let path = place.work_dir().join(&place.out);
        return Err(ProgramError::NotAFolder { path }.into());
    }
    let mut names = Vec::new();
    for (path, entry) in place.dir.entries_below(&place.out)? {
        if entry.kind != Kind::File {
            return Err(ProgramError::NotRegular { path }.into());
        }
        let name = ArtifactName::new(path.as_str())
            .map_err(|source| ProgramError::BadName { path, source })?;
        names.push(name);
    }
    Ok(names)
}

/// Stages files that were left.
pub(super) fn stage(
    place: &Place,
    s: &StepContext,
    names: &[ArtifactName],
) -> Result<(), StepError> {
    for name in names {
        // From the folder that is held open, without following a link.
        let file = place.dir.open_read(&format!("{}/{}", place.out, name.as_str()))?;
        s.import_open(name, file)?;
    }
    Ok(())
}
