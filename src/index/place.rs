//! Where the index is: its directory, its generations, and which of them holds.

use camino::{Utf8Path, Utf8PathBuf};

use super::IndexError;
use crate::digest::Digest;
use crate::error::IoError;
use crate::io::{Dir, Kind, LockFile, is_on_network, make_dirs};
use crate::layout;
use crate::planted::Bug;
use crate::workspace::Workspace;

/// The directory of an index.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) dir: Utf8PathBuf,
    /// It is on a network disk, where processes of several machines cannot share memory.
    pub(super) on_network: bool,
}

/// The file that names the generation that holds.
const CURRENT: &str = "CURRENT";
const NEW_CURRENT: &str = "CURRENT.new";
const LOCK: &str = ".lock";
/// No name of a generation is longer.
const MAX_NAME: u64 = 255;
/// The database within its generation.
const DATABASE: &str = "index.db";

impl Place {
    /// In the workspace, or where that is on a network disk, in the user's cache.
    pub(super) fn of(workspace: &Workspace) -> Self {
        Self::chosen(workspace, is_on_network, user_cache())
    }

    fn chosen(
        workspace: &Workspace,
        is_on_network: fn(&Utf8Path) -> bool,
        user_cache: Option<Utf8PathBuf>,
    ) -> Self {
        let root = workspace.root();
        let dir = match user_cache.filter(|_| is_on_network(root)) {
            None => root.join(layout::INDEX),
            Some(cache) => {
                // Copies of a workspace have one id, and an index each.
                let hex = Digest::of(root.as_str().as_bytes()).to_hex();
                let name = format!("{}-{hex:.16}", workspace.genesis().workspace_id);
                cache.join("runjournal").join(name)
            }
        };
        let on_network = is_on_network(&dir);
        Self { dir, on_network }
    }

    pub(super) fn at(dir: Utf8PathBuf) -> Self {
        let on_network = is_on_network(&dir);
        Self { dir, on_network }
    }

    /// The database that holds, once the directory is there.
    pub(super) fn current(&self) -> Result<Utf8PathBuf, IndexError> {
        let not_built = || IndexError::NotBuilt { path: self.dir.clone() };
        let dir = match Dir::open_root(&self.dir) {
            Err(error) if error.is_not_found() => return Err(not_built()),
            other => other?,
        };
        match dir.stat(CURRENT)? {
            None => return Err(not_built()),
            Some(entry) => self.check(CURRENT, entry.kind, Kind::File)?,
        }
        let bytes = match dir.open_read(CURRENT) {
            Err(error) if error.is_not_found() => return Err(not_built()),
            other => other?.read_little(MAX_NAME)?.unwrap_or_default(),
        };
        let name = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
        let Some(name) = name.filter(|name| is_generation(name)) else {
            let reason = "it names no generation".into();
            return Err(IndexError::Damaged { path: self.dir.join(CURRENT), reason });
        };
        let database = format!("{name}/{DATABASE}");
        for (path, kind) in [(name, Kind::Dir), (&database, Kind::File)] {
            if let Some(entry) = dir.stat(path)? {
                self.check(path, entry.kind, kind)?;
            }
        }
        Ok(self.database(name))
    }

    /// What stands at a path must be of its kind: SQLite waits for whoever writes to a pipe.
    fn check(&self, path: &str, found: Kind, wanted: Kind) -> Result<(), IndexError> {
        if found == wanted {
            return Ok(());
        }
        let reason = "something else stands where a file or a directory of its was".into();
        Err(IndexError::Damaged { path: self.dir.join(path), reason })
    }

    /// The database of a generation.
    pub(super) fn database(&self, generation: &str) -> Utf8PathBuf {
        self.dir.join(generation).join(DATABASE)
    }

    /// Makes the directory, and takes the lock that one writer holds.
    pub(super) fn lock(&self, patience: std::time::Duration) -> Result<Locked, IndexError> {
        let opened = make_dirs(&self.dir).and_then(|()| {
            let dir = Dir::open_root(&self.dir)?;
            let lock = dir.open_lock(LOCK)?;
            Ok((dir, lock))
        });
        let (dir, lock) = opened.map_err(|source| match refused(&self.dir, source) {
            IndexError::Io(source) => IndexError::NoPlace { path: self.dir.clone(), source },
            refused => refused,
        })?;
        if !lock.wait(patience, LockFile::try_exclusive)? {
            return Err(IndexError::Busy {
                path: lock.path().to_owned(),
                holder: lock.holder(),
                waited: patience,
            });
        }
        Ok(Locked { dir, _lock: lock })
    }
}

fn refused(dir: &Utf8Path, source: IoError) -> IndexError {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let path = dir.to_owned();
    match source.source.kind() {
        ReadOnlyFilesystem | PermissionDenied => IndexError::ReadOnly { path, source },
        StorageFull | QuotaExceeded => IndexError::Full { path },
        _ => source.into(),
    }
}

/// The directory of an index whose lock is held until this is dropped.
pub(super) struct Locked {
    dir: Dir,
    _lock: LockFile,
}

impl Locked {
    /// Makes the directory of a new generation.
    pub(super) fn create(&self, generation: &str) -> Result<(), IndexError> {
        match self.dir.create_dir(generation) {
            Ok(_) => Ok(()),
            Err(source) => Err(refused(self.dir.path(), source)),
        }
    }

    /// Makes a whole generation the one that holds, once the disk has all of it.
    pub(super) fn install(&self, generation: &str) -> Result<(), IndexError> {
        self.put_in_place(generation).map_err(|source| refused(self.dir.path(), source))
    }

    fn put_in_place(&self, generation: &str) -> Result<(), IoError> {
        self.dir.open_read(&format!("{generation}/{DATABASE}"))?.sync()?;
        self.dir.sync(generation)?;
        self.dir.sync("")?;
        // Left by one that was killed; the lock is ours.
        self.clear(NEW_CURRENT)?;
        let mut current = self.dir.create_new(NEW_CURRENT)?;
        current.write(format!("{generation}\n").as_bytes())?;
        if !Bug::CurrentUnsynced.is_planted() {
            current.sync()?;
        }
        // No file can take the place of a directory.
        if self.dir.stat(CURRENT)?.is_some_and(|entry| entry.kind == Kind::Dir) {
            self.clear(CURRENT)?;
        }
        self.dir.rename(NEW_CURRENT, &self.dir, CURRENT)?;
        self.dir.sync("")
    }

    /// Removes what stands at a name, whatever it is.
    fn clear(&self, name: &str) -> Result<(), IoError> {
        match self.dir.stat(name)? {
            None => Ok(()),
            Some(entry) if entry.kind == Kind::Dir => self.dir.remove_tree(name),
            Some(_) => self.dir.remove_file(name),
        }
    }

    /// Removes a generation that does not hold.
    pub(super) fn remove(&self, generation: &str) {
        // What cannot be removed now is removed with the next rebuild.
        let _ = self.clear(generation);
    }

    /// Removes all generations but one, also those of who was killed. Who has one open goes on reading it.
    pub(super) fn remove_others(&self, generation: &str) {
        let _ = self.clear(NEW_CURRENT);
        for (name, _) in self.dir.list("").unwrap_or_default() {
            if is_generation(&name) && name != generation {
                // What cannot be removed now is removed the next time.
                let _ = self.clear(&name);
            }
        }
    }
}

/// The name of a new generation.
pub(super) fn new_generation() -> String {
    format!("{PREFIX}{}", uuid::Uuid::now_v7())
}

const PREFIX: &str = "generation-";

fn is_generation(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|id| uuid::Uuid::try_parse(id).is_ok())
}

fn user_cache() -> Option<Utf8PathBuf> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let cache = variable("XDG_CACHE_HOME").map(Utf8PathBuf::from);
    let cache = cache.filter(|path| path.is_absolute());
    cache.or_else(|| variable("HOME").map(|home| Utf8Path::new(&home).join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_a_network_disk_is_in_the_users_cache() {
        let dir = tempfile::tempdir().unwrap();
        let below = Utf8Path::from_path(dir.path()).unwrap();
        let (far, cache) = (below.join("far"), below.join("cache"));
        let workspaces = [&far, &below.join("near"), &below.join("far2")].map(|root| {
            Workspace::create(root).unwrap();
            Workspace::open(root).unwrap()
        });
        let is_far: fn(&Utf8Path) -> bool = |path| path.as_str().contains("/far");
        let [first, near, second] =
            workspaces.each_ref().map(|one| Place::chosen(one, is_far, Some(cache.clone())));
        assert_eq!(near.dir, below.join("near/.index"));
        for place in [&first, &second] {
            assert_eq!(place.dir.parent(), Some(&*cache.join("runjournal")));
            assert!(!place.on_network);
        }
        assert_ne!(first.dir, second.dir);
        let homeless = Place::chosen(&workspaces[0], is_far, None);
        assert_eq!((homeless.dir, homeless.on_network), (far.join(".index"), true));
        let cache = Place::chosen(&workspaces[0], is_far, Some(below.join("far/cache")));
        assert!(cache.on_network);
    }
}
