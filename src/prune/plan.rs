//! The plan: what would go, what stays though it is old enough, and why.

use camino::Utf8PathBuf;
use serde::Serialize;

use super::keep::{Keep, KeptRun, Trouble};
use super::leftover::{self, Leftover};
use super::look::{self, Looked, PrunableRun};
use super::{PruneError, PrunePolicy};
use crate::clock::Timestamp;
use crate::finding::Severity;
use crate::id::{RunId, TaskId};
use crate::io::Dir;
use crate::layout::{self, HomeId};
use crate::workspace::{RunWords, Subject, Task, holder};

/// What to look through, and for how long what is kept.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let workspace = runjournal::Workspace::open_or_create(&root)?;
/// use runjournal::{Prune, PrunePolicy};
///
/// let plan = Prune::of(&workspace).policy(PrunePolicy::default()).plan()?;
/// for run in &plan.runs {
///     println!("{}/{}: {}", run.task, run.run, run.reason);
/// }
/// let pruned = plan.apply()?;
/// assert!(pruned.kept.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is looked at before `plan`"]
pub struct Prune {
    subject: Subject,
    policy: PrunePolicy,
}

impl Prune {
    /// Of a workspace with its trash, a task, or a run alone; as the [default policy](PrunePolicy) has it.
    pub fn of(subject: impl Into<Subject>) -> Self {
        Self { subject: subject.into(), policy: PrunePolicy::default() }
    }

    /// For how long what is kept.
    pub fn policy(mut self, policy: PrunePolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Looks through the tree, by the clock of the workspace, and says what would go. It takes no lock, writes
    /// nothing, and asks no index; of most runs it reads the last record alone. In memory it holds what it
    /// tells, and the journal's word on holds and removals of one task.
    ///
    /// # Errors
    /// Where the workspace's root cannot be read. A task or a run that cannot be read is kept, with the reason.
    pub fn plan(&self) -> Result<PrunePlan, PruneError> {
        let Self { subject, policy } = self;
        let now = subject.now();
        let mut plan = PrunePlan {
            subject: subject.clone(),
            policy: *policy,
            runs: Vec::new(),
            kept: Vec::new(),
            leftovers: Vec::new(),
        };
        for id in subject.tasks()? {
            if let Err(error) = plan.look_through(&id, now)
                && !error.is_gone()
            {
                plan.kept.push(KeptRun { task: id, run: None, why: Keep::because(&error) });
            }
        }
        if subject.scope().task.is_none() {
            let trash = leftover::trash(&Dir::open_root(subject.root())?);
            // One that cannot be read now is found by the next plan.
            plan.leftovers.extend(trash.unwrap_or_default());
        }
        Ok(plan)
    }
}

/// What a prune would do; nothing is changed before it is [applied](PrunePlan::apply).
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
#[must_use = "a plan changes nothing until it is applied"]
pub struct PrunePlan {
    /// Runs that would go, by task and run.
    pub runs: Vec<PrunableRun>,
    /// Runs that are old enough and stay.
    pub kept: Vec<KeptRun>,
    /// What nobody names any more.
    pub leftovers: Vec<Leftover>,
    #[serde(skip)]
    pub(super) subject: Subject,
    #[serde(skip)]
    pub(super) policy: PrunePolicy,
}

impl PrunePlan {
    /// True if there is nothing to remove.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.leftovers.is_empty()
    }

    /// Bytes of the files that would go.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let runs = self.runs.iter().map(|run| run.bytes);
        runs.chain(self.leftovers.iter().map(|leftover| leftover.bytes)).sum()
    }

    fn look_through(&mut self, id: &TaskId, now: Timestamp) -> Result<(), Trouble> {
        let task = self.subject.task(id)?;
        let words = match words(&task)? {
            Ok(words) => words,
            Err(reason) => {
                let why = Keep::Damaged { reason };
                self.kept.push(KeptRun { task: id.clone(), run: None, why });
                return Ok(());
            }
        };
        let busy = Busy::of(&task)?;
        let scope = self.subject.scope().clone();
        if scope.covers(id, None) {
            let mine = leftover::parts(&task.home(), &self.policy, now)?;
            self.leftovers.extend(mine.into_iter().map(|part| placed(&task, None, part)));
        }
        for run in task.runs()?.into_iter().filter(|run| scope.covers(id, Some(run))) {
            let held = words.hold(&run).map(|hold| Keep::Held { reason: hold.reason.clone() });
            let keeps = |is_open| held.or_else(|| busy.keeps(is_open));
            let pruned = words.pruned(&run).map(|pruned| pruned.event_id);
            match look::look(&task, &run, &self.policy, now, pruned, keeps) {
                Ok(Looked::Prunable(prunable)) => {
                    self.runs.push(*prunable);
                    continue;
                }
                Ok(Looked::Young) => {}
                Ok(Looked::Kept(why)) => self.keep(id, &run, why),
                Err(error) if error.is_gone() => continue,
                Err(error) => {
                    self.keep(id, &run, Keep::because(&error));
                    continue;
                }
            }
            let home = task.context(&run).home();
            let theirs = leftover::parts(&home, &self.policy, now).unwrap_or_default();
            self.leftovers.extend(theirs.into_iter().map(|part| placed(&task, Some(&run), part)));
        }
        Ok(())
    }

    fn keep(&mut self, task: &TaskId, run: &RunId, why: Keep) {
        self.kept.push(KeptRun { task: task.clone(), run: Some(run.clone()), why });
    }
}

fn placed(task: &Task, run: Option<&RunId>, part: leftover::Part) -> Leftover {
    let home = HomeId { task: task.id().clone(), run: run.cloned() }.to_string();
    Leftover {
        kind: part.kind,
        task: Some(task.id().clone()),
        run: run.cloned(),
        path: Utf8PathBuf::from(home).join(part.path),
        bytes: part.bytes,
    }
}

/// What a task's journal says of its runs; or why it cannot be believed: a hold may be in what is damaged.
fn words(task: &Task) -> Result<Result<RunWords, String>, Trouble> {
    let (mut words, mut events) = (RunWords::default(), task.events()?);
    for record in events.by_ref() {
        words.apply(&record?)?;
    }
    let wrong = events.findings().iter().find(|found| found.code.severity() == Severity::Error);
    Ok(match wrong {
        Some(wrong) => Err(format!("{} in the journal of the task: {}", wrong.code, wrong.reason)),
        None => Ok(words),
    })
}

/// Who works on the runs of a task that did not end.
pub(super) struct Busy {
    pub(super) worker: Option<String>,
    pub(super) flow: Option<String>,
}

impl Busy {
    fn of(task: &Task) -> Result<Self, Trouble> {
        let lease = task.lease()?.filter(crate::lease::LeaseState::is_live);
        Ok(Self { worker: lease.map(|lease| lease.worker), flow: flow(task)? })
    }

    /// Why a run stays, if it did not end. Who claimed the task is kept from nothing in runs that did.
    pub(super) fn keeps(&self, is_open: bool) -> Option<Keep> {
        if !is_open {
            return None;
        }
        let leased = self.worker.clone().map(|worker| Keep::Leased { worker });
        leased.or_else(|| self.flow.clone().map(|holder| Keep::Running { holder }))
    }
}

/// Who runs a flow in the task now.
pub(super) fn flow(task: &Task) -> Result<Option<String>, Trouble> {
    let lock = format!("{}/{}", layout::JOURNAL_DIR, layout::FLOW);
    Ok(holder(&Dir::open(&task.path())?, &lock)?)
}
