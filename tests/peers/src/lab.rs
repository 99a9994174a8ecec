//! Where it is measured: a directory of its own, with a fresh one in it for each contender and round.

use std::cell::Cell;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{RunContext, TaskOptions, Workspace};

use crate::{Result, machine};

/// Bytes of memory that are touched before each round: more than most rounds write.
const WARM: usize = 256 << 20;

/// The scratch directory. It is removed in the end and not before: on some file systems, creation is
/// slow for a while where files were removed.
pub(crate) struct Lab {
    dir: Utf8PathBuf,
    count: Cell<u64>,
}

impl Lab {
    /// Below `dir`, or next to the build, which must not be in memory.
    pub(crate) fn new(dir: Option<&Utf8Path>) -> Result<Self> {
        let above = match dir {
            Some(dir) => dir.to_owned(),
            None => build_dir()?.join("scratch"),
        };
        let dir_is_given = dir.is_some();
        std::fs::create_dir_all(&above)?;
        if !dir_is_given && machine::mount(&above).is_some_and(|mount| mount.kind == "tmpfs") {
            return Err(format!("{above} is in memory; give a directory on a disk by --dir").into());
        }
        let dir = above.join(format!("peers-{}", std::process::id()));
        std::fs::create_dir(&dir)?;
        Ok(Self { dir: dir.canonicalize_utf8()?, count: Cell::new(0) })
    }

    pub(crate) fn dir(&self) -> &Utf8Path {
        &self.dir
    }

    /// An empty directory.
    pub(crate) fn fresh(&self) -> Result<Utf8PathBuf> {
        self.count.set(self.count.get() + 1);
        let dir = self.dir.join(format!("{:06}", self.count.get()));
        std::fs::create_dir(&dir)?;
        Ok(dir)
    }

    /// Makes all start alike: what was written so far is on the disk, so that nobody pays for another, and some
    /// free memory was just in use. (A virtual machine may have to ask its host for other memory, which costs
    /// more than a write into it.)
    pub(crate) fn settle(&self) -> Result<()> {
        rustix::fs::syncfs(std::fs::File::open(&self.dir)?)?;
        drop(std::hint::black_box(vec![1_u8; WARM]));
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("{} could not be removed: {error}", self.dir);
        }
    }
}

/// Where this program was built: the directory of all builds.
pub(crate) fn build_dir() -> Result<Utf8PathBuf> {
    let program = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let target = program.parent().and_then(Utf8Path::parent);
    Ok(target.ok_or("this program stands in no directory; give one by --dir")?.to_owned())
}

/// A workspace with one run in it.
pub(crate) fn new_run(dir: &Utf8Path) -> Result<RunContext> {
    let workspace = Workspace::create(dir.join("workspaces"))?;
    let task = workspace.create_task("TASK-1", TaskOptions::default())?;
    Ok(task.open_or_start_run("RUN-1")?)
}
