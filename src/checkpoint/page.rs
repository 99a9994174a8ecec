//! The file of a checkpoint: `checkpoints/<turn>.json`, one sealed line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CheckpointError;
use crate::digest::Digest;
use crate::error::IoError;
use crate::io::Dir;
use crate::layout::{self, FORMAT_VERSION};
use crate::line;
use crate::manifest::artifacts_root;
use crate::name::ArtifactName;

/// No checkpoint is longer, which is room for more than a million artifacts: whoever reads one holds it in
/// memory.
const MAX_BYTES: u64 = 1 << 28;

/// What the file says, in the order of its members. It is a function of the turn and of the counted records
/// up to `seq`: no time and no id is in it, so that it can be made again.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    format_version: u32,
    pub(crate) turn: u64,
    pub(crate) seq: u64,
    pub(crate) artifacts: BTreeMap<ArtifactName, Digest>,
    pub(crate) artifacts_root: Digest,
}

/// What every version of the file has.
#[derive(Deserialize)]
struct Versioned {
    format_version: u32,
}

impl Page {
    /// Of the artifacts that the journal knows up to the record with this seq.
    pub(super) fn new(turn: u64, seq: u64, artifacts: BTreeMap<ArtifactName, Digest>) -> Self {
        let artifacts_root = artifacts_root(artifacts.iter().map(|(name, digest)| (name, *digest)));
        Self { format_version: FORMAT_VERSION, turn, seq, artifacts, artifacts_root }
    }

    /// Reads the file that the record with this seq names by this digest. That its members fit together is
    /// not checked.
    pub(crate) fn read(
        dir: &Dir,
        turn: u64,
        seq: u64,
        digest: Digest,
    ) -> Result<Self, CheckpointError> {
        let name = layout::checkpoint(turn);
        let path = dir.path().join(&name);
        let mut file = match dir.open_read(&name) {
            Err(error) if error.is_not_found() => {
                return Err(CheckpointError::Missing { path, seq });
            }
            other => other?,
        };
        let damaged = |reason: String| CheckpointError::Damaged { path: path.clone(), reason };
        let too_long = || damaged("it is longer than any checkpoint".to_owned());
        let bytes = file.read_little(MAX_BYTES)?.ok_or_else(too_long)?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(damaged(format!(
                "it has the digest {found}, and seq {seq} names {digest}"
            )));
        }
        let Versioned { format_version: found } = line::read(&bytes).map_err(&damaged)?;
        if found > FORMAT_VERSION {
            return Err(CheckpointError::NewerFormat { path, found, supported: FORMAT_VERSION });
        }
        line::read(&bytes).map_err(&damaged)
    }

    /// Reads a file that a record may or may not name; `None` where no checkpoint can be read there.
    pub(crate) fn unnamed(dir: &Dir, path: &str) -> Option<Self> {
        let bytes = dir.open_read(path).and_then(|mut file| file.read_little(MAX_BYTES));
        line::read(&bytes.ok()??).ok()
    }

    /// The digest that the file has.
    pub(super) fn digest(&self) -> Result<Digest, CheckpointError> {
        Ok(Digest::of(&self.bytes()?))
    }

    fn bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let json = serde_json::to_string(self).map_err(|error| CheckpointError::Damaged {
            path: layout::checkpoint(self.turn).into(),
            reason: error.to_string(),
        })?;
        Ok(line::seal(&json, Digest::of).0)
    }

    /// Writes the file, durably, and returns its digest. What a crash left in its place is replaced. The
    /// journal's lock keeps others from the one temporary name.
    pub(super) fn write(&self, dir: &Dir) -> Result<Digest, CheckpointError> {
        let name = layout::checkpoint(self.turn);
        let path = || dir.path().join(&name);
        let bytes = self.bytes()?;
        let length = bytes.len() as u64;
        if length > MAX_BYTES {
            return Err(CheckpointError::TooLong { path: path(), length, most: MAX_BYTES });
        }
        put(dir, &name, &bytes).inspect_err(|_| {
            // What cannot be removed now, the next writer removes.
            let _ = dir.remove_file(layout::NEW_CHECKPOINT);
        })?;
        Ok(Digest::of(&bytes))
    }
}

fn put(dir: &Dir, name: &str, bytes: &[u8]) -> Result<(), IoError> {
    dir.create_dir(layout::CHECKPOINTS)?;
    dir.create_dir(layout::TMP)?;
    match dir.remove_file(layout::NEW_CHECKPOINT) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    let mut file = dir.create_new(layout::NEW_CHECKPOINT)?;
    file.write(bytes)?;
    file.sync()?;
    dir.rename(layout::NEW_CHECKPOINT, dir, name)?;
    dir.sync(layout::CHECKPOINTS)?;
    dir.sync("")
}
