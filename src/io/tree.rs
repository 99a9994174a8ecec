//! All that is below a directory, reached from the one that is held open: what takes the place of one of its
//! paths meanwhile is not looked into, and nothing in it is removed.

use std::ffi::CString;

use rustix::fs::{AtFlags, Mode, Stat};
use rustix::io::Errno;

#[cfg(feature = "sqlite")]
use super::Stamp;
use super::dir::{OPEN_DIR, entry, names};
use super::sys::{self, Fd, Names};
use super::{Dir, Entry, Kind};
use crate::error::IoError;
use crate::name;

/// How deep a tree may be to be removed; deeper ones are left, and so are those that somebody goes on building.
const MOST_LEVELS: u32 = 10_000;

impl Dir {
    /// Removes a directory of the library's own with everything in it, or what was put in its place; links
    /// are removed, and not followed.
    pub(crate) fn remove_tree(&self, relative: &str) -> Result<(), IoError> {
        if self.stat(relative)?.is_some_and(|entry| entry.kind != Kind::Dir) {
            return self.remove_file(relative);
        }
        let tree = self.open_dir(relative)?;
        clear(&tree.fd).map_err(|errno| IoError::new("remove", tree.path(), errno.into()))?;
        self.remove_dir(relative)
    }

    /// All below a directory but the directories, by their path relative to it, sorted. Links are not
    /// followed; a path that is not UTF-8 is told as one that cannot name anything. A directory whose path
    /// is longer than any name is told as well, and not looked into. One that is not there holds nothing.
    pub(crate) fn entries_below(&self, relative: &str) -> Result<Vec<(String, Entry)>, IoError> {
        let root = match self.open_dir(relative) {
            Ok(root) => root,
            Err(_) if self.stat(relative)?.is_none_or(|entry| entry.kind != Kind::Dir) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        walk(root, &mut |path, stat| {
            // How long a directory is, nobody asks.
            let entry = stat.map_or(Entry { kind: Kind::Dir, size: 0 }, entry);
            let is_walked = entry.kind == Kind::Dir && path.len() <= name::LONGEST;
            if !is_walked {
                entries.push((String::from_utf8_lossy(path).into_owned(), entry));
            }
            is_walked
        })?;
        entries.sort_by(|a, b| a.0.split('/').cmp(b.0.split('/')));
        Ok(entries)
    }

    /// Everything below a directory that is no directory itself, with its path relative to that, sorted
    /// by path. Links are not followed; names that are not UTF-8 are passed over. A directory that is
    /// not there holds nothing.
    #[cfg(feature = "sqlite")]
    pub(crate) fn stamps_below(
        &self,
        relative: &str,
    ) -> Result<Vec<(String, Kind, Stamp)>, IoError> {
        let root = match self.open_dir(relative) {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            other => other?,
        };
        let mut found = Vec::new();
        walk(root, &mut |path, stat| {
            let Ok(path) = std::str::from_utf8(path) else { return false };
            found.extend(stat.map(|stat| (path.to_owned(), entry(stat).kind, Stamp::of(stat))));
            stat.is_none()
        })?;
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }
}

/// Tells of each thing below a directory, with its path from there and, if it is no directory itself, its status;
/// of a directory, the answer is whether to look into it. Each is reached from the root anew, so that few are
/// open at once.
fn walk(root: Dir, tell: &mut dyn FnMut(&[u8], Option<&Stat>) -> bool) -> Result<(), IoError> {
    let path = root.path().to_owned();
    let fail = |dir: &[u8], errno: Errno| {
        let dir = String::from_utf8_lossy(dir);
        let path = if dir.is_empty() { path.clone() } else { path.join(&*dir) };
        IoError::new("list", &path, errno.into())
    };
    let mut top = sys::list(root.fd).map_err(|errno| fail(&[], errno))?;
    let mut dirs = Vec::new();
    look_into(&mut top, &[], &mut dirs, tell).map_err(|errno| fail(&[], errno))?;
    while let Some(dir) = dirs.pop() {
        let mut look = || {
            // Removed or replaced while we looked.
            let Some(found) = reach(top.fd()?, &dir)? else { return Ok(()) };
            look_into(&mut sys::list(found)?, &dir, &mut dirs, tell)
        };
        look().map_err(|errno| fail(&dir, errno))?;
    }
    Ok(())
}

/// A directory by its path from a root; `None` if it is not there.
fn reach(root: impl sys::At, dir: &[u8]) -> Result<Option<Fd>, Errno> {
    let mut walked: Option<Fd> = None;
    for component in dir.split(|byte| *byte == b'/') {
        let next = match &walked {
            Some(walked) => sys::openat(walked, component, OPEN_DIR, Mode::empty()),
            None => sys::openat(&root, component, OPEN_DIR, Mode::empty()),
        };
        walked = unless_gone(next)?;
        if walked.is_none() {
            break;
        }
    }
    Ok(walked)
}

/// Tells of what stands in a directory, and notes down the directories in it that are to be looked into.
fn look_into(
    listed: &mut Names,
    dir: &[u8],
    dirs: &mut Vec<Vec<u8>>,
    tell: &mut dyn FnMut(&[u8], Option<&Stat>) -> bool,
) -> Result<(), Errno> {
    let above = if dir.is_empty() { Vec::new() } else { [dir, b"/"].concat() };
    for (name, kind) in names(listed)? {
        let path = [&above, name.as_bytes()].concat();
        let stat = if kind == Kind::Dir {
            None
        } else {
            let stat = sys::statat(listed.fd()?, &name, AtFlags::SYMLINK_NOFOLLOW);
            let Some(stat) = unless_gone(stat)? else { continue };
            Some(stat).filter(|stat| entry(stat).kind != Kind::Dir)
        };
        if tell(&path, stat.as_ref()) {
            dirs.push(path);
        }
    }
    Ok(())
}

/// The names in a directory that stays open, which is opened once more for that.
fn list(dir: &Fd) -> Result<Names, Errno> {
    sys::list(sys::openat(dir, ".", OPEN_DIR, Mode::empty())?)
}

fn unless_gone<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        other => other.map(Some),
    }
}

/// Removes what is in a directory. What is a directory in a directory of it is lifted up to it first: so
/// however deep they are, two are open at once.
fn clear(tree: &Fd) -> Result<(), Errno> {
    let mut lifts = Lifts { into: tree, number: 0 };
    for _ in 0..MOST_LEVELS {
        let before = lifts.number;
        for (name, kind) in names(&mut list(tree)?)? {
            if kind != Kind::Dir {
                sys::unlinkat(tree, &name, AtFlags::empty())?;
                continue;
            }
            let below = sys::openat(tree, &name, OPEN_DIR, Mode::empty())?;
            for (name, kind) in names(&mut list(&below)?)? {
                match kind {
                    Kind::Dir => lifts.lift(&below, &name)?,
                    _ => sys::unlinkat(&below, &name, AtFlags::empty())?,
                }
            }
            sys::unlinkat(tree, &name, AtFlags::REMOVEDIR)?;
        }
        if lifts.number == before {
            return Ok(());
        }
    }
    Err(Errno::NOTEMPTY)
}

/// Directories that were lifted, each to a name of its own.
struct Lifts<'a> {
    into: &'a Fd,
    number: u64,
}

impl Lifts<'_> {
    fn lift(&mut self, from: impl sys::At, name: &CString) -> Result<(), Errno> {
        loop {
            self.number += 1;
            match sys::renameat(&from, name, self.into, format!(".lifted-{}", self.number)) {
                // Somebody had the same name in mind.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                other => return other,
            }
        }
    }
}
