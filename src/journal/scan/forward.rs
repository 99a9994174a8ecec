//! Scanning a file forward, a chunk at a time.

use crate::error::IoError;
use crate::journal::Cursor;
use crate::journal::scan::chained::Chained;
use crate::journal::scan::{Rest, Seen, scan};

/// Bytes read at once, so few that they and their records stay in a cache of the processor.
pub(crate) const CHUNK: u64 = 128 << 10;
/// Where records are large batches, as many more as keep small what is scanned again; still more only
/// while a gap of more does not count.
pub(crate) const LARGE_CHUNK: u64 = 1 << 20;

/// A scan on its way through a journal, in flat memory.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) cursor: Cursor,
    /// Bytes behind the cursor that were read and do not count so far.
    buffer: Vec<u8>,
    /// Hashes of lines in them that are known.
    hashed: Vec<Chained>,
    chunk: u64,
    /// The end of what was read.
    reached: u64,
}

impl Forward {
    pub(crate) fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            buffer: Vec::new(),
            hashed: Vec::new(),
            chunk: CHUNK,
            reached: cursor.offset,
        }
    }

    /// The same from this cursor again, where the first step reads farther than the last did: so it
    /// sees the end of the file where that saw it.
    pub(crate) fn again(&self, cursor: Cursor) -> Self {
        let chunk = self.reached.saturating_sub(cursor.offset).saturating_add(CHUNK);
        Self { chunk, ..Self::new(cursor) }
    }

    /// Reads and scans the next bytes before `len`. At the end, what lies behind the last counted
    /// record; `None` while there is more to read.
    pub(crate) fn step(
        &mut self,
        len: u64,
        read: impl FnOnce(u64, u64, &mut Vec<u8>) -> Result<(), IoError>,
        see: &mut dyn FnMut(Seen),
    ) -> Result<Option<Rest>, IoError> {
        let read = |offset, count, buffer: &mut _| read(offset, count, buffer).map(|()| Vec::new());
        self.step_hashed(len, read, see)
    }

    /// The same where what reads knows the hashes of some of the lines that it read.
    pub(crate) fn step_hashed(
        &mut self,
        len: u64,
        read: impl FnOnce(u64, u64, &mut Vec<u8>) -> Result<Vec<Chained>, IoError>,
        see: &mut dyn FnMut(Seen),
    ) -> Result<Option<Rest>, IoError> {
        let from = self.cursor.offset;
        let had = self.buffer.len() as u64;
        let wanted = self.chunk.min(len.saturating_sub(from + had));
        self.hashed.extend(read(from + had, wanted, &mut self.buffer)?);
        let read = self.buffer.len() as u64;
        self.reached = from + read;
        let rest = scan(&mut self.cursor, &self.buffer, &self.hashed, see);
        let left = Chained::from(&self.hashed, self.cursor.offset).len();
        self.hashed.drain(..self.hashed.len() - left);
        let counted = usize::try_from(self.cursor.offset - from).unwrap_or(usize::MAX);
        self.buffer.drain(..counted.min(self.buffer.len()));
        let ended = from + read >= len || read - had < wanted;
        self.chunk = if counted == 0 && !ended {
            self.chunk.saturating_mul(2)
        } else {
            let more = (self.buffer.len() as u64).saturating_mul(16).clamp(CHUNK, LARGE_CHUNK);
            more.next_multiple_of(CHUNK)
        };
        Ok(ended.then_some(rest))
    }

    /// The end of what was read.
    pub(crate) fn reached(&self) -> u64 {
        self.reached
    }

    /// The bytes behind the cursor.
    pub(crate) fn into_tail(self) -> Vec<u8> {
        self.buffer
    }
}
