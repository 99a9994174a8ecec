//! A thread that works: what it does next is chance, what was acknowledged it tells.

use std::collections::HashMap;
use std::time::Duration;

use runjournal::{Durability, Event, Follow, JournalWriter, RunContext, Workspace};

use super::deeds::{self, Deed};
use super::ground::{Ground, SHARED, Teller};
use crate::{Outcome, Rng, Violation};

/// How workers work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Where chance begins.
    pub(crate) seed: u64,
    /// What the worker is called: no two have the same number.
    pub(crate) number: u64,
    /// How many threads it has.
    pub(crate) threads: u64,
    /// True where power may be cut: only what is durable is told, and the first error ends a thread.
    pub(crate) durable: bool,
}

/// One thread.
pub(crate) struct Hand {
    pub(crate) name: String,
    pub(crate) chance: Rng,
    pub(crate) teller: Teller,
    pub(crate) workspace: Workspace,
    pub(crate) durable: bool,
    /// The deed that a worker's only thread does most of the time, where power may be cut: nobody's syncs help
    /// it, not even its own for something else.
    favourite: Option<(&'static str, Deed)>,
    pub(crate) done: u64,
    kept: HashMap<String, JournalWriter>,
    pub(crate) tails: HashMap<String, (Follow, Option<u64>)>,
    pub(crate) turns: HashMap<String, u64>,
}

/// A shared run, and what it is called where something of it is told.
pub(crate) struct At {
    pub(crate) ctx: RunContext,
    pub(crate) home: String,
}

/// A worker's life: its threads work until they are asked to stop.
pub(crate) fn work(ground: &Ground, manner: Manner) -> Outcome {
    let ends: Vec<Outcome> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..manner.threads)
            .map(|thread| scope.spawn(move || Hand::work(ground, manner, thread)))
            .collect();
        let ended = |hand: std::thread::ScopedJoinHandle<'_, Outcome>| {
            hand.join().unwrap_or_else(|_| Err(Violation::new("a thread panicked")))
        };
        hands.into_iter().map(ended).collect()
    });
    ends.into_iter().collect()
}

impl Hand {
    fn work(ground: &Ground, manner: Manner, thread: u64) -> Outcome {
        let name = format!("w{}-{thread}", manner.number);
        let mut teller = Teller::new(ground, &name)?;
        let begin = || -> Outcome<Self> {
            let seed = manner.seed ^ (manner.number << 8 | thread).wrapping_mul(0x2545_f491);
            Ok(Self {
                teller: Teller::new(ground, &name)?,
                name: name.clone(),
                chance: Rng::new(seed),
                workspace: ground.workspace()?,
                durable: manner.durable,
                favourite: if manner.durable && manner.threads == 1 {
                    deeds::renaming(manner.number / 2)
                } else {
                    None
                },
                done: 0,
                kept: HashMap::new(),
                tails: HashMap::new(),
                turns: HashMap::new(),
            })
        };
        let all = || {
            let mut hand = begin()?;
            while !ground.is_to_stop() {
                hand.done += 1;
                let (name, deed) = hand.next();
                hand.teller.deed = name;
                deed(&mut hand).map_err(|found| found.at(name))?;
                hand.rest();
            }
            Ok(())
        };
        match all() {
            Err(_) if ground.is_cut() => Ok(()),
            Err(found) => teller.is_wrong(&Violation::at(found, &name)),
            Ok(()) => Ok(()),
        }
    }

    fn next(&mut self) -> (&'static str, Deed) {
        match self.favourite {
            Some(favourite) if !self.chance.once_in(5) => favourite,
            _ => deeds::pick(&mut self.chance),
        }
    }

    /// Where it is alone, it rests now and then, so that the power goes where nothing was synced after what was
    /// just told.
    pub(crate) fn rest(&mut self) {
        if self.favourite.is_some() && self.chance.once_in(2) {
            std::thread::sleep(Duration::from_millis(self.chance.under(100)));
        }
    }

    /// A shared run, most often the first.
    pub(crate) fn at(&mut self) -> Outcome<At> {
        let first = self.chance.once_in(2);
        let chosen = if first { SHARED.first() } else { self.chance.pick(SHARED) };
        let (task, run) = chosen.copied().unwrap_or_default();
        let ctx = self.workspace.task(task)?.run(run)?.context().clone();
        Ok(At { ctx, home: format!("{task}/{run}") })
    }

    /// A writer of that run which this thread keeps.
    pub(crate) fn kept(&mut self, at: &At) -> Outcome<JournalWriter> {
        if let Some(kept) = self.kept.get(&at.home) {
            return Ok(kept.clone());
        }
        let writer = at.ctx.journal()?;
        self.kept.insert(at.home.clone(), writer.clone());
        Ok(writer)
    }

    /// `Durable` now and then, or always where only that is told.
    pub(crate) fn durability(&mut self) -> Durability {
        if self.durable || self.chance.once_in(8) {
            Durability::Durable
        } else {
            Durability::Buffered
        }
    }

    /// An event that nobody else appends, of a payload of chance.
    pub(crate) fn note(&mut self, event_type: &str) -> Event {
        let fill = "some text ".repeat(usize::try_from(self.chance.under(30)).unwrap_or(0));
        let payload = serde_json::json!({"by": self.name, "number": self.done, "fill": fill});
        let event = Event::new(event_type).payload(&payload);
        match self.chance.under(3) {
            0 => event,
            1 => event.stream("talk", format!("T-{}", self.chance.under(20))),
            _ => event.stream("talk", &self.name),
        }
    }

    /// Content that shows whether it is whole: lines that all say how many they are.
    pub(crate) fn content(&mut self) -> Vec<u8> {
        let lines = 1 + if self.chance.once_in(40) { 20_000 } else { self.chance.under(200) };
        let line = format!("{lines} lines of {} at {}\n", self.name, self.done);
        line.repeat(usize::try_from(lines).unwrap_or(1)).into_bytes()
    }
}

/// True of what [`Hand::content`] makes.
pub(crate) fn is_whole(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    let first = text.lines().next().unwrap_or_default();
    let told = first.split(' ').next().and_then(|lines| lines.parse::<usize>().ok());
    text.ends_with('\n')
        && told == Some(text.lines().count())
        && text.lines().all(|line| line == first)
}
