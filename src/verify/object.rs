//! Objects: that they are there, and what their names say.

use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding, bytes};
use crate::io::{Dir, Entry, Kind, ReadFile};
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

/// What stands in its place.
struct Opened {
    entry: Entry,
    /// Where its content is to be read.
    file: Option<ReadFile>,
}

impl Named {
    /// What is wrong with it. It is looked at twice: for the second time with nothing in flight while it is
    /// opened.
    pub(super) fn look(&self, home: &Home, dir: &Dir, read: bool) -> Option<Finding> {
        let found = self.judge(dir, self.opened(dir, read))?;
        // Where the lock is not to be had, the first look holds.
        let Ok(lock) = lock_shared(home, dir) else { return Some(found) };
        // What is open is not changed by writers, who replace, so that they need not wait while it is hashed.
        let opened = self.opened(dir, read);
        drop(lock);
        self.judge(dir, opened)
    }

    /// How long it is, if it is there.
    pub(super) fn entry(&self, dir: &Dir) -> Option<Entry> {
        dir.stat(&layout::object(self.digest)).ok().flatten()
    }

    fn opened(&self, dir: &Dir, read: bool) -> Result<Option<Opened>, IoError> {
        let object = layout::object(self.digest);
        let Some(entry) = dir.stat(&object)? else { return Ok(None) };
        let read = read && entry.kind == Kind::File && self.is_as_long(entry);
        let file = if read { Some(dir.open_read(&object)?) } else { None };
        Ok(Some(Opened { entry, file }))
    }

    fn is_as_long(&self, entry: Entry) -> bool {
        self.size.is_none_or(|size| size == entry.size)
    }

    fn judge(&self, dir: &Dir, opened: Result<Option<Opened>, IoError>) -> Option<Finding> {
        let path = dir.path().join(layout::object(self.digest));
        let tell = |code, reason: String| {
            Some(Finding::whole(&path, code, format!("{reason}; {} names it", self.by)))
        };
        let unreadable = |error: IoError| {
            tell(Code::Unreadable, format!("cannot {}: {}", error.action, error.source))
        };
        let Opened { entry, file } = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return tell(Code::ObjectMissing, "nothing stands there".to_owned()),
            Err(error) => return unreadable(error),
        };
        if entry.kind != Kind::File {
            let reason = "a directory, a link or a special file stands there".to_owned();
            return tell(Code::ObjectChanged, reason);
        }
        if let Some(size) = self.size.filter(|_| !self.is_as_long(entry)) {
            let reason = format!("it has {} instead of {size}", bytes(entry.size));
            return tell(Code::ObjectChanged, reason);
        }
        match file?.digest_on_all_processors() {
            Ok((digest, _)) if digest == self.digest => None,
            Ok((digest, _)) => tell(Code::ObjectChanged, format!("it has the digest {digest}")),
            Err(error) => unreadable(error),
        }
    }
}
