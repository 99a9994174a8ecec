//! All that is below a directory, reached from the one that is held open: what takes the place of one of its
//! paths meanwhile is not looked into, and nothing in it is removed.

use std::ffi::CString;

use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

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
        let (mut entries, mut dirs) = (Vec::new(), vec![Vec::new()]);
        while let Some(dir) = dirs.pop() {
            let inside = look_into(&root.fd, &dir);
            for (path, entry) in
                inside.map_err(|errno| IoError::new("list", root.path(), errno.into()))?
            {
                if entry.kind == Kind::Dir && path.len() <= name::LONGEST {
                    dirs.push(path);
                } else {
                    entries.push((String::from_utf8_lossy(&path).into_owned(), entry));
                }
            }
        }
        entries.sort_by(|a, b| a.0.split('/').cmp(b.0.split('/')));
        Ok(entries)
    }
}

/// What stands in a directory below a root, by its path from there. It is reached from the root anew, so that
/// few are open at once.
fn look_into(root: &Fd, dir: &[u8]) -> Result<Vec<(Vec<u8>, Entry)>, Errno> {
    let mut walked: Option<Fd> = None;
    for component in dir.split(|byte| *byte == b'/').filter(|component| !component.is_empty()) {
        let next = sys::openat(walked.as_ref().unwrap_or(root), component, OPEN_DIR, Mode::empty());
        // Removed or replaced while we looked.
        let Some(next) = unless_gone(next)? else { return Ok(Vec::new()) };
        walked = Some(next);
    }
    let mut listed = match walked {
        Some(walked) => sys::list(walked)?,
        None => list(root)?,
    };
    let mut inside = Vec::new();
    for (name, kind) in names(&mut listed)? {
        let entry = match kind {
            // How long a directory is, nobody asks.
            Kind::Dir => Entry { kind, size: 0 },
            Kind::File | Kind::Other => {
                let stat = sys::statat(listed.fd()?, &name, AtFlags::SYMLINK_NOFOLLOW);
                let Some(stat) = unless_gone(stat)? else { continue };
                entry(&stat)
            }
        };
        let above = if dir.is_empty() { Vec::new() } else { [dir, b"/"].concat() };
        inside.push(([&above, name.as_bytes()].concat(), entry));
    }
    Ok(inside)
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
