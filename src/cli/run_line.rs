//! A run as lists show it, and how closely it is looked at.

use std::time::Duration;

use runjournal::{
    Finding, Hold, JournalError, Run, RunContext, RunId, RunState, RunStatus, Task, TaskId,
    Timestamp,
};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::output::{Output, exit_for};

/// A run in a list. One that cannot be read is listed as well, with the reason.
#[derive(Serialize)]
pub(crate) struct RunLine {
    pub(crate) run: String,
    pub(crate) task_id: TaskId,
    pub(crate) run_id: RunId,
    /// `None` if it cannot be read.
    pub(crate) status: Option<RunStatus>,
    pub(crate) records: u64,
    pub(crate) last_seq: u64,
    pub(crate) last_type: Option<String>,
    pub(crate) last_at: Option<Timestamp>,
    pub(crate) steps_open: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    /// That prune passes by it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<Hold>,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl RunLine {
    fn of(task: &Task, run_id: RunId, held: Option<Hold>, read: Reading) -> Self {
        let read = task.run(run_id.clone()).map_err(CliError::from).and_then(|run| read(&run));
        let (state, error) = match read {
            Ok(state) => (state, None),
            Err(error) => (RunState::default(), Some(error.in_one_line())),
        };
        Self {
            run: format!("{}/{run_id}", task.id()),
            task_id: task.id().clone(),
            run_id,
            status: error.is_none().then_some(state.status),
            records: state.records,
            last_seq: state.last_seq,
            last_type: state.last_type,
            last_at: state.last_at,
            steps_open: state.steps_open,
            findings: state.findings,
            held,
            error,
        }
    }

    /// How serious it is, as an exit code.
    pub(crate) fn exit(&self) -> Exit {
        if self.error.is_some() { Exit::Findings } else { exit_for(&self.findings) }
    }
}

/// How closely a run is looked at: [`state`] or [`look`].
type Reading = fn(&Run) -> Result<RunState, CliError>;

/// The runs of a task.
pub(crate) fn lines_of(task: &Task, read: Reading) -> Result<Vec<RunLine>, CliError> {
    let runs = task.runs()?;
    // A task's journal that cannot be read must not hide its runs.
    let mut holds = task.holds().unwrap_or_default();
    let mut held = |run: &RunId| {
        let at = holds.iter().position(|hold| hold.run == *run)?;
        Some(holds.swap_remove(at))
    };
    let line = |run: RunId| RunLine::of(task, run.clone(), held(&run), read);
    Ok(runs.into_iter().map(line).collect())
}

/// The runs in aligned columns.
pub(crate) fn table<'a>(
    lines: impl IntoIterator<Item = &'a RunLine>,
    output: &mut Output,
) -> Result<(), CliError> {
    let rows: Vec<_> = lines
        .into_iter()
        .map(|line| {
            let status = line.status.map_or_else(|| "UNREADABLE".to_owned(), |s| s.to_string());
            let held = if line.held.is_some() { " (held)" } else { "" };
            [
                line.run.clone(),
                format!("{status}{held}"),
                line.records.to_string(),
                line.last_at.map(|at| output.ago(at)).unwrap_or_default(),
                line.last_type.clone().unwrap_or_default(),
                line.steps_open.join(", "),
            ]
        })
        .collect();
    output.table(["RUN", "STATUS", "EVENTS", "LAST", "LAST EVENT", "OPEN STEPS"], &rows)
}

/// What the run's journal says, and what in it does not count.
pub(crate) fn state(run: &Run) -> Result<RunState, CliError> {
    Ok(run.state()?)
}

/// The same, and what was committed and cannot be put in place.
pub(crate) fn look(run: &Run) -> Result<RunState, CliError> {
    let mut state = run.state()?;
    if !state.status.is_final() {
        state.findings.extend(pending(run.context())?);
    }
    Ok(state)
}

/// What cannot be put in place. As every call does, this finishes what a crash left; where it may
/// not, or somebody is at it this moment, there is nothing to tell.
fn pending(context: &RunContext) -> Result<Vec<Finding>, CliError> {
    let patience = Duration::from_millis(200);
    match context.clone().with_lock_timeout(patience).catch_up() {
        Ok(findings) => Ok(findings),
        Err(JournalError::LockTimeout { .. } | JournalError::LeaseLost { .. }) => Ok(Vec::new()),
        Err(error) => match CliError::from(error) {
            error if error.exit() == Exit::ReadOnly => Ok(Vec::new()),
            error => Err(error),
        },
    }
}
