//! What concerns all that is below a directory.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Dir, Entry, Kind};
use crate::error::IoError;

impl Dir {
    /// Removes a directory of the library's own with everything in it; links in it are not followed.
    pub(crate) fn remove_tree(&self, relative: &str) -> Result<(), IoError> {
        let path = self.path().join(relative);
        std::fs::remove_dir_all(&path).map_err(IoError::at("remove", &path))
    }

    /// The regular files below a directory with their sizes, by their path relative to it, sorted.
    /// Links are not followed; a path that is not UTF-8 is told as one that cannot name anything. A
    /// directory that is not there holds none.
    pub(crate) fn files_below(&self, relative: &str) -> Result<Vec<(String, u64)>, IoError> {
        let below = self.entries_below(relative)?.into_iter();
        let files = below.filter(|(_, entry)| entry.kind == Kind::File);
        Ok(files.map(|(path, entry)| (path, entry.size)).collect())
    }

    /// All below a directory but the directories, as [`files_below`](Dir::files_below) tells of files.
    pub(crate) fn entries_below(&self, relative: &str) -> Result<Vec<(String, Entry)>, IoError> {
        let root = self.path().join(relative);
        let mut entries = Vec::new();
        for entry in
            walkdir::WalkDir::new(&root).follow_root_links(false).min_depth(1).sort_by_file_name()
        {
            let entry = match entry {
                Ok(entry) => entry,
                // Removed while we looked, or never there.
                Err(error)
                    if error
                        .io_error()
                        .is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound) =>
                {
                    continue;
                }
                Err(error) => return Err(IoError::new("list", &root, error.into())),
            };
            let (Ok(path), Ok(metadata)) = (entry.path().strip_prefix(&root), entry.metadata())
            else {
                continue;
            };
            let kind = match entry.file_type() {
                file if file.is_file() => Kind::File,
                dir if dir.is_dir() => continue,
                _ => Kind::Other,
            };
            let path = path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
            entries.push((path, Entry { kind, size: metadata.len() }));
        }
        Ok(entries)
    }
}

/// Makes a directory and those above it, and waits until their names are on the disk.
pub(crate) fn make_dirs(path: &Utf8Path) -> Result<(), IoError> {
    let mut missing: Vec<Utf8PathBuf> = Vec::new();
    let mut at = path;
    let base = loop {
        match Dir::open_root(at) {
            Ok(dir) => break dir,
            Err(error) if error.is_not_found() => match at.parent() {
                Some(parent) => {
                    missing.push(at.to_owned());
                    at = parent;
                }
                None => return Err(error),
            },
            Err(error) => return Err(error),
        }
    };
    let mut dir = base;
    for path in missing.iter().rev() {
        let name = path.file_name().unwrap_or_default();
        dir.create_dir(name)?;
        dir.sync("")?;
        dir = dir.open_dir(name)?;
    }
    Ok(())
}
