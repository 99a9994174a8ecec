//! A run: its state, and its end.

use super::{Completion, WorkspaceError};
use crate::artifact::HomeLog;
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::finding::Finding;
use crate::genesis::{self, GenesisError, RunGenesis};
use crate::io::Dir;
use crate::journal::{Appended, Cursor, Event, JournalError, LockedLog, Record, types};
use crate::manifest::Draft;
use crate::status::{Completed, Counts, Moved, Outcome, RunStatus};

/// A run that exists: where it is, and what its journal says of its state.
#[derive(Debug, Clone)]
pub struct Run {
    context: RunContext,
    genesis: RunGenesis,
}

/// What a run's journal says of its state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RunState {
    /// Its status.
    pub status: RunStatus,
    /// Why it ended, where somebody said so.
    pub reason: Option<String>,
    /// How many records count.
    pub records: u64,
    /// The seq of the last one.
    pub last_seq: u64,
    /// When the last one was appended.
    pub last_at: Option<Timestamp>,
    /// The type of the last one.
    pub last_type: Option<String>,
    /// Steps that completed.
    pub steps_completed: u64,
    /// Attempts of steps that failed.
    pub steps_failed: u64,
    /// Steps that started and did not end.
    pub steps_open: Vec<String>,
    /// What in the journal does not count, with its place. Only [`Run::state`] tells.
    pub findings: Vec<Finding>,
}

impl RunState {
    /// Takes in the next counted record.
    pub(crate) fn apply(&mut self, record: &Record) -> Result<(), JournalError> {
        self.records += 1;
        self.last_seq = record.seq();
        self.last_at = Some(record.occurred_at());
        self.last_type = Some(record.event_type().to_owned());
        let step = record.stream_id();
        match record.event_type() {
            types::RUN_STATUS_CHANGED => {
                self.status = record.payload::<Moved>()?.to;
            }
            types::EXECUTION_COMPLETE => {
                let completed: Completed = record.payload()?;
                self.status = completed.status.into();
                self.reason = completed.reason;
            }
            types::STEP_STARTED if !self.steps_open.iter().any(|open| open == step) => {
                self.steps_open.push(step.to_owned());
            }
            types::STEP_COMPLETED => {
                self.steps_completed += 1;
                self.steps_open.retain(|open| open != step);
            }
            types::STEP_FAILED => {
                self.steps_failed += 1;
                self.steps_open.retain(|open| open != step);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Run {
    pub(super) fn open(context: RunContext) -> Result<Self, WorkspaceError> {
        let not_found = || WorkspaceError::RunNotFound {
            task: context.task_id().clone(),
            run: context.run_id().clone(),
        };
        let read = Dir::open(&context.run_path())
            .map_err(GenesisError::from)
            .and_then(|dir| genesis::read::<RunGenesis>(&dir));
        match read {
            Ok(read) => Ok(Self { context, genesis: read.value }),
            Err(GenesisError::Io(error)) if error.is_not_found() => Err(not_found()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the run is: what its nodes are handed.
    #[must_use]
    pub fn context(&self) -> &RunContext {
        &self.context
    }

    /// What `run.json` says.
    #[must_use]
    pub fn genesis(&self) -> &RunGenesis {
        &self.genesis
    }

    /// Its state, from its events, and what in the journal does not count: one reading, no lock.
    ///
    /// # Errors
    /// Where the run's journal cannot be read.
    pub fn state(&self) -> Result<RunState, WorkspaceError> {
        Ok(self.read(|_| {})?.0)
    }

    /// Its state, and the place behind the last record of it; somebody else sees the records as well.
    fn read(
        &self,
        mut see: impl FnMut(&Record),
    ) -> Result<(RunState, Option<Cursor>), JournalError> {
        let (mut state, mut cursor) = (RunState::default(), None);
        let mut events = self.context.events()?;
        for record in events.by_ref() {
            let record = record?;
            see(&record);
            state.apply(&record)?;
            cursor = Some(record.cursor());
        }
        state.findings = events.findings().to_vec();
        Ok((state, cursor))
    }

    /// Moves the run to another state that is not final; durable.
    ///
    /// # Errors
    /// [`WorkspaceError::IllegalRunMove`] where there is no such move; final states are reached by
    /// [`complete`](Run::complete).
    pub fn set_status(&self, to: RunStatus, reason: Option<&str>) -> Result<(), WorkspaceError> {
        let mut log = HomeLog::open(&self.context.home())?;
        let mut locked = log.lock()?;
        match locked.check_admitted() {
            // What follows says more of it: it ended, and how.
            Err(JournalError::Closed { .. }) => {}
            other => other?,
        }
        let from = status(&mut locked)?;
        if to.is_final() || !from.next().contains(&to) {
            return Err(WorkspaceError::IllegalRunMove { from, to });
        }
        let reason = reason.map(str::to_owned);
        locked.append(std::slice::from_ref(&moved(from, to, reason)))?;
        Ok(locked.sync()?)
    }

    /// Ends the run: `execution_complete` is its last record, durable, exactly once however many
    /// call. A run that is still in `PLANNING` moves on to `EXECUTING` before it succeeds.
    ///
    /// It leaves the run's [`Manifest`](crate::Manifest). That is derived: where it cannot be written, on
    /// a full disk or by a crash in between, the run is complete all the same, and the same call again, or
    /// [`Manifest::write`](crate::Manifest::write), writes it.
    ///
    /// # Errors
    /// [`WorkspaceError::EndedOtherwise`] where it ended otherwise before;
    /// [`WorkspaceError::StepsOpen`] where it is to succeed and a step has not ended;
    /// [`WorkspaceError::NotApplied`] while a committed artifact cannot be put in place.
    pub fn complete(
        &self,
        outcome: Outcome,
        reason: Option<&str>,
    ) -> Result<Appended, WorkspaceError> {
        self.complete_with(&Completion::new(outcome, reason))
    }

    /// The same, with a gate: a success can require reports that are there and pass. They are looked at
    /// under the journal's lock, right before the end is appended; where one does not pass, nothing is. A
    /// run that ended so before is not asked again.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
    /// # let task = runjournal::Workspace::open_or_create(&root)?
    /// #     .open_or_create_task("TASK-1", runjournal::TaskOptions::default())?;
    /// # let ctx = task.open_or_start_run("RUN-1")?;
    /// use runjournal::{Artifact, Completion, WorkspaceError};
    ///
    /// const REPORT: Artifact<serde_json::Value> = Artifact::json("verifier_report.json");
    ///
    /// let end = Completion::success().require(REPORT);
    /// let refused = ctx.run()?.complete_with(&end);
    /// assert!(matches!(refused, Err(WorkspaceError::NotPassed { .. })));
    /// ctx.artifacts().write(REPORT, &serde_json::json!({"status": "passed"}))?;
    /// ctx.run()?.complete_with(&end)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`WorkspaceError::NotPassed`] names each report and what is wrong with it; otherwise as
    /// [`complete`](Run::complete).
    pub fn complete_with(&self, completion: &Completion) -> Result<Appended, WorkspaceError> {
        let (outcome, reason) = (completion.outcome(), completion.reason());
        let mut log = HomeLog::open(&self.context.home())?;
        // Others write while a long journal is read; under the lock it is only what they added.
        let mut draft = Draft::default();
        let (state, cursor) = self.read(|record| draft.apply(record))?;
        let (mut locked, not_applied) = log.lock_with_findings()?;
        let state = brought_up(&mut locked, state, cursor, &mut draft)?;
        let mut completed = Completed {
            status: outcome,
            reason: reason.map(str::to_owned),
            counts: Counts {
                steps_completed: state.steps_completed,
                steps_failed: state.steps_failed,
            },
            required: Vec::new(),
        };
        let mut appended = match locked.duplicate_of(&[ended(&completed)]) {
            Err(JournalError::KeyConflict { .. }) if state.status.is_final() => {
                return Err(WorkspaceError::EndedOtherwise {
                    task: self.context.task_id().clone(),
                    run: self.context.run_id().clone(),
                    status: state.status,
                    reason: state.reason,
                });
            }
            other => other?,
        };
        if appended.is_none() {
            // Who lost the lease is told that, and not what the run lacks.
            locked.check_admitted()?;
            if outcome == Outcome::Success && !state.steps_open.is_empty() {
                return Err(WorkspaceError::StepsOpen {
                    task: self.context.task_id().clone(),
                    run: self.context.run_id().clone(),
                    steps: state.steps_open,
                });
            }
            if !not_applied.is_empty() {
                return Err(WorkspaceError::NotApplied { path: self.context.run_path() });
            }
            completed.required =
                completion.check(&mut locked)?.map_err(|reports| WorkspaceError::NotPassed {
                    task: self.context.task_id().clone(),
                    run: self.context.run_id().clone(),
                    reports,
                })?;
            let from = state.status;
            if from == RunStatus::Planning && outcome == Outcome::Success {
                let on = moved(from, RunStatus::Executing, None);
                locked.append(std::slice::from_ref(&on))?;
            }
            appended = Some(locked.append(&[ended(&completed)])?);
        }
        locked.sync()?;
        // The run is complete by now, whatever becomes of a page that can be made again.
        let _ = draft.leave(&self.context, &mut locked);
        let bad = || JournalError::Closed { path: self.context.journal_path() };
        Ok(appended.into_iter().flatten().next().ok_or_else(bad)?)
    }
}

/// The state with what was appended since it was read; read anew where the journal is another one by now.
fn brought_up(
    locked: &mut LockedLog<'_>,
    read: RunState,
    cursor: Option<Cursor>,
    draft: &mut Draft,
) -> Result<RunState, JournalError> {
    let (mut state, from) = match cursor {
        Some(cursor) if locked.fits(cursor)? => (read, Some(cursor)),
        _ => {
            *draft = Draft::default();
            (RunState::default(), None)
        }
    };
    locked.replay(from, &mut |record| {
        draft.apply(record);
        state.apply(record)
    })?;
    Ok(state)
}

/// The state that the journal's last word moved the run to.
fn status(locked: &mut LockedLog<'_>) -> Result<RunStatus, JournalError> {
    if let Some(record) = locked.last_of_type(types::EXECUTION_COMPLETE)? {
        return Ok(record.payload::<Completed>()?.status.into());
    }
    let last = locked.last_of_type(types::RUN_STATUS_CHANGED)?;
    last.map_or(Ok(RunStatus::default()), |record| Ok(record.payload::<Moved>()?.to))
}

fn ended(completed: &Completed) -> Event {
    Event::new(types::EXECUTION_COMPLETE).key("run:complete").payload(completed)
}

fn moved(from: RunStatus, to: RunStatus, reason: Option<String>) -> Event {
    Event::new(types::RUN_STATUS_CHANGED).payload(&Moved { from, to, reason })
}

impl RunContext {
    /// The run that this context stands in.
    ///
    /// # Errors
    /// [`WorkspaceError::RunNotFound`] where there is none.
    pub fn run(&self) -> Result<Run, WorkspaceError> {
        Run::open(self.clone())
    }
}
