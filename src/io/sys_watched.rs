//! The system calls of `sys.rs`, each shown first to whoever watches the tree that it is made on, who may let
//! it fail, or cut it short. A tree is watched from its path on; what is opened from something that is watched
//! is watched too. Only the proof's build has this.

use std::ffi::CStr;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::Stdio;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Stat, Statx, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;

use super::watch::{Call, Node, Seen, make, told, watch_of};
use crate::planted::Bug;

/// An open directory, or a file that was just opened.
#[derive(Debug)]
pub(crate) struct Fd {
    fd: OwnedFd,
    seen: Option<Seen>,
}

impl Fd {
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { fd: self.fd.try_clone()?, seen: self.seen.clone() })
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Where a name is looked for.
pub(crate) trait At {
    fn at(&self) -> BorrowedFd<'_>;

    fn seen(&self) -> Option<&Seen> {
        None
    }
}

impl At for Fd {
    fn at(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }
}

impl AsFd for File {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl At for BorrowedFd<'_> {
    fn at(&self) -> BorrowedFd<'_> {
        *self
    }
}

impl<T: At> At for &T {
    fn at(&self) -> BorrowedFd<'_> {
        (*self).at()
    }

    fn seen(&self) -> Option<&Seen> {
        (*self).seen()
    }
}

pub(super) fn openat(at: impl At, path: impl Arg, flags: OFlags, mode: Mode) -> Result<Fd, Errno> {
    let path = path.into_c_str()?;
    let hidden = if Bug::LinkFollowed.is_planted() { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = flags - hidden;
    let open = || rustix::fs::openat(at.at(), &*path, flags, mode);
    let Some(Seen { watch, node: dir }) = at.seen() else {
        let fd = open()?;
        let seen = watch_of(&path).map(|watch| Ok(Seen { watch, node: node(&fd)? }));
        return Ok(Fd { fd, seen: seen.transpose()? });
    };
    let (dir, name) = (*dir, &*path);
    let call = if flags.contains(OFlags::CREATE) {
        Call::Create { dir, name, only_new: flags.contains(OFlags::EXCL) }
    } else {
        Call::Open { dir, name }
    };
    at.seen().map(|seen| seen.before(&call)).transpose()?;
    let fd = open()?;
    let made = node(&fd)?;
    watch.after(&call, Some(made));
    Ok(Fd { fd, seen: Some(Seen { watch: Arc::clone(watch), node: made }) })
}

fn node(fd: impl AsFd) -> Result<Node, Errno> {
    Ok(rustix::fs::fstat(fd)?.st_ino)
}

pub(super) fn mkdirat(at: impl At, name: impl Arg, mode: Mode) -> Result<(), Errno> {
    let name = name.into_c_str()?;
    let Some(seen) = at.seen() else { return rustix::fs::mkdirat(at.at(), &*name, mode) };
    let call = Call::MakeDir { dir: seen.node, name: &name };
    seen.before(&call)?;
    rustix::fs::mkdirat(at.at(), &*name, mode)?;
    let made = rustix::fs::statat(at.at(), &*name, AtFlags::SYMLINK_NOFOLLOW)?;
    seen.watch.after(&call, Some(made.st_ino));
    Ok(())
}

pub(super) fn renameat(
    from: impl At,
    name: impl Arg,
    into: impl At,
    to: impl Arg,
) -> Result<(), Errno> {
    renaming(from, name, into, to, |from, name, into, to| {
        rustix::fs::renameat(from, name, into, to)
    })
}

pub(super) fn renameat_with(
    from: impl At,
    name: impl Arg,
    into: impl At,
    to: impl Arg,
    flags: RenameFlags,
) -> Result<(), Errno> {
    renaming(from, name, into, to, |from, name, into, to| {
        rustix::fs::renameat_with(from, name, into, to, flags)
    })
}

fn renaming(
    from: impl At,
    name: impl Arg,
    into: impl At,
    to: impl Arg,
    rename: impl FnOnce(BorrowedFd<'_>, &CStr, BorrowedFd<'_>, &CStr) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let (name, to) = (name.into_c_str()?, to.into_c_str()?);
    // From a tree that is watched to one that is not, or the other way, is not what is tried.
    let target = into.seen().map_or(0, |seen| seen.node);
    make(
        from.seen(),
        |from| Call::Rename { from, name: &name, into: target, to: &to },
        || rename(from.at(), &name, into.at(), &to),
    )
}

pub(super) fn linkat(
    from: impl At,
    name: impl Arg,
    into: impl At,
    to: impl Arg,
    flags: AtFlags,
) -> Result<(), Errno> {
    let (name, to) = (name.into_c_str()?, to.into_c_str()?);
    let target = into.seen().map_or(0, |seen| seen.node);
    make(
        from.seen(),
        |from| Call::Link { from, name: &name, into: target, to: &to },
        || rustix::fs::linkat(from.at(), &*name, into.at(), &*to, flags),
    )
}

pub(super) fn unlinkat(at: impl At, name: impl Arg, flags: AtFlags) -> Result<(), Errno> {
    let name = name.into_c_str()?;
    let name = &*name;
    make(
        at.seen(),
        |dir| match flags.contains(AtFlags::REMOVEDIR) {
            true => Call::RemoveDir { dir, name },
            false => Call::Unlink { dir, name },
        },
        || rustix::fs::unlinkat(at.at(), name, flags),
    )
}

pub(super) fn statat(at: impl At, name: impl Arg, flags: AtFlags) -> Result<Stat, Errno> {
    let name = name.into_c_str()?;
    let call = |dir| Call::LookAt { dir, name: &name };
    let stat = make(at.seen(), call, || rustix::fs::statat(at.at(), &*name, flags))?;
    Ok(told(stat, at.seen()))
}

pub(super) fn fstat(of: impl At) -> Result<Stat, Errno> {
    make(of.seen(), |node| Call::Look { node }, || rustix::fs::fstat(of.at()))
}

pub(super) fn statx(
    of: &File,
    name: &str,
    flags: AtFlags,
    wanted: StatxFlags,
) -> Result<Statx, Errno> {
    let look = || rustix::fs::statx(of.file.as_fd(), name, flags, wanted);
    let mut stat = make(of.seen.as_ref(), |node| Call::Look { node }, look)?;
    stat.stx_nlink = stat.stx_nlink.max(u32::from(Bug::RemovalUnseen.is_planted()));
    Ok(stat)
}

pub(super) fn fsync(dir: &Fd) -> Result<(), Errno> {
    let sync = || rustix::fs::fsync(&dir.fd);
    if Bug::NamesUnsynced.is_planted() {
        return Ok(());
    }
    make(dir.seen.as_ref(), |dir| Call::SyncDir { dir }, sync)
}

pub(super) fn syncfs(dir: &Fd) -> Result<(), Errno> {
    make(dir.seen.as_ref(), |_| Call::SyncAll, || rustix::fs::syncfs(&dir.fd))
}

pub(super) fn ioctl_ficlone(file: &File, source: &File) -> Result<(), Errno> {
    let from = source.seen.as_ref().map_or(0, |seen| seen.node);
    let clone = || rustix::fs::ioctl_ficlone(&file.file, &source.file);
    make(file.seen.as_ref(), |file| Call::Clone { file, source: from }, clone)
}

pub(super) fn list(dir: Fd) -> Result<rustix::fs::Dir, Errno> {
    let Fd { fd, seen } = dir;
    make(seen.as_ref(), |dir| Call::List { dir }, || rustix::fs::Dir::new(fd))
}

pub(super) fn try_lock_exclusive(file: &File) -> io::Result<()> {
    file.lock(fs2::FileExt::try_lock_exclusive)
}

pub(super) fn try_lock_shared(file: &File) -> io::Result<()> {
    file.lock(fs2::FileExt::try_lock_shared)
}

pub(super) fn unlock(file: &File) -> io::Result<()> {
    fs2::FileExt::unlock(&file.file)
}

/// True if a lock was not granted since somebody else holds it.
pub(super) fn is_contended(error: &io::Error) -> bool {
    error.raw_os_error() == fs2::lock_contended_error().raw_os_error()
}

/// An open file.
#[derive(Debug)]
pub(crate) struct File {
    file: std::fs::File,
    seen: Option<Seen>,
}

impl From<Fd> for File {
    fn from(Fd { fd, seen }: Fd) -> Self {
        Self { file: fd.into(), seen }
    }
}

/// A file that the user named, wherever it is.
pub(super) fn unwatched(file: std::fs::File) -> File {
    File { file, seen: None }
}

impl From<File> for Stdio {
    fn from(file: File) -> Self {
        file.file.into()
    }
}

impl File {
    pub(super) fn metadata(&self) -> io::Result<std::fs::Metadata> {
        self.call(|node| Call::Look { node }, |file| file.metadata())
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        self.call(|file| Call::Truncate { file, len }, |file| file.set_len(len))
    }

    pub(super) fn sync_all(&self) -> io::Result<()> {
        if Bug::Unsynced.is_planted() {
            return Ok(());
        }
        self.call(|file| Call::SyncFile { file }, |file| file.sync_all())
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        if Bug::Unsynced.is_planted() {
            return Ok(());
        }
        self.call(|file| Call::SyncFile { file }, |file| file.sync_data())
    }

    fn lock(&self, lock: impl FnOnce(&std::fs::File) -> io::Result<()>) -> io::Result<()> {
        self.call(|file| Call::Lock { file }, lock)
    }

    fn call<T>(
        &self,
        call: impl Fn(Node) -> Call<'static>,
        make: impl FnOnce(&std::fs::File) -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(seen) = &self.seen else { return make(&self.file) };
        let call = call(seen.node);
        seen.before(&call)?;
        let made = make(&self.file)?;
        seen.watch.after(&call, None);
        Ok(made)
    }

    fn reading(
        &self,
        buffer: &mut [u8],
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(seen) = &self.seen else { return read(buffer) };
        let call = Call::Read { file: seen.node, len: buffer.len() };
        let most = seen.before(&call)?.unwrap_or(buffer.len()).min(buffer.len());
        let read = read(buffer.get_mut(..most).unwrap_or_default())?;
        seen.watch.after(&call, None);
        Ok(read)
    }

    fn writing(
        &self,
        bytes: &[u8],
        offset: Option<u64>,
        write: impl FnOnce(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let Some(seen) = &self.seen else { return write(bytes) };
        let most = seen.before(&Call::Write { file: seen.node, offset, bytes })?;
        let most = most.unwrap_or(bytes.len()).min(bytes.len());
        let written = write(bytes.get(..most).unwrap_or_default())?;
        let offset = match offset {
            Some(offset) => offset,
            None => (&self.file).stream_position()?.saturating_sub(written as u64),
        };
        let part = bytes.get(..written).unwrap_or_default();
        seen.watch.after(&Call::Write { file: seen.node, offset: Some(offset), bytes: part }, None);
        Ok(if Bug::ShortWriteTaken.is_planted() { bytes.len() } else { written })
    }
}

impl Read for &File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reading(buffer, |buffer| (&self.file).read(buffer))
    }
}

impl Read for File {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for &File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writing(bytes, None, |bytes| (&self.file).write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for &File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&self.file).seek(to)
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        (&*self).seek(to)
    }
}

impl FileExt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reading(buffer, |buffer| self.file.read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.writing(bytes, Some(offset), |bytes| self.file.write_at(bytes, offset))
    }
}
