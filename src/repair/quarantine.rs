//! What a repair sets aside instead of deleting it.

use serde::Serialize;

use super::{Means, Mend};
use crate::error::IoError;
use crate::finding::Kept;
use crate::id::EventId;
use crate::io::{Dir, Kind};
use crate::planted::Bug;
use crate::{layout, line};

/// Where one repair of a run, or of a task, sets things aside: `.quarantine/<id>/`, each under the path that it
/// had. The id is that of the record that tells of the repair.
pub(super) struct Quarantine<'a> {
    dir: &'a Dir,
    id: EventId,
}

/// Beside what was set aside: why.
#[derive(Serialize)]
struct Note<'a> {
    repair: EventId,
    mends: Vec<Noted<'a>>,
}

#[derive(Serialize)]
struct Noted<'a> {
    finding: Kept<'a>,
    #[serde(flatten)]
    means: &'a Means,
}

const NOTE: &str = "note.json";

impl<'a> Quarantine<'a> {
    pub(super) fn new(dir: &'a Dir, id: EventId) -> Self {
        Self { dir, id }
    }

    fn place(&self) -> String {
        format!("{}/{}", layout::QUARANTINE, self.id)
    }

    /// Makes sure of what earlier repairs set aside: one of them may have died before the disk had it, and what is put
    /// in its place now would be all that is left.
    fn settle_older(&self) -> Result<(), IoError> {
        let is_there = self.dir.stat(layout::QUARANTINE)?;
        if is_there.is_none_or(|entry| entry.kind != Kind::Dir) {
            return Ok(());
        }
        self.dir.sync("")?;
        let mut dirs = vec![layout::QUARANTINE.to_owned()];
        while let Some(dir) = dirs.pop() {
            self.dir.sync(&dir)?;
            let below = self.dir.list(&dir)?.into_iter().filter(|(_, kind)| *kind == Kind::Dir);
            dirs.extend(below.map(|(name, _)| format!("{dir}/{name}")));
        }
        Ok(())
    }

    /// Leaves the note, before anything is moved.
    pub(super) fn note(&self, mends: &[Mend]) -> Result<(), IoError> {
        let mends =
            mends.iter().map(|Mend { finding, means }| Noted { finding: finding.into(), means });
        let note = Note { repair: self.id, mends: mends.collect() };
        let path = format!("{}/{NOTE}", self.place());
        let json = serde_json::to_string(&note)
            .map_err(|error| IoError::new("write", &self.dir.path().join(&path), error.into()))?;
        self.settle_older()?;
        self.make_parents(&path)?;
        let mut file = self.dir.create_new(&path)?;
        file.write(&line::seal(&json, crate::digest::Digest::of).0)?;
        file.sync()?;
        self.dir.sync(&self.place())
    }

    /// Moves what stands at a path, relative to the run or the task; false where nothing does. Durable.
    pub(super) fn take(&self, path: &str) -> Result<bool, IoError> {
        if self.dir.stat(path)?.is_none() {
            return Ok(false);
        }
        if Bug::NothingKept.is_planted() {
            return self.dir.remove_tree(path).map(|()| true);
        }
        let aside = format!("{}/{path}", self.place());
        self.make_parents(&aside)?;
        self.dir.rename(path, self.dir, &aside)?;
        // The new name is on the disk before the old one is gone from it.
        for moved in [aside.as_str(), path] {
            self.dir.sync(moved.rsplit_once('/').map_or("", |(parent, _)| parent))?;
        }
        Ok(true)
    }

    /// Gives a file that is about to be replaced a second name here; what is no file is moved. Durable.
    pub(super) fn keep(&self, path: &str) -> Result<(), IoError> {
        if self.dir.stat(path)?.is_none_or(|entry| entry.kind != Kind::File) {
            return self.take(path).map(drop);
        }
        let aside = format!("{}/{path}", self.place());
        self.make_parents(&aside)?;
        self.dir.link_new(path, &aside)?;
        self.dir.sync(aside.rsplit_once('/').map_or("", |(parent, _)| parent))
    }

    fn make_parents(&self, path: &str) -> Result<(), IoError> {
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default();
            if self.dir.create_dir(parent)? {
                self.dir.sync(parent.rsplit_once('/').map_or("", |(above, _)| above))?;
            }
        }
        Ok(())
    }
}
