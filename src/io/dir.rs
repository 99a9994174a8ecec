//! A directory, held open: everything below it is reached without following a symbolic link.

use std::ffi::CString;
use std::fs::Metadata;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::file::SMALL;
use super::sys::{self, Fd, File};
use super::{AppendFile, Entry, Kind, LockFile, NewFile, ReadFile};
use crate::clock::Timestamp;
use crate::error::IoError;

/// A directory, held open. Paths given to its methods are relative to it and use `/`.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(super) fd: Fd,
    path: Utf8PathBuf,
}

pub(super) const OPEN_DIR: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// What every file is opened with.
const OPEN_FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

impl Dir {
    /// Opens a directory by any path; the last component must not be a symbolic link.
    pub(crate) fn open(path: &Utf8Path) -> Result<Self, IoError> {
        let fd = sys::openat(CWD, path.as_std_path(), OPEN_DIR, Mode::empty())
            .map_err(|errno| refine(CWD, path.as_str(), "open", path, errno))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens a workspace's root, which may be reached through a symbolic link.
    pub(crate) fn open_root(path: &Utf8Path) -> Result<Self, IoError> {
        let dir = Self::open(&path.join("."))?;
        Ok(Self { path: path.to_owned(), ..dir })
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// True if it stands at its path still.
    pub(crate) fn is_at_path(&self) -> Result<bool, IoError> {
        let fail = |errno: Errno| IoError::new("look at", &self.path, errno.into());
        let this = rustix::io::retry_on_intr(|| sys::fstat(&self.fd)).map_err(fail)?;
        let look = || sys::statat(CWD, self.path.as_std_path(), AtFlags::SYMLINK_NOFOLLOW);
        match rustix::io::retry_on_intr(look) {
            Ok(at_path) => Ok((this.st_dev, this.st_ino) == (at_path.st_dev, at_path.st_ino)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(fail(errno)),
        }
    }

    /// True unless the other is known to lie on another file system.
    pub(crate) fn shares_disk_with(&self, other: &Self) -> Result<bool, IoError> {
        let of = |dir: &Self| {
            sys::fstat(&dir.fd).map_err(|errno| IoError::new("look at", &dir.path, errno.into()))
        };
        Ok(of(self)?.st_dev == of(other)?.st_dev)
    }

    fn full(&self, relative: &str) -> Utf8PathBuf {
        let mut full = Utf8PathBuf::with_capacity(self.path.as_str().len() + 1 + relative.len());
        full.push(&self.path);
        if !relative.is_empty() {
            full.push(relative);
        }
        full
    }

    /// The directory that holds the last component, and that component.
    fn parent<'a>(
        &self,
        relative: &'a str,
        action: &'static str,
    ) -> Result<(Option<Fd>, &'a str), IoError> {
        let Some((parents, name)) = relative.rsplit_once('/') else { return Ok((None, relative)) };
        let mut walked: Option<Fd> = None;
        for component in parents.split('/') {
            let at = walked.as_ref().unwrap_or(&self.fd);
            let next = sys::openat(at, component, OPEN_DIR, Mode::empty())
                .map_err(|errno| refine(at, component, action, &self.full(relative), errno))?;
            walked = Some(next);
        }
        Ok((walked, name))
    }

    /// Runs a call on the last component within its directory.
    pub(super) fn on<T>(
        &self,
        relative: &str,
        action: &'static str,
        call: impl Fn(&Fd, &str) -> Result<T, Errno>,
    ) -> Result<T, IoError> {
        let (parent, name) = self.parent(relative, action)?;
        let at = parent.as_ref().unwrap_or(&self.fd);
        rustix::io::retry_on_intr(|| call(at, name))
            .map_err(|errno| refine(at, name, action, &self.full(relative), errno))
    }

    fn open_file(
        &self,
        relative: &str,
        flags: OFlags,
        action: &'static str,
    ) -> Result<File, IoError> {
        let flags = flags | OPEN_FILE;
        let mode = Mode::from_raw_mode(0o666);
        self.on(relative, action, |at, name| sys::openat(at, name, flags, mode)).map(File::from)
    }

    pub(crate) fn open_dir(&self, relative: &str) -> Result<Self, IoError> {
        let fd =
            self.on(relative, "open", |at, name| sys::openat(at, name, OPEN_DIR, Mode::empty()))?;
        Ok(Self { fd, path: self.full(relative) })
    }

    pub(crate) fn open_read(&self, relative: &str) -> Result<ReadFile, IoError> {
        let file = self.open_file(relative, OFlags::RDONLY, "open")?;
        let path = self.full(relative);
        regular(&file, &path, "open")?;
        Ok(ReadFile::new(file, path))
    }

    /// The content of a file that is written once, whole, and never changed: as much as there is of it when
    /// it is opened. `None` where that is more than `most`, and then nothing of it was read.
    pub(crate) fn read_page(&self, relative: &str, most: u64) -> Result<Option<Vec<u8>>, IoError> {
        let file = self.open_file(relative, OFlags::RDONLY, "open")?;
        page(file, self.full(relative), most)
    }

    /// The same for a file in a workspace's root, which is not opened for it.
    pub(crate) fn read_page_in_root(
        root: &Utf8Path,
        name: &str,
        most: u64,
    ) -> Result<Option<Vec<u8>>, IoError> {
        let path = root.join(name);
        match sys::openat(CWD, path.as_std_path(), OFlags::RDONLY | OPEN_FILE, Mode::empty()) {
            Ok(file) => page(file.into(), path, most),
            // Which of the two is not there, or is no such thing, is seen one by one.
            Err(_) => Self::open_root(root)?.read_page(name, most),
        }
    }

    /// The same for a file that carries its own checksums: what kind of file it is, is not asked.
    pub(crate) fn open_sealed(&self, relative: &str) -> Result<ReadFile, IoError> {
        let file = self.open_file(relative, OFlags::RDONLY, "open")?;
        Ok(ReadFile::new(file, self.full(relative)))
    }

    /// Writes over a part of a file that is there.
    pub(crate) fn overwrite(
        &self,
        relative: &str,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), IoError> {
        let file = self.open_file(relative, OFlags::WRONLY, "open")?;
        let path = self.full(relative);
        regular(&file, &path, "write")?;
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, offset)
            .map_err(IoError::at("write", &path))
    }

    pub(crate) fn open_append(&self, relative: &str) -> Result<AppendFile, IoError> {
        let flags = OFlags::RDWR | OFlags::APPEND;
        // Each append looks at the end of the file; to note each time when would cost as much again. Only
        // the owner of a file may leave that out.
        let file = match self.open_file(relative, flags | NO_ATIME, "open") {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                self.open_file(relative, flags, "open")
            }
            other => other,
        }?;
        let path = self.full(relative);
        let metadata = regular(&file, &path, "open")?;
        Ok(AppendFile::new(file, path, &metadata))
    }

    /// Opens a lock file, and makes it where it is not there.
    pub(crate) fn open_lock(&self, relative: &str) -> Result<LockFile, IoError> {
        let file = self.open_file(relative, OFlags::RDWR | OFlags::CREATE, "open")?;
        Ok(LockFile::new(file, self.full(relative)))
    }

    /// Opens a lock file that is there, without the right to write.
    pub(crate) fn open_lock_shared(&self, relative: &str) -> Result<LockFile, IoError> {
        let file = self.open_file(relative, OFlags::RDONLY, "open")?;
        Ok(LockFile::new(file, self.full(relative)))
    }

    pub(crate) fn create_new(&self, relative: &str) -> Result<NewFile, IoError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = self.open_file(relative, flags, "create")?;
        Ok(NewFile::new(file, self.full(relative)))
    }

    /// Makes one directory; false if it was there.
    pub(crate) fn create_dir(&self, relative: &str) -> Result<bool, IoError> {
        let made = self.on(relative, "create", |at, name| {
            match sys::mkdirat(at, name, Mode::from_raw_mode(0o777)) {
                Err(Errno::EXIST) => Ok(false),
                other => other.map(|()| true),
            }
        })?;
        if !made && self.stat(relative)?.is_none_or(|entry| entry.kind != Kind::Dir) {
            let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
            return Err(IoError::new("create", &self.full(relative), source));
        }
        Ok(made)
    }

    /// Renames a file, or a directory, of this directory to a name in another.
    pub(crate) fn rename(&self, from: &str, into: &Self, to: &str) -> Result<(), IoError> {
        let (from_parent, from_name) = self.parent(from, "rename")?;
        let from_at = from_parent.as_ref().unwrap_or(&self.fd);
        into.on(to, "rename to", |at, name| sys::renameat(from_at, from_name, at, name))
    }

    /// Gives a file a second name; fails if the name is taken, so there is exactly one winner.
    pub(crate) fn link_new(&self, from: &str, to: &str) -> Result<(), IoError> {
        let (from_parent, from_name) = self.parent(from, "link")?;
        let from_at = from_parent.as_ref().unwrap_or(&self.fd);
        self.on(to, "create", |at, name| {
            sys::linkat(from_at, from_name, at, name, AtFlags::empty())
        })
    }

    pub(crate) fn remove_file(&self, relative: &str) -> Result<(), IoError> {
        self.on(relative, "remove", |at, name| sys::unlinkat(at, name, AtFlags::empty()))
    }

    /// Removes a directory if it is empty.
    pub(crate) fn remove_dir(&self, relative: &str) -> Result<(), IoError> {
        self.on(relative, "remove", |at, name| sys::unlinkat(at, name, AtFlags::REMOVEDIR))
    }

    /// Waits until the names in a directory are on the disk; `""` is this one.
    pub(crate) fn sync(&self, relative: &str) -> Result<(), IoError> {
        let opened;
        let fd = if relative.is_empty() {
            &self.fd
        } else {
            opened = self.open_dir(relative)?;
            &opened.fd
        };
        sys::fsync(fd).map_err(|errno| IoError::new("sync", &self.full(relative), errno.into()))
    }

    /// What stands at a path; `None` if nothing does, or a parent is missing.
    pub(crate) fn stat(&self, relative: &str) -> Result<Option<Entry>, IoError> {
        let stat = self
            .on(relative, "look at", |at, name| sys::statat(at, name, AtFlags::SYMLINK_NOFOLLOW));
        match stat {
            Ok(stat) => Ok(Some(entry(&stat))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When the content of what stands at a path was changed; `None` if nothing does.
    pub(crate) fn modified(&self, relative: &str) -> Result<Option<Timestamp>, IoError> {
        let stat = self
            .on(relative, "look at", |at, name| sys::statat(at, name, AtFlags::SYMLINK_NOFOLLOW));
        match stat {
            Ok(stat) => Ok(Some(modified(&stat))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names in a directory, sorted; names that are not UTF-8 are passed over, for they cannot
    /// belong to the library.
    pub(crate) fn list(&self, relative: &str) -> Result<Vec<(String, Kind)>, IoError> {
        let relative = if relative.is_empty() { "." } else { relative };
        let fail = |errno: Errno| IoError::new("list", &self.full(relative), errno.into());
        let mut dir = sys::list(self.open_dir(relative)?.fd).map_err(fail)?;
        let names = names(&mut dir).map_err(fail)?.into_iter();
        let mut names: Vec<_> =
            names.filter_map(|(name, kind)| Some((name.into_string().ok()?, kind))).collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const NO_ATIME: OFlags = OFlags::NOATIME;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const NO_ATIME: OFlags = OFlags::empty();

const NOT_REGULAR: &str = "a symbolic link or a special file stands there, and neither is followed";

/// All names in a directory, as the system has them.
pub(super) fn names(dir: &mut sys::Names) -> Result<Vec<(CString, Kind)>, Errno> {
    let mut names = Vec::new();
    while let Some(entry) = dir.read() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let kind = match entry.file_type() {
            FileType::Unknown => match sys::statat(dir.fd()?, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => self::entry(&stat).kind,
                Err(Errno::NOENT) => Kind::Other,
                Err(errno) => return Err(errno),
            },
            known => kind(known),
        };
        names.push((name.to_owned(), kind));
    }
    Ok(names)
}

pub(super) fn entry(stat: &Stat) -> Entry {
    let kind = kind(FileType::from_raw_mode(stat.st_mode));
    Entry { kind, size: u64::try_from(stat.st_size).unwrap_or(0) }
}

#[expect(
    clippy::allow_attributes,
    reason = "whether a cast is needed differs from system to system"
)]
#[allow(clippy::unnecessary_cast, trivial_numeric_casts, reason = "see above")]
fn modified(stat: &Stat) -> Timestamp {
    Timestamp::from_microseconds((stat.st_mtime as i64).saturating_mul(1_000_000))
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        _ => Kind::Other,
    }
}

/// What the system says of an open file, unless it is no regular one.
fn regular(file: &File, path: &Utf8Path, action: &'static str) -> Result<Metadata, IoError> {
    let metadata = file.metadata().map_err(IoError::at(action, path))?;
    if metadata.is_dir() {
        return Err(IoError::new(action, path, std::io::ErrorKind::IsADirectory.into()));
    }
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(IoError::new(action, path, std::io::Error::other(NOT_REGULAR)))
}

fn page(file: File, path: Utf8PathBuf, most: u64) -> Result<Option<Vec<u8>>, IoError> {
    let len = regular(&file, &path, "open")?.len();
    if len > most {
        return Ok(None);
    }
    let (mut file, mut bytes) = (ReadFile::new(file, path), Vec::new());
    // Some systems say of a file that it is empty, and it is not.
    let len = if len == 0 { most.min(SMALL) } else { len };
    file.read_at(0, len, &mut bytes)?;
    Ok(Some(bytes))
}

/// Puts the refusal of a symbolic link into words; other errors stay as the system gave them.
fn refine(
    at: impl sys::At,
    name: &str,
    action: &'static str,
    path: &Utf8Path,
    errno: Errno,
) -> IoError {
    let special = matches!(errno, Errno::LOOP | Errno::NOTDIR | Errno::NXIO)
        && sys::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| kind(FileType::from_raw_mode(stat.st_mode)) == Kind::Other);
    let source = if special { std::io::Error::other(NOT_REGULAR) } else { errno.into() };
    IoError::new(action, path, source)
}
