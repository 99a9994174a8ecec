//! What a person asks first of a workspace: what lives, who holds what, what failed last and why.

use std::cmp::Reverse;
use std::convert::Infallible;

use camino::Utf8PathBuf;
use serde::Serialize;

use super::glance::{Glance, Sign};
use super::{Health, HealthLease, HealthTrouble, LockedJournal, RunsByStatus};
use crate::clock::Timestamp;
use crate::error::{IoError, in_one_line};
use crate::finding::Finding;
use crate::id::{RunId, TaskId};
use crate::io::{Dir, Kind};
use crate::journal::types;
use crate::layout;
use crate::lease::{LeaseError, LeaseState};
use crate::status::{RunStatus, TaskMoved, TaskStatus};
use crate::threads;
use crate::verify::traces;
use crate::workspace::{Hold, RunWords, Task, Workspace, WorkspaceError};

/// Of so many runs that failed, the newest, it is told why.
const FAILED_TOLD: usize = 5;

/// What a person asks first of a workspace, read from the tree and not from the index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Overview {
    /// How the workspace is as a whole, without its index.
    pub health: Health,
    /// The tasks, sorted by id.
    pub tasks: Vec<TaskOverview>,
    /// The runs that did not end, by their [`Sign`], then the newest first.
    pub open: Vec<OpenRun>,
    /// The newest of the runs that failed, at most five, the newest first.
    pub failed: Vec<Glance>,
}

/// A task in an [`Overview`].
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct TaskOverview {
    /// Its id.
    pub task_id: TaskId,
    /// Its state; `None` if it cannot be read.
    pub status: Option<TaskStatus>,
    /// One line for people.
    pub title: String,
    /// How many runs have which status.
    pub runs: RunsByStatus,
    /// Its runs that prune passes by.
    pub holds: Vec<Hold>,
    /// What does not count in its journal and in those of its runs, as far as they were read.
    pub findings: Vec<Finding>,
}

/// A run that did not end.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct OpenRun {
    /// What sign of life it gives.
    pub sign: Sign,
    /// What else there is to tell.
    #[serde(flatten)]
    pub run: Glance,
}

impl Overview {
    /// Looks at a workspace: the journals of its tasks, and each run at a [`Glance`], by as many threads as there are
    /// processors. It changes nothing and waits for nobody. A journal that is locked only while it is looked at is
    /// told too. Whether the journals of runs that ended are whole, only a verify tells.
    ///
    /// # Errors
    /// Where the root cannot be read. A task or a run that cannot be read is a trouble of its `health`.
    pub fn of(workspace: &Workspace) -> Result<Self, WorkspaceError> {
        Ok(Survey::of(workspace)?.finish(workspace.runtime().clock.now()))
    }
}

/// The page alone: nobody looks for why runs failed.
pub(super) fn health_of(workspace: &Workspace) -> Result<Health, WorkspaceError> {
    Ok(Survey::of(workspace)?.health)
}

/// What is looked at, and what was found so far.
#[derive(Default)]
struct Survey {
    health: Health,
    tasks: Vec<(TaskOverview, Option<Task>)>,
    items: Vec<Item>,
    /// By the task's place in the list.
    leased: Vec<usize>,
    open: Vec<(usize, Glance)>,
    failed: Vec<(Timestamp, usize, RunId)>,
}

/// One thing to look at: a task, or something below its `runs/`.
struct Item {
    task: usize,
    entry: Option<String>,
}

/// What was found of it.
enum Found {
    Nothing,
    Task(Box<TaskFound>),
    Ended(RunStatus, Timestamp, Vec<Finding>),
    Open(Box<Glance>, Option<LockedJournal>),
    /// A trouble, and whether it is that of a run.
    Trouble(HealthTrouble, bool),
}

struct TaskFound {
    status: TaskStatus,
    lease: Option<HealthLease>,
    locked: Option<LockedJournal>,
    holds: Vec<Hold>,
    findings: Vec<Finding>,
}

impl Survey {
    /// Looks at all tasks, and all of their runs.
    fn of(workspace: &Workspace) -> Result<Self, WorkspaceError> {
        let root = Dir::open_root(workspace.root())?;
        let mut survey = Survey { health: Health::begin(workspace, &root)?, ..Survey::default() };
        survey.note_nameless_tasks(&root);
        for id in workspace.tasks()? {
            survey.begin_task(workspace, id);
        }
        let items = std::mem::take(&mut survey.items);
        let Ok(found) =
            threads::each(threads::all(), &items, |item| Ok::<_, Infallible>(survey.look(item)));
        for (item, found) in items.iter().zip(found) {
            survey.take_in(item, found);
        }
        Ok(survey)
    }

    /// Tells of tasks that lost their genesis files, so that they are not among the tasks.
    fn note_nameless_tasks(&mut self, root: &Dir) {
        // What cannot be listed is told of by whoever looks into it.
        for (name, kind) in root.list("").unwrap_or_default() {
            if kind == Kind::Dir && !name.starts_with('.') {
                self.health.troubles.extend(nameless(root, "", &name, layout::TASK));
            }
        }
    }

    /// Lists what a task has. Its own journal is read with those of its runs.
    fn begin_task(&mut self, workspace: &Workspace, id: TaskId) {
        self.health.tasks += 1;
        let (number, mut title) = (self.tasks.len(), String::new());
        let listed = workspace.task(id.clone()).and_then(|task| {
            title.clone_from(&task.genesis().title);
            let runs = match Dir::open(&task.path())?.list(layout::RUNS) {
                Err(error) if error.is_not_found() => Vec::new(),
                other => other?,
            };
            Ok((task, runs))
        });
        let task = match listed {
            Ok((task, runs)) => {
                self.items.push(Item { task: number, entry: None });
                let runs = runs.into_iter();
                let runs = runs.filter(|(name, kind)| *kind == Kind::Dir && !name.starts_with('.'));
                let items = runs.map(|(name, _)| Item { task: number, entry: Some(name) });
                self.items.extend(items);
                Some(task)
            }
            Err(error) => {
                self.health.troubles.push(unreadable(id.as_str(), &error.into()));
                None
            }
        };
        let task_overview = TaskOverview {
            task_id: id,
            status: None,
            title,
            runs: RunsByStatus::default(),
            holds: Vec::new(),
            findings: Vec::new(),
        };
        self.tasks.push((task_overview, task));
    }

    fn look(&self, item: &Item) -> Found {
        let Some((_, Some(task))) = self.tasks.get(item.task) else { return Found::Nothing };
        let Some(name) = &item.entry else {
            return look_at_task(task).map_or_else(
                |error| Found::Trouble(unreadable(task.id().as_str(), &error), false),
                |found| Found::Task(Box::new(found)),
            );
        };
        let home = format!("{}/{}/{name}", task.id(), layout::RUNS);
        let looked = name.parse().ok().map(|run: RunId| look_at_run(task, &run, &home));
        if let Some(Ok(found)) = looked {
            return found;
        }
        let Ok(dir) = Dir::open(&task.path()) else { return Found::Nothing };
        let run = format!("{}/{name}/{}", layout::RUNS, layout::RUN);
        if dir.stat(&run).is_ok_and(|found| found.is_none()) {
            let prefix = format!("{}/{}/", task.id(), layout::RUNS);
            return nameless(&dir, &prefix, name, layout::RUN)
                .map_or(Found::Nothing, |trouble| Found::Trouble(trouble, false));
        }
        match looked {
            Some(Err(error)) => Found::Trouble(unreadable(&home, &error), true),
            _ => Found::Nothing,
        }
    }

    fn take_in(&mut self, item: &Item, found: Found) {
        let Some((task, _)) = self.tasks.get_mut(item.task) else { return };
        let health = &mut self.health;
        match found {
            Found::Nothing => {}
            Found::Task(found) => {
                if found.lease.as_ref().is_some_and(|lease| lease.live) {
                    self.leased.push(item.task);
                }
                health.holds += found.holds.len() as u64;
                health.leases.extend(found.lease);
                health.locked.extend(found.locked);
                task.status = Some(found.status);
                task.holds = found.holds;
                task.findings.extend(found.findings);
            }
            Found::Ended(status, at, findings) => {
                *health.runs.of(status) += 1;
                *task.runs.of(status) += 1;
                task.findings.extend(findings);
                let run = item.entry.as_ref().and_then(|name| name.parse().ok());
                if let (RunStatus::Failed, Some(run)) = (status, run) {
                    self.failed.push((at, item.task, run));
                }
            }
            Found::Open(mut glance, locked) => {
                *health.runs.of(glance.status) += 1;
                *task.runs.of(glance.status) += 1;
                health.locked.extend(locked);
                task.findings.append(&mut glance.findings);
                self.open.push((item.task, *glance));
            }
            Found::Trouble(trouble, is_run) => {
                health.runs.unreadable += u64::from(is_run);
                task.runs.unreadable += u64::from(is_run);
                health.troubles.push(trouble);
            }
        }
    }

    fn finish(mut self, now: Timestamp) -> Overview {
        let with_sign = |(task, run): (usize, Glance)| {
            let leased = self.leased.binary_search(&task).is_ok();
            run.sign(now, leased).map(|sign| OpenRun { sign, run })
        };
        let mut open: Vec<_> = self.open.into_iter().filter_map(with_sign).collect();
        open.sort_by_key(|open| (open.sign, Reverse(open.run.last_at)));
        self.failed.sort_by_key(|(at, ..)| Reverse(*at));
        // What came away since is not told.
        let failed = self.failed.iter().take(FAILED_TOLD).filter_map(|(_, task, run)| {
            let (_, task) = self.tasks.get(*task)?;
            Glance::of(task.as_ref()?, run).ok()
        });
        let failed = failed.collect();
        let tasks = self.tasks.into_iter().map(|(task, _)| task).collect();
        Overview { health: self.health, tasks, open, failed }
    }
}

/// What a task's own journal says, in one reading.
fn look_at_task(task: &Task) -> Result<TaskFound, LeaseError> {
    let home = task.id().as_str();
    let (mut words, mut lease, mut status) = (RunWords::default(), None, TaskStatus::default());
    let mut events = task.events()?;
    for record in events.by_ref() {
        let record = record?;
        words.apply(&record)?;
        if record.event_type() == types::TASK_STATUS_CHANGED {
            status = record.payload::<TaskMoved>()?.to;
        } else if record.aggregate_kind() == "lease" && record.stream_id() == home {
            lease = Some(record);
        }
    }
    let lease = lease.map(|record| LeaseState::of_record(task, &record)).transpose()?;
    Ok(TaskFound {
        status,
        lease: lease.filter(|lease| !lease.released).map(|lease| HealthLease {
            task: task.id().clone(),
            live: lease.is_live(),
            worker: lease.worker,
            expires_at: lease.expires_at,
        }),
        locked: locked(home, &Dir::open(&task.path())?)?,
        holds: words.into_holds().collect(),
        findings: events.findings().to_vec(),
    })
}

fn look_at_run(task: &Task, run: &RunId, home: &str) -> Result<Found, LeaseError> {
    let glance = Glance::quick(task, run)?;
    if glance.status.is_final() {
        return Ok(Found::Ended(glance.status, glance.last_at, glance.findings));
    }
    let locked = locked(home, &Dir::open(&task.context(run).run_path())?)?;
    Ok(Found::Open(Box::new(glance), locked))
}

/// Who has a journal locked now, if somebody does.
fn locked(home: &str, dir: &Dir) -> Result<Option<LockedJournal>, IoError> {
    let lock = match dir.open_lock_shared(layout::LOCK) {
        Err(error) if error.is_not_found() => return Ok(None),
        other => other?,
    };
    if lock.try_shared()? {
        lock.unlock();
        return Ok(None);
    }
    let path = Utf8PathBuf::from(home).join(layout::JOURNAL);
    Ok(Some(LockedJournal { path, holder: lock.holder() }))
}

/// The trouble of a task or a run that lost its genesis file; `below` is where the directory is, from the root.
fn nameless(dir: &Dir, below: &str, name: &str, genesis: &str) -> Option<HealthTrouble> {
    let home = if below.is_empty() { name.to_owned() } else { format!("{}/{name}", layout::RUNS) };
    let file = format!("{home}/{genesis}");
    dir.stat(&file).ok().filter(Option::is_none)?;
    let reason = traces(dir, &format!("{home}/"))?.to_owned();
    let path = Utf8PathBuf::from(format!("{below}{name}/{genesis}"));
    Some(HealthTrouble::Unreadable { path, reason })
}

fn unreadable(path: &str, error: &LeaseError) -> HealthTrouble {
    HealthTrouble::Unreadable { path: path.into(), reason: in_one_line(error) }
}
