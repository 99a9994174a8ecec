//! What tells a file that was changed from one that was not, without reading it.

use crate::planted::Bug;

/// Length, times and number of a file. Two looks that find the same stamp found the same content, if
/// the first came later than the stamp's times by more than the file system rounds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    /// When its content changed, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// When its content, its name or its rights changed.
    pub(crate) changed: i64,
    pub(crate) inode: u64,
}

/// A file system may round times to two seconds, and few round more.
const ROUNDED_TO: i64 = 2_000_000_000;

impl Stamp {
    /// True if the stamp would be another one, had the file changed after a look at this time.
    pub(crate) fn is_older_than(&self, look: i64) -> bool {
        Bug::RacyStat.is_planted()
            || self.modified.max(self.changed) < look.saturating_sub(ROUNDED_TO)
    }

    /// The same with times that no file has: no look finds it again, and it tells how long the file was.
    pub(crate) fn without_times(self) -> Self {
        Self { modified: i64::MIN, changed: i64::MIN, ..self }
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let Self { size, modified, changed, inode } = self;
        let mut bytes = [0; 32];
        let words = [size, modified.cast_unsigned(), changed.cast_unsigned(), inode];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map(u64::from_le_bytes));
        let mut next = || words.next()?.ok();
        let (size, modified, changed, inode) = (next()?, next()?, next()?, next()?);
        let (modified, changed) = (modified.cast_signed(), changed.cast_signed());
        (bytes.len() == 32).then_some(Self { size, modified, changed, inode })
    }

    /// The time of the system in nanoseconds since 1970, to compare stamps with.
    pub(crate) fn now() -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
    }
}

#[cfg(all(unix, not(runjournal_portable)))]
mod system {
    use rustix::fs::{AtFlags, Stat};

    use super::Stamp;
    use crate::error::IoError;
    use crate::io::dir::entry;
    use crate::io::{Dir, Kind, sys};

    impl Dir {
        /// What stands at a path; `None` if nothing does, or a parent is missing.
        pub(crate) fn stamp(&self, relative: &str) -> Result<Option<(Kind, Stamp)>, IoError> {
            let stat = self.on(relative, "look at", |at, name| {
                sys::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)
            });
            match stat {
                Ok(stat) => Ok(Some((entry(&stat).kind, Stamp::of(&stat)))),
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        }
    }

    impl Stamp {
        #[expect(
            clippy::allow_attributes,
            reason = "whether a cast is needed differs from system to system"
        )]
        #[allow(clippy::unnecessary_cast, trivial_numeric_casts, reason = "see above")]
        pub(in crate::io) fn of(stat: &Stat) -> Self {
            let time = |seconds: i64, nanoseconds: i64| {
                seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
            };
            Self {
                size: u64::try_from(stat.st_size).unwrap_or(0),
                modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
                changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
                inode: stat.st_ino as u64,
            }
        }
    }
}

#[cfg(not(all(unix, not(runjournal_portable))))]
mod system {
    use super::Stamp;
    use crate::error::IoError;
    use crate::io::{Dir, Kind};

    impl Dir {
        /// What stands at a path; `None` if nothing does, or a parent is missing.
        pub(crate) fn stamp(&self, relative: &str) -> Result<Option<(Kind, Stamp)>, IoError> {
            let Some(entry) = self.stat(relative)? else { return Ok(None) };
            let path = self.path().join(relative);
            let metadata =
                std::fs::symlink_metadata(&path).map_err(IoError::at("look at", &path))?;
            let modified = metadata.modified().ok();
            let since = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            let modified =
                since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX));
            let stamp = Stamp { size: entry.size, modified, changed: modified, inode: 0 };
            Ok(Some((entry.kind, stamp)))
        }

        /// Everything below a directory that is no directory itself, with its path relative to that, sorted
        /// by path. Links are not followed; names that are not UTF-8 are passed over. A directory that is
        /// not there holds nothing.
        pub(crate) fn stamps_below(
            &self,
            relative: &str,
        ) -> Result<Vec<(String, Kind, Stamp)>, IoError> {
            let mut found = Vec::new();
            let mut to_do = vec![String::new()];
            while let Some(below) = to_do.pop() {
                let within = |name: &str| {
                    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") }
                };
                let path = if below.is_empty() {
                    relative.to_owned()
                } else {
                    format!("{relative}/{below}")
                };
                let dir = match self.open_dir(&path) {
                    // Removed while we looked, or never there.
                    Err(error) if error.is_not_found() => continue,
                    other => other?,
                };
                for (name, kind) in dir.list("")? {
                    if kind == Kind::Dir {
                        to_do.push(within(&name));
                    } else if let Some((kind, stamp)) = dir.stamp(&name)? {
                        found.push((within(&name), kind, stamp));
                    }
                }
            }
            found.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(found)
        }
    }
}
