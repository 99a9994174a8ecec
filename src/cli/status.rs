//! `status`: what a person asks first of a workspace, on one page, read from the tree.

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::{
    FailedStep, Glance, Health, HealthLease, HealthTrouble, Hold, IndexHealth, LockedJournal,
    OpenRun, OpenStep, Overview, Question, RunsByStatus, TaskOverview, TaskStatus, Workspace,
};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::health;
use super::locate::Locator;
use super::output::{Output, exit_for, hint};
use super::table::beginning;
use super::units::until;

/// Lines of each kind that the page for people shows. JSON has all, but for the runs that failed: of those, page and
/// JSON have the newest.
const SHOWN: usize = 10;
/// Columns of a text that somebody else wrote, at most; JSON has all of it.
const TEXT: usize = 200;

#[derive(Serialize)]
struct Page {
    root: Utf8PathBuf,
    workspace_id: String,
    read_only: bool,
    runs: RunsByStatus,
    open: Vec<OpenRun>,
    failed: Vec<Glance>,
    leases: Vec<HealthLease>,
    locked: Vec<LockedJournal>,
    tasks: Vec<TaskOverview>,
    index: Option<IndexHealth>,
    troubles: Vec<HealthTrouble>,
}

impl Page {
    fn of(workspace: &Workspace, at: &Locator) -> Result<Self, CliError> {
        let Overview { health, tasks, open, failed, .. } = Overview::of(workspace)?;
        let Health { root, runs, leases, locked, index, troubles, .. } =
            health.with_index(&at.index()?);
        Ok(Self {
            root,
            workspace_id: workspace.genesis().workspace_id.to_string(),
            read_only: workspace.is_read_only(),
            runs,
            open,
            failed,
            leases,
            locked,
            tasks,
            index,
            troubles,
        })
    }

    fn exit(&self) -> Exit {
        let is_unreadable = |trouble| matches!(trouble, &HealthTrouble::Unreadable { .. });
        if self.troubles.iter().any(is_unreadable) {
            return Exit::Findings;
        }
        exit_for(self.tasks.iter().flat_map(|task| &task.findings))
    }
}

pub(crate) fn status(at: &Locator, output: &mut Output) -> Result<Exit, CliError> {
    let page = Page::of(&at.workspace()?, at)?;
    output.one(&page, |output| show(&page, output))?;
    Ok(page.exit())
}

fn show(page: &Page, output: &mut Output) -> Result<(), CliError> {
    let written = if page.read_only { "made by a newer runjournal: read-only" } else { "" };
    let holds = page.tasks.iter().map(|task| task.holds.len() as u64).sum();
    output.page(&[
        ("workspace", page.root.to_string()),
        ("format", written.to_owned()),
        ("runs", health::runs(&page.runs, holds)),
        ("index", page.index.as_ref().map(health::state).unwrap_or_default()),
    ])?;
    if page.tasks.is_empty() {
        hint("no tasks yet; make one with `runjournal task create TASK`");
    }
    show_open(&page.open, output)?;
    show_failed(page, output)?;
    show_holders(page, output)?;
    show_tasks(&page.tasks, output)?;
    for trouble in &page.troubles {
        output.text(&format!("trouble: {trouble}"), 4)?;
    }
    // Notes are for `run show`.
    let findings = page.tasks.iter().flat_map(|task| &task.findings);
    let serious = findings.filter(|finding| exit_for([*finding]) != Exit::Fine);
    output.findings(serious, Utf8Path::new(&page.root))
}

/// A table with an empty line before it; nothing where there are no rows, and at most ten of so many that there are.
fn table<const N: usize>(
    head: [&str; N],
    rows: &[[String; N]],
    (all, all_by): (usize, &str),
    output: &mut Output,
) -> Result<(), CliError> {
    if rows.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let shown = rows.get(..SHOWN).unwrap_or(rows);
    output.table(head, shown)?;
    match all.saturating_sub(shown.len()) {
        0 => Ok(()),
        more => output.line(&format!("... and {more} more: `{all_by}`")),
    }
}

fn name_of(run: &Glance) -> String {
    format!("{}/{}", run.task_id, run.run_id)
}

fn show_open(open: &[OpenRun], output: &mut Output) -> Result<(), CliError> {
    let row = |OpenRun { sign, run, .. }: &OpenRun| {
        [name_of(run), sign.to_string(), output.ago(run.last_at), what_is_open(run)]
    };
    let rows: Vec<_> = open.iter().map(row).collect();
    let all = (rows.len(), "runjournal run list");
    table(["OPEN RUN", "STATE", "LAST", "AT"], &rows, all, output)
}

/// What a run that did not end is at.
fn what_is_open(run: &Glance) -> String {
    let question = |asked: &Question| format!("asks {}: {:?}", asked.approval, asked.question);
    let step = |open: &OpenStep| {
        let by = open.runner.as_deref().unwrap_or("its process is gone");
        format!("{}, {by}", attempt_of(&open.step, open.attempt))
    };
    let mut parts: Vec<_> = run.waits_for.iter().map(question).collect();
    parts.extend(run.open_steps.iter().map(step));
    parts.extend(run.failed_step.as_ref().map(failure));
    match &run.last_type {
        _ if !parts.is_empty() => beginning(&parts.join("; "), TEXT),
        Some(last) => format!("{} after {last}", run.status),
        None => format!("{}, nothing happened yet", run.status),
    }
}

fn failure(failed: &FailedStep) -> String {
    format!("{} failed: {}", attempt_of(&failed.step, failed.attempt), failed.error)
}

fn attempt_of(step: &str, attempt: Option<u64>) -> String {
    let attempt = attempt.map_or_else(|| "?".to_owned(), |attempt| attempt.to_string());
    format!("step {step} attempt {attempt}")
}

fn show_failed(page: &Page, output: &mut Output) -> Result<(), CliError> {
    let row = |run: &Glance| [name_of(run), output.ago(run.last_at), why(run)];
    let rows: Vec<_> = page.failed.iter().map(row).collect();
    let all = usize::try_from(page.runs.failed).unwrap_or(usize::MAX);
    let all = (all, "runjournal query runs --status failed");
    table(["FAILED LAST", "ENDED", "WHY"], &rows, all, output)
}

/// Why a run failed.
fn why(run: &Glance) -> String {
    // Each is cut by itself: a long reason does not hide the step.
    let reason = run.reason.iter().map(|reason| beginning(reason, TEXT));
    let step = run.failed_step.iter().map(|failed| beginning(&failure(failed), TEXT));
    let parts: Vec<_> = reason.chain(step).collect();
    if parts.is_empty() { "nobody said why".to_owned() } else { parts.join("; ") }
}

fn show_holders(page: &Page, output: &mut Output) -> Result<(), CliError> {
    let lease = |lease: &HealthLease| {
        let ends = if lease.live {
            format!("ends {}", until(lease.expires_at))
        } else {
            format!("expired {}", output.ago(lease.expires_at))
        };
        [lease.task.to_string(), "lease".to_owned(), format!("worker {:?}, {ends}", lease.worker)]
    };
    let lock = |locked: &LockedJournal| {
        [locked.path.to_string(), "lock".to_owned(), locked.holder.clone()]
    };
    let holds = page.tasks.iter().flat_map(|task| task.holds.iter().map(move |hold| (task, hold)));
    let hold = |(task, hold): (&TaskOverview, &Hold)| {
        let by = hold.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        let name = format!("{}/{}", task.task_id, hold.run);
        [name, "hold".to_owned(), format!("{}{by}", beginning(&hold.reason, TEXT))]
    };
    let rows = page.leases.iter().map(lease).chain(page.locked.iter().map(lock));
    let rows: Vec<_> = rows.chain(holds.map(hold)).collect();
    let all = (rows.len(), "runjournal status --format json");
    table(["HELD", "AS", "WHO"], &rows, all, output)
}

fn show_tasks(tasks: &[TaskOverview], output: &mut Output) -> Result<(), CliError> {
    let mut tasks: Vec<_> = tasks.iter().collect();
    if tasks.len() > SHOWN {
        // Where something is going on comes first.
        let is_over = |task: &TaskOverview| {
            matches!(task.status, Some(TaskStatus::Done | TaskStatus::Archived))
        };
        tasks.sort_by_key(|task| (open_in(&task.runs) == 0, is_over(task)));
    }
    let row = |task: &&TaskOverview| {
        [
            task.task_id.to_string(),
            task.status.map_or_else(|| "UNREADABLE".to_owned(), |status| status.to_string()),
            task.runs.all().to_string(),
            open_in(&task.runs).to_string(),
            task.runs.failed.to_string(),
            beginning(&task.title, TEXT),
        ]
    };
    let rows: Vec<_> = tasks.iter().map(row).collect();
    let head = ["TASK", "STATUS", "RUNS", "OPEN", "FAILED", "TITLE"];
    table(head, &rows, (rows.len(), "runjournal task list"), output)
}

/// How many runs of a task did not end.
fn open_in(runs: &RunsByStatus) -> u64 {
    runs.planning + runs.executing + runs.verifying
}
