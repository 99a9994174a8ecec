//! What stands in `journal/.sync`: how far the journal is on the disk, or from where on it is in doubt.

use crate::error::IoError;
use crate::io::LockFile;

/// Tells a file from others: its device and its number there.
pub(crate) type Identity = (u64, u64);

/// What the last sync covered, or what a failed one left in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    /// Counts the notes.
    pub(super) generation: u64,
    /// Which file it is about.
    pub(super) journal: Identity,
    /// So many bytes are on the disk: its length when the sync began, or when the last good one did.
    pub(super) covered: u64,
    /// True if a sync failed, and what it left in doubt was not written again since.
    pub(super) failed: bool,
}

/// What stands in the place of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Empty,
    Whole(Note),
    /// It is being written, or a crash cut it short.
    Torn,
}

/// Five numbers, and eight bytes of their BLAKE3: a note that is read while it is written is none.
const NOTE: usize = 48;

impl Note {
    fn to_bytes(self) -> [u8; NOTE] {
        let mut bytes = [0; NOTE];
        let Self { generation, journal: (device, file), covered, failed } = self;
        let (numbers, sum) = bytes.split_at_mut(NOTE - 8);
        let failed = u64::from(failed);
        for (number, place) in
            [generation, device, file, covered, failed].iter().zip(numbers.chunks_exact_mut(8))
        {
            place.copy_from_slice(&number.to_le_bytes());
        }
        sum.iter_mut().zip(blake3::hash(numbers).as_bytes()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// What is noted, if anything is that is whole.
    pub(super) fn read(lock: &LockFile) -> Option<Self> {
        match Self::look(lock) {
            Ok(Found::Whole(note)) => Some(note),
            _ => None,
        }
    }

    /// What stands there; an error where that cannot be told.
    pub(super) fn look(lock: &LockFile) -> Result<Found, IoError> {
        let mut bytes = [0; NOTE];
        let read = lock.read_note(&mut bytes)?;
        let note = if read == NOTE { Self::from_bytes(bytes) } else { None };
        Ok(match note {
            Some(note) => Found::Whole(note),
            None if read == 0 => Found::Empty,
            None => Found::Torn,
        })
    }

    pub(super) fn write(self, lock: &LockFile) -> Result<(), IoError> {
        lock.write_note(&self.to_bytes())
    }

    /// True if a sync of this journal failed.
    pub(super) fn is_failure_of(&self, journal: Identity) -> bool {
        self.failed && self.journal == journal
    }

    fn from_bytes(bytes: [u8; NOTE]) -> Option<Self> {
        let mut numbers = bytes
            .chunks_exact(8)
            .filter_map(|number| number.try_into().ok().map(u64::from_le_bytes));
        let generation = numbers.next()?;
        let journal = (numbers.next()?, numbers.next()?);
        let covered = numbers.next()?;
        let note = Self { generation, journal, covered, failed: numbers.next()? != 0 };
        (note.to_bytes() == bytes).then_some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_that_is_not_whole_is_none() {
        for failed in [false, true] {
            let note = Note { generation: 3, journal: (7, 8), covered: 10, failed };
            assert_eq!(Note::from_bytes(note.to_bytes()), Some(note));
            for bit in 0..NOTE * 8 {
                let mut torn = note.to_bytes();
                torn[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Note::from_bytes(torn), None, "bit {bit}");
            }
        }
    }
}
