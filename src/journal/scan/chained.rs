//! Hashes that were computed before the scan asks for them, on another thread.
//!
//! What a line should end in follows from its bytes and from the hash of the record before it, and that stands in
//! the text: so the lines of a piece can be hashed without knowing which of them count. The scan takes such a
//! hash where it would compute the same one: of these bytes, behind this hash.

use crate::digest::Digest;
use crate::line;

/// The hash that a line has behind the hash that the line before it ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chained {
    /// Where in the journal the line starts.
    offset: u64,
    length: usize,
    parent: Digest,
    hash: Digest,
}

impl Chained {
    /// Those of the lines in a piece of a journal, in their order. Of the first line nobody knows where it begins.
    pub(crate) fn of_lines(offset: u64, piece: &[u8]) -> Vec<Self> {
        let mut lines = Vec::with_capacity(piece.len() / USUAL);
        let mut start = 0;
        let mut parent = None;
        for at in memchr::memchr_iter(b'\n', piece) {
            let line = piece.get(start..=at).unwrap_or_default();
            if let (Some(parent), Some(body)) = (parent, line::body(line)) {
                let hash = Digest::chained(parent, body);
                let offset = offset + start as u64;
                lines.push(Self { offset, length: line.len(), parent, hash });
            }
            parent = line::open(line).map(|sealed| sealed.hash);
            start = at + 1;
        }
        lines
    }

    /// The first of these lines that does not start before this place.
    pub(crate) fn from(lines: &[Self], offset: u64) -> &[Self] {
        let before = lines.iter().take_while(|line| line.offset < offset).count();
        lines.get(before..).unwrap_or_default()
    }

    /// The hash of a line of so many bytes that starts here, behind this one, if that is what this is.
    pub(crate) fn hash(&self, offset: u64, length: usize, parent: Digest) -> Option<Digest> {
        let same = (self.offset, self.length, self.parent) == (offset, length, parent);
        same.then_some(self.hash)
    }
}

/// Bytes of most lines, or less.
const USUAL: usize = 256;
