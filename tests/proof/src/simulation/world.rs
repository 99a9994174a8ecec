//! The workspace that a plan is done in, and what the model knows of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::testing::{CountingIds, FixedClock, with_eager_heads};
use runjournal::{Clock as _, TaskOptions, Workspace};

use super::act::{Act, What};
use super::check;
use super::expect::{Answer, Expect};
use super::other::{Other, is_others};
use super::perform::{Refusal, Worker};
use super::plan::{Plan, RUNS, TASKS, WORKERS};
use super::predict::{View, predict};
use super::story::Story;
use super::tally::Tally;
use super::trouble::{Saboteur, Trouble};
use super::words::{self, HomeId};
use crate::disk::Image;
use crate::{Outcome, RawRecord, Violation, ensure, raw};

/// What is known of an artifact's file, beyond that it is what the journal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sure {
    /// A power cut leaves it as it is.
    Kept,
    /// A power cut may leave anything there.
    Open,
    /// A power cut left something there.
    Lost,
}

/// A journal, as the model has it.
#[derive(Debug, Clone, Default)]
pub(super) struct Home {
    pub(super) records: Vec<RawRecord>,
    /// So many of them a power cut leaves there.
    pub(super) settled: usize,
    /// A power cut left damage in it.
    pub(super) damaged: bool,
    pub(super) story: Story,
    pub(super) files: BTreeMap<String, Sure>,
    /// It was told to be there.
    pub(super) told: bool,
}

/// The workspace, its workers, and the model of it.
#[derive(Debug)]
pub(super) struct World {
    dir: Utf8PathBuf,
    root: Utf8PathBuf,
    /// How often the power was cut.
    cuts: usize,
    pub(super) tally: Tally,
    clock: Arc<FixedClock>,
    ids: Arc<CountingIds>,
    eager: bool,
    pub(super) homes: BTreeMap<HomeId, Home>,
    workers: Vec<Option<Worker>>,
    pub(super) saboteur: Arc<Saboteur>,
    heads: BTreeMap<HomeId, Vec<u8>>,
}

impl World {
    /// A workspace with two tasks, and a run in each.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) fn new(dir: &Utf8Path, plan: &Plan) -> Outcome<Self> {
        let mut world = Self {
            dir: dir.to_owned(),
            root: dir.join("cut-0"),
            cuts: 0,
            tally: Tally::default(),
            clock: Arc::default(),
            ids: Arc::default(),
            eager: plan.eager,
            homes: BTreeMap::new(),
            workers: Vec::new(),
            saboteur: Arc::default(),
            heads: BTreeMap::new(),
        };
        Workspace::create(&world.root)?;
        let workspace = world.workspace()?;
        for task in 0..TASKS {
            let made = workspace.create_task(words::task(task), TaskOptions::default())?;
            made.start_run_as(words::run(0))?;
        }
        world.workers = (0..WORKERS).map(|_| None).collect();
        for (id, records) in world.read()? {
            let (settled, story) = (records.len(), Story::of(&records));
            let home = Home { records, settled, story, told: true, ..Home::default() };
            world.homes.insert(id, home);
        }
        Ok(world)
    }

    pub(super) fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// A place beside the workspace, for what is derived or kept elsewhere.
    pub(super) fn outside(&self) -> Utf8PathBuf {
        self.dir.join(format!("outside-{}", self.cuts))
    }

    /// A handle of its own.
    pub(super) fn workspace(&self) -> Outcome<Workspace> {
        let workspace =
            Workspace::open(&self.root)?.with_clock(self.clock.clone()).with_ids(self.ids.clone());
        Ok(if self.eager { with_eager_heads(workspace) } else { workspace })
    }

    /// All journals that are there.
    fn read(&self) -> Outcome<Vec<(HomeId, Vec<RawRecord>)>> {
        let mut homes = Vec::new();
        for task in 0..TASKS {
            let runs = (0..RUNS).map(|run| HomeId::run(task, run));
            for id in std::iter::once(HomeId::task(task)).chain(runs) {
                let dir = self.root.join(id.path());
                if !dir.join(id.genesis()).exists() {
                    continue;
                }
                let damaged = self.homes.get(&id).is_some_and(|home| home.damaged);
                let records = if damaged {
                    check::told(self, id)?.0
                } else {
                    raw::records(&dir, id.genesis()).map_err(|found| found.at(id.path()))?
                };
                homes.push((id, records));
            }
        }
        Ok(homes)
    }

    /// Does an act, and holds what it left against the model.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn act(&mut self, act: &Act) -> Outcome {
        if act.what.is_calm() {
            return self.calm(act);
        }
        let run = HomeId::run(act.task, act.run);
        let mut worker = match self.workers.get_mut(act.worker).and_then(Option::take) {
            Some(worker) => worker,
            None => Worker::new(self.workspace()?),
        };
        let unsure = self.homes.iter().filter(|(_, home)| home.is_unsure()).map(|(id, _)| *id);
        let view = View {
            stories: self.homes.iter().map(|(id, home)| (*id, &home.story)).collect(),
            unsure: unsure.collect(),
            token: worker.token(act.task),
            work: worker.work(run),
            now: self.clock.now(),
        };
        let expect = predict(&view, act);
        let home = if matches!(act.what, What::TaskStatus) { HomeId::task(act.task) } else { run };
        let story = self.homes.get(&home).map(|home| &home.story);
        let outside = self.outside();
        std::fs::create_dir_all(&outside)?;

        let other = Other::default();
        let deed = match act.trouble {
            Some(Trouble::Meanwhile { .. }) => Some(other.deed(self.workspace()?, act)),
            _ => None,
        };
        self.saboteur.arm(act.trouble, deed);
        let answer = worker.perform(act, story, &outside);
        let dies = matches!(act.trouble, Some(Trouble::Die { .. })) && self.saboteur.has_fired();
        if dies {
            drop(worker);
        } else if let Some(place) = self.workers.get_mut(act.worker) {
            *place = Some(worker);
        }
        let fired = self.saboteur.disarm();
        self.tally.acts += 1;
        self.tally.deaths += u64::from(dies);
        self.tally.faults += u64::from(fired && !dies);
        self.tally.races += u64::from(other.answer().is_some());
        if fired && answer.is_err() {
            // A failed sync stops all writers of a journal that a process has; they are to be dropped.
            self.workers.iter_mut().flatten().for_each(Worker::drop_writers);
        }
        self.judge(act, &expect, &answer, fired, other.answer())?;
        if fired { check::all(self).map_err(|found| found.at("looked at")) } else { Ok(()) }
    }

    fn judge(
        &mut self,
        act: &Act,
        expect: &Expect,
        answer: &Result<(), Refusal>,
        fired: bool,
        other: Option<bool>,
    ) -> Outcome {
        if let Err(Refusal(why)) = answer {
            ensure(!why.starts_with("WRONG"), || why.clone())?;
        }
        let is_right = match (&expect.answer, answer) {
            (Answer::Any, _) | (Answer::Done, Ok(())) => true,
            (Answer::Done, Err(_)) => fired,
            (Answer::Refused(_), Ok(())) => false,
            (Answer::Refused(names), Err(Refusal(why))) => {
                fired || names.iter().any(|name| why.contains(name))
            }
        };
        ensure(is_right, || {
            format!("it answered {answer:?}, and {:?} was expected", expect.answer)
        })?;
        let in_doubt = fired || expect.answer == Answer::Any;
        let whole = answer.is_ok() || !in_doubt;
        let run = HomeId::run(act.task, act.run);
        let now = self.read()?;
        for id in self.homes.keys() {
            ensure(now.iter().any(|(there, _)| there == id), || format!("{} is gone", id.path()))?;
        }
        for (id, records) in now {
            let home = self.homes.entry(id).or_default();
            let new = goes_on(&home.records, &records).map_err(|found| found.at(id.path()))?;
            let (others, own): (Vec<_>, Vec<_>) =
                new.iter().cloned().partition(|record| is_others(record, act));
            if id == run {
                let right = others.len() == usize::from(other == Some(true));
                ensure(right, || format!("{}: somebody's append answered {other:?}", id.path()))?;
            }
            expect.check(id, &own, whole)?;
            if !new.is_empty() {
                home.story = Story::of(&records);
                home.records = records;
            }
            if answer.is_ok() && expect.durable.contains(&id) {
                home.settled = home.records.len();
                home.told = true;
            }
            if id == run {
                home.wrote(expect, answer.is_ok(), in_doubt);
            }
        }
        if whole && answer.is_ok() {
            for (id, group) in &expect.groups {
                let there = self.homes.contains_key(id) || group.is_empty();
                ensure(there, || format!("{} is not there", id.path()))?;
            }
        }
        Ok(())
    }

    /// What is no call of the library.
    fn calm(&mut self, act: &Act) -> Outcome {
        let id = HomeId::run(act.task, act.run);
        let head = self.root.join(id.path()).join("journal/.head");
        match &act.what {
            What::NewWorker => {
                if let Some(place) = self.workers.get_mut(act.worker) {
                    *place = None;
                }
            }
            What::Clock { minutes } => self.clock.advance(minutes * 60_000_000),
            // What is written in place, the disk's model need not know: a head may be anything.
            What::LoseHead if head.exists() => std::fs::write(head, b"")?,
            What::KeepHead if head.exists() => {
                self.heads.insert(id, std::fs::read(head)?);
            }
            What::OldHead if head.exists() => {
                if let Some(old) = self.heads.get(&id) {
                    std::fs::write(head, old)?;
                }
            }
            What::LoseIndex if self.outside().join("index").exists() => {
                std::fs::remove_dir_all(self.outside().join("index"))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The power was cut, and this is what is on the disk.
    ///
    /// # Errors
    /// Where it is not what was promised.
    pub(super) fn power_cut(&mut self, image: &Image) -> Outcome {
        self.workers.iter_mut().for_each(|worker| *worker = None);
        self.heads.clear();
        self.cuts += 1;
        self.tally.cuts += 1;
        self.root = self.dir.join(format!("cut-{}", self.cuts));
        std::fs::create_dir(&self.root)?;
        image.write_to(&self.root)?;
        check::after_a_power_cut(self)?;
        check::all(self)
    }

    /// Takes the journals as they are, behind what was known of them.
    ///
    /// # Errors
    /// Where they are not what was known, and perhaps more.
    pub(super) fn take_in(&mut self) -> Outcome {
        for (id, records) in self.read()? {
            let home = self.homes.entry(id).or_default();
            goes_on(&home.records, &records).map_err(|found| found.at(id.path()))?;
            home.story = Story::of(&records);
            home.records = records;
        }
        Ok(())
    }
}

impl Home {
    pub(super) fn is_unsure(&self) -> bool {
        self.damaged || self.files.values().any(|sure| *sure == Sure::Lost)
    }

    fn wrote(&mut self, expect: &Expect, done: bool, in_doubt: bool) {
        for (path, durable) in &expect.writes {
            let sure = match (done, in_doubt) {
                (true, _) if *durable => Sure::Kept,
                (true, _) => Sure::Open,
                (false, false) => continue,
                (false, true) if self.files.get(path) == Some(&Sure::Lost) => Sure::Lost,
                (false, true) => Sure::Open,
            };
            self.files.insert(path.clone(), sure);
        }
    }
}

/// The records behind those that were known.
fn goes_on<'a>(known: &[RawRecord], now: &'a [RawRecord]) -> Outcome<&'a [RawRecord]> {
    for (at, known) in known.iter().enumerate() {
        let same = now.get(at).is_some_and(|now| now.text("hash") == known.text("hash"));
        ensure(same, || format!("the record {} is lost", super::expect::in_short(known)))?;
    }
    let new = now.get(known.len()..).ok_or_else(|| Violation::new("records are lost"))?;
    let last = known.last().map_or(0, RawRecord::seq);
    for (record, seq) in new.iter().zip(last + 1..) {
        ensure(record.seq() == seq, || format!("seq {} stands in place {seq}", record.seq()))?;
    }
    Ok(new)
}
