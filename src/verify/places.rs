//! What stands in the directory of a task or a run, by its names alone.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::error::IoError;
use crate::finding::{Code, Finding, Place};
use crate::io::{Dir, Kind};
use crate::layout;

/// A finding about a file or a directory as a whole.
pub(super) fn whole(path: &Utf8Path, code: Code, reason: impl Into<String>) -> Finding {
    let place = Place { path: path.to_owned(), offset: None, length: None };
    Finding { code, place, reason: reason.into() }
}

/// Something is there, and the system does not let us see it.
pub(super) fn unreadable(error: &IoError) -> Finding {
    whole(&error.path, Code::Unreadable, format!("cannot {}: {}", error.action, error.source))
}

/// A link, a pipe or a device in a place of the library's.
pub(super) fn special(path: &Utf8Path) -> Finding {
    whole(path, Code::SymbolicLink, "a link or a special file stands there, and is not followed")
}

/// What stands in the directory of a task or a run, and in its `journal/` and `checkpoints/`.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Paths within it.
    there: BTreeMap<String, Kind>,
}

impl Places {
    /// One listing of each. What cannot be listed is told of where it is needed.
    pub(super) fn list(dir: &Dir) -> Result<Self, IoError> {
        let mut there = BTreeMap::new();
        for (name, kind) in dir.list("")? {
            if kind == Kind::Dir && [layout::JOURNAL_DIR, layout::CHECKPOINTS].contains(&&*name) {
                let inside = dir.list(&name).unwrap_or_default().into_iter();
                there.extend(inside.map(|(inner, kind)| (format!("{name}/{inner}"), kind)));
            }
            there.insert(name, kind);
        }
        Ok(Self { there })
    }

    pub(super) fn kind(&self, path: &str) -> Option<Kind> {
        self.there.get(path).copied()
    }

    /// Links and special files. Names that begin with a dot are the library's, and not looked at here; what
    /// is in the place of `artifacts/` is told by those.
    pub(super) fn specials(&self, dir: &Dir, findings: &mut Vec<Finding>) {
        let special = self.there.iter().filter(|(path, kind)| {
            let is_hidden = path.split('/').any(|name| name.starts_with('.'));
            **kind == Kind::Other && !is_hidden && *path != layout::ARTIFACTS
        });
        findings.extend(special.map(|(path, _)| self::special(&dir.path().join(path))));
    }
}

/// Siblings that differ by the case of letters alone, among paths with `/`.
pub(super) fn case_collisions<'a>(
    base: &Utf8Path,
    paths: impl Iterator<Item = &'a str>,
    findings: &mut Vec<Finding>,
) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for path in paths {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for prefix in ends.filter_map(|end| path.get(..end)) {
            let first = *seen.entry(prefix.to_lowercase()).or_insert(prefix);
            if first == prefix {
                continue;
            }
            if told.insert(prefix) {
                let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
                let reason = format!("{} differs from it by case alone", name(first));
                findings.push(whole(&base.join(prefix), Code::CaseCollision, reason));
            }
            // What is below both collides through them.
            break;
        }
    }
}
