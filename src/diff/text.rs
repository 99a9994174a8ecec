//! A change of a text, as `git diff` prints it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use similar::algorithms::{Capture, IdentifyDistinct, Replace, diff_deadline};
use similar::{Algorithm, DiffOp, DiffTag, group_diff_ops};

use crate::tree::as_text;

/// How long a comparison may take until it makes do with less than the best.
const PATIENCE: Duration = Duration::from_secs(2);
/// Lines around a change.
const CONTEXT: usize = 3;

/// One side of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// It is not there.
    Nothing,
    Text(String),
    /// It is no text, or too long to be compared.
    NoText,
}

impl Content {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        as_text(bytes).map_or(Self::NoText, Self::Text)
    }

    /// Its lines, with their line breaks; `None` where it is no text.
    fn lines(&self) -> Option<Vec<&str>> {
        match self {
            Content::Nothing => Some(Vec::new()),
            Content::Text(text) => Some(text.split_inclusive('\n').collect()),
            Content::NoText => None,
        }
    }
}

/// The change of a file of this name.
pub(super) fn unified(name: &str, before: &Content, after: &Content) -> String {
    let mut text = format!("diff --git a/{name} b/{name}\n");
    let (mut old, mut new) = (format!("a/{name}"), format!("b/{name}"));
    for (side, place, mode) in
        [(before, &mut old, "new file mode"), (after, &mut new, "deleted file mode")]
    {
        if *side == Content::Nothing {
            "/dev/null".clone_into(place);
            text.push_str(&format!("{mode} 100644\n"));
        }
    }
    let (Some(before), Some(after)) = (before.lines(), after.lines()) else {
        text.push_str(&format!("Binary files {old} and {new} differ\n"));
        return text;
    };
    text + &hunks(&old, &new, &before, &after, compare(&before, &after))
}

/// The changes of a text that has these names on its two sides; nothing where there are none.
pub(super) fn hunks(
    old: &str,
    new: &str,
    before: &[&str],
    after: &[&str],
    changes: Vec<DiffOp>,
) -> String {
    let mut text = String::new();
    let groups = group_diff_ops(changes, CONTEXT);
    if groups.iter().any(|group| !group.is_empty()) {
        text.push_str(&format!("--- {}\n+++ {}\n", marked(old), marked(new)));
    }
    groups.iter().for_each(|group| hunk(group, before, after, &mut text));
    text
}

/// How many lines come and go.
pub(super) fn count(before: &Content, after: &Content) -> Option<(u64, u64)> {
    let (before, after) = (before.lines()?, after.lines()?);
    let changes = compare(&before, &after).into_iter().filter(|op| op.tag() != DiffTag::Equal);
    Some(changes.fold((0, 0), |(added, removed), op| {
        (added + op.new_range().len() as u64, removed + op.old_range().len() as u64)
    }))
}

/// Which lines are the same, and which come and go.
pub(super) fn compare(before: &[&str], after: &[&str]) -> Vec<DiffOp> {
    // As numbers, lines are compared at once, however long they are.
    let numbers = IdentifyDistinct::<u32>::new(before, 0..before.len(), after, 0..after.len());
    let deadline = Instant::now().checked_add(PATIENCE);
    // Not `capture_diff`: what that does to its operations leaves places in them that are wrong.
    let mut found = Replace::new(Capture::new());
    let done = diff_deadline(
        Algorithm::Myers,
        &mut found,
        numbers.old_lookup(),
        numbers.old_range(),
        numbers.new_lookup(),
        numbers.new_range(),
        deadline,
    );
    match done {
        Ok(()) => found.into_inner().into_ops(),
        Err(never) => match never {},
    }
}

/// `patch` takes what is behind a space for a time, unless a tab follows the name.
fn marked(path: &str) -> String {
    let tab = if path.contains(' ') { "\t" } else { "" };
    format!("{path}{tab}")
}

fn hunk(group: &[DiffOp], before: &[&str], after: &[&str], text: &mut String) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let old = first.old_range().start..last.old_range().end;
    let new = first.new_range().start..last.new_range().end;
    // To write to a text does not fail.
    let _ = writeln!(text, "@@ -{} +{} @@", place(&old), place(&new));
    for op in group {
        let (old, new) = (before.get(op.old_range()), after.get(op.new_range()));
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        if op.tag() == DiffTag::Equal {
            // Where they are not the same to the byte, the numbers in them are those of what comes.
            new.iter().for_each(|line| push(' ', line, text));
        } else {
            old.iter().for_each(|line| push('-', line, text));
            new.iter().for_each(|line| push('+', line, text));
        }
    }
}

/// The first line, counted from 1, and how many there are; of none, the line before.
fn place(range: &std::ops::Range<usize>) -> String {
    match range.len() {
        0 => format!("{},0", range.start),
        1 => format!("{}", range.start + 1),
        many => format!("{},{many}", range.start + 1),
    }
}

fn push(sign: char, line: &str, text: &mut String) {
    text.push(sign);
    text.push_str(line);
    if !line.ends_with('\n') {
        text.push_str("\n\\ No newline at end of file\n");
    }
}
