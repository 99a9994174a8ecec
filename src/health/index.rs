//! The state of the index.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::{Health, HealthTrouble};
use crate::index::{Index, IndexError};

/// How the index of a workspace is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IndexHealth {
    /// Its directory.
    pub place: Utf8PathBuf,
    /// Whether it can be asked.
    pub state: IndexState,
    /// How many journals grew, came or went since it was brought up to the tree; `None` where it cannot be
    /// asked.
    pub behind: Option<u64>,
}

/// Whether an index can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IndexState {
    /// It can.
    Built,
    /// There is none; the first question makes one.
    NotBuilt,
    /// It is of another version of the library; the next question makes it anew.
    OtherSchema,
    /// It is damaged, or cannot be read.
    Damaged,
}

impl Health {
    /// The same with another index than the one that stands in the workspace.
    #[must_use]
    pub fn with_index(mut self, index: &Index) -> Self {
        self.troubles.retain(|trouble| !matches!(trouble, HealthTrouble::IndexDamaged { .. }));
        let behind = index.open().and_then(|reader| reader.behind());
        let state = match &behind {
            Ok(_) => IndexState::Built,
            Err(IndexError::NotBuilt { .. }) => IndexState::NotBuilt,
            Err(IndexError::OtherSchema { .. }) => IndexState::OtherSchema,
            Err(error) => {
                self.troubles.push(HealthTrouble::IndexDamaged { reason: error.to_string() });
                IndexState::Damaged
            }
        };
        self.index =
            Some(IndexHealth { place: index.path().to_owned(), state, behind: behind.ok() });
        self
    }
}
