//! A directory by its path, for systems without `openat`: each component is looked at before it is
//! used, so a symbolic link that stands there is refused, but one that is swapped in meanwhile is
//! not seen. Compiled on Windows, and untried there.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};

use camino::{Utf8Path, Utf8PathBuf};

use super::{AppendFile, Entry, Kind, LockFile, NewFile, ReadFile};
use crate::clock::Timestamp;
use crate::error::IoError;

/// A directory. Paths given to its methods are relative to it and use `/`.
#[derive(Debug)]
pub(crate) struct Dir {
    path: Utf8PathBuf,
}

impl Dir {
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, IoError> {
        let dir = Self { path: path.to_owned() };
        let metadata = std::fs::symlink_metadata(path).map_err(IoError::at("open", path))?;
        if !metadata.is_dir() {
            return Err(IoError::new("open", path, ErrorKind::NotADirectory.into()));
        }
        Ok(dir)
    }

    /// Opens a workspace's root, which may be reached through a symbolic link.
    pub(crate) fn open_root(path: &Utf8Path) -> Result<Self, IoError> {
        Self::open(&path.join("."))?;
        Ok(Self { path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// True if it is known to stand at its path still.
    pub(crate) fn is_at_path(&self) -> Result<bool, IoError> {
        match std::fs::symlink_metadata(&self.path) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(IoError::new("look at", &self.path, error)),
        }
    }

    /// True unless the other is known to lie on another file system.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as where it can be told")]
    pub(crate) fn shares_disk_with(&self, _other: &Self) -> Result<bool, IoError> {
        Ok(true)
    }

    /// The full path, once no component of it was found to be a link.
    fn checked(&self, relative: &str, action: &'static str) -> Result<Utf8PathBuf, IoError> {
        let mut path = self.path.clone();
        for component in relative.split('/').filter(|c| !c.is_empty()) {
            path.push(component);
            if std::fs::symlink_metadata(&path).is_ok_and(|m| m.is_symlink()) {
                return Err(IoError::new(action, &path, std::io::Error::other(NOT_REGULAR)));
            }
        }
        Ok(path)
    }

    fn open_file(
        &self,
        relative: &str,
        options: &OpenOptions,
        action: &'static str,
    ) -> Result<(File, Utf8PathBuf), IoError> {
        let path = self.checked(relative, action)?;
        // Looked at first: to open a pipe is to wait for its other end.
        if std::fs::metadata(&path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            return Err(IoError::new(action, &path, std::io::Error::other(NOT_REGULAR)));
        }
        let file = options.open(&path).map_err(IoError::at(action, &path))?;
        if !file.metadata().map_err(IoError::at(action, &path))?.is_file() {
            return Err(IoError::new(action, &path, std::io::Error::other(NOT_REGULAR)));
        }
        Ok((file, path))
    }

    pub(crate) fn open_dir(&self, relative: &str) -> Result<Self, IoError> {
        Self::open(&self.checked(relative, "open")?)
    }

    pub(crate) fn open_read(&self, relative: &str) -> Result<ReadFile, IoError> {
        let (file, path) = self.open_file(relative, OpenOptions::new().read(true), "open")?;
        Ok(ReadFile::new(file, path))
    }

    /// The content of a file that is written once, whole, and never changed; `None` where it is longer than
    /// `most`.
    pub(crate) fn read_page(&self, relative: &str, most: u64) -> Result<Option<Vec<u8>>, IoError> {
        self.open_read(relative)?.read_little(most)
    }

    /// The same for a file in a workspace's root.
    pub(crate) fn read_page_in_root(
        root: &Utf8Path,
        name: &str,
        most: u64,
    ) -> Result<Option<Vec<u8>>, IoError> {
        Self::open_root(root)?.read_page(name, most)
    }

    pub(crate) fn open_sealed(&self, relative: &str) -> Result<ReadFile, IoError> {
        self.open_read(relative)
    }

    /// Writes over a part of a file that is there.
    pub(crate) fn overwrite(
        &self,
        relative: &str,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), IoError> {
        let (mut file, path) = self.open_file(relative, OpenOptions::new().write(true), "open")?;
        file.seek(SeekFrom::Start(offset))
            .and_then(|_| file.write_all(bytes))
            .map_err(IoError::at("write", &path))
    }

    pub(crate) fn open_append(&self, relative: &str) -> Result<AppendFile, IoError> {
        let mut options = OpenOptions::new();
        let (file, path) = self.open_file(relative, options.read(true).append(true), "open")?;
        let metadata = file.metadata().map_err(IoError::at("open", &path))?;
        Ok(AppendFile::new(file, path, &metadata))
    }

    pub(crate) fn open_lock(&self, relative: &str) -> Result<LockFile, IoError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let (file, path) = self.open_file(relative, &options, "open")?;
        Ok(LockFile::new(file, path))
    }

    pub(crate) fn open_lock_shared(&self, relative: &str) -> Result<LockFile, IoError> {
        let (file, path) = self.open_file(relative, OpenOptions::new().read(true), "open")?;
        Ok(LockFile::new(file, path))
    }

    pub(crate) fn create_new(&self, relative: &str) -> Result<NewFile, IoError> {
        let mut options = OpenOptions::new();
        let (file, path) =
            self.open_file(relative, options.write(true).create_new(true), "create")?;
        Ok(NewFile::new(file, path))
    }

    pub(crate) fn create_dir(&self, relative: &str) -> Result<bool, IoError> {
        let path = self.checked(relative, "create")?;
        match std::fs::create_dir(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
            Err(error) => Err(IoError::new("create", &path, error)),
        }
    }

    /// Renames a file of this directory to a name in another.
    pub(crate) fn rename(&self, from: &str, into: &Self, to: &str) -> Result<(), IoError> {
        let (from, to) = (self.checked(from, "rename")?, into.checked(to, "rename")?);
        std::fs::rename(from, &to).map_err(IoError::at("rename to", &to))
    }

    pub(crate) fn link_new(&self, from: &str, to: &str) -> Result<(), IoError> {
        let (from, to) = (self.checked(from, "link")?, self.checked(to, "create")?);
        std::fs::hard_link(from, &to).map_err(IoError::at("create", &to))
    }

    pub(crate) fn remove_file(&self, relative: &str) -> Result<(), IoError> {
        let path = self.checked(relative, "remove")?;
        std::fs::remove_file(&path).map_err(IoError::at("remove", &path))
    }

    pub(crate) fn remove_dir(&self, relative: &str) -> Result<(), IoError> {
        let path = self.checked(relative, "remove")?;
        std::fs::remove_dir(&path).map_err(IoError::at("remove", &path))
    }

    /// Windows has no sync of a directory: there the journal of the file system keeps names.
    pub(crate) fn sync(&self, relative: &str) -> Result<(), IoError> {
        let path = self.checked(relative, "sync")?;
        if cfg!(windows) {
            return Ok(());
        }
        File::open(&path).and_then(|dir| dir.sync_all()).map_err(IoError::at("sync", &path))
    }

    pub(crate) fn stat(&self, relative: &str) -> Result<Option<Entry>, IoError> {
        let (parents, name) = relative.rsplit_once('/').unwrap_or(("", relative));
        let path = self.checked(parents, "look at")?.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) => {
                Ok(Some(Entry { kind: kind(metadata.file_type()), size: metadata.len() }))
            }
            Err(error) => {
                let error = IoError::new("look at", &path, error);
                if error.is_not_found() { Ok(None) } else { Err(error) }
            }
        }
    }

    /// When the content of what stands at a path was changed; `None` if nothing does.
    pub(crate) fn modified(&self, relative: &str) -> Result<Option<Timestamp>, IoError> {
        if self.stat(relative)?.is_none() {
            return Ok(None);
        }
        let path = self.path.join(relative);
        let modified = std::fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
        let modified = modified.map_err(IoError::at("look at", &path))?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Ok(Some(Timestamp::from_microseconds(micros)))
    }

    pub(crate) fn list(&self, relative: &str) -> Result<Vec<(String, Kind)>, IoError> {
        let path = self.checked(relative, "list")?;
        let fail = IoError::at("list", &path);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&path).map_err(&fail)? {
            let entry = entry.map_err(&fail)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            names.push((name, kind(entry.file_type().map_err(&fail)?)));
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }
}

const NOT_REGULAR: &str = "a symbolic link or a special file stands there, and neither is followed";

fn kind(file_type: std::fs::FileType) -> Kind {
    if file_type.is_file() {
        Kind::File
    } else if file_type.is_dir() {
        Kind::Dir
    } else {
        Kind::Other
    }
}
