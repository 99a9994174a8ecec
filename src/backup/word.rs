//! What a journal says that a copy of its home is held against.

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::Last;
use crate::digest::Digest;
use crate::finding::{Code, Finding, Place, Severity};
use crate::journal::{Cursor, Events, Home, JournalError, Opened, PayloadRef, Record, types};
use crate::layout;
use crate::workspace::RunWords;

/// What the counted records up to a cursor add up to.
#[derive(Debug, Default)]
pub(super) struct Word {
    /// The last record of each artifact, by its path.
    pub(super) artifacts: BTreeMap<String, Last>,
    /// Objects that hold payloads.
    pub(super) objects: BTreeSet<Digest>,
    /// The digest of each checkpoint, and the seq of the record that says so, by its turn.
    pub(super) checkpoints: BTreeMap<u64, (Digest, u64)>,
    /// Of a task: what it says of its runs.
    pub(super) runs: RunWords,
    pub(super) cursor: Option<Cursor>,
    /// Damage that a later record closed off: where it begins and ends.
    closed_off: Vec<(u64, u64)>,
    /// The seq of the last record.
    seq: u64,
    gaps: Vec<Finding>,
    findings: Vec<Finding>,
}

/// The payload of `checkpoint_created`, as far as it matters here.
#[derive(serde::Deserialize)]
struct Checkpoint {
    turn: u64,
    digest: Digest,
}

/// The payload of the record that closes off damage at a journal's end.
#[derive(Default, serde::Deserialize)]
struct ClosedOff {
    found: Vec<Skipped>,
}

#[derive(serde::Deserialize)]
struct Skipped {
    offset: u64,
    length: u64,
}

impl Word {
    /// True if a repair closed off the record that ends there: what was lost was told then.
    pub(super) fn closed_off(&self, cursor: Cursor) -> bool {
        let is_in = |(from, to): &(u64, u64)| *from < cursor.offset && cursor.offset <= *to;
        self.closed_off.iter().any(is_in)
    }

    /// Takes in what was appended since; false if that is nothing.
    pub(super) fn read_on(&mut self, home: &Home, opened: &Opened) -> Result<bool, JournalError> {
        let mut events = Events::open_in(home, opened.clone())?;
        let before = self.cursor.unwrap_or(events.cursor());
        if let Some(cursor) = self.cursor {
            events = events.from(cursor)?;
        }
        for record in events.by_ref() {
            let record = record?;
            self.check_seq(home, &record);
            self.take_in(&record)?;
        }
        let cursor = events.cursor();
        self.cursor = Some(cursor);
        let since = |finding: &Finding| finding.place.offset >= Some(before.offset);
        self.findings.retain(|finding| !since(finding));
        self.findings.extend(events.findings().iter().cloned());
        Ok(cursor != before)
    }

    /// Tells of records that are missing before one.
    fn check_seq(&mut self, home: &Home, record: &Record) {
        let missing = record.seq().saturating_sub(self.seq.saturating_add(1));
        self.seq = record.seq();
        if missing > 0 {
            let (path, offset) = (home.dir().join(layout::JOURNAL), record.offset());
            let length = Some(record.end().saturating_sub(offset));
            self.gaps.push(Finding {
                code: Code::SequenceGap,
                place: Place { path, offset: Some(offset), length },
                reason: format!("records are missing before it: {missing}"),
            });
        }
    }

    fn take_in(&mut self, record: &Record) -> Result<(), JournalError> {
        self.objects.extend(record.payload_ref().map(|PayloadRef { digest, .. }| digest));
        self.runs.apply(record)?;
        match record.event_type() {
            types::CHECKPOINT_CREATED => {
                let Checkpoint { turn, digest } = record.payload()?;
                self.checkpoints.insert(turn, (digest, record.seq()));
            }
            types::RUN_REPAIRED | types::TASK_REPAIRED => {
                let ClosedOff { found } = record.payload().unwrap_or_default();
                let ends =
                    |skip: Skipped| Some((skip.offset, skip.offset.checked_add(skip.length)?));
                self.closed_off.extend(found.into_iter().filter_map(ends));
            }
            _ => {
                let said = Last::of(record)?;
                self.artifacts.extend(said.map(|(name, last)| (name.as_str().to_owned(), last)));
            }
        }
        Ok(())
    }

    /// Damage of the journal: what no killed writer leaves.
    pub(super) fn damage(&self) -> impl Iterator<Item = &Finding> {
        let findings = self.findings.iter().chain(&self.gaps);
        findings.filter(|finding| finding.code.severity() == Severity::Error)
    }

    /// How much of the journal belongs into a copy: up to the last counted record, and damage behind that,
    /// so that what refuses appends here refuses them there.
    pub(super) fn bytes(&self) -> u64 {
        let counted = self.cursor.map_or(0, |cursor| cursor.offset);
        let ends = self.damage().filter_map(|finding| {
            finding.place.offset?.checked_add(finding.place.length.unwrap_or_default())
        });
        ends.fold(counted, u64::max)
    }

    /// The digest that a path should have; `None` if nothing should be there.
    pub(super) fn digest(&self, name: &str) -> Option<Digest> {
        self.artifacts.get(name).and_then(|last| last.digest)
    }

    /// The paths that should have content.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let there = self.artifacts.iter().filter(|(_, last)| last.digest.is_some());
        there.map(|(name, _)| name.as_str())
    }
}
