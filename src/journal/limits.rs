//! How large a line and a batch can be.

/// Bytes of a line, its line break included.
pub const MAX_LINE: usize = 1 << 20;
/// Records of a batch.
pub const MAX_BATCH_RECORDS: usize = 1024;
/// Bytes of a batch.
pub const MAX_BATCH_BYTES: usize = 16 << 20;
