//! Which steps are stale: the definition is at the top of the room.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::ledger::{By, Ledger, Word};
use super::{AttemptState, Because, Stale, StaleStep};
use crate::digest::Digest;
use crate::name::ArtifactName;
use crate::step::Input;

/// What is stale as it is.
pub(super) fn now(ledger: &Ledger) -> Stale {
    let case = Case::of(ledger);
    case.spread(|input, word| {
        let word = word.filter(|word| word.digest != input.digest)?;
        Some(Because::Changed { input: ledger.input(input), now: ledger.version(word) })
    })
}

/// What would be stale if these changed.
pub(super) fn if_changed(ledger: &Ledger, changed: &BTreeSet<ArtifactName>) -> Stale {
    Case::of(ledger).spread(|input, _| {
        let supposed = changed.contains(&input.path);
        supposed.then(|| Because::Supposed { input: ledger.input(input) })
    })
}

/// What is asked again and again.
struct Case<'a> {
    ledger: &'a Ledger,
    /// The last completed attempt of each step, in the order of their ends.
    judged: Vec<usize>,
    /// What attempts wrote while they ran, and so may have read back.
    own: HashSet<(usize, &'a ArtifactName, Digest)>,
    standing: HashMap<&'a ArtifactName, Standing<'a>>,
}

/// The journal's newest words about a path.
struct Standing<'a> {
    last: &'a Word,
    /// The newest by another than the one who wrote the last.
    before: Option<&'a Word>,
}

impl<'a> Standing<'a> {
    fn of(mut newest_first: impl Iterator<Item = &'a Word>) -> Option<Self> {
        let last = newest_first.next()?;
        Some(Self { last, before: newest_first.find(|word| word.by != last.by) })
    }

    /// The newest that this attempt did not write.
    fn apart_from(&self, attempt: usize) -> Option<&'a Word> {
        if self.last.by == By::Attempt(attempt) { self.before } else { Some(self.last) }
    }
}

impl<'a> Case<'a> {
    fn of(ledger: &'a Ledger) -> Self {
        let mut last = BTreeMap::new();
        for (at, attempt) in ledger.attempts().iter().enumerate() {
            if attempt.told.state == AttemptState::Completed && !attempt.is_same {
                let end = (attempt.told.seq, at);
                let known = last.entry(&attempt.told.step).or_insert(end);
                *known = end.max(*known);
            }
        }
        let mut judged: Vec<_> = last.into_values().collect();
        judged.sort_unstable();
        let own = ledger.words().iter().filter_map(|word| {
            let By::Attempt(at) = word.by else { return None };
            let running = ledger.attempts().get(at).is_some_and(|it| word.seq < it.told.seq);
            running.then_some((at, &word.path, word.digest?))
        });
        let standing =
            ledger.paths().filter_map(|(path, words)| Some((path, Standing::of(words)?)));
        Self {
            ledger,
            judged: judged.into_iter().map(|(_, at)| at).collect(),
            own: own.collect(),
            standing: standing.collect(),
        }
    }

    /// The inputs of an attempt that came from elsewhere, each with the word that counts for it.
    fn inputs(&self, at: usize) -> impl Iterator<Item = (&'a Input, Option<&'a Word>)> {
        let inputs = self.ledger.attempts().get(at).map_or(&[][..], |attempt| &attempt.inputs);
        inputs.iter().filter(move |input| !self.is_own(at, input)).map(move |input| {
            let standing = self.standing.get(&input.path);
            (input, standing.and_then(|standing| standing.apart_from(at)))
        })
    }

    /// True for what an attempt read back of its own.
    fn is_own(&self, at: usize, input: &Input) -> bool {
        let by_another = |word: &Word| word.by != By::Attempt(at);
        input.digest.is_some_and(|digest| self.own.contains(&(at, &input.path, digest)))
            && !self.ledger.made(input).is_some_and(by_another)
    }

    /// From the attempts whose inputs changed to those that read what they wrote, nearest first.
    fn spread(&self, changed: impl Fn(&'a Input, Option<&'a Word>) -> Option<Because>) -> Stale {
        let mut readers: HashMap<usize, Vec<(usize, &Input, &Word)>> = HashMap::new();
        let mut stale = HashSet::new();
        let mut waiting = VecDeque::new();
        for &at in &self.judged {
            if let Some(because) = self.inputs(at).find_map(|(input, word)| changed(input, word)) {
                stale.insert(at);
                waiting.push_back((at, because));
                continue;
            }
            for (input, word) in self.inputs(at) {
                let Some(word) = word.filter(|word| word.digest == input.digest) else {
                    continue;
                };
                if let By::Attempt(writer) = word.by {
                    readers.entry(writer).or_default().push((at, input, word));
                }
            }
        }
        let mut outputs = self.outputs();
        let mut steps = Vec::new();
        while let Some((at, because)) = waiting.pop_front() {
            for (reader, input, now) in readers.remove(&at).unwrap_or_default() {
                if stale.insert(reader) {
                    let (input, now) = (self.ledger.input(input), self.ledger.version(now));
                    waiting.push_back((reader, Because::Suspect { input, now }));
                }
            }
            let Some(attempt) = self.ledger.attempts().get(at) else { continue };
            let outputs = outputs.remove(&at).unwrap_or_default();
            let outputs = outputs.into_iter().map(|word| self.ledger.version(word)).collect();
            steps.push(StaleStep { attempt: attempt.told.clone(), because, outputs });
        }
        Stale::new(steps)
    }

    /// What each attempt wrote and nobody replaced, by path.
    fn outputs(&self) -> HashMap<usize, Vec<&'a Word>> {
        let mut outputs: HashMap<usize, Vec<&Word>> = HashMap::new();
        for (_, mut words) in self.ledger.paths() {
            if let Some(word) = words.next().filter(|word| word.digest.is_some())
                && let By::Attempt(at) = word.by
            {
                outputs.entry(at).or_default().push(word);
            }
        }
        outputs
    }
}
