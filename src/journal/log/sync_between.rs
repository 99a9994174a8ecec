//! Sharing an `fdatasync` between processes.
//!
//! Whoever syncs holds the lock `journal/.sync` meanwhile, and then notes there how long the journal was
//! when it began. Who waits for that lock and finds a note that was written while it waited, and that
//! covers its own bytes, need not sync. A note that was there before says nothing: it may be older than a
//! power cut. Without the file, everybody syncs.
//!
//! The system tells of content that it could not write only to those who had the file open then. So once
//! a sync failed, a sync by others says nothing about our bytes: while that is noted, nobody shares.

use std::time::{Duration, Instant};

use crate::error::IoError;
use crate::io::{AppendFile, Dir};
use crate::journal::log::note::{Identity, Note};
use crate::layout;
use crate::planted::Bug;

/// How long to wait for somebody else's sync before an own one.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long a waiter yields before it sleeps.
const YIELDING: Duration = Duration::from_micros(200);
const SLEEP: Duration = Duration::from_micros(50);

/// Waits until everything that was written to the journal before this call is on the disk.
pub(crate) fn sync(file: &AppendFile, dir: &Dir, journal: Identity) -> Result<(), IoError> {
    let Ok(lock) = dir.open_lock(layout::SYNC) else { return file.sync() };
    let written = file.linked_len()?.unwrap_or(u64::MAX);
    let before = Note::read(&lock).map_or(0, |note| note.generation);
    let start = Instant::now();
    loop {
        let locked = lock.try_exclusive().unwrap_or(false);
        let note = Note::read(&lock);
        let generation = note.map_or(0, |note| note.generation);
        let covers =
            |note: Note| note.journal == journal && note.covered >= written && !note.failed;
        let is_new = generation != before || Bug::OldNoteBelieved.is_planted();
        if is_new && note.is_some_and(covers) {
            return Ok(());
        }
        if locked || start.elapsed() >= PATIENCE {
            let covered = file.linked_len()?.unwrap_or(0);
            let synced = file.sync();
            // Where nothing can be written, the next one syncs itself. Of a failure its caller leaves a note.
            let in_doubt = Note::read(&lock).is_some_and(|note| note.is_failure_of(journal));
            if locked && synced.is_ok() && !in_doubt {
                let generation = generation.wrapping_add(1);
                let _ = Note { generation, journal, covered, failed: false }.write(&lock);
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
            dir.create_new(layout::EVENTS).unwrap();
            let file = dir.open_append(layout::EVENTS).unwrap();
            file.append(b"0123456789").unwrap();
            Self { dir, file, _keep: keep }
        }

        fn identity(&self) -> Identity {
            self.file.identity().unwrap().unwrap()
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
                let ours = scope.spawn(|| sync(&self.file, &self.dir, self.identity()).unwrap());
                std::thread::sleep(PATIENCE / 4);
                if let Some(note) = note {
                    note.write(&other).unwrap();
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
        let identity = journal.identity();
        for generation in 1..4 {
            sync(&journal.file, &journal.dir, journal.identity()).unwrap();
            let note = Note { generation, journal: identity, covered: 10, failed: false };
            assert_eq!(journal.note(), Some(note));
        }
    }

    #[test]
    fn only_a_note_that_came_meanwhile_and_covers_our_bytes_is_believed() {
        let journal = Journal::new();
        sync(&journal.file, &journal.dir, journal.identity()).unwrap();
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
            Some(Note { generation: 35, failed: true, ..good }),
        ];
        for note in not_believed {
            assert!(journal.while_another_syncs(note) >= PATIENCE, "{note:?}");
        }
        // While that is noted, a good sync does not hide it.
        let failed = Note { generation: 36, failed: true, covered: 4, ..good };
        failed.write(&journal.dir.open_lock(layout::SYNC).unwrap()).unwrap();
        sync(&journal.file, &journal.dir, journal.identity()).unwrap();
        assert_eq!(journal.note(), Some(failed));
    }
}
