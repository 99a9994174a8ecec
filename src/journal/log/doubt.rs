//! What a failed sync left in doubt, and how the next writer brings it to the disk.
//!
//! After a failed `fdatasync` the system may take bytes for written that are not: no later sync brings them to
//! the disk, and a power cut takes them from under records that were synced after them. So whoever opens the
//! journal next writes them again, the same bytes at the same place, and syncs that, before it reads them.
//!
//! Who is next, is told twice: by this process's memory, and, for others, by the note in `journal/.sync`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::IoError;
use crate::io::{AppendFile, Dir, Kind, LockFile};
use crate::journal::JournalError;
use crate::journal::log::note::{Found, Identity, Note};
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
    remember(journal, covered);
    // Where it cannot be noted, this process knows it all the same.
    let Ok(lock) = dir.open_lock(layout::SYNC) else { return };
    let note = || {
        let before = Note::read(&lock);
        let generation = before.map_or(0, |note| note.generation).wrapping_add(1);
        let known = before.filter(|note| note.is_failure_of(journal));
        let covered = known.map_or(covered, |note| covered.min(note.covered));
        let _ = Note { generation, journal, covered, failed: true }.write(&lock);
    };
    // At once: who opens the journal now is not told by the system.
    note();
    // Whoever holds the lock may write over it.
    let _ = lock.wait(PATIENCE, LockFile::try_exclusive);
    if !Note::read(&lock).is_some_and(|note| note.is_failure_of(journal)) {
        note();
    }
}

/// Writes again what is in doubt of a journal, in this folder, and syncs it: so many bytes are on the disk then. `None`
/// where nothing was in doubt. What can be read afterwards may be less than what was read before.
pub(super) fn settle(
    dir: &Dir,
    file: &AppendFile,
    journal: Identity,
) -> Result<Option<u64>, JournalError> {
    let noted = noted(dir)?.filter(|note| note.is_failure_of(journal));
    // Taken before: what another thread leaves meanwhile is not settled by this.
    let remembered = in_doubt().remove(&journal).filter(|_| !Bug::DoubtForgotten.is_planted());
    let Some(from) = noted.map(|note| note.covered).into_iter().chain(remembered).min() else {
        return Ok(None);
    };
    let end = write_again(dir, file, journal, from).map_err(|source| {
        remember(journal, from);
        JournalError::InDoubt { path: file.path().to_owned(), source }
    })?;
    if let Some(noted) = noted {
        // Where it cannot be taken back, the next one does this again.
        let _ = forget(dir, noted, end);
    }
    Ok(Some(end))
}

/// An error if somebody noted that a sync of the journal failed.
pub(super) fn check(dir: &Dir, file: &AppendFile, journal: Identity) -> Result<(), IoError> {
    if noted(dir)?.is_some_and(|note| note.is_failure_of(journal)) {
        let error = std::io::Error::other("another process was told that it failed");
        return Err(IoError::new("sync", file.path(), error));
    }
    Ok(())
}

fn remember(journal: Identity, covered: u64) {
    in_doubt().entry(journal).and_modify(|from| *from = covered.min(*from)).or_insert(covered);
}

/// What is noted. Where nobody can have left a note, or we may not read it, there is none.
fn noted(dir: &Dir) -> Result<Option<Note>, IoError> {
    let look = || {
        let lock = dir.open_lock_shared(layout::SYNC)?;
        let found = Note::look(&lock)?;
        if found == Found::Torn {
            // It may be just being written.
            lock.wait(PATIENCE, LockFile::try_shared)?;
            return Note::look(&lock);
        }
        Ok(found)
    };
    match look() {
        Ok(Found::Whole(note)) => Ok(Some(note).filter(|_| !Bug::DoubtForgotten.is_planted())),
        Ok(Found::Empty | Found::Torn) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(None),
        Err(error) => match dir.stat(layout::SYNC)? {
            Some(there) if there.kind == Kind::File => Err(error),
            _ => Ok(None),
        },
    }
}

/// The same bytes at the same place, from there to the end, which is returned.
fn write_again(dir: &Dir, file: &AppendFile, journal: Identity, from: u64) -> Result<u64, IoError> {
    // What stands there now must be what they are read from.
    if dir.open_append(layout::EVENTS)?.identity()? != Some(journal) {
        let error = std::io::Error::other("another file stands there now");
        return Err(IoError::new("write", file.path(), error));
    }
    // It may be told now of what failed before; what is asked for is what comes of the bytes that are written now.
    let _ = file.sync();
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
    if !lock.wait(PATIENCE, LockFile::try_exclusive)? || Note::look(&lock)? != Found::Whole(noted) {
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
        assert_eq!(settle(&dir, &file, journal).unwrap(), None);
        assert_eq!(note(&dir), None);
        for covered in [7, 4, 9] {
            leave(&dir, journal, covered);
        }
        let left = Note { generation: 3, journal, covered: 4, failed: true };
        assert_eq!(note(&dir), Some(left));
        check(&dir, &file, journal).unwrap_err();
        assert_eq!(settle(&dir, &file, journal).unwrap(), Some(10));
        let settled = Note { generation: 4, journal, covered: 10, failed: false };
        assert_eq!(note(&dir), Some(settled));
        check(&dir, &file, journal).unwrap();
        assert_eq!(settle(&dir, &file, journal).unwrap(), None);
        let mut bytes = Vec::new();
        file.read_at(0, 99, &mut bytes).unwrap();
        assert_eq!(bytes, TEXT);
    }

    #[test]
    fn either_the_note_or_this_process_tells_of_it() {
        let (_keep, dir, file, journal) = journal();
        leave(&dir, journal, 4);
        dir.remove_file(layout::SYNC).unwrap();
        assert_eq!(settle(&dir, &file, journal).unwrap(), Some(10));
        // Another process left this one.
        let lock = dir.open_lock(layout::SYNC).unwrap();
        let left = Note { generation: 8, journal, covered: 0, failed: true };
        left.write(&lock).unwrap();
        assert_eq!(settle(&dir, &file, journal).unwrap(), Some(10));
        // It is about another file, which stood here before.
        let other = Note { journal: (journal.0, journal.1 + 1), ..left };
        other.write(&lock).unwrap();
        assert_eq!(settle(&dir, &file, journal).unwrap(), None);
        // Where no note can stand, there is none.
        dir.remove_file(layout::SYNC).unwrap();
        dir.create_dir(layout::SYNC).unwrap();
        assert_eq!(settle(&dir, &file, journal).unwrap(), None);
        leave(&dir, journal, 4);
        assert_eq!(settle(&dir, &file, journal).unwrap(), Some(10));
    }

    #[test]
    fn what_somebody_put_in_the_journal_s_place_is_not_written_over() {
        let (_keep, dir, file, journal) = journal();
        leave(&dir, journal, 4);
        dir.rename(layout::EVENTS, &dir, "events.bad").unwrap();
        dir.create_new(layout::EVENTS).unwrap().write(b"abcdefghij").unwrap();
        settle(&dir, &file, journal).unwrap_err();
        let mut bytes = Vec::new();
        dir.open_read(layout::EVENTS).unwrap().read_at(0, 99, &mut bytes).unwrap();
        assert_eq!(bytes, b"abcdefghij");
        // Back in its place, it is settled.
        dir.rename("events.bad", &dir, layout::EVENTS).unwrap();
        assert_eq!(settle(&dir, &file, journal).unwrap(), Some(10));
    }
}
