//! All that a journal says of artifacts and of who made them.

use std::collections::{BTreeMap, HashMap};

use super::{ArtifactVersion, AttemptState, Maker, StepAttempt, StepInput};
use crate::artifact::ArtifactPayload;
use crate::digest::Digest;
use crate::id::{EventId, StepName};
use crate::journal::{Actor, JournalError, Record, types};
use crate::name::ArtifactName;
use crate::step::{Completed, Failed, Input, Started};

/// All that a journal says of artifacts and of attempts of steps, in its order.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    words: Vec<Word>,
    attempts: Vec<Attempt>,
    of_path: BTreeMap<ArtifactName, Vec<usize>>,
    /// By the id of `step_started`, which all that an attempt appends names as its cause.
    of_start: HashMap<EventId, usize>,
}

/// One record of an artifact.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) path: ArtifactName,
    pub(super) version: u64,
    pub(super) digest: Option<Digest>,
    pub(super) seq: u64,
    pub(super) by: By,
    adopted: bool,
}

/// Who made it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum By {
    /// An attempt, by its place in the ledger.
    Attempt(usize),
    Outside(Actor),
    Unknown(StepName),
}

/// An attempt, and what it read.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) told: StepAttempt,
    pub(super) inputs: Vec<Input>,
    /// True if its body was not run, because an earlier attempt had done the same: what stands is of that one.
    pub(super) is_same: bool,
}

impl Ledger {
    /// Takes in the next counted record.
    pub(super) fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        match record.event_type() {
            types::STEP_STARTED => {
                let Started { attempt, turn, inputs, .. } = record.payload()?;
                let state = AttemptState::Open;
                self.add_attempt(record, (turn, attempt, state), Some(inputs), false);
            }
            types::STEP_COMPLETED => {
                let Completed { attempt, turn, inputs, same_as, .. } = record.payload()?;
                let told = (turn, attempt, AttemptState::Completed);
                self.add_attempt(record, told, Some(inputs), same_as.is_some());
            }
            types::STEP_FAILED => {
                let Failed { attempt, turn, .. } = record.payload()?;
                self.add_attempt(record, (turn, attempt, AttemptState::Failed), None, false);
            }
            _ => {
                if let Some(said) = ArtifactPayload::of(record)? {
                    self.add_word(record, said);
                }
            }
        }
        Ok(())
    }

    /// Only a failure does not tell the inputs.
    fn add_attempt(
        &mut self,
        record: &Record,
        (turn, attempt, state): (u64, u64, AttemptState),
        inputs: Option<Vec<Input>>,
        is_same: bool,
    ) {
        // No step can have another name, whatever a forged journal says.
        let Ok(step) = StepName::new(record.stream_id()) else { return };
        let told = StepAttempt { step, turn, attempt, state, seq: record.seq() };
        let start = match state {
            AttemptState::Open => Some(record.event_id()),
            AttemptState::Completed | AttemptState::Failed => record.causation_event_id(),
        };
        let known = start.and_then(|start| self.of_start.get(&start)).copied();
        if let Some(known) = known.and_then(|at| self.attempts.get_mut(at)) {
            (known.told, known.is_same) = (told, is_same);
            known.inputs = inputs.unwrap_or_else(|| std::mem::take(&mut known.inputs));
            return;
        }
        // It started now, or damage took its start.
        if let Some(start) = start {
            self.of_start.insert(start, self.attempts.len());
        }
        self.attempts.push(Attempt { told, inputs: inputs.unwrap_or_default(), is_same });
    }

    fn add_word(&mut self, record: &Record, said: ArtifactPayload) {
        let cause = record.causation_event_id();
        let attempt = cause.and_then(|cause| self.of_start.get(&cause)).copied();
        let by = match (attempt, said.step) {
            (Some(attempt), _) => By::Attempt(attempt),
            (None, Some(step)) => By::Unknown(step),
            (None, None) => {
                let id = record.actor_id().map(str::to_owned);
                By::Outside(Actor::new(record.actor_kind(), id))
            }
        };
        self.of_path.entry(said.path.clone()).or_default().push(self.words.len());
        self.words.push(Word {
            path: said.path,
            version: record.stream_version(),
            digest: said.digest,
            seq: record.seq(),
            by,
            adopted: record.event_type() == types::ARTIFACT_ADOPTED,
        });
    }

    pub(super) fn words(&self) -> &[Word] {
        &self.words
    }

    pub(super) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The words about each path, newest first.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&ArtifactName, Words<'_>)> {
        self.of_path.iter().map(|(path, places)| (path, self.newest_first(places)))
    }

    /// The journal's last word about a path.
    pub(super) fn last(&self, path: &ArtifactName) -> Option<&Word> {
        self.newest_first(self.of_path.get(path)?).next()
    }

    fn newest_first<'a>(&'a self, places: &'a [usize]) -> Words<'a> {
        Words { words: &self.words, places: places.iter().rev() }
    }

    /// The word that an input names, if the journal has it and it says the same.
    pub(super) fn made(&self, input: &Input) -> Option<&Word> {
        let (places, version) = (self.of_path.get(&input.path)?, input.version?);
        // Versions rise along a path.
        let before = |at: &usize| self.words.get(*at).is_some_and(|word| word.version < version);
        let word = self.words.get(*places.get(places.partition_point(before))?)?;
        (word.version == version && word.digest == input.digest).then_some(word)
    }

    /// An input as it is told.
    pub(super) fn input(&self, input: &Input) -> StepInput {
        StepInput {
            path: input.path.clone(),
            digest: input.digest,
            version: input.version,
            seq: self.made(input).map(|word| word.seq),
        }
    }

    /// A word as it is told.
    pub(super) fn version(&self, word: &Word) -> ArtifactVersion {
        let by = match &word.by {
            By::Attempt(at) => {
                self.attempts.get(*at).map(|attempt| Maker::Step(attempt.told.clone()))
            }
            By::Outside(actor) => Some(Maker::Outside(actor.clone())),
            By::Unknown(step) => Some(Maker::Unknown(step.clone())),
        };
        ArtifactVersion {
            path: word.path.clone(),
            version: word.version,
            digest: word.digest,
            seq: word.seq,
            adopted: word.adopted,
            // Attempts are never taken out, so this is for no word that there is.
            by: by.unwrap_or_else(|| Maker::Outside(Actor::default())),
        }
    }
}

/// Words about one path.
pub(super) struct Words<'a> {
    words: &'a [Word],
    places: std::iter::Rev<std::slice::Iter<'a, usize>>,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a Word;

    fn next(&mut self) -> Option<&'a Word> {
        self.places.next().and_then(|at| self.words.get(*at))
    }
}
