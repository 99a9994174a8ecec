//! Digests: BLAKE3, written `blake3:<64 hex>`.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use blake3::hazmat::{HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::cut;

/// The BLAKE3 digest of some bytes.
///
/// ```
/// use runjournal::Digest;
/// let digest = Digest::of(b"abc");
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// assert!(digest.to_string().starts_with("blake3:6437b3ac"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is not `blake3:<64 hex>`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{:?} is not a digest: it must be blake3: and 64 lowercase hex digits", cut(.text))]
pub struct DigestError {
    /// The refused text.
    pub text: String,
}

/// What is known of a piece of long content that was hashed.
pub(crate) type Piece = [u8; 32];

/// The halves of the tree over these pieces: the left one has as many as the greatest power of two that leaves
/// some.
fn halves(pieces: &[Piece]) -> Option<(&[Piece], &[Piece])> {
    let left = pieces.len().checked_next_power_of_two()? / 2;
    pieces.split_at_checked(left).filter(|(left, _)| !left.is_empty())
}

fn subtree(pieces: &[Piece]) -> Option<Piece> {
    if let [piece] = pieces {
        return Some(*piece);
    }
    let (left, right) = halves(pieces)?;
    Some(merge_subtrees_non_root(&subtree(left)?, &subtree(right)?, Mode::Hash))
}

const PREFIX: &str = "blake3:";

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Its 32 bytes.
    #[cfg(feature = "sqlite")]
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The digest of all that a reader still holds, in flat memory.
    ///
    /// # Errors
    /// Where the reader fails.
    pub fn of_reader(reader: impl io::Read) -> io::Result<Self> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(reader)?;
        Ok(Self::from_hasher(&hasher))
    }

    /// Long content is hashed in pieces of so many bytes, in any order.
    pub(crate) const PIECE: u64 = 16 << 20;

    /// What is known of a piece: the bytes of it, but for the last one [`PIECE`](Digest::PIECE) of them.
    pub(crate) fn piece(offset: u64, bytes: &[u8]) -> Piece {
        blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
    }

    /// The digest of content of which all pieces are known, at least two.
    pub(crate) fn of_pieces(pieces: &[Piece]) -> Option<Self> {
        let (left, right) = halves(pieces)?;
        let (left, right) = (subtree(left)?, subtree(right)?);
        Some(Self(*merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()))
    }

    /// The digest of these bytes, and what `work` returns, which is done meanwhile.
    pub(crate) fn beside<T>(bytes: &[u8], work: impl FnOnce() -> T) -> (Self, T) {
        if bytes.len() < SECOND_THREAD {
            let done = work();
            return (Self::of(bytes), done);
        }
        let taken = AtomicBool::new(false);
        let hash = || (!taken.swap(true, Ordering::Relaxed)).then(|| Self::of(bytes));
        thread::scope(|scope| {
            // Linux may start a thread on the processor of its maker, to wait there until the work is
            // done. Of two it starts one elsewhere; the first that runs hashes.
            let helpers = [(); 2].map(|()| thread::Builder::new().spawn_scoped(scope, hash));
            let done = work();
            // Where no other processor is free, or no thread to be had, this one hashes.
            let mut digests = helpers.into_iter().flatten().map(|helper| helper.join().ok()?);
            let digest = hash().or_else(|| digests.find_map(|digest| digest));
            (digest.unwrap_or_else(|| Self::of(bytes)), done)
        })
    }

    /// The digest of what a hasher was given.
    pub(crate) fn from_hasher(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest of `body` chained to the record before it.
    pub(crate) fn chained(parent: Digest, body: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&parent.0);
        hasher.update(body);
        Self::from_hasher(&hasher)
    }

    /// The 64 hex digits alone.
    #[must_use]
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// Appends the 64 hex digits.
    pub(crate) fn write_hex_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hex());
    }

    /// The 64 hex digits, as bytes.
    pub(crate) fn hex(self) -> [u8; 64] {
        let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
        let mut hex = [0; 64];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        hex
    }

    /// Hands over its whole text.
    fn with_text<T>(self, take: impl FnOnce(&str) -> T) -> T {
        let mut text = [0; PREFIX.len() + 64];
        let (prefix, hex) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        hex.copy_from_slice(&self.hex());
        // It is ASCII.
        take(str::from_utf8(&text).unwrap_or_default())
    }

    /// From exactly 64 lowercase hex digits.
    pub(crate) fn from_hex(hex: &[u8; 64]) -> Option<Self> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - (b'a' - 10),
            _ => 0xff,
        };
        let (mut bytes, mut seen) = ([0; 32], 0);
        for (byte, pair) in bytes.iter_mut().zip(hex.as_chunks::<2>().0) {
            let (high, low) = (value(pair[0]), value(pair[1]));
            *byte = high << 4 | low & 15;
            seen |= high | low;
        }
        (seen < 16).then_some(Self(bytes))
    }
}

/// From this many bytes on it pays to hash on a second thread: at half of it, to start one costs about what it saves.
const SECOND_THREAD: usize = 2 << 20;
/// What a stream is hashed in.
pub(crate) const PIECE: usize = 256 << 10;
/// How many pieces may wait for the second thread.
const WAITING: usize = 3;

/// Hashes a stream piece by piece while its owner writes the next one: on a second thread once the
/// stream is long, at once where it is short or no thread is to be had. Its memory is a few pieces,
/// which go round. Dropped, it ends its thread.
#[derive(Debug, Default)]
pub(crate) struct StreamHasher {
    here: blake3::Hasher,
    length: usize,
    helper: Option<Helper>,
    /// False once no thread was to be had.
    alone: bool,
}

#[derive(Debug)]
struct Helper {
    full: SyncSender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
    /// How many buffers may still be made.
    spare: usize,
    thread: JoinHandle<blake3::Hasher>,
}

impl StreamHasher {
    /// Takes a piece, and hands back an empty buffer for the next.
    pub(crate) fn take(&mut self, mut piece: Vec<u8>) -> Vec<u8> {
        self.length = self.length.saturating_add(piece.len());
        if self.helper.is_none() && !self.alone && self.length >= SECOND_THREAD {
            self.helper = Helper::start(self.here.clone());
            self.alone = self.helper.is_none();
        }
        match &mut self.helper {
            Some(helper) => helper.take(piece),
            None => {
                self.here.update(&piece);
                piece.clear();
                piece
            }
        }
    }

    /// The digest of all pieces; `None` if the second thread panicked.
    pub(crate) fn finish(mut self) -> Option<Digest> {
        match self.helper.take() {
            Some(helper) => helper.end().map(|hasher| Digest::from_hasher(&hasher)),
            None => Some(Digest::from_hasher(&self.here)),
        }
    }
}

impl Drop for StreamHasher {
    fn drop(&mut self) {
        self.helper.take().map(Helper::end);
    }
}

impl Helper {
    fn start(mut hasher: blake3::Hasher) -> Option<Self> {
        let (full, pieces) = mpsc::sync_channel::<Vec<u8>>(WAITING);
        let (used, empty) = mpsc::channel();
        let hash = move || {
            for mut piece in pieces {
                hasher.update(&piece);
                piece.clear();
                // Nobody waits for it once the stream has ended.
                let _ = used.send(piece);
            }
            hasher
        };
        let thread = thread::Builder::new().spawn(hash).ok()?;
        Some(Self { full, empty, spare: WAITING, thread })
    }

    fn take(&mut self, piece: Vec<u8>) -> Vec<u8> {
        // A thread that panicked takes nothing any more, and its end tells.
        let _ = self.full.send(piece);
        if let Ok(used) = self.empty.try_recv() {
            return used;
        }
        if self.spare > 0 {
            self.spare -= 1;
            return Vec::new();
        }
        self.empty.recv().unwrap_or_default()
    }

    fn end(self) -> Option<blake3::Hasher> {
        drop(self.full);
        self.thread.join().ok()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.pad(text))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.strip_prefix(PREFIX)
            .and_then(|hex| Self::from_hex(hex.as_bytes().try_into().ok()?))
            .ok_or_else(|| DigestError { text: text.to_owned() })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let piece = usize::try_from(Digest::PIECE).unwrap();
        let content: Vec<u8> =
            (0..5 * piece + 7).map(|n| (n >> 3) as u8 ^ (n >> 11) as u8).collect();
        for len in [piece + 1, 2 * piece, 3 * piece, 4 * piece + 1, 5 * piece, 5 * piece + 7] {
            let pieces = content[..len].chunks(piece).enumerate();
            let pieces: Vec<_> =
                pieces.map(|(at, bytes)| Digest::piece((at * piece) as u64, bytes)).collect();
            assert_eq!(Digest::of_pieces(&pieces), Some(Digest::of(&content[..len])), "{len}");
        }
    }

    #[test]
    fn a_stream_has_the_digest_of_its_bytes_however_it_is_cut() {
        let bytes: Vec<u8> = (0..3_000_001_u32).map(|i| (i / 7) as u8).collect();
        for (length, piece) in
            [(0, 1), (1, 1), (70_000, 999), (SECOND_THREAD, PIECE), (3_000_001, 77_777)]
        {
            let bytes = &bytes[..length];
            let mut hasher = StreamHasher::default();
            let mut buffer = Vec::new();
            for piece in bytes.chunks(piece) {
                buffer.extend_from_slice(piece);
                buffer = hasher.take(buffer);
                assert!(buffer.is_empty());
            }
            assert_eq!(hasher.finish(), Some(Digest::of(bytes)), "{length} in pieces of {piece}");
            assert_eq!(Digest::beside(bytes, || 7), (Digest::of(bytes), 7));
            assert_eq!(Digest::of_reader(bytes).unwrap(), Digest::of(bytes));
        }
    }
}
