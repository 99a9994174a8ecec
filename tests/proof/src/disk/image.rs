//! What a disk may hold after a power cut: a tree, and what of the record is not in it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::Digest;

use crate::{Outcome, Violation};

/// A directory, or the content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Dir,
    File(Arc<[u8]>),
}

/// A tree as a power cut may leave it.
#[derive(Debug, Clone, Default)]
pub struct Image {
    entries: BTreeMap<Utf8PathBuf, Entry>,
    lost: Vec<String>,
}

impl Image {
    pub(super) fn put(&mut self, path: Utf8PathBuf, entry: Entry) {
        self.entries.insert(path, entry);
    }

    pub(super) fn lose(&mut self, what: String) {
        self.lost.push(what);
    }

    /// The tree below a directory.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(dir: &Utf8Path) -> Outcome<Self> {
        let mut image = Self::default();
        for found in walkdir::WalkDir::new(dir).min_depth(1) {
            let found = found?;
            let path = Utf8PathBuf::try_from(found.path().strip_prefix(dir)?.to_owned())?;
            let entry = match found.file_type().is_dir() {
                true => Entry::Dir,
                false => Entry::File(std::fs::read(found.path())?.into()),
            };
            image.put(path, entry);
        }
        Ok(image)
    }

    /// The digest of all names and contents. Two images that have it are one tree.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut bytes = Vec::new();
        for (path, entry) in &self.entries {
            bytes.extend_from_slice(path.as_str().as_bytes());
            match entry {
                Entry::Dir => bytes.push(b'/'),
                Entry::File(content) => {
                    bytes.push(0);
                    bytes.extend_from_slice(&content.len().to_le_bytes());
                    bytes.extend_from_slice(content);
                }
            }
        }
        Digest::of(&bytes)
    }

    /// What was done and is not, or not wholly, on the disk, in words.
    #[must_use]
    pub fn lost(&self) -> &[String] {
        &self.lost
    }

    /// A name that is the same whenever the same was lost of the same calls, whatever ids and times were made.
    #[must_use]
    pub fn name(&self) -> String {
        let mut lost: Vec<_> = self.lost.iter().map(|lost| without_ids(lost)).collect();
        lost.sort();
        Digest::of(lost.join("\n").as_bytes()).to_hex().get(..12).unwrap_or_default().to_owned()
    }

    /// Writes the tree into a directory that is there and empty, as if the last change was a while ago: who looks
    /// for what is missing waits where it vanished just now.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write_to(&self, dir: &Utf8Path) -> Outcome {
        let then = SystemTime::now() - Duration::from_secs(10);
        for (path, entry) in &self.entries {
            let target = dir.join(path);
            match entry {
                Entry::Dir => std::fs::create_dir(&target)?,
                Entry::File(content) => std::fs::write(&target, content)?,
            }
        }
        let dirs = self.entries.iter().filter(|(_, entry)| **entry == Entry::Dir);
        for path in dirs.map(|(path, _)| dir.join(path)).chain([dir.to_owned()]) {
            std::fs::File::open(path)?.set_modified(then)?;
        }
        Ok(())
    }

    /// Fails where another tree is not this one, with the first path that differs.
    ///
    /// # Errors
    /// Where it differs.
    pub fn same_as(&self, other: &Self) -> Outcome {
        let all = self.entries.keys().chain(other.entries.keys());
        for path in all {
            if self.entries.get(path) != other.entries.get(path) {
                let is = |image: &Self| match image.entries.get(path) {
                    None => "not there".to_owned(),
                    Some(Entry::Dir) => "a directory".to_owned(),
                    Some(Entry::File(content)) => format!("a file of {} bytes", content.len()),
                };
                let text = format!("{path} is {}, and there {}", is(self), is(other));
                return Err(Violation::new(text));
            }
        }
        Ok(())
    }

    /// The same without what stands at a path.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.entries.remove(Utf8Path::new(path));
        self
    }

    /// Puts a file's content at a path, in place of what is there.
    #[must_use]
    pub fn with(mut self, path: &str, content: &[u8]) -> Self {
        self.put(path.into(), Entry::File(content.into()));
        self
    }
}

impl fmt::Display for Image {
    /// Each name with its content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (path, entry)) in self.entries.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            match entry {
                Entry::Dir => write!(f, "{space}{path}/")?,
                Entry::File(content) => write!(f, "{space}{path}={}", content.escape_ascii())?,
            }
        }
        Ok(())
    }
}

/// The text with each number of a UUID in it replaced.
fn without_ids(text: &str) -> String {
    let id =
        |part: &str| part.len() >= 32 && part.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    let parts = text.split_inclusive(|c: char| !(c == '-' || c.is_ascii_hexdigit()));
    parts
        .map(|part| {
            let word = part.trim_end_matches(|c: char| !(c == '-' || c.is_ascii_hexdigit()));
            if id(word) { part.replacen(word, "ID", 1) } else { part.to_owned() }
        })
        .collect()
}
