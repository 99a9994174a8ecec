//! Where an artifact comes from.

use std::collections::{BTreeMap, HashMap};

use super::ledger::{By, Ledger, Word};
use super::{ArtifactVersion, AttemptState, StepInput};

/// Where a version of an artifact comes from: a graph of versions, in which every source is older than what
/// was made from it. It takes memory for those versions and, once, for the inputs of the attempts that made
/// them. [`Display`](std::fmt::Display) draws it as a tree, in which each input of an attempt stands once:
/// versions that share sources refer to each other, in words such as `(see above: the first 3)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    artifact: ArtifactVersion,
    /// By seq.
    made: BTreeMap<u64, Made>,
    /// The inputs of each attempt that made one of them, oldest first; before them, those of which the
    /// journal does not hold the record.
    inputs: Vec<Vec<StepInput>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    artifact: ArtifactVersion,
    read: Option<Read>,
}

/// What was read for a version: so many of the inputs of its attempt, from the oldest on. What an attempt made
/// from less is a beginning of the same list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    /// The attempt, by the place of its inputs.
    pub(super) attempt: usize,
    pub(super) cut: usize,
}

/// An attempt that the walk has come to.
struct Reached<'a> {
    /// The place of its inputs.
    attempt: usize,
    /// The words that speak of them.
    words: Vec<Option<&'a Word>>,
    /// How many of them the walk knows.
    known: usize,
}

impl Why {
    /// Where the version comes from that a word of the ledger speaks of.
    pub(super) fn of(ledger: &Ledger, word: &Word) -> Self {
        let mut why =
            Self { artifact: ledger.version(word), made: BTreeMap::new(), inputs: Vec::new() };
        let mut attempts: HashMap<usize, Reached<'_>> = HashMap::new();
        let mut waiting = vec![word];
        while let Some(word) = waiting.pop() {
            if why.made.contains_key(&word.seq) {
                continue;
            }
            let read = written_in(ledger, word).map(|(at, before)| {
                let reached = attempts.entry(at).or_insert_with(|| {
                    let (words, inputs) = inputs(ledger, at);
                    why.inputs.push(inputs);
                    Reached { attempt: why.inputs.len() - 1, words, known: 0 }
                });
                let older = |word: &Option<&Word>| word.is_none_or(|word| word.seq < before);
                let cut = reached.words.partition_point(older);
                waiting.extend(
                    reached.words.get(reached.known..cut).iter().copied().flatten().flatten(),
                );
                reached.known = cut.max(reached.known);
                Read { attempt: reached.attempt, cut }
            });
            why.made.insert(word.seq, Made { artifact: ledger.version(word), read });
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

    /// What was read to make the version that the record with this seq tells of, oldest first, and before that
    /// what the journal does not hold; nothing for a version that was made outside of a step. Of each the seq
    /// leads on, unless the journal does not hold it.
    #[must_use]
    pub fn sources(&self, seq: u64) -> &[StepInput] {
        let read = self.read(seq).and_then(|read| self.inputs.get(read.attempt)?.get(..read.cut));
        read.unwrap_or(&[])
    }

    /// What tells its sources from others.
    pub(super) fn read(&self, seq: u64) -> Option<Read> {
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

/// What an attempt read, and the words that speak of that: in the order of these.
fn inputs(ledger: &Ledger, attempt: usize) -> (Vec<Option<&Word>>, Vec<StepInput>) {
    let inputs = ledger.attempts().get(attempt).map_or(&[][..], |attempt| &attempt.inputs);
    let mut inputs: Vec<_> = inputs.iter().map(|input| (ledger.made(input), input)).collect();
    inputs.sort_by_key(|(word, _)| word.map(|word| word.seq));
    inputs.into_iter().map(|(word, input)| (word, ledger.input(input))).unzip()
}
