//! How a verify goes over a workspace, a task or a run: every home, and every long file, is a job.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8Path;

use super::causes::{self, Cause};
use super::checkpoint::newer;
use super::home::{self, Large, Looked};
use super::jobs::{self, Jobs};
use super::read_data::Choice;
use super::task::{self, LookedTask, TaskState};
use super::{ReadData, Verified, VerifyError, VerifyProgress};
use crate::clock::Timestamp;
use crate::finding::{Code, Finding};
use crate::genesis::{self, GenesisError, WorkspaceGenesis};
use crate::id::{RunId, TaskId};
use crate::io::Dir;
use crate::journal::{Home, Runtime};
use crate::layout::{self, FORMAT_VERSION};
use crate::manifest::Witness;

/// What others know of tasks and runs.
type Witnesses = BTreeMap<(TaskId, Option<RunId>), Vec<Witness>>;

/// A verify under way.
pub(super) struct Survey<'a> {
    root: &'a Utf8Path,
    runtime: &'a Runtime,
    choice: Choice,
    witnesses: &'a Witnesses,
    verified: Mutex<Verified>,
    causes: Mutex<Vec<Cause>>,
    /// When something that may have caused events was last seen to vanish.
    lost_at: Mutex<Option<Timestamp>>,
    done: AtomicU64,
    known: AtomicU64,
}

enum Job {
    Task(TaskId),
    Run(Arc<TaskState>, TaskId, RunId),
    Large(Large),
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        root: &'a Utf8Path,
        runtime: &'a Runtime,
        read_data: ReadData,
        seed: [u8; 16],
        witnesses: &'a Witnesses,
    ) -> Self {
        Self {
            root,
            runtime,
            choice: Choice::new(read_data, seed),
            witnesses,
            verified: Mutex::default(),
            causes: Mutex::default(),
            lost_at: Mutex::default(),
            done: AtomicU64::new(0),
            known: AtomicU64::new(0),
        }
    }

    /// A whole workspace.
    pub(super) fn workspace(
        self,
        root: &Dir,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<Verified, VerifyError> {
        let mut findings: Vec<Finding> = self.workspace_genesis(root)?.into_iter().collect();
        let mut tasks = task::ids::<TaskId>(root, "", layout::TASK, &mut findings)?;
        // One that only a witness has is missing.
        tasks.extend(self.witnesses.keys().map(|(task, _)| task.clone()));
        tasks.sort();
        tasks.dedup();
        // The last one is taken first.
        tasks.reverse();
        self.tell(Verified { findings, ..Verified::default() });
        Ok(self.go(tasks.into_iter().map(Job::Task).collect(), progress))
    }

    /// A task and its runs.
    pub(super) fn task(
        self,
        task: &TaskId,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<Verified, VerifyError> {
        let path = layout::task_dir(self.root, task);
        let verified = self.go(vec![Job::Task(task.clone())], progress);
        if verified.tasks == 0 { Err(VerifyError::NotThere { path }) } else { Ok(verified) }
    }

    /// A run alone.
    pub(super) fn run(
        self,
        task: &TaskId,
        run: &RunId,
        progress: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<Verified, VerifyError> {
        let path = layout::run_dir(self.root, task, run);
        let state = Arc::new(TaskState::unknown(layout::task_dir(self.root, task)));
        let verified = self.go(vec![Job::Run(state, task.clone(), run.clone())], progress);
        if verified.runs == 0 { Err(VerifyError::NotThere { path }) } else { Ok(verified) }
    }

    fn workspace_genesis(&self, root: &Dir) -> Result<Option<Finding>, VerifyError> {
        let path = root.path().join(layout::WORKSPACE);
        match genesis::read::<WorkspaceGenesis>(root) {
            Ok(read) if read.value.format_version > FORMAT_VERSION => {
                Ok(Some(newer(&path, read.value.format_version)))
            }
            Ok(_) => Ok(None),
            Err(GenesisError::Io(error)) if error.is_not_found() => {
                Err(VerifyError::NotThere { path: self.root.to_owned() })
            }
            Err(GenesisError::Damaged { reason, .. }) => {
                Ok(Some(Finding::whole(&path, Code::GenesisDamaged, reason)))
            }
            Err(GenesisError::Io(error)) => Ok(Some(super::places::unreadable(&error))),
            Err(error) => Ok(Some(Finding::whole(&path, Code::GenesisDamaged, error.to_string()))),
        }
    }

    fn go(self, first: Vec<Job>, progress: &mut dyn FnMut(&VerifyProgress)) -> Verified {
        self.known.fetch_add(first.len() as u64, Ordering::Relaxed);
        jobs::run(first, |job, more| self.work(job, more), &mut || progress(&self.progress()));
        let causes = self.causes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut verified = self.verified.into_inner().unwrap_or_else(PoisonError::into_inner);
        let lost_at = self.lost_at.into_inner().unwrap_or_else(PoisonError::into_inner);
        verified.findings.extend(causes::nowhere(self.root, self.runtime, causes, lost_at));
        verified
    }

    fn work(&self, job: Job, more: &Jobs<Job>) {
        match job {
            Job::Task(task) => self.look_at_task(task, more),
            Job::Run(state, task, run) => self.look_at_run(&state, task, run, more),
            Job::Large(large) => self.tell(large.look()),
        }
    }

    fn look_at_task(&self, task: TaskId, more: &Jobs<Job>) {
        let home = Home::of_task(self.root, &task, self.runtime);
        let witnesses = (task, None);
        let elsewhere = self.runs_elsewhere(&witnesses.0);
        let looked = task::look(&home, &self.choice, self.known_of(&witnesses), &elsewhere);
        self.done.fetch_add(1, Ordering::Relaxed);
        let Some(LookedTask { mut looked, state, runs }) = looked else {
            let known = self.known_of(&witnesses).iter().chain(elsewhere.into_values());
            let findings = known.take(1).map(|known| task::gone(home.dir(), known)).collect();
            self.tell(Verified { findings, ..Verified::default() });
            return self.is_lost(&home);
        };
        looked.verified.tasks = 1;
        self.known.fetch_add(runs.len() as u64, Ordering::Relaxed);
        let (task, state) = (witnesses.0, Arc::new(state));
        // The last one is taken first.
        let runs = runs.into_iter().rev();
        more.push(runs.map(|run| Job::Run(Arc::clone(&state), task.clone(), run)));
        self.take(looked, more);
    }

    fn look_at_run(&self, state: &TaskState, task: TaskId, run: RunId, more: &Jobs<Job>) {
        let home = Home::of_run(self.root, &task, &run, self.runtime);
        let key = (task, Some(run));
        let looked = home::look(&home, &self.choice, self.known_of(&key));
        self.done.fetch_add(1, Ordering::Relaxed);
        let said = looked.as_ref().and_then(|looked| looked.said.as_ref());
        let findings = state.looked_at(said).into_iter().collect();
        self.tell(Verified { findings, ..Verified::default() });
        let Some(mut looked) = looked else { return self.is_lost(&home) };
        looked.verified.runs = 1;
        self.take(looked, more);
    }

    fn known_of(&self, key: &(TaskId, Option<RunId>)) -> &[Witness] {
        self.witnesses.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The runs of a task that witnesses know, each with one of them.
    fn runs_elsewhere(&self, task: &TaskId) -> BTreeMap<RunId, &Witness> {
        let of_task = self.witnesses.range((task.clone(), None)..);
        let of_task = of_task.take_while(|((id, _), _)| id == task);
        let of_task = of_task.filter_map(|((_, run), known)| Some((run.clone()?, known.last()?)));
        of_task.collect()
    }

    /// It was there when it was listed. What stands still, and is nothing, was never more.
    fn is_lost(&self, home: &Home) {
        if Dir::open(home.dir()).is_err() {
            let now = Some(self.runtime.clock.now());
            let mut lost_at = self.lost_at.lock().unwrap_or_else(PoisonError::into_inner);
            *lost_at = now.max(*lost_at);
        }
    }

    fn take(&self, looked: Looked, more: &Jobs<Job>) {
        let Looked { verified, large, said } = looked;
        self.tell(verified);
        more.push(large.into_iter().map(Job::Large));
        if let Some(said) = said {
            let mut causes = self.causes.lock().unwrap_or_else(PoisonError::into_inner);
            causes.extend(said.causes);
        }
    }

    fn tell(&self, more: Verified) {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).add(more);
    }

    fn progress(&self) -> VerifyProgress {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        VerifyProgress {
            done: self.done.load(Ordering::Relaxed),
            known: self.known.load(Ordering::Relaxed),
            records: verified.records,
            bytes: verified.bytes,
            findings: verified.findings.len() as u64,
        }
    }
}
