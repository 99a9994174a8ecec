//! Making directories so that a crash at any moment leaves nothing half.

use std::sync::Arc;

use uuid::Uuid;

use super::WorkspaceError;
use crate::error::IoError;
use crate::genesis::{self, Genesis, GenesisError, Sealed};
use crate::io::{Dir, Kind};
use crate::journal::Opened;
use crate::layout;

/// A task's or a run's directory that has all but its genesis file, which makes it exist.
pub(super) struct Prepared<'a, G> {
    parent: &'a Dir,
    dir: Dir,
    sealed: Sealed<G>,
}

/// Makes a directory with an empty, synced journal. Safe to call again where an earlier call died; `None`
/// where somebody's genesis file is there already.
pub(super) fn prepare<'a, G: Genesis>(
    parent: &'a Dir,
    name: &str,
    dirs: &[&str],
    value: &G,
) -> Result<Option<Prepared<'a, G>>, WorkspaceError> {
    let sealed = genesis::seal(&parent.path().join(name), value)?;
    parent.create_dir(name)?;
    let dir = parent.open_dir(name)?;
    if dir.stat(G::FILE)?.is_some() {
        was_there(parent, &dir)?;
        return Ok(None);
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
    // Not only with the genesis file: a power cut that kept that alone would leave what looks damaged.
    dir.sync("")?;
    Ok(Some(Prepared { parent, dir, sealed }))
}

impl<G: Genesis> Prepared<'_, G> {
    /// What opening its journal will yield.
    pub(super) fn opened(&self, correlation: &str) -> Result<Opened, WorkspaceError> {
        Ok(Opened {
            dir: Arc::new(Dir::open(self.dir.path())?),
            genesis: self.sealed.digest(),
            correlation: Some(correlation.to_owned()),
            first: None,
        })
    }

    /// Writes the genesis file, and waits until all is on the disk; false where somebody else's is there.
    pub(super) fn publish(self, unique: Uuid) -> Result<bool, WorkspaceError> {
        let Self { parent, dir, sealed } = self;
        match genesis::create(&dir, &sealed, unique) {
            Ok(()) => {}
            Err(GenesisError::Io(IoError { source, .. }))
                if source.kind() == std::io::ErrorKind::AlreadyExists =>
            {
                was_there(parent, &dir)?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        parent.sync("")?;
        Ok(true)
    }
}

/// What somebody else made is told of only once it is sure to stay: its maker may have died before
/// the names were on the disk.
fn was_there(parent: &Dir, dir: &Dir) -> Result<(), WorkspaceError> {
    dir.sync("")?;
    Ok(parent.sync("")?)
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
