//! The system calls of `sys.rs`, each shown first to whoever watches the tree that it is made on, who may let
//! it fail, or cut it short. A tree is watched from its path on; what is opened from something that is watched
//! is watched too. Only the proof's build has this.

use std::ffi::CStr;
use std::fs::Metadata;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, DirEntry, Mode, OFlags, RenameFlags, Stat, StatFs, StatVfs, Statx, StatxFlags,
};
use rustix::io::Errno;
use rustix::path::Arg;

pub(super) use self::file::File;
use super::watch::{Call, Node, Seen, WHOLE_PATH, make, told, watch_of};
use crate::planted::Bug;

#[path = "sys_watched_file.rs"]
mod file;

/// An open directory, or a file that was just opened.
#[derive(Debug)]
pub(crate) struct Fd {
    fd: OwnedFd,
    seen: Option<Seen>,
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
    let Some(Seen { watch, node: dir }) = at.seen().cloned().or_else(|| anywhere(&path)) else {
        return Ok(Fd { fd: open()?, seen: None });
    };
    let name = &*path;
    let call = if flags.contains(OFlags::CREATE) {
        Call::Create { dir, name, only_new: flags.contains(OFlags::EXCL) }
    } else {
        let to_write = flags.intersects(OFlags::WRONLY | OFlags::RDWR);
        Call::Open { dir, name, to_write }
    };
    let seen = Seen { watch, node: dir };
    seen.before(&call)?;
    let fd = open()?;
    let node = node(&fd)?;
    seen.watch.after(&call, Some(node));
    Ok(Fd { fd, seen: Some(Seen { node, ..seen }) })
}

/// Who watches what is at a whole path.
fn anywhere(path: &CStr) -> Option<Seen> {
    Some(Seen { watch: watch_of(path)?, node: WHOLE_PATH })
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
    let seen = at.seen().cloned().or_else(|| anywhere(&name));
    let call = |dir| Call::LookAt { dir, name: &name };
    let stat = make(seen.as_ref(), call, || rustix::fs::statat(at.at(), &*name, flags))?;
    Ok(told(stat, seen.as_ref()))
}

pub(super) fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    let name = path.into_c_str()?;
    let call = |dir| Call::LookAt { dir, name: &name };
    let look = || std::fs::symlink_metadata(path).map_err(|error| errno(&error));
    Ok(make(anywhere(&name).as_ref(), call, look)?)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(feature = "sqlite")]
pub(super) fn statfs(path: &Path) -> Result<StatFs, Errno> {
    let name = path.into_c_str()?;
    let call = |dir| Call::LookAt { dir, name: &name };
    make(anywhere(&name).as_ref(), call, || rustix::fs::statfs(path))
}

pub(super) fn fstatvfs(of: &Fd) -> Result<StatVfs, Errno> {
    make(of.seen(), |node| Call::Look { node }, || rustix::fs::fstatvfs(&of.fd))
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

pub(super) fn list(dir: Fd) -> Result<Names, Errno> {
    let Fd { fd, seen } = dir;
    Ok(Names { dir: rustix::fs::Dir::new(fd)?, seen, reads: false })
}

/// The names in a directory, read one after the other.
#[derive(Debug)]
pub(crate) struct Names {
    dir: rustix::fs::Dir,
    seen: Option<Seen>,
    /// True once the first was asked for.
    reads: bool,
}

impl Names {
    /// The system is asked for the first of them, and where there are no more. Between these it is asked for a
    /// directory of many names only, and that is not shown.
    pub(super) fn read(&mut self) -> Option<Result<DirEntry, Errno>> {
        let seen = self.seen.as_ref();
        let ask = || make(seen, |dir| Call::List { dir }, || Ok(())).err().map(Err);
        if !self.reads {
            self.reads = true;
            if let Some(refused) = ask() {
                return Some(refused);
            }
        }
        self.dir.read().or_else(ask)
    }

    /// Where the names are looked for.
    pub(super) fn fd(&self) -> Result<impl At, Errno> {
        Ok(Borrowed { fd: self.dir.fd()?, seen: self.seen.as_ref() })
    }
}

/// A directory that something else holds open.
#[derive(Debug, Clone, Copy)]
struct Borrowed<'a> {
    fd: BorrowedFd<'a>,
    seen: Option<&'a Seen>,
}

impl At for Borrowed<'_> {
    fn at(&self) -> BorrowedFd<'_> {
        self.fd
    }

    fn seen(&self) -> Option<&Seen> {
        self.seen
    }
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

/// A file that the user named, wherever it is.
pub(super) fn unwatched(file: std::fs::File) -> File {
    File { file, seen: None }
}
