//! What an act has to come to, by the model: the records that it may leave, group by group, and its answer.

use serde_json::{Value, json};

use super::words::HomeId;
use crate::{Outcome, RawRecord, Violation};

/// What a record has to be.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) event_type: &'static str,
    /// As `kind/id`; any where it is empty.
    pub(super) stream: String,
    /// Members that its payload has to have.
    pub(super) payload: Vec<(&'static str, Value)>,
}

impl Pattern {
    pub(super) fn new(event_type: &'static str, stream: impl Into<String>) -> Self {
        Self { event_type, stream: stream.into(), payload: Vec::new() }
    }

    pub(super) fn with(mut self, member: &'static str, value: impl Into<Value>) -> Self {
        self.payload.push((member, value.into()));
        self
    }

    fn fits(&self, record: &RawRecord) -> bool {
        record.text("event_type") == self.event_type
            && (self.stream.is_empty() || record.stream() == self.stream)
            && self.payload.iter().all(|(member, value)| record.payload(member) == Some(value))
    }
}

/// Records that are there as one, or not at all.
pub(super) type Group = (HomeId, Vec<Pattern>);

/// What an act answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    /// It is refused, with an error of one of these names.
    Refused(&'static [&'static str]),
    /// The model does not know.
    Any,
}

/// What an act has to come to, where nothing goes wrong.
#[derive(Debug, Clone)]
pub(super) struct Expect {
    pub(super) answer: Answer,
    /// What it leaves, in this order within a journal.
    pub(super) groups: Vec<Group>,
    /// What it may leave instead of the rest, where something goes wrong.
    pub(super) instead: Vec<Group>,
    /// What it may leave before all else.
    pub(super) binding: Option<(HomeId, Pattern)>,
    /// The journals that are durable to their end once it was done.
    pub(super) durable: Vec<HomeId>,
    /// The artifacts of its run that it writes, and true if they are durable once it was done.
    pub(super) writes: Vec<(String, bool)>,
    /// The records are as they come: the model does not know.
    pub(super) free: bool,
}

impl Expect {
    pub(super) fn new(answer: Answer) -> Self {
        Self {
            answer,
            groups: Vec::new(),
            instead: Vec::new(),
            binding: None,
            durable: Vec::new(),
            writes: Vec::new(),
            free: false,
        }
    }

    pub(super) fn done() -> Self {
        Self::new(Answer::Done)
    }

    pub(super) fn refused(names: &'static [&'static str]) -> Self {
        Self::new(Answer::Refused(names))
    }

    pub(super) fn group(mut self, home: HomeId, patterns: Vec<Pattern>) -> Self {
        if !patterns.is_empty() {
            self.groups.push((home, patterns));
        }
        self
    }

    pub(super) fn durable(mut self, home: HomeId) -> Self {
        self.durable.push(home);
        self
    }

    /// Holds the new records of one journal against what may be. `whole` asks for all groups.
    ///
    /// # Errors
    /// Where they are others, or not all.
    pub(super) fn check(&self, home: HomeId, new: &[RawRecord], whole: bool) -> Outcome {
        if self.free {
            return Ok(());
        }
        let mut left = new;
        if let Some((bound, pattern)) = &self.binding
            && *bound == home
            && let Some((first, rest)) = left.split_first()
            && pattern.fits(first)
        {
            left = rest;
        }
        for (_, group) in self.groups.iter().filter(|(of, _)| *of == home) {
            match take(left, group) {
                Some(rest) => left = rest,
                None if whole => {
                    return Err(self.differs(home, new, "what was acknowledged is not there"));
                }
                None => {
                    let instead = self.instead.iter().filter(|(of, _)| *of == home);
                    let rest = instead.filter_map(|(_, group)| take(left, group)).next();
                    left = rest.unwrap_or(left);
                    break;
                }
            }
        }
        // Where nothing is missing, what is there instead may follow all the same.
        if !whole {
            let instead = self.instead.iter().filter(|(of, _)| *of == home);
            left = instead.filter_map(|(_, group)| take(left, group)).next().unwrap_or(left);
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(self.differs(home, new, "there is what nobody wrote, or a part of it"))
        }
    }

    fn differs(&self, home: HomeId, new: &[RawRecord], what: &str) -> Violation {
        let seen: Vec<_> = new.iter().map(in_short).collect();
        let groups: Vec<_> = self.groups.iter().filter(|(of, _)| *of == home).collect();
        Violation::new(format!("{}: {what}: new are {seen:?}, expected {groups:?}", home.path()))
    }
}

/// The records behind those of a group, in whatever order they are.
fn take<'a>(records: &'a [RawRecord], group: &[Pattern]) -> Option<&'a [RawRecord]> {
    let (batch, rest) = records.split_at_checked(group.len())?;
    let mut left: Vec<&Pattern> = group.iter().collect();
    for record in batch {
        let at = left.iter().position(|pattern| pattern.fits(record))?;
        left.remove(at);
    }
    let one = batch.iter().all(|record| {
        group.len() == 1 || record.number("batch_size") == u64::try_from(group.len()).ok()
    });
    one.then_some(rest)
}

pub(super) fn in_short(record: &RawRecord) -> String {
    format!("{} {} {}", record.seq(), record.text("event_type"), record.stream())
}

/// The payload of an event of a plan.
pub(super) fn note(act: usize, part: usize, large: bool) -> Value {
    let text = if large { "large ".repeat(12_000) } else { "some text".to_owned() };
    json!({"act": act, "part": part, "text": text})
}
