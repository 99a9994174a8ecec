//! A plan: what the workers do, one act after the other, and what goes wrong meanwhile.

use std::fmt;

use super::act::{Act, Ending, What};
use super::trouble::{Error, Trouble};
use crate::Rng;

/// How many workers there are; each has handles of its own.
pub(super) const WORKERS: usize = 3;
/// How many tasks.
pub(super) const TASKS: usize = 2;
/// How many runs a task can have.
pub(super) const RUNS: usize = 3;

/// A list of acts that follows from a seed. Any part of it is a plan as well, whose acts mean the same.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) seed: u64,
    /// Journals get a head after every record.
    pub(super) eager: bool,
    pub(super) acts: Vec<Act>,
}

/// What a plan is like, as a whole: so plans differ more than if every one had a little of all.
struct Mood {
    workers: usize,
    leases: bool,
    cuts: bool,
    deaths: bool,
    faults: bool,
    races: bool,
    care: bool,
}

impl Plan {
    /// The plan of a seed, with about so many acts.
    #[must_use]
    pub fn of(seed: u64, length: usize) -> Self {
        let mut rng = Rng::of(seed, &["plan"]);
        let mood = Mood {
            workers: 1 + rng.below(WORKERS),
            leases: rng.once_in(3),
            cuts: rng.once_in(2),
            deaths: rng.once_in(2),
            faults: rng.once_in(2),
            races: rng.once_in(3),
            care: rng.once_in(3),
        };
        let eager = rng.once_in(2);
        let length = length / 2 + rng.below(length + 1);
        let acts = (0..length.max(4)).map(|number| mood.act(seed, number)).collect();
        Self { seed, eager, acts }
    }

    /// Only the acts of these numbers, and of those only some with what goes wrong in them.
    #[must_use]
    pub fn only(mut self, acts: &[usize], calm: &[usize]) -> Self {
        self.acts.retain(|act| acts.contains(&act.number));
        for act in self.acts.iter_mut().filter(|act| calm.contains(&act.number)) {
            act.trouble = None;
        }
        self
    }

    /// How many acts it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.acts.len()
    }

    /// True where nothing is done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.acts.is_empty()
    }

    /// How it is done again.
    #[must_use]
    pub fn command(&self, length: usize) -> String {
        let numbers = |acts: &mut dyn Iterator<Item = usize>| {
            acts.map(|number| number.to_string()).collect::<Vec<_>>().join(",")
        };
        let whole = Self::of(self.seed, length);
        let mut text = format!(
            "cargo run -p runjournal-proof -- replay --seed {} --length {length}",
            self.seed
        );
        if self.len() < whole.len() {
            let acts = numbers(&mut self.acts.iter().map(|act| act.number));
            text.push_str(&format!(" --acts {acts}"));
        }
        let calmed = self.acts.iter().filter(|act| {
            let before = whole.acts.iter().find(|before| before.number == act.number);
            act.trouble.is_none() && before.is_some_and(|before| before.trouble.is_some())
        });
        let calmed = numbers(&mut calmed.map(|act| act.number));
        if !calmed.is_empty() {
            text.push_str(&format!(" --calm {calmed}"));
        }
        text
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = if self.eager { "a head after every record" } else { "heads as usual" };
        write!(f, "seed {}, {heads}", self.seed)?;
        self.acts.iter().try_for_each(|act| write!(f, "\n    {act}"))
    }
}

impl Mood {
    /// The act of this number: it follows from the seed and the number alone.
    fn act(&self, seed: u64, number: usize) -> Act {
        let mut rng = Rng::of(seed, &["act", &number.to_string()]);
        let rng = &mut rng;
        let worker = rng.below(self.workers);
        let task = usize::from(rng.once_in(4));
        let run = if rng.once_in(4) { 1 + rng.below(RUNS - 1) } else { 0 };
        let what = self.what(rng, run);
        let trouble = if what.is_calm() { None } else { self.trouble(rng) };
        Act { number, worker, task, run, what, trouble }
    }

    fn trouble(&self, rng: &mut Rng) -> Option<Trouble> {
        if self.deaths && rng.once_in(4) {
            let at = if rng.once_in(4) { rng.below(30) } else { rng.below(8) };
            return Some(Trouble::Die { at });
        }
        if self.faults && rng.once_in(4) {
            let errors = [Error::Io, Error::Io, Error::NoSpace, Error::Files, Error::Interrupted];
            let error = if rng.once_in(6) {
                Error::Short(rng.below(200))
            } else {
                *rng.pick(&errors).unwrap_or(&Error::Io)
            };
            let times = if rng.once_in(2) { 1 } else { 1 + rng.below(20) };
            let at = if rng.once_in(2) { rng.below(25) } else { rng.below(80) };
            return Some(Trouble::Fault { at, error, times });
        }
        if self.races && rng.once_in(3) {
            return Some(Trouble::Meanwhile { at: rng.below(40) });
        }
        None
    }

    fn what(&self, rng: &mut Rng, run: usize) -> What {
        let durable = rng.once_in(2);
        let events = 1 + rng.below(4);
        let content = rng.below(8);
        let key = rng.once_in(3).then(|| rng.below(3));
        let minutes = 1 + rng.below(90) as u64;
        let item = rng.below(4);
        if self.cuts && rng.once_in(14) {
            return What::PowerCut;
        }
        if self.leases && rng.once_in(6) {
            return match rng.below(5) {
                0..=2 => What::Claim { minutes },
                3 => What::Renew,
                _ => What::Release,
            };
        }
        if self.care && rng.once_in(5) {
            return match rng.below(7) {
                0 => What::Verify,
                1 => What::RepairPlan,
                2 => What::Backup,
                3 => What::LoseIndex,
                4 => What::KeepHead,
                _ => What::Refresh,
            };
        }
        if self.eager_care(rng) {
            return if rng.once_in(2) { What::LoseHead } else { What::OldHead };
        }
        let path = rng.below(5);
        match rng.below(40) {
            0..=5 => What::Append {
                events,
                durable,
                key,
                large: rng.once_in(12),
                kept: rng.once_in(2),
                expect: rng.once_in(4).then(|| rng.once_in(2)),
            },
            6..=10 => What::Write { path, content, durable, streamed: rng.once_in(3) },
            11 => What::Remove { path, durable },
            12..=15 => What::Transaction {
                paths: (0..=rng.below(3)).map(|more| (path + more) % 5).collect(),
                remove: rng.once_in(4).then(|| (path + 4) % 5),
                events: events - 1,
                durable,
                key,
                content,
            },
            16..=19 => What::Step {
                name: rng.below(2),
                turn: rng.once_in(2).then(|| 1 + rng.below(3) as u64),
                ending: match rng.below(5) {
                    0 => Ending::Fails,
                    1 => Ending::Dies,
                    _ => Ending::Completes,
                },
                path,
                events: events - 1,
            },
            20..=21 => What::Checkpoint,
            22 => What::Restore { turn: 1 + rng.below(3) as u64 },
            23..=24 => What::Command { id: rng.below(5) },
            25..=26 => What::QueueAdd { item },
            27..=28 => What::QueueNext { minutes },
            29 => What::QueueDone { events: events - 1 },
            30 => What::QueueFail { minutes: minutes * rng.below(2) as u64 },
            31 => What::QueueReap,
            32 => What::Status,
            33 if rng.once_in(2) => What::TaskStatus,
            33 => What::Complete { success: rng.once_in(2) },
            34 if run > 0 => What::StartRun,
            34 | 35 => What::CatchUp,
            36 => What::Follow,
            37 => What::NewWorker,
            38 => What::Clock { minutes: clock(rng) },
            _ if run > 0 => What::StartRun,
            _ => What::Manifest,
        }
    }

    fn eager_care(&self, rng: &mut Rng) -> bool {
        self.care && rng.once_in(8)
    }
}

/// Minutes, hours, days, forward and back.
fn clock(rng: &mut Rng) -> i64 {
    let most = *rng.pick(&[10, 120, 20_000]).unwrap_or(&10);
    let minutes = i64::try_from(rng.below(most)).unwrap_or(0);
    if rng.once_in(3) { -minutes } else { minutes }
}
