//! A version of an artifact.

use std::fmt;

use super::Maker;
use crate::digest::Digest;
use crate::name::ArtifactName;

/// What one record of the journal says of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ArtifactVersion {
    /// Its name.
    pub path: ArtifactName,
    /// The version of the file: 0 for its first record.
    pub version: u64,
    /// The digest of its content; `None` if this record removed it.
    pub digest: Option<Digest>,
    /// The seq of the record.
    pub seq: u64,
    /// True if something else had put the file there, and the journal only took it in.
    pub adopted: bool,
    /// Who made it.
    pub by: Maker,
}

impl fmt::Display for ArtifactVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, version, digest, seq, adopted, by } = self;
        write!(f, "{path} v{version} ")?;
        match digest {
            Some(digest) => write!(f, "{} ", Short(*digest))?,
            None => f.write_str("removed ")?,
        }
        match by {
            _ if *adopted => f.write_str("adopted ")?,
            Maker::Outside(_) if digest.is_some() => f.write_str("written ")?,
            _ => {}
        }
        write!(f, "{by}, seq {seq}")
    }
}

/// Enough of a digest to tell it from others by eye.
pub(super) struct Short(pub(super) Digest);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blake3:{:.12}...", self.0.to_hex())
    }
}
