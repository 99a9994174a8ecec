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

/// Links and special files in the directory of a task or a run. Names that begin with a dot, and what is
/// under `artifacts/` and in objects, are not looked at here.
pub(super) fn specials(dir: &Dir, findings: &mut Vec<Finding>) {
    for below in ["", layout::JOURNAL_DIR, layout::CHECKPOINTS] {
        match dir.list(below) {
            Ok(entries) => {
                let other = entries.iter().filter(|(name, kind)| {
                    // A path that is a special file is told by the artifacts.
                    *kind == Kind::Other && !name.starts_with('.') && name != layout::ARTIFACTS
                });
                let paths = other.map(|(name, _)| dir.path().join(below).join(name));
                findings.extend(paths.map(|path| special(&path)));
            }
            // Missing, or told of as what it is in its place.
            Err(_) if !below.is_empty() => {}
            Err(error) => findings.push(unreadable(&error)),
        }
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
