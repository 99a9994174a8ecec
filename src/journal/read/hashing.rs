//! Reading ahead in a long journal, and hashing there on a second thread what the scan will ask for.
//!
//! Only whole pieces are read ahead, and bytes of a journal never change: so what the scan is given is what it
//! would have read itself. What does not fit, as where damage is looked at once more, is read anew.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use crate::error::IoError;
use crate::io::ReadFile;
use crate::journal::scan::chained::Chained;
use crate::journal::scan::forward::CHUNK;

/// A journal that is read this far is long.
const LONG: u64 = 1 << 20;
/// Pieces that wait behind what is read at once.
const AHEAD: u64 = 3;

/// Reads for a scan; of a long journal, with a second thread, which ends with it or with the journal.
#[derive(Debug, Default)]
pub(super) struct Hashing {
    /// Bytes that were read one behind the other.
    far: u64,
    /// Where that ended.
    reached: u64,
    helper: Option<Helper>,
}

impl Hashing {
    /// Appends `count` bytes from `offset` to `buffer`, or as many as there are: the hashes of lines in them that
    /// are known already.
    pub(super) fn read(
        &mut self,
        file: &mut ReadFile,
        offset: u64,
        count: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Vec<Chained>, IoError> {
        if offset != self.reached {
            self.end();
        }
        let had = buffer.len();
        let mut lines = Vec::new();
        let mut taken = 0;
        while let Some(helper) = self.helper.as_mut().filter(|_| taken + CHUNK <= count) {
            let Some(piece) = helper.next() else { break };
            buffer.extend_from_slice(&piece.bytes);
            lines.extend(piece.lines);
            taken += CHUNK;
            helper.spare.push(piece.bytes);
        }
        if taken < count {
            // What waits, if anything does, is not what comes next.
            self.helper = None;
            file.read_at(offset + taken, count - taken, buffer)?;
        }
        let read = (buffer.len() - had) as u64;
        self.far += read;
        self.reached = offset + read;
        if read < count {
            self.end();
        } else if self.far >= LONG {
            self.read_ahead(file, count)?;
        }
        Ok(lines)
    }

    /// Lets the thread go, until as much was read once more.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Hands what comes next to the thread, as far as the file goes in whole pieces.
    fn read_ahead(&mut self, file: &mut ReadFile, count: u64) -> Result<(), IoError> {
        if self.helper.is_none() {
            self.helper = Helper::start();
        }
        let Some(helper) = &mut self.helper else {
            // No thread is to be had: that is asked again when as much was read once more.
            self.far = 0;
            return Ok(());
        };
        while helper.waiting * CHUNK < count + AHEAD * CHUNK {
            let mut bytes = helper.spare.pop().unwrap_or_default();
            bytes.clear();
            let offset = self.reached + helper.waiting * CHUNK;
            file.read_at(offset, CHUNK, &mut bytes)?;
            if (bytes.len() as u64) < CHUNK || !helper.hash(offset, bytes) {
                break;
            }
        }
        Ok(())
    }
}

/// Bytes, and the hashes of their lines.
#[derive(Debug)]
struct Piece {
    offset: u64,
    bytes: Vec<u8>,
    lines: Vec<Chained>,
}

/// The thread.
#[derive(Debug)]
struct Helper {
    /// `None` once it is to end.
    to: Option<Sender<Piece>>,
    from: Receiver<Piece>,
    thread: Option<JoinHandle<()>>,
    /// Pieces that it has.
    waiting: u64,
    /// Buffers that are free again.
    spare: Vec<Vec<u8>>,
}

impl Helper {
    /// `None` where no second processor is free for it, or no thread to be had.
    fn start() -> Option<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let (to, pieces) = mpsc::channel::<Piece>();
        let (done, from) = mpsc::channel();
        let hash = move || {
            for mut piece in pieces {
                piece.lines = Chained::of_lines(piece.offset, &piece.bytes);
                if done.send(piece).is_err() {
                    break;
                }
            }
        };
        let thread = thread::Builder::new();
        let thread = (cores > 1).then(|| thread.spawn(hash).ok()).flatten()?;
        Some(Self { to: Some(to), from, thread: Some(thread), waiting: 0, spare: Vec::new() })
    }

    /// False if it panicked.
    fn hash(&mut self, offset: u64, bytes: Vec<u8>) -> bool {
        let piece = Piece { offset, bytes, lines: Vec::new() };
        let sent = self.to.as_ref().is_some_and(|to| to.send(piece).is_ok());
        self.waiting += u64::from(sent);
        sent
    }

    /// The piece that was handed to it first, of those that it has.
    fn next(&mut self) -> Option<Piece> {
        self.waiting = self.waiting.checked_sub(1)?;
        self.from.recv().ok()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It ends with the piece that it is at: nobody takes that, and nobody hands it more.
        self.to = None;
        self.from = mpsc::channel().1;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;
    use crate::digest::Digest;
    use crate::io::Dir;
    use crate::line;

    #[test]
    fn what_is_read_is_what_is_there_however_it_is_asked_for() {
        let mut file = Vec::new();
        for number in 0..9000 {
            let json = format!("{{\"n\":\"{}\"}}", "x".repeat(number % 700));
            file.extend(line::seal(&json, Digest::of).0);
        }
        let keep = tempfile::tempdir().unwrap();
        std::fs::write(keep.path().join("file"), &file).unwrap();
        let dir = Dir::open(Utf8Path::from_path(keep.path()).unwrap()).unwrap();
        let all = Chained::of_lines(0, &file);

        // Where it goes on elsewhere, it has to be far again.
        for counts in [vec![1], vec![1, 1, 2, 8, 1], vec![3, 5, 0, 1]] {
            let mut open = dir.open_read("file").unwrap();
            let (mut hashing, mut known, mut read) = (Hashing::default(), 0, Vec::new());
            for count in counts.iter().cycle() {
                let wanted = (count * CHUNK).max(77_777);
                let (from, offset) = (read.len(), read.len() as u64);
                let lines = hashing.read(&mut open, offset, wanted, &mut read).unwrap();
                known += lines.len();
                for line in lines {
                    assert!(all.contains(&line), "{line:?}");
                }
                if ((read.len() - from) as u64) < wanted {
                    break;
                }
            }
            assert!(read == file);
            assert!(hashing.helper.is_none(), "it ends with the file");
            let cores = thread::available_parallelism().map_or(1, usize::from);
            assert_eq!(known > 1000, cores > 1, "{known}");

            let before = &file[..3 * (CHUNK as usize)];
            let mut again = Vec::new();
            hashing.read(&mut open, 0, before.len() as u64, &mut again).unwrap();
            assert!(again == before);
        }
    }
}
