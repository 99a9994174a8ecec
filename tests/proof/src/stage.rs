//! The stage of an operation: a tree that was prepared once, and is set up anew for each trial.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::trial::fast_directory;
use crate::{Operation, Outcome, Place, Violation, tree};

/// A tree as it was prepared, in memory.
#[derive(Debug)]
pub(crate) struct Stage {
    /// Each directory below it, after the one that it is in.
    dirs: Vec<Utf8PathBuf>,
    files: Vec<(Utf8PathBuf, Vec<u8>)>,
}

/// Prepares an operation in a directory, by a worker: what prepares it may end without cleaning up.
pub(crate) fn prepare(operation: &Operation, worker: &Utf8Path, dir: &Utf8Path) -> Outcome {
    let mut command = Command::new(worker);
    let output = command.args(["worker", "prepare", operation.name, dir.as_str()]).output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Violation::new(text).at("the stage cannot be set"))
}

impl Stage {
    /// Prepares an operation, with a head after every record or without.
    pub(crate) fn of(operation: &Operation, heads: bool, worker: &Utf8Path) -> Outcome<Self> {
        let temporary = tempfile::tempdir_in(fast_directory())?;
        let dir = Utf8PathBuf::try_from(temporary.path().to_owned())?;
        if heads {
            Place::new(dir.as_str()).leave_heads()?;
        }
        prepare(operation, worker, &dir)?;
        Self::read(&dir)
    }

    /// A tree as it is.
    pub(crate) fn read(dir: &Utf8Path) -> Outcome<Self> {
        let mut stage = Self { dirs: Vec::new(), files: Vec::new() };
        for entry in walkdir::WalkDir::new(dir) {
            let entry = entry?;
            let path = Utf8PathBuf::try_from(entry.path().strip_prefix(dir)?.to_owned())?;
            if entry.file_type().is_dir() {
                stage.dirs.push(path);
            } else {
                stage.files.push((path, std::fs::read(entry.path())?));
            }
        }
        Ok(stage)
    }

    /// Sets it up in a directory that is not there yet, as if it had stood there for a while.
    pub(crate) fn set(&self, dir: &Utf8Path) -> Outcome {
        for path in &self.dirs {
            std::fs::create_dir_all(dir.join(path))?;
        }
        for (path, content) in &self.files {
            std::fs::write(dir.join(path), content)?;
        }
        tree::settle(dir)
    }
}
