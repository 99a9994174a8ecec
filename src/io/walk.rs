//! What concerns all that is below a directory.

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
