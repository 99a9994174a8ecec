//! The plan, and its application.

use camino::Utf8Path;
use serde::Serialize;
use serde_json::json;

use super::close_off::close_off;
use super::mend::{Left, Means, Mend};
use super::quarantine::Quarantine;
use super::{RepairError, genesis, put_back};
use crate::artifact::HomeWriter;
use crate::backup::Backup;
use crate::context::RunContext;
use crate::finding::Code;
use crate::id::EventId;
use crate::io::Dir;
use crate::journal::{Durability, Event, Home, types};
use crate::layout::HomeId;
use crate::workspace::Subject;

/// Where a repair works, in whose name, and with what backup.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) subject: Subject,
    pub(super) backup: Option<Backup>,
}

/// Where a finding is: in which run or task, and at which path from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) home: HomeId,
    pub(super) path: String,
}

impl Place {
    /// `None` for what is in no task.
    pub(super) fn spot(&self, path: &Utf8Path) -> Option<Spot> {
        let (home, path) = HomeId::of_path(self.subject.root(), path)?;
        Some(Spot { home, path: path.to_owned() })
    }

    /// The run, or the task, that a spot is in.
    pub(super) fn home(&self, spot: &Spot) -> Home {
        Home::of(self.subject.root(), spot.home.clone(), self.subject.runtime())
    }

    /// The run that a spot is in.
    pub(super) fn context(&self, spot: &Spot) -> Option<RunContext> {
        let HomeId { task, run } = &spot.home;
        let subject = &self.subject;
        let context = RunContext::new(subject.root(), task, run.as_ref()?, subject.runtime());
        Some(match subject.lease() {
            Some(lease) => context.with_lease(lease.clone()),
            None => context,
        })
    }

    pub(super) fn new_id(&self) -> EventId {
        self.subject.runtime().next_event_id()
    }
}

/// What a repair would do, and what it would leave. It changes nothing until it is applied.
#[derive(Debug, Clone)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct RepairPlan {
    pub(super) place: Place,
    pub(super) mends: Vec<Mend>,
    pub(super) left: Vec<Left>,
}

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
    /// What would be mended, sorted by path.
    #[must_use]
    pub fn mends(&self) -> &[Mend] {
        &self.mends
    }

    /// What would be left, sorted by path.
    #[must_use]
    pub fn left(&self) -> &[Left] {
        &self.left
    }

    /// True if nothing is to be mended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mends.is_empty()
    }

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
        mends.sort_by_key(|mend| self.place.spot(&mend.finding.place.path).map(|spot| spot.home));
        let mut mends = mends.into_iter().peekable();
        while let Some(first) = mends.next() {
            let Some(spot) = self.place.spot(&first.finding.place.path) else {
                continue;
            };
            let mut group = vec![first];
            let same = |mend: &Mend| {
                let other = self.place.spot(&mend.finding.place.path);
                other.is_some_and(|other| other.home == spot.home)
            };
            while let Some(next) = mends.next_if(same) {
                group.push(next);
            }
            self.place.apply(&spot, group, &mut repaired);
        }
        repaired
    }
}

impl Place {
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
