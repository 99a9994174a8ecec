//! What stands in the directory of a task or a run, by its names alone.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;

use crate::error::IoError;
use crate::finding::{Code, Finding};
use crate::io::{Dir, Kind};
use crate::layout;

/// Something is there, and the system does not let us see it.
pub(super) fn unreadable(error: &IoError) -> Finding {
    Finding::whole(
        &error.path,
        Code::Unreadable,
        format!("cannot {}: {}", error.action, error.source),
    )
}

/// A link, a pipe or a device in a place of the library's.
pub(super) fn special(path: &Utf8Path) -> Finding {
    Finding::whole(
        path,
        Code::SymbolicLink,
        "a link or a special file stands there, and is not followed",
    )
}

/// What belongs in a place of the library's, by its path in a run or a task, where that can be told by its name
/// alone: in the others (a genesis file, a journal, a manifest, a checkpoint) whoever reads them tells.
fn belongs(path: &str, is_run: bool) -> Option<Kind> {
    match path {
        layout::TMP | layout::OBJECTS | layout::QUARANTINE => Some(Kind::Dir),
        layout::ARTIFACTS | layout::CHECKPOINTS if is_run => Some(Kind::Dir),
        layout::RUNS if !is_run => Some(Kind::Dir),
        layout::HEAD_OF_HOME | layout::LOCK | layout::SYNC_OF_HOME => Some(Kind::File),
        _ => None,
    }
}

/// True if what stands in a place, and does not belong there, can be moved away: the place is made again by
/// whoever needs it, and what it held was derived, or comes back. Not a lock's, which somebody may hold.
pub(crate) fn can_be_cleared(path: &str) -> bool {
    let places = [
        layout::TMP,
        layout::OBJECTS,
        layout::ARTIFACTS,
        layout::CHECKPOINTS,
        layout::HEAD_OF_HOME,
    ];
    places.contains(&path)
}

/// True if something stands in a place of a run or a task that does not belong there.
pub(crate) fn is_misplaced(path: &str, is_run: bool, kind: Kind) -> bool {
    belongs(path, is_run).is_some_and(|belongs| belongs != kind)
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

    /// What stands in a place of the library's and is not what belongs there; and links and special files under
    /// all other names but those that begin with a dot, which are the library's, and those that are told of
    /// where they are read.
    pub(super) fn misplaced(&self, dir: &Dir, is_run: bool, findings: &mut Vec<Finding>) {
        for (path, kind) in &self.there {
            let full = || dir.path().join(path);
            let is_place = belongs(path, is_run).is_some();
            if is_place && is_misplaced(path, is_run, *kind) && *kind != Kind::Other {
                let stands = match kind {
                    Kind::Dir => "a directory stands where a file belongs",
                    _ => "a file stands where a directory belongs",
                };
                findings.push(Finding::whole(full(), Code::WrongKind, stands));
            }
            let is_hidden = path.split('/').any(|name| name.starts_with('.'));
            let is_read = [layout::MANIFEST, layout::JOURNAL].contains(&path.as_str());
            let is_told = is_hidden || is_read || layout::turn_of(path).is_some();
            if *kind == Kind::Other && (is_place || !is_told) {
                findings.push(special(&full()));
            }
        }
    }
}

/// A text as a disk that ignores case may keep it. Through capitals, since some letters have those of another:
/// the long s those of s, the dotless i those of i.
fn folded(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_uppercase().to_lowercase() }
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
            let first = *seen.entry(folded(prefix)).or_insert(prefix);
            if first == prefix {
                continue;
            }
            if told.insert(prefix) {
                let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
                let reason = format!("{} differs from it by case alone", name(first));
                findings.push(Finding::whole(base.join(prefix), Code::CaseCollision, reason));
            }
            // What is below both collides through them.
            break;
        }
    }
}
