//! What a fuzzer calls of a backup's files.

use camino::{Utf8Component, Utf8Path};

use super::page::Page;
use super::snapshot::SnapshotFile;
use super::store::read_versioned;
use crate::fuzzed::{page, sealed};

/// The bytes of a snapshot or of a page: what is read is written as a file that reads the same, and no page
/// without a fault leads out of its home.
pub fn backup(data: &[u8]) {
    let file = sealed(data);
    let path = Utf8Path::new("");
    if let Some(read) = page::<SnapshotFile>(&file) {
        let versioned = read_versioned::<SnapshotFile>(path, &file);
        assert!(versioned.is_ok_and(|versioned| versioned == read) || read.format_version > 1);
    }
    let Some(read) = page::<Page>(&file) else { return };
    assert_eq!(read.to_bytes().map(|bytes| crate::line::read(&bytes)).ok(), Some(Ok(read.clone())));
    if read.fault().is_some() {
        return;
    }
    for file in &read.files {
        let parts = Utf8Path::new(&file.path).components();
        let all_below = parts.clone().all(|part| matches!(part, Utf8Component::Normal(_)));
        assert!(all_below && parts.count() > 0, "{:?} leads out of its home", file.path);
    }
    // Each piece is of a size that a piece has, and they are the journal.
    let pieces: u64 = read.journal.iter().flat_map(|journal| journal.sized()).map(|(_, n)| n).sum();
    assert_eq!(pieces, read.journal.as_ref().map_or(0, |journal| journal.bytes));
    assert_eq!(
        read.objects().count(),
        read.files.len() + read.journal.as_ref().map_or(0, |journal| journal.pieces.len())
    );
    let _ = read.size();
}
