//! The index: where it is, and how it is brought up to the tree.

use std::fmt;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use super::build::bring_up;
use super::database::Database;
use super::look::Looker;
use super::place::{Locked, Place, new_generation};
use super::writer::Writer;
use super::{IndexError, Projector, builtin};
use crate::workspace::Workspace;

/// The index of a workspace: tables that answer in milliseconds what the tree would answer by reading all
/// of it. It is derived from the tree alone and holds nothing else: delete it, and the next
/// [`rebuild`](Index::rebuild) makes an equal one. A value: nothing is open.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let workspace = runjournal::Workspace::create(&root)?;
/// # workspace.create_task("TASK-1", runjournal::TaskOptions::default())?.start_run()?;
/// use runjournal::index::Index;
///
/// let index = Index::of(&workspace);
/// let built = index.refresh()?; // only what changed is read; the first time, all of it
/// assert_eq!((built.done.runs, built.stopped), (1, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Index {
    pub(super) workspace: Workspace,
    pub(super) place: Place,
    projectors: Vec<Arc<dyn Projector>>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.projectors.iter().map(|projector| projector.name()).collect();
        f.debug_struct("Index").field("place", &self.place).field("projectors", &names).finish()
    }
}

/// How far a rebuild or a refresh has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Tasks found so far.
    pub tasks: u64,
    /// Runs found so far.
    pub runs: u64,
    /// Tasks and runs that were gone, and those that were looked at thoroughly: they were new, their files
    /// were not surely as before, or a projector had not caught up. They may have turned out to be the same.
    pub looked_at: u64,
    /// Events read.
    pub events: u64,
    /// Files under `artifacts/` of what changed.
    pub files: u64,
    /// Bytes read, of journals and files.
    pub bytes: u64,
}

/// What a rebuild or a refresh did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Built {
    /// The progress at its end.
    #[serde(flatten)]
    pub done: Progress,
    /// How often a projector stands stopped before an event that it cannot take: in each journal each of
    /// them counts. The view `projection_state` says which, where and why.
    pub stopped: u64,
    /// Why a refresh had to make a new index; `None` where it had not.
    pub anew_because: Option<String>,
}

impl Index {
    /// The index of a workspace, in its directory `.index`; where that is on a network disk, in the user's
    /// cache directory. The tool's `RUNJOURNAL_INDEX` is not read: a program says with [`at`](Index::at)
    /// that it is elsewhere.
    #[must_use]
    pub fn of(workspace: &Workspace) -> Self {
        Self::new(workspace, Place::of(workspace))
    }

    /// The index of a workspace in a directory of the caller's, which nothing else is in: for a tree that
    /// cannot be written, or is on a network disk.
    #[must_use]
    pub fn at(workspace: &Workspace, dir: impl AsRef<Utf8Path>) -> Self {
        Self::new(workspace, Place::at(crate::context::absolute(dir.as_ref())))
    }

    fn new(workspace: &Workspace, place: Place) -> Self {
        Self { workspace: workspace.clone(), place, projectors: Vec::new() }
    }

    /// The same index with a projector of the caller's, for programs that refresh. One that refreshes without
    /// it leaves its rows as they are, but for those of journals that are gone or read anew, which go; a
    /// rebuild without it, also one that a refresh has to make, leaves its tables out. All of it comes back
    /// with the next refresh that has the projector.
    #[must_use]
    pub fn with_projector(mut self, projector: impl Projector + 'static) -> Self {
        self.projectors.push(Arc::new(projector));
        self
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.place.dir
    }

    /// The SQLite database that holds now: to be opened for reading alone. The next rebuild makes another.
    ///
    /// # Errors
    /// [`IndexError::NotBuilt`] where there is none.
    pub fn database_path(&self) -> Result<Utf8PathBuf, IndexError> {
        self.place.current()
    }

    /// Makes the index anew: reads every journal, and hashes every artifact. Who reads the old one goes on
    /// undisturbed; a crash leaves the old one.
    ///
    /// # Errors
    /// Where the index cannot be written, or the tree not be listed. What is wrong within the tree is a
    /// finding in the index, and no error.
    pub fn rebuild(&self) -> Result<Built, IndexError> {
        self.rebuild_with(&mut |_| {})
    }

    /// The same, telling how far it has come.
    ///
    /// # Errors
    /// As [`rebuild`](Index::rebuild).
    pub fn rebuild_with(&self, progress: &mut dyn FnMut(&Progress)) -> Result<Built, IndexError> {
        let locked = self.lock()?;
        self.rebuild_locked(&locked, progress)
    }

    /// Brings the index up to the tree, and reads only what changed since: files whose length, times and
    /// number are the same, and old enough to tell, are taken to be the same; of a journal that grew, what
    /// it grew by is read. Makes the index where there is none that is any good.
    ///
    /// What it does not see, and [`refresh_reading_data`](Index::refresh_reading_data) does: an edit in
    /// place of what it had read of a journal that also grew since, and an object (a payload over 64 KiB)
    /// that changed or vanished after its event was indexed.
    ///
    /// # Errors
    /// As [`rebuild`](Index::rebuild).
    pub fn refresh(&self) -> Result<Built, IndexError> {
        self.refresh_with(&mut |_| {})
    }

    /// The same, telling how far it has come.
    ///
    /// # Errors
    /// As [`rebuild`](Index::rebuild).
    pub fn refresh_with(&self, progress: &mut dyn FnMut(&Progress)) -> Result<Built, IndexError> {
        self.refresh_locked(false, progress)
    }

    /// Brings the index up to the tree, and reads all of it: also what changed and looks as before.
    ///
    /// # Errors
    /// As [`rebuild`](Index::rebuild).
    pub fn refresh_reading_data(
        &self,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Built, IndexError> {
        self.refresh_locked(true, progress)
    }

    pub(super) fn lock(&self) -> Result<Locked, IndexError> {
        self.place.lock(self.workspace.runtime().lock_timeout)
    }

    fn refresh_locked(
        &self,
        read_data: bool,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Built, IndexError> {
        let locked = self.lock()?;
        let refreshed = Database::open_writable(&self.place)
            .and_then(|database| self.bring_up(&database, read_data, progress));
        match refreshed {
            Ok(built) => {
                if let Ok(current) = self.place.current()
                    && let Some(generation) = current.parent().and_then(Utf8Path::file_name)
                {
                    locked.remove_others(generation);
                }
                Ok(built)
            }
            Err(error) if error.wants_rebuild() => {
                let because = error.to_string();
                let built = self.rebuild_locked(&locked, progress)?;
                let first = matches!(error, IndexError::NotBuilt { .. });
                Ok(Built { anew_because: (!first).then_some(because), ..built })
            }
            Err(error) => Err(error),
        }
    }

    fn rebuild_locked(
        &self,
        locked: &Locked,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Built, IndexError> {
        let generation = new_generation();
        let built = self.build(locked, &generation, progress);
        let installed = built.and_then(|built| locked.install(&generation).map(|()| built));
        match installed {
            Ok(built) => {
                locked.remove_others(&generation);
                Ok(built)
            }
            Err(error) => {
                locked.remove(&generation);
                Err(error)
            }
        }
    }

    /// Makes a whole generation that does not hold yet.
    pub(super) fn build(
        &self,
        locked: &Locked,
        generation: &str,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Built, IndexError> {
        locked.create(generation)?;
        let database = Database::create(&self.place.database(generation))?;
        let built = self.bring_up(&database, false, progress)?;
        database.finish(&self.place)?;
        Ok(built)
    }

    fn bring_up(
        &self,
        database: &Database,
        read_data: bool,
        progress: &mut dyn FnMut(&Progress),
    ) -> Result<Built, IndexError> {
        let mut projectors = builtin::all();
        projectors.extend(self.projectors.iter().map(AsRef::as_ref));
        let names: std::collections::BTreeSet<_> = projectors.iter().map(|p| p.name()).collect();
        if names.len() < projectors.len() {
            let name = self.projectors.last().map_or("", |projector| projector.name());
            let reason = "another projector has that name".to_owned();
            return Err(IndexError::BadProjector { name: name.to_owned(), reason });
        }
        let looker = Looker {
            root: self.workspace.root(),
            runtime: self.workspace.runtime(),
            projectors: &projectors,
            read_data,
        };
        let mut writer = Writer::new(database, &projectors, looker.root)?;
        let done = bring_up(&mut writer, &looker, progress)?;
        let stopped = writer.count_stopped()?;
        writer.commit()?;
        Ok(Built { done, stopped, anew_because: None })
    }
}
