//! Making directories so that a crash at any moment leaves nothing half.

use uuid::Uuid;

use super::WorkspaceError;
use crate::error::IoError;
use crate::genesis::{self, Genesis, GenesisError};
use crate::io::{Dir, Kind};
use crate::layout;

/// Makes a task's or a run's directory with an empty, synced journal, and last its genesis file,
/// which makes it exist. Safe to call again where an earlier call died; false where somebody's
/// genesis file is there already.
pub(super) fn make_home<G: Genesis>(
    parent: &Dir,
    name: &str,
    dirs: &[&str],
    value: &G,
    unique: Uuid,
) -> Result<bool, WorkspaceError> {
    let sealed = genesis::seal(&parent.path().join(name), value)?;
    parent.create_dir(name)?;
    let dir = parent.open_dir(name)?;
    if dir.stat(G::FILE)?.is_some() {
        return was_there(parent, &dir);
    }
    dir.create_dir(layout::JOURNAL_DIR)?;
    for name in dirs {
        dir.create_dir(name)?;
    }
    match dir.create_new(layout::JOURNAL) {
        Ok(file) => file.sync()?,
        Err(error) if error.source.kind() == std::io::ErrorKind::AlreadyExists => {
            check_empty(&dir, G::FILE)?;
        }
        Err(error) => return Err(error.into()),
    }
    dir.open_lock(layout::LOCK)?;
    dir.sync(layout::JOURNAL_DIR)?;
    match genesis::create(&dir, &sealed, unique) {
        Ok(()) => {}
        Err(GenesisError::Io(IoError { source, .. }))
            if source.kind() == std::io::ErrorKind::AlreadyExists =>
        {
            return was_there(parent, &dir);
        }
        Err(error) => return Err(error.into()),
    }
    parent.sync("")?;
    Ok(true)
}

/// What somebody else made is told of only once it is sure to stay: its maker may have died before
/// the names were on the disk.
fn was_there(parent: &Dir, dir: &Dir) -> Result<bool, WorkspaceError> {
    dir.sync("")?;
    parent.sync("")?;
    Ok(false)
}

/// A journal that is there before its genesis file must be the empty one of a call that died, or
/// that of a caller who is making the same thing right now and got further.
fn check_empty(dir: &Dir, genesis: &str) -> Result<(), WorkspaceError> {
    let entry = dir.stat(layout::JOURNAL)?;
    let empty = entry.is_some_and(|entry| entry.kind == Kind::File && entry.size == 0);
    if empty || dir.stat(genesis)?.is_some() {
        return Ok(());
    }
    Err(WorkspaceError::GenesisMissing { path: dir.path().join(layout::JOURNAL) })
}
