//! The genesis file of a task or a run.

use super::checkpoint::newer;
use super::home::Look;
use super::places::unreadable;
use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::genesis::{self, Genesis, GenesisError, Read, RunGenesis, TaskGenesis};
use crate::io::{Dir, Kind};
use crate::layout::{self, FORMAT_VERSION};

/// What a genesis file says.
pub(super) enum Start {
    Task(Read<TaskGenesis>),
    Run(Read<RunGenesis>),
}

impl Start {
    pub(super) fn digest(&self) -> Digest {
        match self {
            Start::Task(read) => read.digest,
            Start::Run(read) => read.digest,
        }
    }
}

impl Look<'_> {
    /// What the genesis file says; `None` where there is none, and should be none.
    pub(super) fn start(&mut self) -> Result<Option<Start>, Finding> {
        let is_run = self.home.is_run();
        let name = if is_run { layout::RUN } else { layout::TASK };
        let path = self.dir.path().join(name);
        let damaged = |reason: &str| Finding::whole(&path, Code::GenesisDamaged, reason);
        let listed = self.places.kind(name).filter(|kind| *kind == Kind::File);
        // It may have come since.
        let kind = match listed {
            None => {
                self.dir.stat(name).map_err(|error| unreadable(&error))?.map(|entry| entry.kind)
            }
            listed => listed,
        };
        match kind {
            Some(Kind::File) => {}
            Some(_) => return Err(damaged("it is no file")),
            None => {
                let reason = traces(&self.dir, "");
                // It may have come just now.
                if reason.is_none() || self.dir.stat(name).is_ok_and(|entry| entry.is_some()) {
                    return Ok(None);
                }
                return Err(damaged(reason.unwrap_or_default()));
            }
        }
        let read = if is_run {
            genesis::read::<RunGenesis>(&self.dir).map(|read| {
                self.judge_version(&path, &read);
                let (task, run) = (&read.value.task_id, &read.value.run_id);
                let is_own = task == self.home.task_id() && Some(run) == self.home.run_id();
                (Start::Run(read), is_own)
            })
        } else {
            genesis::read::<TaskGenesis>(&self.dir).map(|read| {
                self.judge_version(&path, &read);
                let is_own = read.value.task_id == *self.home.task_id();
                (Start::Task(read), is_own)
            })
        };
        match read {
            Ok((start, is_own)) => {
                if !is_own {
                    let reason = "its ids are not those of its place: it was moved or copied";
                    self.tell(Finding::whole(&path, Code::IdentityDiffers, reason));
                }
                Ok(Some(start))
            }
            Err(GenesisError::Io(error)) if error.is_not_found() => Ok(None),
            Err(GenesisError::Io(error)) => Err(unreadable(&error)),
            Err(GenesisError::Damaged { reason, .. }) => Err(damaged(&reason)),
            Err(error) => Err(damaged(&error.to_string())),
        }
    }

    fn judge_version<G: Genesis>(&mut self, path: &camino::Utf8Path, read: &Read<G>) {
        let found = read.value.version();
        if found > FORMAT_VERSION {
            self.tell(newer(path, found));
        }
    }
}

/// What shows that a directory, by its path with a slash at its end, is a task's or a run's though it has no
/// genesis file: who makes one has none of it yet.
pub(crate) fn traces(dir: &Dir, home: &str) -> Option<&'static str> {
    let journal = dir.stat(&format!("{home}{}", layout::JOURNAL)).unwrap_or_default();
    if journal.is_some_and(|journal| journal.size > 0) {
        return Some("it is missing though its journal holds records");
    }
    let holds = |below| dir.list(&format!("{home}{below}")).is_ok_and(|names| !names.is_empty());
    let any = [layout::ARTIFACTS, layout::OBJECTS, layout::CHECKPOINTS, layout::RUNS];
    any.into_iter().any(holds).then_some("it is missing though there is more of it")
}
