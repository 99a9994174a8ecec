//! What an attempt read.

use std::fmt;

use super::version::Short;
use crate::digest::Digest;
use crate::name::ArtifactName;

/// An artifact that an attempt read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StepInput {
    /// Its name.
    pub path: ArtifactName,
    /// The digest of what was read; none where it was looked for and not there.
    pub digest: Option<Digest>,
    /// Its version; `None` for content that was not the journal's word on this path when it was recorded.
    pub version: Option<u64>,
    /// The seq of the record that made this version; `None` where there is no version, or the journal does
    /// not hold that record.
    pub seq: Option<u64>,
}

/// For where the journal has no more to say of it.
impl fmt::Display for StepInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path)?;
        if let Some(version) = self.version {
            write!(f, "v{version} ")?;
        }
        match self.digest {
            Some(digest) => write!(f, "{} not in the journal", Short(digest)),
            None => f.write_str("was not there"),
        }
    }
}
