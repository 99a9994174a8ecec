//! What a failed sync left in doubt, and how the next writer brings it to the disk.
//!
//! After a failed `fdatasync` the system may take bytes for written that are not: no later sync brings them to
//! the disk, and a power cut takes them from under records that were synced after them. So whoever opens the
//! journal next writes them again, the same bytes at the same place, and syncs that, before it reads them.
//!
//! Who is next, is told twice: by this process's memory, and, for others, by the note in `journal/.sync`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::IoError;
use crate::io::{AppendFile, Dir, Kind, LockFile};
use crate::journal::JournalError;
use crate::journal::log::note::{Identity, Note};
use crate::layout;
use crate::planted::Bug;

/// How long to wait for whoever syncs, and would write a note as well.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many bytes are written again at once.
const PIECE: u64 = 1 << 20;

/// The journals that are in doubt as far as this process knows, and from which byte on.
static IN_DOUBT: Mutex<BTreeMap<Identity, u64>> = Mutex::new(BTreeMap::new());

fn in_doubt() -> MutexGuard<'static, BTreeMap<Identity, u64>> {
    // Every change of it is one call, so a panic leaves it whole.
    IN_DOUBT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A sync failed: all behind the first `covered` bytes is in doubt.
pub(super) fn leave(dir: &Dir, journal: Identity, covered: u64) {
    in_doubt().entry(journal).and_modify(|from| *from = covered.min(*from)).or_insert(covered);
    // Where it cannot be noted, this process knows it all the same.
    let Ok(lock) = dir.open_lock(layout::SYNC) else { return };
    let _ = lock.wait(PATIENCE, LockFile::try_exclusive);
    let before = Note::read(&lock);
    let generation = before.map_or(0, |note| note.generation).wrapping_add(1);
    let known = before.filter(|note| note.is_failure_of(journal));
    let covered = known.map_or(covered, |note| covered.min(note.covered));
    let _ = Note { generation, journal, covered, failed: true }.write(&lock);
}

/// Writes again what is in doubt of a journal whose lock is held, in this folder, and syncs it. True if something was: what is
/// there then may be less than what was read before.
pub(super) fn settle(
    dir: &Dir,
    file: &AppendFile,
    journal: Identity,
) -> Result<bool, JournalError> {
    if Bug::DoubtForgotten.is_planted() {
        return Ok(false);
    }
    let noted = noted(dir)?.filter(|note| note.is_failure_of(journal));
    let remembered = in_doubt().get(&journal).copied();
    let Some(from) = noted.map(|note| note.covered).into_iter().chain(remembered).min() else {
        return Ok(false);
    };
    let fail = |source| JournalError::InDoubt { path: file.path().to_owned(), source };
    let end = write_again(dir, file, from).map_err(fail)?;
    in_doubt().remove(&journal);
    if let Some(noted) = noted {
        forget(dir, noted, end)?;
    }
    Ok(true)
}

/// What is noted. Where nobody can have left a note, there is none.
fn noted(dir: &Dir) -> Result<Option<Note>, IoError> {
    let look = || {
        let lock = dir.open_lock_shared(layout::SYNC)?;
        if let Some(note) = Note::look(&lock)? {
            return Ok(Some(note));
        }
        // It may be just being written.
        lock.wait(PATIENCE, LockFile::try_shared)?;
        Note::look(&lock)
    };
    match look() {
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => match dir.stat(layout::SYNC)? {
            Some(there) if there.kind == Kind::File => Err(error),
            _ => Ok(None),
        },
        looked => looked,
    }
}

/// The same bytes at the same place, from there to the end, which is returned.
fn write_again(dir: &Dir, file: &AppendFile, from: u64) -> Result<u64, IoError> {
    let end = file.linked_len()?.unwrap_or(0);
    let (mut start, mut bytes) = (from, Vec::new());
    while start < end {
        bytes.clear();
        file.read_at(start, PIECE.min(end - start), &mut bytes)?;
        dir.overwrite(layout::EVENTS, start, &bytes)?;
        start += PIECE;
    }
    file.sync()?;
    Ok(end)
}

/// Takes a note back, unless somebody left another one meanwhile.
fn forget(dir: &Dir, noted: Note, covered: u64) -> Result<(), IoError> {
    let lock = dir.open_lock(layout::SYNC)?;
    lock.wait(PATIENCE, LockFile::try_exclusive)?;
    if Note::look(&lock)? != Some(noted) {
        return Ok(());
    }
    let generation = noted.generation.wrapping_add(1);
    Note { generation, covered, failed: false, ..noted }.write(&lock)
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    const TEXT: &[u8] = b"0123456789";

    fn journal() -> (tempfile::TempDir, Dir, AppendFile, Identity) {
        let keep = tempfile::tempdir().unwrap();
        let dir = Dir::open(Utf8Path::from_path(keep.path()).unwrap()).unwrap();
        dir.create_new(layout::EVENTS).unwrap();
        let file = dir.open_append(layout::EVENTS).unwrap();
        file.append(TEXT).unwrap();
        let identity = file.identity().unwrap().unwrap();
        (keep, dir, file, identity)
    }

    fn note(dir: &Dir) -> Option<Note> {
        noted(dir).unwrap()
    }

    #[test]
    fn what_is_in_doubt_is_settled_once_and_the_least_that_is_on_the_disk_counts() {
        let (_keep, dir, file, journal) = journal();
        assert!(!settle(&dir, &file, journal).unwrap());
        assert_eq!(note(&dir), None);
        for covered in [7, 4, 9] {
            leave(&dir, journal, covered);
        }
        let left = Note { generation: 3, journal, covered: 4, failed: true };
        assert_eq!(note(&dir), Some(left));
        assert!(settle(&dir, &file, journal).unwrap());
        let settled = Note { generation: 4, journal, covered: 10, failed: false };
        assert_eq!(note(&dir), Some(settled));
        assert!(!settle(&dir, &file, journal).unwrap());
        let mut bytes = Vec::new();
        file.read_at(0, 99, &mut bytes).unwrap();
        assert_eq!(bytes, TEXT);
    }

    #[test]
    fn either_the_note_or_this_process_tells_of_it() {
        let (_keep, dir, file, journal) = journal();
        leave(&dir, journal, 4);
        dir.remove_file(layout::SYNC).unwrap();
        assert!(settle(&dir, &file, journal).unwrap());
        // Another process left this one.
        let lock = dir.open_lock(layout::SYNC).unwrap();
        let left = Note { generation: 8, journal, covered: 0, failed: true };
        left.write(&lock).unwrap();
        assert!(settle(&dir, &file, journal).unwrap());
        // It is about another file, which stood here before.
        let other = Note { journal: (journal.0, journal.1 + 1), ..left };
        other.write(&lock).unwrap();
        assert!(!settle(&dir, &file, journal).unwrap());
        // Where no note can stand, there is none.
        dir.remove_file(layout::SYNC).unwrap();
        dir.create_dir(layout::SYNC).unwrap();
        assert!(!settle(&dir, &file, journal).unwrap());
        leave(&dir, journal, 4);
        assert!(settle(&dir, &file, journal).unwrap());
    }
}
