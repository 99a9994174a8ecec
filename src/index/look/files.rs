//! What is new under `artifacts/`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::stamps::Stamps;
use super::{Look, unreadable};
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::Code;
use crate::index::chunk::{End, FileRow};
use crate::io::{Dir, Kind};
use crate::layout;
use crate::name::ArtifactName;

impl Look<'_> {
    /// Hashes the files that are new or may have changed. False where they have to be looked at again.
    pub(super) fn files(&mut self, stamps: &Stamps, end: &mut End) -> bool {
        let mut known = self.known_files();
        let mut settled = true;
        let mut folder = Folder { home: Arc::clone(&self.dir), opened: None };
        for (path, kind, stamp) in &stamps.files {
            let name = format!("{}/{path}", layout::ARTIFACTS);
            if *kind != Kind::File {
                let reason = "a link or a special file, which is never followed or opened";
                end.findings.push(self.finding(Code::ArtifactUnjournaled, &name, reason));
                continue;
            }
            if let Err(error) = ArtifactName::new(path.as_str()) {
                end.findings.push(self.finding(Code::ArtifactUnjournaled, &name, error.reason));
                continue;
            }
            let before = known.remove(path);
            let trusted = before.as_ref().filter(|_| !self.looker.read_data);
            if trusted.is_some_and(|before| before.stamp == Some(*stamp)) {
                continue;
            }
            let (digest, size) = match folder.digest(&name) {
                Ok(read) => read,
                Err(error) => {
                    settled = false;
                    if !error.is_not_found() {
                        end.findings.push(unreadable(error));
                    }
                    end.gone.push(path.clone());
                    continue;
                }
            };
            self.bytes += size;
            let stamp = Some(*stamp).filter(|stamp| stamp.is_older_than(self.at));
            settled &= stamp.is_some();
            end.files.push(FileRow { path: path.clone(), digest, size, stamp });
        }
        end.gone.extend(known.into_keys());
        settled
    }

    /// The files that the index knows, for once.
    fn known_files(&mut self) -> BTreeMap<String, FileRow> {
        let details = self.job.known.as_mut().and_then(|known| known.details.as_mut());
        details.map(|details| std::mem::take(&mut details.files)).unwrap_or_default()
    }
}

/// The directory that was opened last: files come directory by directory.
struct Folder {
    home: Arc<Dir>,
    opened: Option<(String, Dir)>,
}

impl Folder {
    fn digest(&mut self, path: &str) -> Result<(Digest, u64), IoError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let dir = match self.opened.take().filter(|(opened, _)| opened == parent) {
            Some((_, dir)) => dir,
            None => self.home.open_dir(parent)?,
        };
        let digest = dir.open_read(name).and_then(|mut file| file.digest());
        self.opened = Some((parent.to_owned(), dir));
        digest
    }
}
