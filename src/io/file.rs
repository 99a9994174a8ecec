//! Open files: a journal that only grows, a new file that is written once, a file to read.

use std::fs::Metadata;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::sys::{self, File};
use crate::digest::Digest;
use crate::error::IoError;

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    /// A symbolic link, a pipe, a socket, a device: nothing that belongs in a run.
    Other,
}

/// What stands at a path, and how long it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) size: u64,
}

/// A file that only ever grows at its end.
#[derive(Debug)]
pub(crate) struct AppendFile {
    file: File,
    path: Utf8PathBuf,
    identity: Option<(u64, u64)>,
    opened: Instant,
}

impl AppendFile {
    /// An open file, of which this is what the system says.
    pub(crate) fn new(file: File, path: Utf8PathBuf, metadata: &Metadata) -> Self {
        Self { file, path, identity: identity(metadata), opened: Instant::now() }
    }

    /// How long it is open: the system tells a file of the failed writes since then.
    pub(crate) fn age(&self) -> Duration {
        self.opened.elapsed()
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Its length, or `None` once its last name was removed.
    ///
    /// Asked for nothing else: who asks a file for its times makes the next write set them more exactly,
    /// and that costs more than the question.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn linked_len(&self) -> Result<Option<u64>, IoError> {
        use rustix::fs::{AtFlags, StatxFlags};
        let wanted = StatxFlags::NLINK | StatxFlags::SIZE;
        match sys::statx(&self.file, "", AtFlags::EMPTY_PATH, wanted) {
            Ok(stat) => Ok((stat.stx_nlink > 0).then_some(stat.stx_size)),
            // An old system, or one that is sandboxed.
            Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => self.linked_len_by_fstat(),
            Err(errno) => Err(IoError::new("look at", &self.path, errno.into())),
        }
    }

    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    pub(crate) fn linked_len(&self) -> Result<Option<u64>, IoError> {
        self.linked_len_by_fstat()
    }

    #[cfg(unix)]
    fn linked_len_by_fstat(&self) -> Result<Option<u64>, IoError> {
        let fail = |errno: rustix::io::Errno| IoError::new("look at", &self.path, errno.into());
        let stat = sys::fstat(&self.file).map_err(fail)?;
        Ok((stat.st_nlink > 0).then(|| u64::try_from(stat.st_size).unwrap_or(0)))
    }

    /// Its length; where names cannot be counted, it is taken to have one.
    #[cfg(not(unix))]
    pub(crate) fn linked_len(&self) -> Result<Option<u64>, IoError> {
        let metadata = self.file.metadata().map_err(IoError::at("look at", &self.path))?;
        Ok(Some(metadata.len()))
    }

    /// What tells this file from others, whatever it is called; `None` where the system does not say.
    pub(crate) fn identity(&self) -> Result<Option<(u64, u64)>, IoError> {
        Ok(self.identity)
    }

    /// Appends `len` bytes from `offset` to `buffer`, or as many as there are.
    pub(crate) fn read_at(
        &self,
        offset: u64,
        len: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), IoError> {
        read_at(&self.file, &self.path, offset, len, buffer)
    }

    /// Fills `buffer` with the bytes from `offset`; false where there are not as many.
    pub(crate) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<bool, IoError> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset);
        #[cfg(not(unix))]
        let read = (&self.file)
            .seek(SeekFrom::Start(offset))
            .and_then(|_| (&self.file).read_exact(buffer));
        match read {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(IoError::new("read", &self.path, error)),
        }
    }

    /// One write at the end of the file. Anything but a whole write is an error, and is not tried
    /// again: what it left is a torn tail, which the next append seals off.
    pub(crate) fn append(&self, bytes: &[u8]) -> Result<(), IoError> {
        let written = (&self.file).write(bytes).map_err(IoError::at("append to", &self.path))?;
        if written == bytes.len() {
            return Ok(());
        }
        let short = format!("only {written} of {} bytes were written", bytes.len());
        Err(IoError::new("append to", &self.path, std::io::Error::new(ErrorKind::WriteZero, short)))
    }

    /// Waits until everything that anybody appended is on the disk.
    pub(crate) fn sync(&self) -> Result<(), IoError> {
        self.file.sync_data().map_err(IoError::at("sync", &self.path))
    }
}

/// Tells a file from others; `None` where the system does not say.
fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        None
    }
}

/// For a child process to write to: what it writes goes to the end.
impl From<AppendFile> for Stdio {
    fn from(file: AppendFile) -> Self {
        Self::from(file.file)
    }
}

/// A file that was not there before, being written.
#[derive(Debug)]
pub(crate) struct NewFile {
    file: File,
    path: Utf8PathBuf,
}

impl NewFile {
    pub(crate) fn new(file: File, path: Utf8PathBuf) -> Self {
        Self { file, path }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), IoError> {
        self.file.write_all(bytes).map_err(IoError::at("write", &self.path))
    }

    /// Its name within its directory.
    pub(crate) fn name(&self) -> &str {
        self.path.file_name().unwrap_or_default()
    }

    /// Makes this file, which must be empty, a copy of another that shares its blocks, of no more than its
    /// first `most` bytes; false where the disk cannot, and then it is still empty.
    pub(crate) fn share_blocks(&mut self, source: &ReadFile, most: u64) -> Result<bool, IoError> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        {
            let fail = IoError::at("write", &self.path);
            if sys::ioctl_ficlone(&self.file, &source.file).is_ok() {
                if self.file.seek(SeekFrom::End(0)).map_err(&fail)? > most {
                    self.file.set_len(most).map_err(&fail)?;
                    self.file.seek(SeekFrom::End(0)).map_err(&fail)?;
                }
                return Ok(true);
            }
            // A copy that failed half way must not leave its part.
            self.file.set_len(0).map_err(&fail)?;
        }
        let _ = (source, most);
        Ok(false)
    }

    /// Waits until its content is on the disk; its name needs a sync of its directory as well.
    pub(crate) fn sync(&self) -> Result<(), IoError> {
        self.file.sync_all().map_err(IoError::at("sync", &self.path))
    }
}

/// A regular file, open for reading.
#[derive(Debug)]
pub(crate) struct ReadFile {
    pub(super) file: File,
    pub(super) path: Utf8PathBuf,
}

impl ReadFile {
    pub(crate) fn new(file: File, path: Utf8PathBuf) -> Self {
        Self { file, path }
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Opens a file that the user names, wherever it is, links followed; `None` if it is not a regular
    /// file. It is looked at first: to open a pipe or a device can change it.
    pub(crate) fn anywhere(path: &Utf8Path) -> Result<Option<Self>, IoError> {
        let fail = IoError::at("open", path);
        if !std::fs::metadata(path).map_err(&fail)?.is_file() {
            return Ok(None);
        }
        let mut options = std::fs::OpenOptions::new();
        #[cfg(unix)]
        {
            let no_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, no_waiting);
        }
        let file = options.read(true).open(path).map_err(&fail)?;
        let is_file = file.metadata().map_err(&fail)?.is_file();
        Ok(is_file.then(|| Self::new(sys::unwatched(file), path.to_owned())))
    }

    pub(crate) fn read_all(&mut self) -> Result<Vec<u8>, IoError> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(IoError::at("read", &self.path))?;
        Ok(bytes)
    }

    /// Appends up to `len` bytes from `offset` to `buffer`.
    pub(crate) fn read_at(
        &mut self,
        offset: u64,
        len: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), IoError> {
        // No more room than for what is there.
        let left = if len > SMALL { self.end()?.saturating_sub(offset) } else { len };
        read_at(&self.file, &self.path, offset, len.min(left), buffer)
    }

    /// Where it ends. Moves to there: who asks for its times as well makes the next write cost more.
    pub(super) fn end(&mut self) -> Result<u64, IoError> {
        self.file.seek(SeekFrom::End(0)).map_err(IoError::at("read", &self.path))
    }

    /// Does something that reads elsewhere, and comes back to where reading had got.
    pub(crate) fn keeping_position<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, IoError>,
    ) -> Result<T, IoError> {
        let position = self.file.stream_position().map_err(IoError::at("read", &self.path))?;
        let done = work(self);
        let back = self.file.seek(SeekFrom::Start(position));
        back.map_err(IoError::at("read", &self.path))?;
        done
    }

    /// Goes back to its first byte.
    pub(crate) fn rewind(&mut self) -> Result<(), IoError> {
        self.file.rewind().map_err(IoError::at("read", &self.path))
    }

    /// Bytes in it now.
    pub(crate) fn len(&self) -> Result<u64, IoError> {
        Ok(self.metadata()?.len())
    }

    /// False once its last name was removed. Where the system does not tell, it is taken to be there.
    pub(crate) fn is_linked(&self) -> Result<bool, IoError> {
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::nlink(&self.metadata()?) == 0 {
            return Ok(false);
        }
        Ok(true)
    }

    /// True if both are the same file of the system. Where that does not tell, they are taken to be:
    /// it also does not let an open file be replaced.
    pub(crate) fn is_same(&self, other: &Self) -> Result<bool, IoError> {
        Ok(identity(&self.metadata()?) == identity(&other.metadata()?))
    }

    /// True if this file is known to stand at its path still. It costs no opening of anything.
    pub(crate) fn is_at_path(&self) -> Result<bool, IoError> {
        #[cfg(unix)]
        {
            let this = self.metadata()?;
            let at_path = sys::symlink_metadata(&self.path);
            Ok(at_path.is_ok_and(|other| identity(&this) == identity(&other)))
        }
        #[cfg(not(unix))]
        Ok(false)
    }

    fn metadata(&self) -> Result<Metadata, IoError> {
        self.file.metadata().map_err(IoError::at("look at", &self.path))
    }

    /// The digest of what the file holds, and its length, in flat memory.
    pub(crate) fn digest(&mut self) -> Result<(Digest, u64), IoError> {
        let end = self.end()?;
        self.digest_to(end)
    }

    /// The same of a file of which the end is known.
    pub(super) fn digest_to(&mut self, end: u64) -> Result<(Digest, u64), IoError> {
        // Some systems say of a file that it is empty, and it is not.
        #[cfg(unix)]
        if (1..=SMALL).contains(&end) {
            return super::kept::with_kept(end, |room| {
                let read = read_small_at(&self.file, room, 0);
                let read = read.map_err(IoError::at("read", &self.path))?;
                Ok((Digest::of(room.get(..read).unwrap_or_default()), read as u64))
            });
        }
        let fail = IoError::at("read", &self.path);
        let mut hasher = blake3::Hasher::new();
        self.file.rewind().map_err(&fail)?;
        hasher.update_reader(&mut self.file).map_err(&fail)?;
        Ok((Digest::from_hasher(&hasher), hasher.count()))
    }

    pub(crate) fn sync(&self) -> Result<(), IoError> {
        self.file.sync_all().map_err(IoError::at("sync", &self.path))
    }
}

/// For a child process to read from.
impl From<ReadFile> for Stdio {
    fn from(file: ReadFile) -> Self {
        Self::from(file.file)
    }
}

impl Read for ReadFile {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for ReadFile {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// The position of a file is its readers' alone: what is appended goes to the end.
fn read_at(
    mut file: &File,
    path: &Utf8Path,
    offset: u64,
    len: u64,
    buffer: &mut Vec<u8>,
) -> Result<(), IoError> {
    let fail = IoError::at("read", path);
    #[cfg(unix)]
    if len <= SMALL {
        let had = buffer.len();
        buffer.resize(had + usize::try_from(len).unwrap_or(0), 0);
        let read = read_small_at(file, buffer.get_mut(had..).unwrap_or_default(), offset);
        buffer.truncate(had + read.as_ref().map_or(0, |read| *read));
        return read.map(|_| ()).map_err(&fail);
    }
    file.seek(SeekFrom::Start(offset)).map_err(&fail)?;
    buffer.reserve(usize::try_from(len.min(1 << 20)).unwrap_or(0));
    file.take(len).read_to_end(buffer).map_err(&fail)?;
    Ok(())
}

/// Bytes that are read by one call; to read more, it costs less to leave their room as it is.
pub(super) const SMALL: u64 = 64 << 10;

#[cfg(unix)]
fn read_small_at(file: &File, part: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = part.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match std::os::unix::fs::FileExt::read_at(file, rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
