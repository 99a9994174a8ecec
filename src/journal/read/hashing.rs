//! Reading ahead in a long journal, and hashing there on a second thread what the scan will ask for.
//!
//! Only whole pieces are read ahead, and bytes of a journal never change: so what the scan is given is what it
//! would have read itself. What does not fit, as where damage is looked at once more, is read anew.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::error::IoError;
use crate::io::ReadFile;
use crate::journal::scan::chained::Chained;
use crate::journal::scan::forward::{CHUNK, LARGE_CHUNK};

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
            helper.keep(piece.bytes);
        }
        if taken < count {
            // What waits, if anything does, is not what comes next.
            self.helper = None;
            file.read_at(offset + taken, count - taken, buffer)?;
        }
        let read = (buffer.len() - had) as u64;
        let is_long = self.far >= LONG;
        self.far += read;
        self.reached = offset + read;
        if read < count {
            self.end();
        } else if is_long {
            self.read_ahead(file, count.min(LARGE_CHUNK));
        }
        Ok(lines)
    }

    /// Lets the thread go, until as much was read once more.
    pub(super) fn end(&mut self) {
        *self = Self::default();
    }

    /// Hands what comes next to the thread, as far as the file goes in whole pieces.
    fn read_ahead(&mut self, file: &mut ReadFile, count: u64) {
        if self.helper.is_none() {
            self.helper = Helper::start();
        }
        let Some(helper) = &mut self.helper else {
            // No thread is to be had: that is asked again when as much was read once more.
            self.far = 0;
            return;
        };
        while helper.waiting * CHUNK < count + AHEAD * CHUNK {
            let mut bytes = helper.spare.pop().unwrap_or_default();
            bytes.clear();
            let offset = self.reached + helper.waiting * CHUNK;
            // What cannot be read is told of where the scan asks for it.
            let read = file.read_at(offset, CHUNK, &mut bytes);
            if read.is_err() || (bytes.len() as u64) < CHUNK || !helper.hash(offset, bytes) {
                break;
            }
        }
    }
}

/// Bytes, and the hashes of their lines.
#[derive(Debug)]
struct Piece {
    offset: u64,
    bytes: Vec<u8>,
    lines: Vec<Chained>,
}

/// One of the places for helpers, of which a process has as many as processors; none where that is one.
#[derive(Debug)]
struct Place;

static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let taken = TAKEN.fetch_add(1, Ordering::Relaxed);
        // Dropped where it is none, it is given back.
        let place = Self;
        (cores > 1 && taken < cores).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The thread.
#[derive(Debug)]
struct Helper {
    /// The process that it is a thread of: a forked one has none of it.
    process: u32,
    /// `None` once it is to end.
    to: Option<Sender<Piece>>,
    /// Locked by nobody: an iterator can be shared.
    from: Mutex<Receiver<Piece>>,
    thread: Option<JoinHandle<()>>,
    /// Pieces that it has.
    waiting: u64,
    /// Buffers that are free again.
    spare: Vec<Vec<u8>>,
    _place: Place,
}

impl Helper {
    /// `None` where there is no place for it, or no thread to be had.
    fn start() -> Option<Self> {
        let place = Place::take()?;
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
        let thread = Some(thread::Builder::new().spawn(hash).ok()?);
        let (process, to, from) = (std::process::id(), Some(to), Mutex::new(from));
        Some(Self { process, to, from, thread, waiting: 0, spare: Vec::new(), _place: place })
    }

    /// Keeps a buffer for a piece to come.
    fn keep(&mut self, bytes: Vec<u8>) {
        if (self.spare.len() as u64) < AHEAD + LARGE_CHUNK / CHUNK {
            self.spare.push(bytes);
        }
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
        let is_ours = self.process == std::process::id();
        is_ours.then(|| self.from.get_mut().unwrap_or_else(PoisonError::into_inner).recv().ok())?
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It ends with the piece that it is at: nobody takes that, and nobody hands it more.
        self.to = None;
        self.from = Mutex::new(mpsc::channel().1);
        let is_ours = self.process == std::process::id();
        if let Some(thread) = self.thread.take().filter(|_| is_ours) {
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
    fn there_are_as_many_places_as_processors() {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let taken: Vec<_> = std::iter::from_fn(Place::take).take(cores + 1).collect();
        assert!(taken.len() <= cores, "{}", taken.len());
    }

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
