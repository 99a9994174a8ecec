//! A run as lists show it, and a closer look at one.

use std::collections::BTreeMap;
use std::time::Duration;

use runjournal::{
    Finding, Glance, Hold, JournalError, Run, RunContext, RunId, RunState, RunStatus, Task, TaskId,
    Timestamp, WorkspaceError,
};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;

/// A run in a list. One that cannot be read is listed as well, with the reason.
#[derive(Serialize)]
pub(crate) struct RunLine {
    pub(crate) run: String,
    pub(crate) task_id: TaskId,
    pub(crate) run_id: RunId,
    /// `None` if it cannot be read.
    pub(crate) status: Option<RunStatus>,
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
    fn of(
        task: &Task,
        run_id: RunId,
        held: Option<Hold>,
        read: Result<Glance, WorkspaceError>,
    ) -> Self {
        let mut line = Self {
            run: format!("{}/{run_id}", task.id()),
            task_id: task.id().clone(),
            run_id,
            status: None,
            last_seq: 0,
            last_type: None,
            last_at: None,
            steps_open: Vec::new(),
            findings: Vec::new(),
            held,
            error: None,
        };
        match read {
            Ok(glance) => {
                line.status = Some(glance.status);
                line.last_seq = glance.last_seq;
                line.last_at = glance.last_type.is_some().then_some(glance.last_at);
                line.last_type = glance.last_type;
                line.steps_open = glance.open_steps.into_iter().map(|open| open.step).collect();
                line.findings = glance.findings;
            }
            Err(error) => line.error = Some(CliError::from(error).in_one_line()),
        }
        line
    }
}

/// The runs of a task.
pub(crate) fn lines_of(task: &Task) -> Result<Vec<RunLine>, CliError> {
    let runs = Glance::all(task)?;
    // A task's journal that cannot be read must not hide its runs.
    let holds = task.holds().unwrap_or_default();
    let mut holds: BTreeMap<_, _> =
        holds.into_iter().map(|hold| (hold.run.clone(), hold)).collect();
    let line = |(run, read): (RunId, _)| {
        let held = holds.remove(&run);
        RunLine::of(task, run, held, read)
    };
    Ok(runs.into_iter().map(line).collect())
}

/// `1` where one cannot be read.
pub(crate) fn exit_of(lines: &[RunLine]) -> Exit {
    if lines.iter().any(|line| line.error.is_some()) { Exit::Findings } else { Exit::Fine }
}

/// The runs in aligned columns, and below one that cannot be read, why.
pub(crate) fn table(lines: &[RunLine], output: &mut Output) -> Result<(), CliError> {
    let head = ["RUN", "STATUS", "EVENTS", "LAST", "LAST EVENT", "OPEN STEPS"].map(str::to_owned);
    let rows = lines.iter().map(|line| {
        let status = line.status.map_or_else(|| "UNREADABLE".to_owned(), |s| s.to_string());
        let held = if line.held.is_some() { " (held)" } else { "" };
        [
            line.run.clone(),
            format!("{status}{held}"),
            line.last_seq.to_string(),
            line.last_at.map(|at| output.ago(at)).unwrap_or_default(),
            line.last_type.clone().unwrap_or_default(),
            line.steps_open.join(", "),
        ]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let why: Vec<_> = lines.iter().map(|line| line.error.clone().unwrap_or_default()).collect();
    output.annotated(&rows, &why)
}

/// What the run's journal says, what in it does not count, and what was committed and cannot be put in place.
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
