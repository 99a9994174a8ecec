//! Where an artifact comes from.

use std::collections::{BTreeMap, HashMap};

use super::ledger::{By, Ledger, Word};
use super::{ArtifactVersion, AttemptState, StepInput};

/// Where a version of an artifact comes from: a graph of versions, in which every source is older than what
/// was made from it. [`Display`](std::fmt::Display) draws it as a tree, in which the sources of each version
/// stand once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    artifact: ArtifactVersion,
    /// By seq.
    made: BTreeMap<u64, Made>,
    /// What was read for one or more of them.
    reads: Vec<Vec<StepInput>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    artifact: ArtifactVersion,
    /// A place in `reads`.
    read: Option<usize>,
}

impl Why {
    /// Where the version comes from that a word of the ledger speaks of.
    pub(super) fn of(ledger: &Ledger, word: &Word) -> Self {
        let mut why =
            Self { artifact: ledger.version(word), made: BTreeMap::new(), reads: Vec::new() };
        // What an attempt wrote with its end has the same sources, so that is looked up once.
        let mut known: HashMap<(usize, u64), usize> = HashMap::new();
        let mut waiting = vec![word];
        while let Some(word) = waiting.pop() {
            if why.made.contains_key(&word.seq) {
                continue;
            }
            let mut read = None;
            if let Some((attempt, before)) = written_in(ledger, word) {
                let place = known.entry((attempt, before)).or_insert_with(|| {
                    let (inputs, words) = sources(ledger, attempt, before);
                    waiting.extend(words);
                    why.reads.push(inputs);
                    why.reads.len() - 1
                });
                read = Some(*place);
            }
            let artifact = ledger.version(word);
            why.made.insert(word.seq, Made { artifact, read });
        }
        why
    }

    /// What was asked for.
    #[must_use]
    pub fn artifact(&self) -> &ArtifactVersion {
        &self.artifact
    }

    /// All versions that it goes back to, newest first; the first is itself.
    pub fn versions(&self) -> impl Iterator<Item = &ArtifactVersion> {
        self.made.values().rev().map(|made| &made.artifact)
    }

    /// One of them, by the seq of its record.
    #[must_use]
    pub fn version(&self, seq: u64) -> Option<&ArtifactVersion> {
        self.made.get(&seq).map(|made| &made.artifact)
    }

    /// What was read to make the version that the record with this seq tells of; nothing for one that was
    /// made outside of a step. Of each the seq leads on, unless the journal does not hold it.
    #[must_use]
    pub fn sources(&self, seq: u64) -> &[StepInput] {
        self.read(seq).and_then(|read| self.reads.get(read)).map_or(&[], Vec::as_slice)
    }

    /// What tells its sources from others; versions that one attempt wrote at its end have the same.
    pub(super) fn read(&self, seq: u64) -> Option<usize> {
        self.made.get(&seq).and_then(|made| made.read)
    }
}

/// The attempt that wrote it, and the seq before which lies what it can have been made from.
fn written_in(ledger: &Ledger, word: &Word) -> Option<(usize, u64)> {
    let By::Attempt(at) = word.by else { return None };
    let told = &ledger.attempts().get(at)?.told;
    let ended = told.state == AttemptState::Completed;
    Some((at, if ended { word.seq.min(told.seq) } else { word.seq }))
}

/// What an attempt read before it wrote something, and the words that speak of that.
fn sources(ledger: &Ledger, attempt: usize, before: u64) -> (Vec<StepInput>, Vec<&Word>) {
    let (mut inputs, mut words) = (Vec::new(), Vec::new());
    for input in ledger.attempts().get(attempt).map_or(&[][..], |attempt| &attempt.inputs) {
        let word = ledger.made(input);
        if word.is_none_or(|word| word.seq < before) {
            inputs.push(ledger.input(input));
            words.extend(word);
        }
    }
    (inputs, words)
}
