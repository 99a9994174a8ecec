//! Small files, read whole; and those that should be small, and are not.

use std::io::Read;

use super::ReadFile;
use super::file::SMALL;
use crate::error::IoError;

impl ReadFile {
    /// Reads a file that is small: to ask how large it is would cost as much as to read it. `None`
    /// where it is longer than `most`, and then little of it was read.
    pub(crate) fn read_little(&mut self, most: u64) -> Result<Option<Vec<u8>>, IoError> {
        let mut bytes = Vec::with_capacity(4096);
        // One that is not small after all is asked: its end may be far beyond what there is room for.
        let small = most.saturating_add(1).min(SMALL);
        if self.read_up_to(small, &mut bytes)? == small {
            if self.len()? > most {
                return Ok(None);
            }
            self.read_up_to(most.saturating_add(1).saturating_sub(small), &mut bytes)?;
        }
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }

    /// Appends what comes next, of no more than so many bytes, to `buffer`, and says how many came.
    fn read_up_to(&mut self, most: u64, buffer: &mut Vec<u8>) -> Result<u64, IoError> {
        // Not the file's own, which asks how large it is.
        let read = Read::take(&mut *self, most).read_to_end(buffer);
        Ok(read.map_err(IoError::at("read", &self.path))? as u64)
    }
}
