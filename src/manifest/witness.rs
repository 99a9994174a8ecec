//! What somebody outside of a run knows of it: from a page that was written earlier, or a backup.

use std::collections::BTreeMap;

use super::Manifest;
use crate::digest::Digest;
use crate::journal::Cursor;
use crate::name::ArtifactName;

/// How far a run's journal reached once, and what was in the files then.
#[derive(Debug, Clone)]
pub(crate) struct Witness {
    /// What it is, in words.
    pub(crate) by: String,
    /// Behind the last record that it knows.
    pub(crate) cursor: Cursor,
    pub(crate) artifacts: BTreeMap<ArtifactName, Digest>,
    /// True if what it does not name was not there.
    pub(crate) names_all: bool,
}

impl From<&Manifest> for Witness {
    fn from(page: &Manifest) -> Self {
        let artifacts = page.artifacts.iter();
        let artifacts = artifacts.map(|artifact| (artifact.path.clone(), artifact.digest));
        Self {
            by: "the manifest".to_owned(),
            cursor: page.cursor(),
            artifacts: artifacts.collect(),
            names_all: true,
        }
    }
}

impl Witness {
    /// In words, that a journal does not have the record which this knows.
    pub(crate) fn is_not_reached(&self) -> String {
        format!(
            "it does not reach the record with seq {} at whose end, byte {}, {} stands, or has \
             another one there",
            self.cursor.seq(),
            self.cursor.offset(),
            self.by,
        )
    }
}
