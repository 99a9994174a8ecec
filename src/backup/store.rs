//! A backup: a directory of plain files that holds snapshots, and their content once.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::BackupError;
use super::keep::name;
use super::page::{self, Page};
use super::snapshot::{Snapshot, SnapshotPage};
use crate::clock::{Clock, Timestamp};
use crate::context::absolute;
use crate::digest::Digest;
use crate::error::IoError;
use crate::genesis::{self, Genesis, GenesisError};
use crate::io::{Dir, Kind, LockFile, ReadFile, make_dirs, real_path};
use crate::journal::Runtime;
use crate::layout::{self, FORMAT_VERSION};
use crate::line;

/// A directory that holds snapshots of workspaces, tasks and runs: plain files, each content once, by its
/// digest. A value: nothing is open.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let base = camino::Utf8Path::from_path(dir.path()).unwrap();
/// # let workspace = runjournal::Workspace::create(base.join("workspaces"))?;
/// # let task = workspace.create_task("TASK-1", runjournal::TaskOptions::default())?;
/// # let ctx = task.start_run_as("RUN-1")?;
/// use runjournal::{Artifact, Backup};
///
/// const PLAN: Artifact<u32> = Artifact::json("plan.json");
/// ctx.artifacts().write(PLAN, &1)?;
///
/// let backup = Backup::create_at(base.join("backup"))?;
/// let snapshot = backup.take(&workspace)?; // others may go on writing
/// assert_eq!(snapshot.findings(), []);
///
/// let plan = snapshot.restore_to(base.join("elsewhere")).plan()?;
/// let restored = plan.apply()?;
/// assert_eq!(restored.put.len(), 2); // the task, and its run
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Backup {
    root: Utf8PathBuf,
    genesis: BackupGenesis,
    pub(super) runtime: Runtime,
}

/// What `backup.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BackupGenesis {
    /// The version of the format of the backup.
    pub format_version: u32,
    /// Made once.
    pub backup_id: Uuid,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Genesis for BackupGenesis {
    const FILE: &'static str = layout::BACKUP;
    fn version(&self) -> u32 {
        self.format_version
    }
}

/// An object of a backup, open for reading: an artifact, a piece of a journal, a page. What it holds is what
/// its digest says only once that was checked.
#[derive(Debug)]
pub struct BackupObject(ReadFile);

impl BackupObject {
    pub(crate) fn into_file(self) -> ReadFile {
        self.0
    }
}

impl Read for BackupObject {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Backup {
    /// Opens the backup in a directory, and makes it where the directory is empty or not there. Durable; a
    /// crash leaves a backup or none.
    ///
    /// # Errors
    /// [`BackupError::NotEmpty`] where something else is in the directory; [`BackupError::Inside`] where it lies
    /// in a workspace; [`BackupError::NewerFormat`] where
    /// newer code made the backup.
    pub fn create_at(path: impl AsRef<Utf8Path>) -> Result<Self, BackupError> {
        let root = absolute(path.as_ref());
        match Self::open(&root) {
            Err(BackupError::NotABackup { .. }) => {}
            Ok(backup) => {
                // Told of only once it is sure to stay: its maker may have died before this.
                Dir::open_root(&root)?.sync("")?;
                return Ok(backup);
            }
            other => return other,
        }
        check_outside(&root)?;
        make_dirs(&root)?;
        let dir = Dir::open_root(&root)?;
        let left_by_a_crash = |name: &str| name.starts_with(".backup.json.");
        if dir.list("")?.iter().any(|(name, _)| !left_by_a_crash(name)) {
            return Err(BackupError::NotEmpty { path: root });
        }
        let runtime = Runtime::default();
        let created_at = runtime.clock.now();
        let genesis = BackupGenesis {
            format_version: FORMAT_VERSION,
            backup_id: runtime.ids.next_id(created_at),
            created_at,
        };
        let sealed = genesis::seal(&root, &genesis)?;
        match genesis::create(&dir, &sealed, runtime.ids.next_id(created_at)) {
            Err(GenesisError::Io(error)) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Self::open(&root)
            }
            made => {
                made?;
                Ok(Self { root, genesis, runtime })
            }
        }
    }

    /// Opens a backup.
    ///
    /// # Errors
    /// [`BackupError::NotABackup`] where there is none; [`BackupError::Damaged`] where its `backup.json` is damaged or
    /// gone; [`BackupError::NewerFormat`] where newer code made it.
    pub fn open(path: impl AsRef<Utf8Path>) -> Result<Self, BackupError> {
        let root = absolute(path.as_ref());
        let read = Dir::open_root(&root)
            .map_err(GenesisError::from)
            .and_then(|dir| genesis::read::<BackupGenesis>(&dir));
        match read {
            Ok(read) => {
                let found = read.value.format_version;
                check_version(&root.join(layout::BACKUP), found)?;
                Ok(Self { root, genesis: read.value, runtime: Runtime::default() })
            }
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                // A backup that lost the file that says so.
                if Dir::open_root(&root.join(layout::SNAPSHOTS)).is_ok() {
                    let (path, reason) = (root.join(layout::BACKUP), "nothing stands there".into());
                    return Err(BackupError::Damaged { path, reason });
                }
                Err(BackupError::NotABackup { path: root })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The same backup with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.runtime.clock = clock;
        self
    }

    /// The same backup that waits this long for its lock; 30 seconds unless said otherwise.
    #[must_use]
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.runtime.lock_timeout = timeout;
        self
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.root
    }

    /// What `backup.json` says.
    #[must_use]
    pub fn genesis(&self) -> &BackupGenesis {
        &self.genesis
    }

    /// The snapshots that can be read, oldest first. [`verify`](Backup::verify) tells of those that cannot.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, BackupError> {
        Ok(self.list()?.into_iter().filter_map(Result::ok).collect())
    }

    /// The snapshot whose id begins so.
    ///
    /// # Errors
    /// [`BackupError::NoSnapshot`], [`BackupError::AmbiguousSnapshot`]; where it is damaged, that.
    pub fn snapshot(&self, id: &str) -> Result<Snapshot, BackupError> {
        let mut ids: Vec<_> = self.ids()?.into_iter().filter_map(Result::ok).collect();
        // Nothing is the beginning of all.
        ids.retain(|known| !id.is_empty() && known.to_string().starts_with(id));
        match ids.as_slice() {
            [one] => Snapshot::read(self, *one),
            [] => {
                let id = if id.is_empty() { "without an id" } else { id };
                Err(BackupError::NoSnapshot { path: self.root.clone(), id: id.to_owned() })
            }
            several => {
                let (path, id) = (self.root.clone(), id.to_owned());
                let candidates = several.iter().map(ToString::to_string).collect();
                Err(BackupError::AmbiguousSnapshot { path, id, candidates })
            }
        }
    }

    /// The content with this digest, if some snapshot, or a backup that was killed, brought it.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn object(&self, digest: Digest) -> Result<Option<BackupObject>, BackupError> {
        Ok(open_object(&self.objects()?, digest)?.map(BackupObject))
    }

    /// Why what stands among the snapshots cannot be read: one that is newer than all others may be there. Of a
    /// hold that cannot be read the snapshot can be.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn unreadable(&self) -> Result<Vec<BackupError>, BackupError> {
        let list = self.list()?.into_iter();
        Ok(list.filter_map(|one| one.map_or_else(Some, |one| one.hold_damage())).collect())
    }

    /// Every snapshot, oldest first, or why it cannot be read.
    pub(super) fn list(&self) -> Result<Vec<Result<Snapshot, BackupError>>, BackupError> {
        let ids = self.ids()?.into_iter();
        let mut list: Vec<_> = ids.map(|id| Snapshot::read(self, id?)).collect();
        list.sort_by_key(|snapshot| {
            snapshot.as_ref().ok().map(|snapshot| (snapshot.created_at(), snapshot.id()))
        });
        Ok(list)
    }

    /// The ids of the snapshots; and what stands among them that is none, for what it names is not known.
    fn ids(&self) -> Result<Vec<Result<Uuid, BackupError>>, BackupError> {
        let dir = self.dir()?;
        let path = |name: &str| self.root.join(layout::SNAPSHOTS).join(name);
        let odd = |name: &str, reason: &str| {
            Err(BackupError::Damaged { path: path(name), reason: reason.to_owned() })
        };
        match dir.stat(layout::SNAPSHOTS)?.map(|entry| entry.kind) {
            None => return Ok(Vec::new()),
            Some(Kind::Dir) => {}
            Some(_) => return Ok(vec![odd("", "it is no directory")]),
        }
        let names = dir.list(layout::SNAPSHOTS)?;
        let has = |wanted: &str| names.iter().any(|(name, _)| name == wanted);
        let id = |(name, kind): &(String, Kind)| {
            let (stem, ending) = name.rsplit_once('.')?;
            let id = stem.parse().ok().filter(|id: &Uuid| id.to_string() == stem);
            match (ending, id) {
                ("json", Some(id)) if *kind == Kind::File => Some(Ok(id)),
                ("hold", Some(_)) if has(&format!("{stem}.json")) => None,
                ("hold", Some(_)) => Some(odd(
                    name,
                    "the snapshot that it holds is not there: bring that back, or move this away",
                )),
                _ => Some(odd(name, "no snapshot has such a name, or it is no file; move it away")),
            }
        };
        Ok(names.iter().filter_map(id).collect())
    }

    pub(super) fn dir(&self) -> Result<Dir, IoError> {
        Dir::open_root(&self.root)
    }

    /// The directory of the objects, open. It is made by who first asks for it.
    pub(super) fn objects(&self) -> Result<Dir, IoError> {
        let dir = self.dir()?;
        match dir.open_dir(layout::OBJECTS) {
            Err(error) if error.is_not_found() => {
                dir.create_dir(layout::OBJECTS)?;
                dir.open_dir(layout::OBJECTS)
            }
            other => other,
        }
    }

    /// Keeps prune away while the lock is held. A backup on a disk that cannot be written to has no prune.
    pub(super) fn lock_shared(&self) -> Result<Option<LockFile>, BackupError> {
        let dir = self.dir()?;
        let lock = match dir.open_lock(layout::LOCK_OF_WHOLE) {
            Err(error) if error.is_read_only() => {
                match dir.open_lock_shared(layout::LOCK_OF_WHOLE) {
                    Err(error) if error.is_not_found() => return Ok(None),
                    other => other?,
                }
            }
            other => other?,
        };
        self.wait(&lock, LockFile::try_shared)?;
        Ok(Some(lock))
    }

    /// Keeps everybody else away while the lock is held.
    pub(super) fn lock_alone(&self) -> Result<LockFile, BackupError> {
        let lock = self.dir()?.open_lock(layout::LOCK_OF_WHOLE)?;
        self.wait(&lock, LockFile::try_exclusive)?;
        Ok(lock)
    }

    fn wait(
        &self,
        lock: &LockFile,
        attempt: impl FnMut(&LockFile) -> Result<bool, IoError>,
    ) -> Result<(), BackupError> {
        let waited = self.runtime.lock_timeout;
        if lock.wait(waited, attempt)? {
            return Ok(());
        }
        Err(BackupError::Busy { path: lock.path().to_owned(), waited })
    }

    /// A page, checked.
    pub(super) fn page(&self, objects: &Dir, named: &SnapshotPage) -> Result<Page, BackupError> {
        let path = objects.path().join(name(named.page));
        let damaged = |reason| BackupError::Damaged { path: path.clone(), reason };
        let file = open_object(objects, named.page)?;
        let mut file = file.ok_or_else(|| damaged("nothing stands there".to_owned()))?;
        let bytes = file.read_little(page::MAX_BYTES)?;
        let bytes = bytes.ok_or_else(|| damaged("it is longer than any page".to_owned()))?;
        if Digest::of(&bytes) != named.page {
            return Err(damaged("its content is not what its name says".to_owned()));
        }
        let page = read_versioned::<Page>(&path, &bytes)?;
        match page.fault() {
            Some(fault) => Err(damaged(fault)),
            None => Ok(page),
        }
    }
}

/// A sealed line of this format.
pub(super) fn read_versioned<T: serde::de::DeserializeOwned>(
    path: &Utf8Path,
    bytes: &[u8],
) -> Result<T, BackupError> {
    #[derive(Deserialize)]
    struct Versioned {
        format_version: u32,
    }
    let damaged = |reason| BackupError::Damaged { path: path.to_owned(), reason };
    let Versioned { format_version } = line::read(bytes).map_err(damaged)?;
    check_version(path, format_version)?;
    line::read(bytes).map_err(damaged)
}

fn check_version(path: &Utf8Path, found: u32) -> Result<(), BackupError> {
    if found <= FORMAT_VERSION {
        return Ok(());
    }
    Err(BackupError::NewerFormat { path: path.to_owned(), found, supported: FORMAT_VERSION })
}

/// Refuses a directory that is in a workspace, before it is made there.
fn check_outside(root: &Utf8Path) -> Result<(), BackupError> {
    let backup = real_path(root)?;
    let holds = |dir: &&Utf8Path| {
        let found = Dir::open_root(dir).and_then(|dir| dir.stat(layout::WORKSPACE));
        found.is_ok_and(|found| found.is_some())
    };
    match backup.ancestors().find(holds) {
        Some(workspace) => {
            let workspace = workspace.to_owned();
            Err(BackupError::Inside { backup, workspace })
        }
        None => Ok(()),
    }
}

pub(super) fn open_object(objects: &Dir, digest: Digest) -> Result<Option<ReadFile>, IoError> {
    match objects.open_read(&name(digest)) {
        Err(error) if error.is_not_found() => Ok(None),
        other => other.map(Some),
    }
}
