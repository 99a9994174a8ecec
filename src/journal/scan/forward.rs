//! Scanning a file forward, a chunk at a time.

use crate::error::IoError;
use crate::journal::Cursor;
use crate::journal::scan::{Rest, Seen, scan};

/// Bytes read at once, so few that they and their records stay in a cache of the processor.
const CHUNK: u64 = 128 << 10;
/// Where records are large batches, as many more as keep small what is scanned again; still more only
/// while a gap of more does not count.
const LARGE_CHUNK: u64 = 1 << 20;

/// A scan on its way through a journal, in flat memory.
#[derive(Debug)]
pub(crate) struct Forward {
    pub(crate) cursor: Cursor,
    /// Bytes behind the cursor that were read and do not count so far.
    buffer: Vec<u8>,
    chunk: u64,
    /// The end of what was read.
    reached: u64,
}

impl Forward {
    pub(crate) fn new(cursor: Cursor) -> Self {
        Self { cursor, buffer: Vec::new(), chunk: CHUNK, reached: cursor.offset }
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
        let from = self.cursor.offset;
        let had = self.buffer.len() as u64;
        let wanted = self.chunk.min(len.saturating_sub(from + had));
        read(from + had, wanted, &mut self.buffer)?;
        let read = self.buffer.len() as u64;
        self.reached = from + read;
        let rest = scan(&mut self.cursor, &self.buffer, see);
        let counted = usize::try_from(self.cursor.offset - from).unwrap_or(usize::MAX);
        self.buffer.drain(..counted.min(self.buffer.len()));
        let ended = from + read >= len || read - had < wanted;
        self.chunk = if counted == 0 && !ended {
            self.chunk.saturating_mul(2)
        } else {
            (self.buffer.len() as u64).saturating_mul(16).clamp(CHUNK, LARGE_CHUNK)
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
