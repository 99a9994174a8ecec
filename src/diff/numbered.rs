//! Texts of runs, in which one event more gives all that follow another number.

use std::collections::BTreeMap;

use similar::{DiffOp, DiffTag};

use super::text;

/// The names of two texts that stand for the same.
#[derive(Default)]
struct Pairs<'a> {
    old: BTreeMap<&'a str, &'a str>,
    new: BTreeMap<&'a str, &'a str>,
}

/// A line without its numbers, and these.
struct Line<'a> {
    key: String,
    /// With the kind that each is of, `id-1`; that of an event is a number alone.
    numbers: Vec<&'a str>,
}

/// Which lines are the same but for their numbers, where each number always stands for the same one.
pub(super) fn compare(before: &[&str], after: &[&str]) -> Vec<DiffOp> {
    let (old, new) = (lines(before), lines(after));
    let (old_keys, new_keys): (Vec<_>, Vec<_>) =
        (old.iter().map(Line::key).collect(), new.iter().map(Line::key).collect());
    let found = text::compare(&old_keys, &new_keys);
    if found.iter().all(|op| op.tag() == DiffTag::Equal) {
        // Nothing comes or goes that moves a number: one that differs is a difference.
        return text::compare(before, after);
    }
    let mut pairs = Pairs::default();
    let mut changes = Vec::new();
    for op in found {
        if op.tag() != DiffTag::Equal {
            changes.push(op);
            continue;
        }
        for (old_index, new_index) in op.old_range().zip(op.new_range()) {
            let is_same = match (old.get(old_index), new.get(new_index)) {
                (Some(old), Some(new)) => pairs.take_in(&old.numbers, &new.numbers),
                _ => false,
            };
            push(is_same, old_index, new_index, &mut changes);
        }
    }
    changes
}

/// Adds a line, to what stands before it where that is of its kind.
fn push(is_same: bool, old_index: usize, new_index: usize, changes: &mut Vec<DiffOp>) {
    match changes.last_mut() {
        Some(DiffOp::Equal { len, .. }) if is_same => *len += 1,
        _ if is_same => changes.push(DiffOp::Equal { old_index, new_index, len: 1 }),
        Some(DiffOp::Replace { old_len, new_len, .. }) => {
            *old_len += 1;
            *new_len += 1;
        }
        _ => changes.push(DiffOp::Replace { old_index, old_len: 1, new_index, new_len: 1 }),
    }
}

impl<'a> Pairs<'a> {
    /// True if no name stands for another one than before.
    fn take_in(&mut self, old: &[&'a str], new: &[&'a str]) -> bool {
        old.iter().zip(new).fold(true, |all, (old, new)| {
            let is_new = *self.old.entry(old).or_insert(new) == *new;
            let is_old = *self.new.entry(new).or_insert(old) == *old;
            all && is_new && is_old
        })
    }
}

fn lines<'a>(lines: &[&'a str]) -> Vec<Line<'a>> {
    lines.iter().map(|line| Line::of(line)).collect()
}

impl<'a> Line<'a> {
    fn key(&self) -> &str {
        &self.key
    }

    fn of(line: &'a str) -> Self {
        let (mut key, mut numbers, mut rest) = (String::new(), Vec::new(), line);
        // Nothing else of this depth is like an event, or like a checkpoint: such names are quoted.
        let inner = line.strip_prefix("  ").unwrap_or_default();
        if let Some((seq, after)) = inner.split_once("  ").filter(|(seq, _)| is_number(seq)) {
            key.push_str("  #");
            numbers.push(seq);
            rest = after;
        } else if inner.split_once(": ").is_some_and(|(turn, _)| is_number(turn))
            && let Some((before, seq)) = line.trim_end().rsplit_once(" at seq ")
        {
            key.push_str(before);
            numbers.push(seq);
            rest = "";
        }
        while let Some((before, after)) = rest.split_once('[') {
            key.push_str(before);
            key.push('[');
            rest = after;
            let Some((name, after)) = after.split_once(']') else { continue };
            if let Some((kind, number)) = name.split_once('-')
                && is_number(number)
                && kind.bytes().all(|byte| byte.is_ascii_lowercase())
            {
                key.push_str(kind);
                // The third event is what seq 3 is.
                numbers.push(if kind == "event" { number } else { name });
                rest = after;
            }
        }
        key.push_str(rest);
        Self { key, numbers }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
