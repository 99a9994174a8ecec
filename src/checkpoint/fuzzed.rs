//! What a fuzzer calls of a checkpoint's page.

use super::page::Page;
use crate::fuzzed::{page, sealed};

/// The bytes of `checkpoints/<turn>.json`: what is read is written as a file that reads the same.
pub fn checkpoint(data: &[u8]) {
    let Some(read) = page::<Page>(&sealed(data)) else { return };
    let made = Page::new(read.turn, read.seq, read.artifacts);
    // One that the journal bears out is one that can be made again.
    assert!(made.digest().is_ok());
}
