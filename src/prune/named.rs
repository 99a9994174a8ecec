//! What lies in a run or a task that its journal may name, and what of it nobody names.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::keep::Trouble;
use super::leftover::{LeftoverKind, Part};
use super::look::age;
use crate::artifact::Last;
use crate::checkpoint::Page;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::EventId;
use crate::io::{Dir, Kind};
use crate::journal::{JournalError, Record, types};
use crate::layout;
use crate::name::ArtifactName;
use crate::workspace::holder;

/// What is old enough to be a leftover; what records name is taken out of it.
#[derive(Debug, Default)]
pub(super) struct Unnamed {
    objects: BTreeMap<Digest, Part>,
    stages: BTreeMap<EventId, Part>,
    /// What no record ever names.
    others: Vec<Part>,
    /// The stage of the newest record of a path.
    waiting: BTreeMap<ArtifactName, EventId>,
    /// Turns with a checkpoint.
    turns: BTreeSet<u64>,
}

impl Unnamed {
    /// All that is older than this by its name, where that tells, and by the time of the file.
    pub(super) fn list(home: &Dir, older: Duration, now: Timestamp) -> Result<Self, Trouble> {
        let mut unnamed = Self::default();
        let is_old = |since: Timestamp| age(since, now) >= older;
        let is_old_at = |path: &str| Ok::<_, Trouble>(home.modified(path)?.is_some_and(is_old));
        for (name, entry) in home.entries_below(layout::OBJECTS)? {
            let path = format!("{}/{name}", layout::OBJECTS);
            let Some(digest) = object(&name).filter(|_| entry.kind == Kind::File) else { continue };
            if is_old_at(&path)? {
                let part = Part { kind: LeftoverKind::Object, path, bytes: entry.size };
                unnamed.objects.insert(digest, part);
            }
        }
        let names = match home.list(layout::TMP) {
            Err(error) if error.is_not_found() => Vec::new(),
            other => other?,
        };
        for (name, kind) in names {
            let path = format!("{}/{name}", layout::TMP);
            let Some((id, of)) = temporary(&name, kind) else { continue };
            if !id.made_at().is_some_and(is_old) || !is_old_at(&path)? {
                continue;
            }
            // The lock of a running step also keeps its work folder.
            let guarded = matches!(of, LeftoverKind::Liveness | LeftoverKind::WorkFolder);
            if guarded && holder(home, &layout::liveness(id))?.is_some() {
                continue;
            }
            let bytes = match kind {
                Kind::Dir => home.files_below(&path)?.iter().map(|(_, size)| size).sum(),
                _ => home.stat(&path)?.map_or(0, |entry| entry.size),
            };
            let part = Part { kind: of, path, bytes };
            match of {
                LeftoverKind::Stage => drop(unnamed.stages.insert(id, part)),
                _ => unnamed.others.push(part),
            }
        }
        Ok(unnamed)
    }

    /// True if the journal has to be asked.
    pub(super) fn asks_journal(&self) -> bool {
        !self.objects.is_empty() || !self.stages.is_empty()
    }

    /// Takes in the next counted record.
    pub(super) fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        if let Some(named) = record.payload_ref() {
            self.objects.remove(&named.digest);
        }
        if record.event_type() == types::CHECKPOINT_CREATED {
            self.turns.extend(record.stream_id().parse::<u64>());
        }
        if let Some((name, last)) = Last::of(record)? {
            if self.stages.contains_key(&last.event_id) {
                self.waiting.insert(name, last.event_id);
            } else {
                self.waiting.remove(&name);
            }
        }
        Ok(())
    }

    /// Once all records were taken in: what nobody names.
    pub(super) fn settle(mut self, home: &Dir) -> Vec<Part> {
        for stage in self.waiting.values() {
            self.stages.remove(stage);
        }
        if !self.objects.is_empty() {
            match checkpoints(home, &self.turns) {
                Some(named) => self.objects.retain(|digest, _| !named.contains(digest)),
                // A checkpoint that is made again needs the objects that it named.
                None => self.objects.clear(),
            }
        }
        let mut parts = self.others;
        parts.extend(self.objects.into_values());
        parts.extend(self.stages.into_values());
        parts.sort_by(|a, b| a.path.cmp(&b.path));
        parts
    }
}

/// What checkpoints name; `None` where one is missing or cannot be read.
fn checkpoints(home: &Dir, turns: &BTreeSet<u64>) -> Option<BTreeSet<Digest>> {
    let there = match home.list(layout::CHECKPOINTS) {
        Err(error) if error.is_not_found() => Vec::new(),
        other => other.ok()?,
    };
    // Also one that no record names yet: the record may be on its way.
    let names = there.into_iter().map(|(name, _)| format!("{}/{name}", layout::CHECKPOINTS));
    let mut named = BTreeSet::new();
    for path in turns.iter().map(|turn| layout::checkpoint(*turn)).chain(names) {
        named.extend(Page::unnamed(home, &path)?.artifacts.into_values());
    }
    Some(named)
}

/// The digest that an object's name below `objects/` stands for.
fn object(name: &str) -> Option<Digest> {
    let (two, rest) = name.split_once('/')?;
    let hex = format!("{two}{rest}");
    let digest = Digest::from_hex(hex.as_bytes().try_into().ok()?)?;
    (layout::object(digest).strip_prefix(layout::OBJECTS)?.strip_prefix('/')? == name)
        .then_some(digest)
}

/// What a name in `.tmp/` stands for; what is not the library's is left alone.
fn temporary(name: &str, kind: Kind) -> Option<(EventId, LeftoverKind)> {
    let (id, of, wanted) = match name.split_once('.') {
        None => (name, LeftoverKind::Stage, Kind::File),
        Some((id, "object")) => (id, LeftoverKind::NewObject, Kind::File),
        Some((id, "live")) => (id, LeftoverKind::Liveness, Kind::File),
        Some((id, "work")) => (id, LeftoverKind::WorkFolder, Kind::Dir),
        Some(_) => return None,
    };
    let id: EventId = id.parse().ok().filter(|parsed: &EventId| parsed.to_string() == id)?;
    (kind == wanted).then_some((id, of))
}
