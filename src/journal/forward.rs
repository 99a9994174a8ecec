//! Scanning a file forward, a chunk at a time.

use super::scan::{Cursor, Rest, Seen, scan};
use crate::error::IoError;

/// Bytes read at once; more only while a gap of more does not count.
const CHUNK: u64 = 1 << 20;

/// A scan on its way through a journal, in flat memory.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) cursor: Cursor,
    /// Bytes behind the cursor that were read and do not count so far.
    buffer: Vec<u8>,
    chunk: u64,
}

impl Forward {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self { cursor, buffer: Vec::new(), chunk: CHUNK }
    }

    /// Reads and scans the next bytes before `len`. At the end, what lies behind the last counted
    /// record; `None` while there is more to read.
    pub(super) fn step(
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
        let rest = scan(&mut self.cursor, &self.buffer, see);
        let counted = usize::try_from(self.cursor.offset - from).unwrap_or(usize::MAX);
        self.buffer.drain(..counted.min(self.buffer.len()));
        self.chunk = if counted == 0 { self.chunk.saturating_mul(2) } else { CHUNK };
        let ended = from + read >= len || read - had < wanted;
        Ok(ended.then_some(rest))
    }

    /// The bytes behind the cursor.
    pub(super) fn into_tail(self) -> Vec<u8> {
        self.buffer
    }
}
