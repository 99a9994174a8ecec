//! Objects: that they are there, and what their names say.

use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding, Place};
use crate::io::{Dir, Entry, Kind};
use crate::journal::{Home, lock_shared};
use crate::layout;

/// An object that something names.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) digest: Digest,
    /// Bytes, where that is said.
    pub(super) size: Option<u64>,
    /// Who names it, in words.
    pub(super) by: String,
}

impl Named {
    /// What is wrong with it. It is looked at twice: for the second time with nothing in flight.
    pub(super) fn look(&self, home: &Home, dir: &Dir, read: bool) -> Option<Finding> {
        let found = self.look_once(dir, read)?;
        // Where the lock is not to be had, the first look holds.
        let Ok(lock) = lock_shared(home, dir) else { return Some(found) };
        let found = self.look_once(dir, read);
        drop(lock);
        found
    }

    /// How long it is, if it is there.
    pub(super) fn entry(&self, dir: &Dir) -> Option<Entry> {
        dir.stat(&layout::object(self.digest)).ok().flatten()
    }

    fn look_once(&self, dir: &Dir, read: bool) -> Option<Finding> {
        let object = layout::object(self.digest);
        let tell = |code, reason: String| {
            let place = Place { path: dir.path().join(&object), offset: None, length: None };
            Some(Finding { code, place, reason: format!("{reason}; {} names it", self.by) })
        };
        let unreadable = |error: IoError| {
            tell(Code::Unreadable, format!("cannot {}: {}", error.action, error.source))
        };
        let entry = match dir.stat(&object) {
            Ok(Some(entry)) => entry,
            Ok(None) => return tell(Code::ObjectMissing, "nothing stands there".to_owned()),
            Err(error) => return unreadable(error),
        };
        if entry.kind != Kind::File {
            let reason = "a directory, a link or a special file stands there".to_owned();
            return tell(Code::ObjectChanged, reason);
        }
        if let Some(size) = self.size
            && size != entry.size
        {
            let reason = format!("it has {} bytes instead of {size}", entry.size);
            return tell(Code::ObjectChanged, reason);
        }
        if !read {
            return None;
        }
        match dir.open_read(&object).and_then(|mut file| file.digest()) {
            Ok((digest, _)) if digest == self.digest => None,
            Ok((digest, _)) => tell(Code::ObjectChanged, format!("it has the digest {digest}")),
            Err(error) => unreadable(error),
        }
    }
}
