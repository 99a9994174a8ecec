//! Artifacts that may be larger than memory. What is measured of the API for them is said here, once.

use std::io::Write as _;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{ArtifactName, Artifacts};

use crate::Result;
use crate::measure::{Lap, Work};

/// Content of any size without holding it: pieces of 1 MiB, no two equal.
pub(crate) struct Content {
    piece: Vec<u8>,
    pub(crate) size: u64,
}

pub(crate) const PIECE: usize = 1 << 20;

impl Content {
    pub(crate) fn new(size: u64) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = (0..PIECE / 8).flat_map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_le_bytes()
        });
        Self { piece: words.collect(), size }
    }

    /// Hands the pieces out one after another.
    pub(crate) fn each(&mut self, mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut left = self.size;
        for number in 0_u64.. {
            if left == 0 {
                break;
            }
            if let Some(stamp) = self.piece.first_chunk_mut() {
                *stamp = number.to_le_bytes();
            }
            let length = left.min(PIECE as u64);
            take(self.piece.get(..usize::try_from(length)?).unwrap_or(&[]))?;
            left -= length;
        }
        Ok(())
    }

    /// All of it, in memory.
    pub(crate) fn whole(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.size)?);
        self.each(|piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }
}

/// Writes an artifact piece by piece.
pub(crate) fn write(store: &Artifacts, name: &str, content: &mut Content) -> Result<()> {
    let mut file = store.create(ArtifactName::new(name)?)?;
    content.each(|piece| Ok(file.write_all(piece)?))?;
    file.commit()?;
    Ok(())
}

/// Reads an artifact piece by piece, checks its digest, and returns its size.
pub(crate) fn read(store: &Artifacts, name: &str) -> Result<u64> {
    let mut file = store.open(ArtifactName::new(name)?)?;
    let read = std::io::copy(&mut file, &mut std::io::sink())?;
    file.verify()?;
    Ok(read)
}

/// Content that differs from file to file.
pub(crate) fn stamped(bytes: &mut [u8], number: u64) {
    if let Some(stamp) = bytes.first_chunk_mut() {
        *stamp = number.to_le_bytes();
    }
}

/// A lap writes so many files; `write` is told a number and a name, and returns where the file is. `after` is called of each,
/// outside of the time.
pub(crate) fn files<'a>(
    files: u64,
    mut write: impl FnMut(u64, &str) -> Result<Utf8PathBuf> + 'a,
    after: impl Fn(&Utf8Path) -> Result<()> + 'a,
) -> Work<'a> {
    let mut next = 0;
    Box::new(move || {
        let (mut time, mut paths) = (Duration::ZERO, Vec::new());
        for number in next..next + files {
            let name = format!("{number:08}.bin");
            let start = Instant::now();
            paths.push(write(number, &name)?);
            time += start.elapsed();
        }
        next += files;
        paths.iter().try_for_each(|path| after(path))?;
        Ok(Lap { operations: files, time })
    })
}

/// Puts a file on the disk and out of the cache.
pub(crate) fn forget(path: &Utf8Path) -> Result<()> {
    let file = std::fs::File::open(path)?;
    file.sync_all()?;
    Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
}
