//! A run at a glance: whether it lives, what it waits for, and why it failed.

use serde::Serialize;

use crate::approval::Approvals;
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::finding::Finding;
use crate::id::{EventId, RunId, TaskId};
use crate::journal::{Events, Fold as _, JournalError, Record, types};
use crate::prune::PrunePolicy;
use crate::status::RunStatus;
use crate::step::{Failed, Started, who_runs};
use crate::threads;
use crate::workspace::{RunState, Task, WorkspaceError};

/// What can be told of a run without reading more than has to be: of one that ended, the end of its journal;
/// of one that did not, its journal, and whether the processes that run its steps are alive.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Glance {
    /// The task.
    pub task_id: TaskId,
    /// The run.
    pub run_id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// Why it ended, where somebody said so.
    pub reason: Option<String>,
    /// The seq of the last record.
    pub last_seq: u64,
    /// The type of the last record.
    pub last_type: Option<String>,
    /// When the last record was appended, or the run was made where there is none.
    pub last_at: Timestamp,
    /// Steps that started and did not end, as they started.
    pub open_steps: Vec<OpenStep>,
    /// What it asks people, and nobody answered yet.
    pub waits_for: Vec<Question>,
    /// The attempt that failed, where that is the last word on any step.
    pub failed_step: Option<FailedStep>,
    /// What in the part of the journal that was read does not count. An [`Overview`](super::Overview) has it with the task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// An attempt of a step that did not end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OpenStep {
    /// The step.
    pub step: String,
    /// The attempt, from 1; `None` where its record does not say.
    pub attempt: Option<u64>,
    /// When it started.
    pub since: Timestamp,
    /// The process that runs it; `None` if that is gone.
    pub runner: Option<String>,
    #[serde(skip)]
    started: EventId,
}

/// Something that a run asks people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Question {
    /// The id of the approval.
    pub approval: String,
    /// What is asked.
    pub question: String,
    /// When it was asked.
    pub since: Timestamp,
}

/// An attempt of a step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailedStep {
    /// The step.
    pub step: String,
    /// The attempt, from 1; `None` where its record does not say.
    pub attempt: Option<u64>,
    /// The error, without its causes.
    pub error: String,
    /// When it failed.
    pub at: Timestamp,
}

/// What sign of life a run gives that did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sign {
    /// It asks people something that nobody answered yet.
    Waiting,
    /// A process runs a step of it.
    Running,
    /// A step of it started and did not end, and the process that ran it is gone.
    Stopped,
    /// No step of it is open.
    Idle,
    /// Nothing was appended for [as long as prune waits](PrunePolicy::abandoned), nobody has a lease on its task
    /// that lasts, no step runs, and it waits for nobody.
    Abandoned,
}

impl std::fmt::Display for Sign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Idle => "idle",
            Self::Abandoned => "abandoned",
        })
    }
}

/// A run, and what came of the look at it.
type Looked = (RunId, Result<Glance, WorkspaceError>);

/// What the records that were read add up to.
#[derive(Default)]
struct Seen {
    state: RunState,
    open_steps: Vec<OpenStep>,
    failed_step: Option<FailedStep>,
    approvals: Approvals,
}

impl Seen {
    fn read(mut events: Events) -> Result<Self, JournalError> {
        let mut seen = Self::default();
        for record in events.by_ref() {
            seen.apply(&record?)?;
        }
        seen.state.findings = events.findings().to_vec();
        Ok(seen)
    }

    fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.state.apply(record)?;
        let step = record.stream_id();
        match record.event_type() {
            types::STEP_STARTED => {
                self.close(step);
                self.failed_step = None;
                self.open_steps.push(OpenStep::of(record));
            }
            types::STEP_COMPLETED => {
                self.close(step);
                self.failed_step = None;
            }
            types::STEP_FAILED => {
                self.close(step);
                self.failed_step = Some(FailedStep::of(record));
            }
            _ => self.approvals.apply(record)?,
        }
        Ok(())
    }

    fn close(&mut self, step: &str) {
        self.open_steps.retain(|open| open.step != step);
    }
}

impl OpenStep {
    fn of(record: &Record) -> Self {
        Self {
            step: record.stream_id().to_owned(),
            attempt: record.payload::<Started>().ok().map(|started| started.attempt),
            since: record.occurred_at(),
            runner: None,
            started: record.event_id(),
        }
    }
}

impl FailedStep {
    fn of(record: &Record) -> Self {
        let failed = record.payload::<Failed>().ok();
        Self {
            step: record.stream_id().to_owned(),
            attempt: failed.as_ref().map(|failed| failed.attempt),
            error: failed.and_then(|failed| failed.error.into_iter().next()).unwrap_or_default(),
            at: record.occurred_at(),
        }
    }
}

impl Glance {
    /// Looks at a run of a task. Takes no lock but, for a moment, a shared one on the liveness files of open
    /// steps; changes nothing.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn of(task: &Task, run: &RunId) -> Result<Self, WorkspaceError> {
        let glance = Self::quick(task, run)?;
        Ok(glance.with_failed_step(&task.context(run))?)
    }

    /// Looks at all runs of a task, sorted by id, with as many threads as there are processors. Of a long journal
    /// of a run that failed, it does not look for the step.
    ///
    /// # Errors
    /// Where the task's directory cannot be read. A run that cannot be read is among the answers.
    pub fn all(task: &Task) -> Result<Vec<Looked>, WorkspaceError> {
        let runs = task.runs()?;
        let look = |run: &RunId| Ok((run.clone(), Self::quick(task, run)));
        threads::each(threads::all(), &runs, look)
    }

    /// The same without looking back for the step that failed.
    pub(super) fn quick(task: &Task, run: &RunId) -> Result<Self, WorkspaceError> {
        let ctx = task.context(run);
        let mut events = ctx.events()?;
        if events.is_long_and_ends_with(types::EXECUTION_COMPLETE)? {
            let seen = Seen::read(events.last(1)?)?;
            if seen.state.status.is_final() {
                return Self::told(task, run, seen);
            }
            // What stands at the end does not count.
            events = ctx.events()?;
        }
        let mut glance = Self::told(task, run, Seen::read(events)?)?;
        for open in &mut glance.open_steps {
            open.runner = who_runs(&ctx, open.started)?;
        }
        Ok(glance)
    }

    fn told(task: &Task, run: &RunId, seen: Seen) -> Result<Self, WorkspaceError> {
        let questions = seen.approvals.all().into_iter();
        let state = seen.state;
        let last_at = match state.last_at {
            Some(at) => at,
            None => task.run(run.clone())?.genesis().created_at,
        };
        Ok(Self {
            task_id: task.id().clone(),
            run_id: run.clone(),
            status: state.status,
            reason: state.reason,
            last_seq: state.last_seq,
            last_type: state.last_type,
            last_at,
            open_steps: seen.open_steps,
            waits_for: questions
                .filter(|asked| !state.status.is_final() && asked.resolution.is_none())
                .map(|asked| Question {
                    approval: asked.id,
                    question: asked.question,
                    since: asked.requested_at,
                })
                .collect(),
            failed_step: seen.failed_step,
            findings: state.findings,
        })
    }

    /// Of a run that failed and has a long journal: the step that failed, if none ended after it.
    pub(super) fn with_failed_step(mut self, ctx: &RunContext) -> Result<Self, JournalError> {
        if self.status != RunStatus::Failed || self.failed_step.is_some() {
            return Ok(self);
        }
        let failed = ctx.events()?.of_type(types::STEP_FAILED).last(1)?.next().transpose()?;
        if let Some(failed) = failed {
            let mut later = ctx.events()?.from(failed.cursor())?;
            let is_last = later.by_ref().try_fold(true, |is_last, record| {
                let record = record?;
                let is_step = [types::STEP_STARTED, types::STEP_COMPLETED];
                Ok::<_, JournalError>(is_last && !is_step.contains(&record.event_type()))
            })?;
            self.failed_step = is_last.then(|| FailedStep::of(&failed));
        }
        Ok(self)
    }

    /// What sign of life it gives; `None` once it ended. `leased`: somebody has a lease on the task that lasts.
    #[must_use]
    pub fn sign(&self, now: Timestamp, leased: bool) -> Option<Sign> {
        let patience = PrunePolicy::default().abandoned.as_micros();
        let silent = now.as_microseconds().saturating_sub(self.last_at.as_microseconds());
        let is_old = u128::try_from(silent).is_ok_and(|silent| silent >= patience);
        Some(match () {
            () if self.status.is_final() => return None,
            () if !self.waits_for.is_empty() => Sign::Waiting,
            () if self.open_steps.iter().any(|step| step.runner.is_some()) => Sign::Running,
            () if is_old && !leased => Sign::Abandoned,
            () if !self.open_steps.is_empty() => Sign::Stopped,
            () => Sign::Idle,
        })
    }
}
