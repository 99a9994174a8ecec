//! The page on the disk: a sealed line, replaced whole.

use camino::Utf8Path;

use super::page::root;
use super::{Manifest, ManifestError};
use crate::artifact::HomeLog;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::error::IoError;
use crate::genesis::{self, RunGenesis};
use crate::io::{Dir, ReadFile};
use crate::journal::LockedLog;
use crate::layout::{self, FORMAT_VERSION};
use crate::line;

/// No page is longer, which is room for some hundred thousand artifacts: whoever reads one holds it in memory.
const MAX_BYTES: u64 = 1 << 28;

impl Manifest {
    /// The page that was written last; `None` where there is none. It says what was true then: of a run
    /// that is not complete, more may have been written since, and of one that was moved it names the
    /// old place.
    ///
    /// # Errors
    /// [`ManifestError::Damaged`] where it is not what was written, be it by one bit;
    /// [`ManifestError::NewerFormat`] where newer code wrote it.
    pub fn read(ctx: &RunContext) -> Result<Option<Self>, ManifestError> {
        read(&Dir::open(&ctx.run_path())?)
    }

    /// A copy of a page, wherever it lies: a witness, for [`compare`](Manifest::compare) and
    /// [`Verify::witness`](crate::Verify::witness). A symbolic link is followed.
    ///
    /// # Errors
    /// As [`read`](Manifest::read); and [`ManifestError::Damaged`] where it is no regular file.
    pub fn open(path: impl AsRef<Utf8Path>) -> Result<Self, ManifestError> {
        let path = path.as_ref();
        let no_file = || ManifestError::Damaged {
            path: path.to_owned(),
            reason: "it is no regular file".to_owned(),
        };
        read_from(ReadFile::anywhere(path)?.ok_or_else(no_file)?)
    }

    /// Writes the page into the run's directory, durably: whoever reads, and a crash, finds the old page or
    /// this one. The journal is synced before it, as the page must not outlive what it describes. A page that
    /// knows more of the journal is left as it is.
    ///
    /// # Errors
    /// [`ManifestError::NotThisRun`] where the run's journal does not bear the page out; otherwise as an
    /// append. Nothing is changed then.
    pub fn write(&self, ctx: &RunContext) -> Result<(), ManifestError> {
        let mut log = HomeLog::open(&ctx.home())?;
        let locked = log.lock()?;
        locked.sync()?;
        write(self, ctx, &locked)
    }

    /// The page as it stands in a run's directory.
    pub(crate) fn to_bytes(&self, dir: &Utf8Path) -> Result<Vec<u8>, ManifestError> {
        let path = dir.join(layout::MANIFEST);
        let json = match serde_json::to_string(self) {
            Ok(json) => json,
            Err(error) => return Err(ManifestError::Damaged { path, reason: error.to_string() }),
        };
        let (bytes, _) = line::seal(&json, Digest::of);
        let length = bytes.len() as u64;
        if length > MAX_BYTES {
            return Err(ManifestError::TooLong { path, length, most: MAX_BYTES });
        }
        Ok(bytes)
    }
}

/// The page in a run's directory.
pub(crate) fn read(dir: &Dir) -> Result<Option<Manifest>, ManifestError> {
    match dir.open_read(layout::MANIFEST) {
        Err(error) if error.is_not_found() => Ok(None),
        other => read_from(other?).map(Some),
    }
}

fn read_from(mut file: ReadFile) -> Result<Manifest, ManifestError> {
    let bytes = file.read_little(MAX_BYTES)?;
    let damaged = |reason| ManifestError::Damaged { path: file.path().to_owned(), reason };
    let bytes = bytes.ok_or_else(|| damaged("it is longer than any manifest".to_owned()))?;
    let Versioned { format_version: found } = line::read(&bytes).map_err(damaged)?;
    if found > FORMAT_VERSION {
        let path = file.path().to_owned();
        return Err(ManifestError::NewerFormat { path, found, supported: FORMAT_VERSION });
    }
    line::read(&bytes).map_err(damaged)
}

/// What every version of the page has.
#[derive(serde::Deserialize)]
struct Versioned {
    format_version: u32,
}

/// Replaces the page. The lock keeps others from the one temporary name, so that what killed writers leave
/// does not pile up.
pub(super) fn write(
    manifest: &Manifest,
    ctx: &RunContext,
    locked: &LockedLog<'_>,
) -> Result<(), ManifestError> {
    let dir = locked.dir();
    let run = genesis::read::<RunGenesis>(dir)?.digest;
    let same_run = manifest.root == root(run, manifest.journal.hash, manifest.artifacts_root);
    if !same_run || !manifest.is_of(ctx) || !locked.fits(manifest.cursor())? {
        return Err(ManifestError::NotThisRun {
            path: dir.path().to_owned(),
            task: manifest.task_id.clone(),
            run: manifest.run_id.clone(),
            seq: manifest.journal.last_seq,
        });
    }
    // Somebody may have read the journal earlier than the writer of the page that stands there.
    if let Ok(Some(known)) = read(dir)
        && known.journal.last_seq > manifest.journal.last_seq
        && known.is_of(ctx)
        && locked.fits(known.cursor())?
    {
        return Ok(());
    }
    let bytes = manifest.to_bytes(dir.path())?;
    let replaced = replace(dir, &bytes);
    if replaced.is_err() {
        // The page before it stands. What cannot be removed now, the next writer removes.
        let _ = dir.remove_file(layout::NEW_MANIFEST);
    }
    Ok(replaced?)
}

fn replace(dir: &Dir, bytes: &[u8]) -> Result<(), IoError> {
    match dir.remove_file(layout::NEW_MANIFEST) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    let mut file = dir.create_new(layout::NEW_MANIFEST)?;
    file.write(bytes)?;
    file.sync()?;
    dir.rename(layout::NEW_MANIFEST, dir, layout::MANIFEST)?;
    dir.sync("")
}
