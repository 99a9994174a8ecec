//! Digests: BLAKE3, written `blake3:<64 hex>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
#[error("{text:?} is not a digest: it must be blake3: and 64 lowercase hex digits")]
pub struct DigestError {
    /// The refused text.
    pub text: String,
}

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
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

    /// From exactly 64 lowercase hex digits.
    pub(crate) fn from_hex(hex: &[u8]) -> Option<Self> {
        let lowercase = hex.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let hash = blake3::Hash::from_hex(hex).ok()?;
        lowercase.then_some(Self(*hash.as_bytes()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("blake3:{}", self.to_hex()))
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
        text.strip_prefix("blake3:")
            .and_then(|hex| Self::from_hex(hex.as_bytes()))
            .ok_or_else(|| DigestError { text: text.to_owned() })
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
