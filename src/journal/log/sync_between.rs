//! Sharing an `fdatasync` between processes.
//!
//! Whoever syncs holds the lock `journal/.sync` meanwhile, and then notes there how long the journal was
//! when it began. Who waits for that lock and finds a note that was written while it waited, and that
//! covers its own bytes, need not sync. A note that was there before says nothing: it may be older than a
//! power cut. Nothing depends on the file: without it, everybody syncs.
//!
//! The system tells of content that it could not write only to those who had the file open then. So once
//! a sync failed, a sync by others says nothing about our bytes: it is noted for good, and nobody shares.

use std::time::{Duration, Instant};

use crate::error::IoError;
use crate::io::{AppendFile, Dir, LockFile};
use crate::layout;
use crate::planted::Bug;

/// How long to wait for somebody else's sync before an own one.
const PATIENCE: Duration = Duration::from_millis(20);
/// The same, to note that a sync failed: whoever holds the lock keeps such a note.
const PATIENCE_OF_FAILURE: Duration = Duration::from_secs(1);
/// How long a waiter yields before it sleeps.
const YIELDING: Duration = Duration::from_micros(200);
const SLEEP: Duration = Duration::from_micros(50);

/// Waits until everything that was written to the journal before this call is on the disk.
pub(crate) fn sync(file: &AppendFile, dir: &Dir) -> Result<(), IoError> {
    let (Ok(lock), Some(journal)) = (dir.open_lock(layout::SYNC), file.identity()?) else {
        return file.sync();
    };
    let written = file.linked_len()?.unwrap_or(u64::MAX);
    let before = Note::read(&lock).map_or(0, |note| note.generation);
    let start = Instant::now();
    loop {
        let locked = lock.try_exclusive().unwrap_or(false);
        let note = Note::read(&lock);
        let generation = note.map_or(0, |note| note.generation);
        let covers =
            |note: Note| note.journal == journal && note.covered >= written && note.failed == 0;
        let is_new = generation != before || Bug::OldNoteBelieved.is_planted();
        if is_new && note.is_some_and(covers) {
            return Ok(());
        }
        if locked || start.elapsed() >= PATIENCE {
            let covered = file.linked_len()?.unwrap_or(0);
            let synced = file.sync();
            if locked {
                // Somebody may have noted a failure meanwhile. Where nothing can be written, the next one
                // syncs itself.
                let failed = Note::read(&lock).map_or(0, |note| note.failed);
                let failed = failed.max(u64::from(synced.is_err()));
                let generation = generation.wrapping_add(1);
                let _ = lock.write_note(&Note { generation, journal, covered, failed }.to_bytes());
            }
            return synced;
        }
        if start.elapsed() < YIELDING {
            std::thread::yield_now();
        } else {
            std::thread::sleep(SLEEP);
        }
    }
}

/// Notes that a sync failed.
pub(crate) fn failed(file: &AppendFile, dir: &Dir) {
    if let (Ok(lock), Ok(Some(journal))) = (dir.open_lock(layout::SYNC), file.identity()) {
        let _ = lock.wait(PATIENCE_OF_FAILURE, LockFile::try_exclusive);
        let generation = Note::read(&lock).map_or(0, |note| note.generation).wrapping_add(1);
        let note = Note { generation, journal, covered: 0, failed: 1 };
        let _ = lock.write_note(&note.to_bytes());
    }
}

/// What the last sync covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Note {
    /// Counts the notes.
    generation: u64,
    /// Which file was synced.
    journal: (u64, u64),
    /// Its length when the sync began.
    covered: u64,
    /// 1 once a sync failed.
    failed: u64,
}

/// Five numbers, and eight bytes of their BLAKE3: a note that is read while it is written is none.
const NOTE: usize = 48;

impl Note {
    fn to_bytes(self) -> [u8; NOTE] {
        let mut bytes = [0; NOTE];
        let Self { generation, journal: (device, file), covered, failed } = self;
        let (numbers, sum) = bytes.split_at_mut(NOTE - 8);
        for (number, place) in
            [generation, device, file, covered, failed].iter().zip(numbers.chunks_exact_mut(8))
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        sum.iter_mut().zip(blake3::hash(numbers).as_bytes()).for_each(|(to, from)| *to = *from);
        bytes
    }

    fn read(lock: &LockFile) -> Option<Self> {
        let mut bytes = [0; NOTE];
        if lock.read_note(&mut bytes).ok()? != NOTE {
            return None;
        }
        let mut numbers = bytes
            .chunks_exact(8)
            .filter_map(|number| number.try_into().ok().map(u64::from_le_bytes));
        let generation = numbers.next()?;
        let journal = (numbers.next()?, numbers.next()?);
        let covered = numbers.next()?;
        let note = Self { generation, journal, covered, failed: numbers.next()? };
        (note.to_bytes() == bytes).then_some(note)
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    struct Journal {
        dir: Dir,
        file: AppendFile,
        _keep: tempfile::TempDir,
    }

    impl Journal {
        fn new() -> Self {
            let keep = tempfile::tempdir().unwrap();
            let dir = Dir::open(Utf8Path::from_path(keep.path()).unwrap()).unwrap();
            dir.create_dir(layout::JOURNAL_DIR).unwrap();
            dir.create_new(layout::JOURNAL).unwrap();
            let file = dir.open_append(layout::JOURNAL).unwrap();
            file.append(b"0123456789").unwrap();
            Self { dir, file, _keep: keep }
        }

        fn note(&self) -> Option<Note> {
            Note::read(&self.dir.open_lock(layout::SYNC).unwrap())
        }

        /// Somebody syncs; meanwhile we want a sync as well; then the other leaves a note.
        fn while_another_syncs(&self, note: Option<Note>) -> Duration {
            let other = self.dir.open_lock(layout::SYNC).unwrap();
            assert!(other.try_exclusive().unwrap());
            std::thread::scope(|scope| {
                let start = Instant::now();
                let ours = scope.spawn(|| sync(&self.file, &self.dir).unwrap());
                std::thread::sleep(PATIENCE / 4);
                if let Some(note) = note {
                    other.write_note(&note.to_bytes()).unwrap();
                }
                ours.join().unwrap();
                start.elapsed()
            })
        }
    }

    #[test]
    fn a_sync_leaves_a_note_of_what_it_covered() {
        let journal = Journal::new();
        assert_eq!(journal.note(), None);
        let identity = journal.file.identity().unwrap().unwrap();
        for generation in 1..4 {
            sync(&journal.file, &journal.dir).unwrap();
            let note = Note { generation, journal: identity, covered: 10, failed: 0 };
            assert_eq!(journal.note(), Some(note));
        }
    }

    #[test]
    fn only_a_note_that_came_meanwhile_and_covers_our_bytes_is_believed() {
        let journal = Journal::new();
        sync(&journal.file, &journal.dir).unwrap();
        let synced = journal.note().unwrap();
        // A machine that is busy may take longer than one is patient, but not each time.
        let believed = (2..30)
            .map(|generation| Note { generation, ..synced })
            .find(|note| journal.while_another_syncs(Some(*note)) < PATIENCE);
        let good = believed.unwrap();
        let not_believed = [
            None,
            // It was there before.
            Some(good),
            // Our bytes were written after that sync had begun.
            Some(Note { generation: 33, covered: 9, ..good }),
            // It is about another file.
            Some(Note { generation: 34, journal: (good.journal.0, good.journal.1 + 1), ..good }),
            // A sync failed before, and who wrote our bytes might have been the one to be told.
            Some(Note { generation: 35, failed: 1, ..good }),
        ];
        for note in not_believed {
            assert!(journal.while_another_syncs(note) >= PATIENCE, "{note:?}");
        }
        failed(&journal.file, &journal.dir);
        sync(&journal.file, &journal.dir).unwrap();
        assert_eq!(journal.note().unwrap().failed, 1);
        let mut torn = Note { generation: 39, ..good }.to_bytes();
        torn[3] ^= 1;
        journal.dir.open_lock(layout::SYNC).unwrap().write_note(&torn).unwrap();
        assert_eq!(journal.note(), None);
    }
}
