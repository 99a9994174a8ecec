//! All that is below a directory, by its path, for systems without `openat`: what takes the place of that path
//! meanwhile is not seen. Untried there.

use super::{Dir, Entry, Kind};
use crate::error::IoError;

impl Dir {
    /// Removes a directory of the library's own with everything in it, or what was put in its place; links
    /// are removed, and not followed.
    pub(crate) fn remove_tree(&self, relative: &str) -> Result<(), IoError> {
        if self.stat(relative)?.is_some_and(|entry| entry.kind != Kind::Dir) {
            return self.remove_file(relative);
        }
        let path = self.path().join(relative);
        std::fs::remove_dir_all(&path).map_err(IoError::at("remove", &path))
    }

    /// All below a directory but the directories, by their path relative to it, sorted. Links are not
    /// followed; a path that is not UTF-8 is told as one that cannot name anything. A directory that is not
    /// there holds nothing.
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
