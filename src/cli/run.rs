//! `run`: starts, lists, shows and completes runs.

use clap::{Args, Subcommand, ValueEnum};
use runjournal::{
    ArtifactName, Completion, Digest, Finding, Hold, Outcome, RunContext, RunId, RunOptions,
    RunStatus, TaskId, Timestamp, WorkspaceError,
};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::flow;
use super::hold::{self, HoldRun, UnholdRun};
use super::locate::{Locator, name_of};
use super::output::{Output, exit_for, hint};
use super::run_line::{exit_of, lines_of, look, table};
use super::run_tree;
use super::units::short;

#[derive(Debug, Subcommand)]
pub(crate) enum RunVerb {
    /// Start a run, and print TASK/RUN
    #[command(after_help = "Example: runjournal run start TASK-1 --run-id RUN-1 --if-absent")]
    Start {
        /// The task
        task: TaskId,
        /// The run's id; a new UUID unless given
        #[arg(long)]
        run_id: Option<RunId>,
        /// Where there is such a run already, go on with it as it is
        #[arg(long, requires = "run_id")]
        if_absent: bool,
    },
    /// List the runs of a task, or of all tasks
    List {
        /// The task
        task: Option<TaskId>,
    },
    /// Show a run: its state, its steps, and what is not as it should be
    Show {
        #[command(flatten)]
        run: ThisRun,
        /// All of it as one text: artifacts, checkpoints, events
        #[arg(long)]
        tree: bool,
        /// The same in every run that does the same: ids, times and places have names
        #[arg(long, requires = "tree")]
        redacted: bool,
    },
    /// End a run: nothing can be appended to it any more
    #[command(
        after_help = "Examples:\n  runjournal run complete --status success\n  runjournal run complete TASK-1/RUN-1 --status failed --reason 'no disk'"
    )]
    Complete {
        #[command(flatten)]
        run: ThisRun,
        /// How it ended
        #[arg(long)]
        status: Ending,
        /// Why, in a few words
        #[arg(long)]
        reason: Option<String>,
        /// A report that success requires: a JSON object whose `status` is passed, pass, ok, success or
        /// succeeded; again for another one
        #[arg(long, value_name = "NAME")]
        require: Vec<ArtifactName>,
    },
    /// Move a run to another task, with all that it holds
    #[command(
        after_help = "Example: runjournal run move TASK-1/RUN-1 TASK-2\n\nIt prints TASK/RUN, as the run is called from then on. A run that is held, or in\nwhich a step runs, stays, and so does one of a task that a worker has claimed,\nunless RUNJOURNAL_LEASE is that lease. Killed on the way, it is typed again.\nWhere others name the run by its old path (as their parent), that stays."
    )]
    Move {
        /// TASK/RUN, or a unique prefix of a run's id
        run: String,
        /// The task that it is to be in
        task: TaskId,
    },
    /// Keep a run whatever its age: prune passes by it
    #[command(after_help = "Example: runjournal run hold RUN-1 --reason 'for the audit'")]
    Hold(HoldRun),
    /// Let prune take a run once it is old enough
    Unhold(UnholdRun),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Ending {
    Success,
    Failed,
}

impl From<Ending> for Outcome {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Success => Outcome::Success,
            Ending::Failed => Outcome::Failed,
        }
    }
}

/// Which run a verb about a run as a whole is about.
#[derive(Debug, Args)]
pub(crate) struct ThisRun {
    /// TASK/RUN, or a unique prefix of a run's id; left out: RUNJOURNAL_RUN
    #[arg(value_name = "RUN", conflicts_with = "run")]
    argument: Option<String>,
    /// The same, as the verbs inside a run take it
    #[arg(short, long, value_name = "RUN")]
    run: Option<String>,
}

impl ThisRun {
    /// The run that is named, in either way.
    pub(crate) fn named(&self) -> Option<&str> {
        self.argument.as_deref().or(self.run.as_deref())
    }
}

pub(crate) fn run(at: &Locator, verb: RunVerb, output: &mut Output) -> Result<Exit, CliError> {
    match verb {
        RunVerb::Start { task, run_id, if_absent } => start(at, task, run_id, if_absent, output),
        RunVerb::List { task } => list(at, task, output),
        RunVerb::Move { run, task } => move_run(at, &run, &task, output),
        RunVerb::Hold(asked) => hold::hold(at, &asked, output),
        RunVerb::Unhold(asked) => hold::unhold(at, &asked, output),
        RunVerb::Show { run, tree: true, redacted } => {
            run_tree::show(&at.run(run.named())?, redacted, output)
        }
        RunVerb::Show { run, .. } => show(&at.run(run.named())?, output),
        RunVerb::Complete { run, status, reason, require } => {
            let outcome = Outcome::from(status);
            let mut end = match outcome {
                Outcome::Success => Completion::success(),
                Outcome::Failed => Completion::failure(),
            };
            if let Some(reason) = reason {
                end = end.because(reason);
            }
            let end = require.into_iter().fold(end, Completion::require);
            complete(&at.run(run.named())?, outcome, &end, output)
        }
    }
}

#[derive(Serialize)]
struct Started<'a> {
    run: String,
    task_id: &'a TaskId,
    run_id: &'a RunId,
    path: String,
}

fn start(
    at: &Locator,
    task: TaskId,
    run_id: Option<RunId>,
    if_absent: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let task = at.task(&task)?;
    let context = match run_id {
        Some(run_id) if if_absent => task.open_or_start_run(run_id)?,
        run_id => task.start_run_with(RunOptions { run_id, ..RunOptions::default() })?,
    };
    let started = Started {
        run: name_of(&context),
        task_id: context.task_id(),
        run_id: context.run_id(),
        path: context.run_path().into_string(),
    };
    output.one(&started, |output| output.line(&started.run))?;
    Ok(Exit::Fine)
}

#[derive(Serialize)]
struct MovedRun<'a> {
    run: String,
    task_id: &'a TaskId,
    run_id: &'a RunId,
    /// What it was called before.
    from: String,
    path: String,
}

fn move_run(at: &Locator, run: &str, task: &TaskId, output: &mut Output) -> Result<Exit, CliError> {
    let before = at.run(Some(run))?;
    let moved = before.run()?.move_to(&at.task(task)?)?;
    let context = moved.context();
    let moved = MovedRun {
        run: name_of(context),
        task_id: context.task_id(),
        run_id: context.run_id(),
        from: name_of(&before),
        path: context.run_path().into_string(),
    };
    output.one(&moved, |output| output.line(&moved.run))?;
    Ok(Exit::Fine)
}

fn list(at: &Locator, task: Option<TaskId>, output: &mut Output) -> Result<Exit, CliError> {
    let workspace = at.workspace()?;
    let (mut lines, mut exit) = (Vec::new(), Exit::Fine);
    if let Some(task) = task {
        lines = lines_of(&workspace.task(task)?)?;
    } else {
        for id in workspace.tasks()? {
            // A task that cannot be read must not hide the runs of the others.
            let read = workspace.task(id).map_err(CliError::from);
            match read.and_then(|task| lines_of(&task)) {
                Ok(more) => lines.extend(more),
                Err(error) => {
                    hint(&format!("error: {}", error.in_one_line()));
                    exit = Exit::Findings;
                }
            }
        }
    }
    output.many("runs", &lines, |output| {
        if lines.is_empty() {
            hint("no runs yet; start one with `runjournal run start TASK`");
            return Ok(());
        }
        table(&lines, output)
    })?;
    Ok(if exit == Exit::Fine { exit_of(&lines) } else { exit })
}

/// A run with all that belongs to it.
#[derive(Serialize)]
struct RunPage {
    run: String,
    task_id: TaskId,
    run_id: RunId,
    status: RunStatus,
    reason: Option<String>,
    created_at: Timestamp,
    trace_id: String,
    parent: Option<String>,
    path: String,
    records: u64,
    last_seq: u64,
    last_type: Option<String>,
    last_at: Option<Timestamp>,
    steps_completed: u64,
    steps_failed: u64,
    steps_open: Vec<String>,
    artifacts: usize,
    /// Names the outputs: equal outputs, equal root.
    artifacts_root: Digest,
    findings: Vec<Finding>,
    /// That prune passes by it, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Hold>,
}

impl RunPage {
    fn of(context: &RunContext) -> Result<Self, CliError> {
        let run = context.run()?;
        let state = look(&run)?;
        let genesis = run.genesis();
        // A task's journal that cannot be read must not hide its run.
        let mut holds = context.task()?.holds().unwrap_or_default();
        holds.retain(|hold| hold.run == *context.run_id());
        Ok(Self {
            run: name_of(context),
            task_id: context.task_id().clone(),
            run_id: context.run_id().clone(),
            status: state.status,
            reason: state.reason,
            created_at: genesis.created_at,
            trace_id: genesis.trace_id.clone(),
            parent: genesis.parent.clone(),
            path: context.run_path().into_string(),
            records: state.records,
            last_seq: state.last_seq,
            last_type: state.last_type,
            last_at: state.last_at,
            steps_completed: state.steps_completed,
            steps_failed: state.steps_failed,
            steps_open: state.steps_open,
            artifacts: context.artifacts().list()?.len(),
            artifacts_root: context.manifest()?.artifacts_root,
            findings: state.findings,
            held: holds.pop(),
        })
    }
}

fn show(context: &RunContext, output: &mut Output) -> Result<Exit, CliError> {
    let page = RunPage::of(context)?;
    output.one(&page, |output| {
        let last = match (&page.last_type, page.last_at) {
            (Some(kind), Some(at)) => format!(", the last {kind} {}", output.ago(at)),
            _ => String::new(),
        };
        let failed = page.steps_failed;
        let steps = format!("{} completed, {failed} failed attempts", page.steps_completed);
        output.page(&[
            ("run", page.run.clone()),
            ("status", page.status.to_string()),
            ("reason", page.reason.clone().unwrap_or_default()),
            ("held", page.held.as_ref().map(held).unwrap_or_default()),
            ("created", output.at(page.created_at)),
            ("parent", page.parent.clone().unwrap_or_default()),
            ("events", format!("{}{last}", page.records)),
            ("steps", steps),
            ("open steps", page.steps_open.join(", ")),
            ("flow", flow::line(context)),
            ("artifacts", page.artifacts.to_string()),
            ("artifacts root", short(page.artifacts_root)),
            ("path", page.path.clone()),
        ])?;
        output.findings(&page.findings, context.root())
    })?;
    Ok(exit_for(&page.findings))
}

fn held(hold: &Hold) -> String {
    let by = hold.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
    format!("{}{by}", hold.reason)
}

#[derive(Serialize)]
struct Completed {
    run: String,
    status: Outcome,
    seq: u64,
    /// True if it was complete before, in the same way.
    duplicate: bool,
}

fn complete(
    context: &RunContext,
    outcome: Outcome,
    end: &Completion,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let appended = context.run()?.complete_with(end).map_err(|error| match error {
        WorkspaceError::EndedOtherwise { status, reason, .. }
            if status == RunStatus::from(outcome) =>
        {
            CliError::OtherReason { run: name_of(context), status, reason }
        }
        other => other.into(),
    })?;
    let completed = Completed {
        run: name_of(context),
        status: outcome,
        seq: appended.seq,
        duplicate: appended.duplicate,
    };
    output.one(&completed, |output| {
        let before = if completed.duplicate { " (it was complete before)" } else { "" };
        let status = RunStatus::from(outcome);
        output.line(&format!("{} {status}{before}", completed.run))
    })?;
    Ok(Exit::Fine)
}
