//! Trees of files: copied, and told apart.

use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use runjournal::Digest;

use crate::Outcome;

/// A copy of all that is there.
pub(crate) fn copy(from: &Utf8Path, to: &Utf8Path) -> Outcome {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        let target = to.as_std_path().join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// As if the last change was a while ago: who looks for what is missing waits where it vanished just now.
pub(crate) fn settle(dir: &Utf8Path) -> Outcome {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(10);
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            std::fs::File::open(entry.path())?.set_modified(then)?;
        }
    }
    Ok(())
}

/// Every file and directory with its size, sorted.
fn files(dir: &Utf8Path) -> Outcome<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(dir).min_depth(1).sort_by_file_name() {
        let entry = entry?;
        let path = entry.path().strip_prefix(dir)?.to_string_lossy().into_owned();
        let size = if entry.file_type().is_dir() { 0 } else { entry.metadata()?.len() };
        found.push((path, size));
    }
    Ok(found)
}

/// True if the file of this number is in the tree.
pub(crate) fn has_node(dir: &Utf8Path, node: u64) -> Outcome<bool> {
    for entry in walkdir::WalkDir::new(dir) {
        if entry?.metadata()?.ino() == node {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a tree looks like, whatever ids were made: two crash states of one shape are one state.
pub(crate) fn shape(dir: &Utf8Path) -> Outcome<String> {
    let mut lines: Vec<String> = files(dir)?
        .into_iter()
        .map(|(path, size)| format!("{} {size}", without_ids(&path)))
        .collect();
    lines.sort();
    Ok(lines.join("\n"))
}

/// Bytes of a file that is long.
const LONG: usize = 1 << 16;

/// What a tree is, with the content of its files, whatever ids and times are in it.
pub(crate) fn tree(dir: &Utf8Path) -> Outcome<Digest> {
    tree_but(dir, <[u8]>::to_vec)
}

/// The same, where something else is left out of the files first.
pub(crate) fn tree_but(dir: &Utf8Path, left_out: impl Fn(&[u8]) -> Vec<u8>) -> Outcome<Digest> {
    let mut lines = Vec::new();
    for (path, _) in files(dir)? {
        let content = dir.join(&path);
        let content = if content.is_dir() { Vec::new() } else { std::fs::read(content)? };
        // What is long holds no such thing, or differs each time: it is only looked at more often then.
        let content = match content.len() {
            ..=LONG => Digest::of(&without_hashes(&left_out(&content))),
            _ => Digest::of(&content),
        };
        lines.push(format!("{} {content}", without_ids(&path)));
    }
    lines.sort();
    Ok(Digest::of(lines.join("\n").as_bytes()))
}

/// The bytes without what is as long as a time, an id or a hash, and made of the same letters.
fn without_hashes(bytes: &[u8]) -> Vec<u8> {
    let is_of_one = |byte: &u8| byte.is_ascii_hexdigit() || b":.-TZ".contains(byte);
    let mut kept = Vec::with_capacity(bytes.len());
    for run in bytes.chunk_by(|a, b| is_of_one(a) == is_of_one(b)) {
        let replaced = run.len() >= 20 && run.first().is_some_and(is_of_one);
        kept.extend_from_slice(if replaced { b"#" } else { run });
    }
    kept
}

/// The path with each UUID in it replaced.
pub(crate) fn without_ids(path: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let id = rest.get(..36).filter(|id| {
            id.bytes().filter(|b| *b == b'-').count() == 4
                && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
        });
        let step = if id.is_some() { 36 } else { first.len_utf8() };
        text.push_str(if id.is_some() { "ID" } else { rest.get(..step).unwrap_or_default() });
        rest = rest.get(step..).unwrap_or_default();
    }
    text
}
