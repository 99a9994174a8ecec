//! A place in a journal, to go on from later.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{IoError, cut};
use crate::io::AppendFile;
use crate::journal::record::Record;
use crate::line;

/// The place behind a counted record: where a reader that keeps it goes on, also in another process.
///
/// It holds the hash of that record, which vouches for all before it. So it fits the journal that it
/// came from, and copies of it, wherever they are; where it does not fit any more, the journal is
/// another one, or lost its tail. It is a value of three words, and can be kept as JSON or as text:
/// `OFFSET:SEQ:HASH`.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let ctx = runjournal::RunContext::from_env()?;
/// use runjournal::Cursor;
///
/// let newest = ctx.events()?.last(1)?.next().transpose()?;
/// let kept = newest.map(|record| record.cursor().to_string());
/// // Later, anywhere:
/// if let Some(kept) = kept {
///     let cursor: Cursor = kept.parse()?;
///     println!("{} records since", ctx.events()?.from(cursor)?.count());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cursor {
    /// Bytes before it.
    pub(crate) offset: u64,
    /// The seq of the last counted record; 0 at the start.
    pub(crate) seq: u64,
    /// Its hash; at the start, the digest of the genesis file.
    pub(crate) hash: Digest,
}

impl Cursor {
    /// True if the line that ends here ends with the hash: nothing else of the journal has it there.
    pub(crate) fn fits(self, journal: &AppendFile) -> Result<bool, IoError> {
        if self.seq == 0 {
            return Ok(self.offset == 0);
        }
        let Some(from) = self.offset.checked_sub(line::END as u64) else { return Ok(false) };
        let mut end = [0; line::END];
        Ok(journal.read_exact_at(from, &mut end)? && line::is_end(&end, self.hash))
    }

    pub(crate) fn start(genesis: Digest) -> Self {
        Self { offset: 0, seq: 0, hash: genesis }
    }

    /// Bytes of the journal before it.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The seq of the record that it stands behind; 0 at the start of a journal.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The hash of that record; at the start, the digest of `run.json` or `task.json`.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.hash
    }
}

impl Record {
    /// The place behind this record, from which [`Events::from`](crate::journal::Events::from) goes on. Within
    /// a batch too: the rest of the batch is what comes next.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { offset: self.end(), seq: self.seq(), hash: self.hash() }
    }
}

/// A text that is not `OFFSET:SEQ:HASH`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{:?} is not a cursor: it must be two numbers and 64 lowercase hex digits, as OFFSET:SEQ:HASH",
    cut(.text)
)]
pub struct CursorError {
    /// The refused text.
    pub text: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}:{}", self.offset, self.seq, self.hash.to_hex()))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;
    fn from_str(text: &str) -> Result<Self, CursorError> {
        let parsed = || {
            let mut parts = text.splitn(3, ':');
            let (offset, seq) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            Some(Self {
                offset,
                seq,
                hash: Digest::from_hex(parts.next()?.as_bytes().try_into().ok()?)?,
            })
        };
        // One spelling each: a number may have no plus and no leading zeros.
        parsed()
            .filter(|cursor: &Self| cursor.to_string() == text)
            .ok_or_else(|| CursorError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_same_after_a_journey() {
        let cursor = Cursor { offset: 863, seq: 2, hash: Digest::of(b"a") };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let json = serde_json::to_string(&cursor).unwrap();
        assert!(json.starts_with(r#"{"offset":863,"seq":2,"hash":"blake3:"#), "{json}");
        assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
        let text = cursor.to_string();
        let short = &text[..text.len() - 1];
        for bad in ["", "1:2", "863:2:", "863:2:xyz", "-1:2:3", &text[4..], short] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
        assert!(format!("+{text}").parse::<Cursor>().is_err());
        assert!(format!("{text}0").parse::<Cursor>().is_err());
        assert!(text.to_uppercase().parse::<Cursor>().is_err());
    }
}
