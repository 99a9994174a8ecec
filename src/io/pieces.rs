//! Long files, read by several threads at once.

#[cfg(unix)]
use std::sync::atomic::{AtomicUsize, Ordering};

use super::ReadFile;
#[cfg(unix)]
use super::file::SMALL;
use super::kept::with_kept;
use crate::digest::Digest;
#[cfg(unix)]
use crate::digest::Piece;
use crate::error::IoError;

/// Files that are longer are read by several at once; of shorter ones there are many.
#[cfg(unix)]
const HUGE: u64 = 64 << 20;

impl ReadFile {
    /// True if it holds so many bytes, and these have the digest. Of a file that is short this is one call and no
    /// more, which may read too little: where it is false, it is to be looked at again.
    pub(crate) fn has_digest(&mut self, size: u64, expected: Digest) -> bool {
        #[cfg(unix)]
        if size <= SMALL {
            // With room for one more, which is not to come.
            return with_kept(size + 1, |room| {
                let read = std::os::unix::fs::FileExt::read_at(&self.file, room, 0);
                let read = read.ok().filter(|read| *read as u64 == size);
                let content = read.and_then(|read| room.get(..read));
                content.is_some_and(|content| Digest::of(content) == expected)
            });
        }
        let digest = self.digest_on_all_processors();
        digest.is_ok_and(|(digest, found)| digest == expected && found == size)
    }

    /// The same as [`digest`](ReadFile::digest), of a long file on all processors: for files that nobody writes
    /// to, since what replaces one is another file.
    #[cfg(unix)]
    pub(crate) fn digest_on_all_processors(&mut self) -> Result<(Digest, u64), IoError> {
        let end = self.end()?;
        if end <= HUGE {
            return self.digest_to(end);
        }
        let pieces = usize::try_from(end.div_ceil(Digest::PIECE)).unwrap_or(usize::MAX);
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(pieces);
        if threads < 2 {
            return self.digest_to(end);
        }
        let next = AtomicUsize::new(0);
        let file = &self.file;
        let hash = || -> std::io::Result<Vec<(usize, Piece)>> {
            let (mut hashed, mut bytes) = (Vec::new(), Vec::new());
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                if piece >= pieces {
                    return Ok(hashed);
                }
                let from = piece as u64 * Digest::PIECE;
                let len = (end - from).min(Digest::PIECE);
                bytes.resize(usize::try_from(len).unwrap_or(0), 0);
                std::os::unix::fs::FileExt::read_exact_at(file, &mut bytes, from)?;
                hashed.push((piece, Digest::piece(from, &bytes)));
            }
        };
        let hashed = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(hash)).collect();
            let own = hash();
            let died = || Err(std::io::Error::other("a thread that hashed it died"));
            let others = others.into_iter().map(|other| other.join().unwrap_or_else(|_| died()));
            std::iter::once(own)
                .chain(others.collect::<Vec<_>>())
                .collect::<std::io::Result<Vec<_>>>()
        });
        let mut hashed = hashed.map_err(IoError::at("read", &self.path))?.concat();
        hashed.sort_unstable_by_key(|(piece, _)| *piece);
        let hashed: Vec<_> = hashed.into_iter().map(|(_, hash)| hash).collect();
        match Digest::of_pieces(&hashed) {
            Some(digest) => Ok((digest, end)),
            None => self.digest_to(end),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn digest_on_all_processors(&mut self) -> Result<(Digest, u64), IoError> {
        self.digest()
    }
}
