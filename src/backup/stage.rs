//! A home as the snapshot has it, made where nobody looks yet, and checked.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::page::{Page, PageJournal};
use super::store::open_object;
use super::{BackupError, Counts, keep};
use crate::context::RunContext;
use crate::digest::Digest;
use crate::genesis::{self, RunGenesis};
use crate::io::{Dir, NewFile, SYNCS_FILE_SYSTEM};
use crate::journal::{Cursor, Events, Home, Runtime};
use crate::layout;
use crate::layout::HomeId;
use crate::manifest::Draft;
use crate::planted::Bug;
use crate::threads;

/// A home of which the files are worth several threads.
const LARGE: u64 = 64 << 20;

/// Makes a home below a directory that is laid out like a workspace. Its content is checked on the way, and its
/// journal scanned. Where the system cannot sync everything at once, it is synced here.
pub(super) fn stage(
    objects: &Dir,
    staging: &Dir,
    id: &HomeId,
    page: &Page,
    runtime: &Runtime,
    counts: &Counts,
) -> Result<(), BackupError> {
    let mut path = String::new();
    for part in id.to_string().split('/') {
        path.push_str(part);
        staging.create_dir(&path)?;
        path.push('/');
    }
    let dir = staging.open_dir(&id.to_string())?;
    let dirs = directories(id, page);
    for name in &dirs {
        dir.create_dir(name)?;
    }
    // A single large run takes several threads; of many small ones each has its own already.
    let threads = if page.size() < LARGE { 1 } else { threads::all() };
    threads::each(threads, &page.files, |file| {
        write(&dir, &file.path, |new| object(objects, file.digest, new, counts))
    })?;
    dir.open_lock(layout::LOCK)?;
    if let Some(journal) = &page.journal {
        write(&dir, layout::JOURNAL, |new| {
            journal.pieces.iter().try_for_each(|piece| object(objects, *piece, new, counts))
        })?;
        scan(staging.path(), &dir, id, journal, runtime)?;
    }
    if !SYNCS_FILE_SYSTEM {
        dirs.iter().rev().try_for_each(|name| dir.sync(name))?;
        dir.sync("")?;
    }
    Ok(())
}

/// All directories of a home, those above before those below. The empty ones are not in the page.
fn directories(id: &HomeId, page: &Page) -> BTreeSet<String> {
    let own = match id.run {
        Some(_) => [layout::JOURNAL_DIR, layout::ARTIFACTS, layout::TMP].as_slice(),
        None => [layout::JOURNAL_DIR, layout::RUNS].as_slice(),
    };
    let mut dirs: BTreeSet<_> = own.iter().map(|dir| (*dir).to_owned()).collect();
    for file in &page.files {
        let ends = file.path.match_indices('/').filter_map(|(at, _)| file.path.get(..at));
        dirs.extend(ends.map(str::to_owned));
    }
    dirs
}

fn write(
    dir: &Dir,
    path: &str,
    content: impl FnOnce(&mut NewFile) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let mut new = dir.create_new(path)?;
    content(&mut new)?;
    if !SYNCS_FILE_SYSTEM {
        new.sync()?;
    }
    Ok(())
}

/// Appends the content of an object, if it is what its name says.
pub(super) fn object(
    objects: &Dir,
    digest: Digest,
    new: &mut NewFile,
    counts: &Counts,
) -> Result<(), BackupError> {
    let path = || objects.path().join(keep::name(digest));
    let damaged = |reason: &str| BackupError::Damaged { path: path(), reason: reason.to_owned() };
    let mut file = open_object(objects, digest)?.ok_or_else(|| damaged("nothing stands there"))?;
    let (found, _) = keep::copy(&mut file, counts, |part| new.write(part))?;
    if found == digest || Bug::RestoredUnchecked.is_planted() {
        Ok(())
    } else {
        Err(damaged("its content is not what its name says"))
    }
}

/// Holds the journal against what the snapshot says of it. A run that is complete gets its manifest.
fn scan(
    root: &Utf8Path,
    dir: &Dir,
    id: &HomeId,
    journal: &PageJournal,
    runtime: &Runtime,
) -> Result<(), BackupError> {
    // Nobody could tell what counts in it, and nobody can now.
    let Some(expected) = journal.cursor else { return Ok(()) };
    let mut events = Events::open(&Home::of(root, id.clone(), runtime))?;
    let mut draft = Draft::default();
    for record in events.by_ref() {
        draft.apply(&record?);
    }
    let found: Cursor = events.cursor();
    if found != expected {
        let path = Utf8Path::new(&id.to_string()).join(layout::JOURNAL);
        let reason = format!(
            "its records lead to seq {}, and the snapshot says {}",
            found.seq, expected.seq
        );
        return Err(BackupError::Damaged { path, reason });
    }
    if let (Some(run), true) = (&id.run, events.is_complete()) {
        let ctx = RunContext::new(root, &id.task, run, runtime);
        let manifest =
            draft.finish((ctx.task_id(), ctx.run_id()), &genesis::read::<RunGenesis>(dir)?)?;
        write(dir, layout::MANIFEST, |new| Ok(new.write(&manifest.to_bytes(root)?)?))?;
    }
    Ok(())
}
