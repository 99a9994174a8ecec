//! What concerns all that is below a directory.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Dir, Kind, sys};
use crate::error::IoError;

impl Dir {
    /// The regular files below a directory with their sizes, by their path relative to it, sorted.
    /// Links are not followed; a path that is not UTF-8 is told as one that cannot name anything. A
    /// directory that is not there holds none.
    pub(crate) fn files_below(&self, relative: &str) -> Result<Vec<(String, u64)>, IoError> {
        let below = self.entries_below(relative)?.into_iter();
        let files = below.filter(|(_, entry)| entry.kind == Kind::File);
        Ok(files.map(|(path, entry)| (path, entry.size)).collect())
    }
}

/// True if a name in a directory came or went that lately, by the clock of the system; `None` where there is
/// no such directory. For who waits a little longer then: no value may depend on it.
pub(crate) fn was_changed_within(dir: &Utf8Path, time: Duration) -> Option<bool> {
    let metadata = sys::symlink_metadata(dir).ok().filter(std::fs::Metadata::is_dir)?;
    let age = metadata.modified().ok()?.elapsed();
    // What comes from the future is of another clock.
    Some(age.is_ok_and(|age| age < time))
}

/// Waits until the names of the directories above one are on the disk, and its own: who made them may have died before
/// they were. Those of another file system were there before, and what nobody may open was made by somebody else.
pub(crate) fn sync_above(dir: &Dir) -> Result<(), IoError> {
    for path in dir.path().ancestors().skip(1) {
        let Ok(above) = Dir::open_root(path) else { break };
        if !above.shares_disk_with(dir)? {
            break;
        }
        above.sync("")?;
    }
    Ok(())
}

/// Makes a directory and those above it, and waits until their names are on the disk.
pub(crate) fn make_dirs(path: &Utf8Path) -> Result<(), IoError> {
    let mut missing: Vec<Utf8PathBuf> = Vec::new();
    let mut at = path;
    let base = loop {
        match Dir::open_root(at) {
            Ok(dir) => break dir,
            Err(error) if error.is_not_found() => match at.parent() {
                Some(parent) => {
                    missing.push(at.to_owned());
                    at = parent;
                }
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    };
    let mut dir = base;
    for path in missing.iter().rev() {
        let name = path.file_name().unwrap_or_default();
        dir.create_dir(name)?;
        dir.sync("")?;
        dir = dir.open_dir(name)?;
    }
    Ok(())
}
