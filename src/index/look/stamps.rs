//! Whether anything changed, as far as stamps tell.

use super::{Known, Looker, unreadable};
use crate::error::IoError;
use crate::finding::Finding;
use crate::id::EventId;
use crate::index::chunk::Address;
use crate::io::{Dir, Kind, Stamp};
use crate::layout;

/// What stands in a directory, as far as stamps tell.
pub(super) struct Stamps {
    pub(super) genesis: Option<Stamp>,
    pub(super) journal: Option<Stamp>,
    pub(super) files: Vec<(String, Kind, Stamp)>,
    pub(super) stages: Vec<EventId>,
    /// What stands in the way of looking, such as a link in the place of a directory.
    pub(super) unreadable: Vec<Finding>,
}
impl Looker<'_> {
    pub(super) fn stamps(&self, address: &Address) -> Result<Option<(Dir, Stamps)>, IoError> {
        let home = self.home(address);
        let dir = match Dir::open(home.dir()) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        let file = |name| Ok(dir.stamp(name)?.map(|(_, stamp)| stamp));
        let genesis = file(if address.run.is_some() { layout::RUN } else { layout::TASK })?;
        // Why it cannot be looked at, who opens it is told.
        let journal = file(layout::JOURNAL).unwrap_or_default();
        // Before the genesis file is there, nothing is in the journal.
        if genesis.is_none() && journal.is_none_or(|journal| journal.size == 0) {
            return Ok(None);
        }
        let mut stamps = Stamps {
            genesis,
            journal,
            files: Vec::new(),
            stages: Vec::new(),
            unreadable: Vec::new(),
        };
        if address.run.is_some() {
            match dir.stamps_below(layout::ARTIFACTS) {
                Ok(files) => stamps.files = files,
                Err(error) => stamps.unreadable.push(unreadable(error)),
            }
            match dir.list(layout::TMP) {
                Ok(staged) => {
                    stamps.stages =
                        staged.iter().filter_map(|(name, _)| name.parse().ok()).collect();
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => stamps.unreadable.push(unreadable(error)),
            }
        }
        Ok(Some((dir, stamps)))
    }
}
impl Known {
    /// True if this is what was there at the last look, and that can be told.
    pub(super) fn is_settled(&self, stamps: &Stamps) -> bool {
        !self.has_laggards && self.signature.is_some() && self.signature == Some(stamps.signature())
    }
}
impl Stamps {
    /// The same for the same stamps.
    pub(super) fn signature(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new();
        let mut stamp = |stamp: Option<Stamp>| {
            hasher.update(&stamp.map_or([0; 32], Stamp::to_bytes));
        };
        stamp(self.genesis);
        stamp(self.journal);
        for (name, kind, stamp) in &self.files {
            hasher.update(&stamp.to_bytes());
            hasher.update(&[u8::from(*kind == Kind::File)]);
            hasher.update(&(name.len() as u64).to_le_bytes());
            hasher.update(name.as_bytes());
        }
        for stage in &self.stages {
            hasher.update(stage.as_bytes());
        }
        let mut signature = [0; 16];
        hasher.finalize_xof().fill(&mut signature);
        signature
    }

    /// True if none of it can change without another stamp.
    pub(super) fn are_older_than(&self, look: i64) -> bool {
        let single = [self.genesis, self.journal].into_iter().flatten();
        let mut all = single.chain(self.files.iter().map(|(_, _, stamp)| *stamp));
        all.all(|stamp| stamp.is_older_than(look))
    }
}
