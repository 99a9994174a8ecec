//! Checkpoints: the files that records name, and what these name.

use std::collections::{BTreeMap, BTreeSet};

use super::fold::Created;
use super::object::Named;
use super::pass::Pass;
use super::places::{special, unreadable};
use crate::checkpoint::{self, CheckpointError, Page};
use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::io::{Dir, Kind};
use crate::journal::{Home, lock_shared};
use crate::layout::{self, FORMAT_VERSION};
use crate::manifest::sums;

/// Looks at the checkpoints of a run; what they name is to be looked at as well.
pub(super) fn look(home: &Home, dir: &Dir, pass: &Pass, findings: &mut Vec<Finding>) -> Vec<Named> {
    let mut named: BTreeMap<Digest, String> = BTreeMap::new();
    for (turn, created) in &pass.checkpoints.created {
        let page = match read(dir, *turn, created) {
            Ok(page) => page,
            Err(finding) => {
                findings.push(finding);
                // What it should name is known all the same.
                let Ok(Some((page, _))) = checkpoint::from_journal(home, *turn) else { continue };
                page
            }
        };
        for (name, digest) in page.artifacts {
            let by = || format!("the checkpoint of turn {turn}, for {name},");
            named.entry(digest).or_insert_with(by);
        }
    }
    unrecorded(home, dir, pass, findings);
    named.into_iter().map(|(digest, by)| Named { digest, size: None, by }).collect()
}

/// The page of a checkpoint, if it is what its record says.
fn read(dir: &Dir, turn: u64, created: &Created) -> Result<Page, Finding> {
    let relative = layout::checkpoint(turn);
    let path = dir.path().join(&relative);
    let damaged = |reason: String| Finding::whole(&path, Code::CheckpointDamaged, reason);
    match dir.stat(&relative) {
        Ok(Some(entry)) if entry.kind != Kind::File => {
            return Err(damaged("it is no file".to_owned()));
        }
        Err(error) => return Err(unreadable(&error)),
        Ok(_) => {}
    }
    let page = Page::read(dir, turn, created.seq, created.digest).map_err(|error| match error {
        CheckpointError::Missing { seq, .. } => {
            Finding::whole(&path, Code::CheckpointMissing, format!("seq {seq} names it"))
        }
        CheckpointError::NewerFormat { found, .. } => newer(&path, found),
        CheckpointError::Damaged { reason, .. } => damaged(reason),
        CheckpointError::Io(error) => unreadable(&error),
        other => damaged(other.to_string()),
    })?;
    let lines = page.artifacts.iter().map(|(name, digest)| (*digest, name.as_str()));
    let root = sums(lines);
    if root != page.artifacts_root || created.artifacts_root.is_some_and(|said| said != root) {
        return Err(damaged("its artifacts_root is not that of its artifacts".to_owned()));
    }
    if page.turn != turn || page.seq.checked_add(1) != Some(created.seq) {
        let reason = format!("it says that it is of turn {}, up to seq {}", page.turn, page.seq);
        return Err(damaged(reason));
    }
    if created.told_root.is_some_and(|told| told != root) {
        let reason =
            format!("its artifacts are not those that the journal has up to seq {}", page.seq);
        return Err(damaged(reason));
    }
    Ok(page)
}

/// Newer code wrote it.
pub(super) fn newer(path: &camino::Utf8Path, found: u32) -> Finding {
    let reason = format!(
        "it has format version {found}, and this runjournal knows up to version {FORMAT_VERSION}"
    );
    Finding::whole(path, Code::NewerFormat, reason)
}

/// Checkpoints that no record names. They are looked for again with nothing in flight.
fn unrecorded(home: &Home, dir: &Dir, pass: &Pass, findings: &mut Vec<Finding>) {
    if turns(dir).difference(&pass.checkpoints.created.keys().copied().collect()).count() == 0 {
        return;
    }
    let Ok(lock) = lock_shared(home, dir) else { return };
    let there = turns(dir);
    drop(lock);
    let Ok((recorded, last)) = recorded(home, pass) else { return };
    for turn in there.difference(&recorded) {
        let relative = layout::checkpoint(*turn);
        let path = dir.path().join(&relative);
        let entry = dir.stat(&relative).ok().flatten();
        if entry.is_some_and(|entry| entry.kind == Kind::Other) {
            findings.push(special(&path));
            continue;
        }
        findings.push(match Page::unnamed(dir, &relative) {
            Some(page) if page.seq > last => {
                let path = dir.path().join(layout::JOURNAL);
                let reason = format!(
                    "it ends at seq {last}, and the checkpoint of turn {turn} is of seq {}",
                    page.seq
                );
                Finding::whole(&path, Code::JournalShorter, reason)
            }
            _ => Finding::whole(&path, Code::CheckpointUnrecorded, "no record names it"),
        });
    }
}

/// The turns that the journal has checkpoints of by now, and the seq of its last record.
fn recorded(
    home: &Home,
    pass: &Pass,
) -> Result<(BTreeSet<u64>, u64), crate::journal::JournalError> {
    let mut created = super::fold::Checkpoints::default();
    let mut events = crate::journal::Events::open(home)?;
    if let Some(cursor) = pass.cursor {
        events = events.from(cursor)?;
    }
    for record in events.by_ref() {
        created.take_in(&record?, || None, &mut |_, _| {})?;
    }
    let turns = pass.checkpoints.created.keys().chain(created.created.keys());
    Ok((turns.copied().collect(), events.cursor().seq()))
}

/// The turns that files are called after.
pub(crate) fn turns(dir: &Dir) -> BTreeSet<u64> {
    let names = dir.list(layout::CHECKPOINTS).unwrap_or_default().into_iter();
    let turns = names.filter_map(|(name, _)| {
        let turn = name.strip_suffix(".json")?.parse().ok()?;
        (layout::checkpoint(turn) == format!("{}/{name}", layout::CHECKPOINTS)).then_some(turn)
    });
    turns.collect()
}
