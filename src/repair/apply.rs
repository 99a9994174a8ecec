//! The application of a plan, and what came of it.

use serde::Serialize;
use serde_json::json;

use super::close_off::close_off;
use super::mend::{Left, Means, Mend};
use super::plan::RepairPlan;
use super::quarantine::Quarantine;
use super::site::{Site, Spot};
use super::{RepairError, genesis, put_back};
use crate::artifact::HomeWriter;
use crate::finding::Code;
use crate::id::EventId;
use crate::io::Dir;
use crate::journal::{Durability, Event, Home, types};

/// What a repair did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Repaired {
    /// What was mended.
    pub done: Vec<Mend>,
    /// What was not, though it was planned.
    pub failed: Vec<NotMended>,
    /// What was left from the start.
    pub left: Vec<Left>,
}

/// Something that was planned and not mended. Nothing is lost: what was set aside is in `.quarantine/`.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotMended {
    /// What was to be mended.
    pub mend: Mend,
    /// Why it was not.
    pub error: RepairError,
}

impl RepairPlan {
    /// Does it: run by run, each thing looked at again under the run's lock, so what was put right meanwhile
    /// is left alone. Durable. What fails does not keep the rest from being mended.
    ///
    /// Before anything of a run or a task is moved, its task's journal tells what is going to be done
    /// (`repair_started`); what could not be done is told here, and the next plan has it. Damage at a journal's end is
    /// closed off by a record of that very journal (`run_repaired`, `task_repaired`). A crash leaves each thing as it
    /// was, set aside, or mended; the same repair planned again goes on from there. Once a plan is empty, there is
    /// nothing to repair; what a damaged genesis file hides shows when it is back, in the next plan.
    #[must_use = "what failed is told here"]
    pub fn apply(self) -> Repaired {
        let mut repaired = Repaired { done: Vec::new(), failed: Vec::new(), left: self.left };
        // A task before its runs: its journal is told of theirs.
        let mut mends = self.mends;
        mends.sort_by_key(|mend| self.site.spot(&mend.finding.place.path).map(|spot| spot.home));
        let mut mends = mends.into_iter().peekable();
        while let Some(first) = mends.next() {
            let Some(spot) = self.site.spot(&first.finding.place.path) else {
                continue;
            };
            let mut group = vec![first];
            let same = |mend: &Mend| {
                let other = self.site.spot(&mend.finding.place.path);
                other.is_some_and(|other| other.home == spot.home)
            };
            while let Some(next) = mends.next_if(same) {
                group.push(next);
            }
            self.site.apply(&spot, group, &mut repaired);
        }
        repaired
    }
}

impl Site {
    /// Mends what is wrong with one run, or with what is a task's own.
    fn apply(&self, spot: &Spot, group: Vec<Mend>, repaired: &mut Repaired) {
        let (ends, mut files): (Vec<_>, Vec<_>) =
            group.into_iter().partition(|mend| mend.means == Means::CloseOff);
        // Without a genesis file nothing else can be opened; then what is in the way of the others.
        files.sort_by_key(|mend| {
            let is_start = mend.finding.code == Code::GenesisDamaged;
            (!is_start, mend.means != Means::SetAside)
        });
        // First, so that the journal takes what the others append.
        for mend in ends {
            let done = close_off(&self.home(spot)).map(drop).map_err(RepairError::from);
            repaired.took(mend, done);
        }
        if files.is_empty() {
            return;
        }
        match self.begin(spot, &files) {
            Ok(dir_and_id) => {
                let (dir, id) = &dir_and_id;
                let aside = Quarantine::new(dir, *id);
                for mend in files {
                    let done = self.mend(&mend, &aside);
                    repaired.took(mend, done);
                }
            }
            Err(error) => repaired.none_of(files, error),
        }
    }

    /// Tells the task's journal what is going to be done, and leaves the note beside what will be set aside.
    fn begin(&self, spot: &Spot, mends: &[Mend]) -> Result<(Dir, EventId), RepairError> {
        // What is gone is not told of.
        let dir = Dir::open(self.home(spot).dir())?;
        let id = self.new_id();
        self.tell(spot, mends, id)?;
        if mends.iter().any(|mend| mend.means != Means::Adopt) {
            Quarantine::new(&dir, id).note(mends)?;
        }
        Ok((dir, id))
    }

    fn tell(&self, spot: &Spot, mends: &[Mend], id: EventId) -> Result<(), RepairError> {
        let told: Vec<_> = mends.iter().map(|mend| told(&self.home(spot), mend)).collect();
        let event = Event::new(types::REPAIR_STARTED).payload(&json!({ "mends": told })).id(id);
        let event = match &spot.home.run {
            Some(run) => event.stream("run", run.as_str()),
            None => event,
        };
        let writer = match genesis::lost(spot, mends) {
            Some(digest) => genesis::writer(self, self.home(spot).of_its_task(), digest)?,
            None => HomeWriter::new(self.home(spot).of_its_task()),
        };
        writer.decide(Durability::Durable, |locked| {
            locked.append_unfenced(std::slice::from_ref(&event)).map(drop)
        })?;
        Ok(())
    }

    fn mend(&self, mend: &Mend, aside: &Quarantine<'_>) -> Result<(), RepairError> {
        let spot = self.spot(&mend.finding.place.path);
        let moved_on = || RepairError::MovedOn {
            path: mend.finding.place.path.clone(),
            reason: "it is not in a run or a task any more".to_owned(),
        };
        let spot = spot.ok_or_else(moved_on)?;
        put_back::mend(self, &spot, mend, aside)
    }
}

/// What the journal is told: the path relative to the run or the task.
#[derive(Serialize)]
struct Told<'a> {
    code: String,
    path: &'a str,
    reason: &'a str,
    #[serde(flatten)]
    means: &'a Means,
}

fn told<'a>(home: &Home, mend: &'a Mend) -> Told<'a> {
    let path = &mend.finding.place.path;
    Told {
        code: mend.finding.code.to_string(),
        path: path.strip_prefix(home.dir()).map_or(path.as_str(), |below| below.as_str()),
        reason: &mend.finding.reason,
        means: &mend.means,
    }
}

impl Repaired {
    fn took(&mut self, mend: Mend, done: Result<(), RepairError>) {
        match done {
            Ok(()) => self.done.push(mend),
            Err(error) => self.failed.push(NotMended { mend, error }),
        }
    }

    /// What kept one thing from being mended kept the others of the group from it as well.
    fn none_of(&mut self, mends: Vec<Mend>, error: RepairError) {
        let words = error.to_string();
        let mut error = Some(error);
        for mend in mends {
            let path = mend.finding.place.path.clone();
            let again = || RepairError::NotBegun { path, reason: words.clone() };
            let error = error.take().unwrap_or_else(again);
            self.failed.push(NotMended { mend, error });
        }
    }
}
