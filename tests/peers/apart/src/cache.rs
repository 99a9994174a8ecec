//! cacache: content under its hash, and a name for it in an index.

use crate::{Operate, Result};

/// `write_sync` of content that differs each time, under a name that is new: a temporary file, SHA-256 (its default; it has
/// no BLAKE3), a rename, and a line in a bucket of the index. Nothing is synced.
pub(crate) fn write(dir: &str, size: usize) -> Result<Operate> {
    let (dir, mut bytes) = (dir.to_owned(), Vec::with_capacity(size));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while bytes.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    Ok(Box::new(move |number| {
        if let Some(stamp) = bytes.first_chunk_mut() {
            *stamp = number.to_le_bytes();
        }
        cacache::write_sync(&dir, format!("{number:08}.bin"), &bytes)?;
        Ok(())
    }))
}
