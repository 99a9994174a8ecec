//! A disk with a cache before it.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::content::{Change, File};
use super::image::{Entry, Image};
use super::names::Names;
use super::step::Step;

/// What the model calls a file or directory, whatever names it has.
pub(super) type Id = usize;

/// The directory that the record begins at.
pub(super) const TOP: Id = 0;

/// A disk at a moment: what is on it for certain, and what was only told to the system.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    pub(super) names: Names,
    pub(super) files: BTreeMap<Id, File>,
}

impl Disk {
    /// Something that was there from the start: a file with its content, or a directory.
    pub(super) fn put(&mut self, dir: Id, name: &str, id: Id, content: Option<Vec<u8>>) {
        self.names.put((dir, name.to_owned()), id);
        if let Some(content) = content {
            self.files.insert(id, File::new(&content));
        }
    }

    /// The tree as a process sees it.
    #[must_use]
    pub fn now(&self) -> Image {
        let mut image = Image::default();
        for (path, id) in self.names.newest().paths {
            let content = self.files.get(&id).map(|file| Entry::File(file.now().into()));
            image.put(path, content.unwrap_or(Entry::Dir));
        }
        image
    }

    /// How long each file is on the disk at least, under the names that a process sees, and under those that it had
    /// when they were synced; a name that is not synced may still be missing.
    #[must_use]
    pub fn synced(&self) -> BTreeMap<Utf8PathBuf, u64> {
        let files = self.names.oldest().paths.into_iter().chain(self.names.newest().paths);
        files
            .filter_map(|(path, id)| Some((path, self.files.get(&id)?.settled().len() as u64)))
            .collect()
    }

    /// True if a power cut may leave more than one tree.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.names.is_open() || self.files.values().any(File::is_open)
    }

    pub(super) fn take(&mut self, at: usize, step: &Step) {
        match step {
            Step::Name { dir, name, to, is_dir } => {
                self.names.set(at, (*dir, name.clone()), Some(*to));
                if !is_dir {
                    self.files.entry(*to).or_insert_with(|| File::new(&[]));
                }
            }
            Step::Unname { dir, name } => {
                self.names.set(at, (*dir, name.clone()), None);
            }
            Step::Rename { from, name, into, to } => {
                let (from, to) = ((*from, name.clone()), (*into, to.clone()));
                let is_dir = self.names.now(&from).is_none_or(|id| !self.files.contains_key(&id));
                self.names.rename(at, from, to, is_dir);
            }
            Step::Write { file, offset, bytes } => {
                let offset = usize::try_from(*offset).unwrap_or_default();
                self.change(at, *file, Change::Write { offset, bytes: bytes.clone() });
            }
            Step::Truncate { file, len } => {
                let len = usize::try_from(*len).unwrap_or_default();
                self.change(at, *file, Change::Truncate(len));
            }
            Step::Clone { file, source } => {
                let bytes = self.files.get(source).map(File::now).unwrap_or_default();
                self.change(at, *file, Change::Truncate(bytes.len()));
                self.change(at, *file, Change::Write { offset: 0, bytes: bytes.into() });
            }
            Step::Sync { node, began } => match self.files.get_mut(node) {
                Some(file) => file.sync(*began),
                None => self.names.sync(Some(*node), *began),
            },
            Step::SyncAll { began } => {
                self.files.values_mut().for_each(|file| file.sync(*began));
                self.names.sync(None, *began);
            }
            Step::SyncFailed { file } => {
                self.files.entry(*file).and_modify(File::sync_failed);
            }
        }
    }

    fn change(&mut self, at: usize, file: Id, change: Change) {
        self.files.entry(file).and_modify(|file| file.change(at, change));
    }

    /// A step that is about to be taken, in words.
    pub(super) fn words(&self, step: &Step) -> String {
        let path = |id: Id| self.names.path(id);
        let name = |dir: Id, name: &str| self.names.path(dir).join(name);
        match step {
            Step::Name { dir, name: new, .. } => format!("{} was made", name(*dir, new)),
            Step::Unname { dir, name: old } => format!("{} was removed", name(*dir, old)),
            Step::Rename { from, name: old, into, to } => {
                format!("{} was renamed to {}", name(*from, old), name(*into, to))
            }
            Step::Write { file, bytes, .. } => {
                format!("{} bytes of {} were written", bytes.len(), path(*file))
            }
            Step::Truncate { file, len } => format!("{} was cut to {len}", path(*file)),
            Step::Clone { file, .. } => format!("{} was made by a clone", path(*file)),
            Step::Sync { node, .. } => format!("/{} was synced", path(*node)),
            Step::SyncAll { .. } => "all was synced".to_owned(),
            Step::SyncFailed { file } => format!("a sync of {} failed", path(*file)),
        }
    }
}
