//! `status`: one short page about the whole workspace, read from the tree.

use camino::Utf8Path;
use runjournal::{Finding, TaskId, TaskStatus, Workspace};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::{Output, count, exit_for, hint};
use super::run_line::{self, RunLine};

/// Runs of a task that the page for people shows; JSON has them all.
const RUNS_SHOWN: usize = 10;

#[derive(Serialize)]
struct Page {
    root: String,
    workspace_id: String,
    read_only: bool,
    tasks: Vec<TaskLines>,
}

/// A task with its runs. One that cannot be read is there as well, with the reason.
#[derive(Serialize)]
struct TaskLines {
    task_id: TaskId,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<TaskStatus>,
    title: String,
    runs: Vec<RunLine>,
    findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl TaskLines {
    fn of(workspace: &Workspace, task_id: TaskId) -> Self {
        let mut lines = Self {
            task_id,
            status: None,
            title: String::new(),
            runs: Vec::new(),
            findings: Vec::new(),
            error: None,
        };
        // What was read before the trouble is shown all the same.
        lines.error = lines.read(workspace).err().map(|error| error.in_one_line());
        lines
    }

    fn read(&mut self, workspace: &Workspace) -> Result<(), CliError> {
        let task = workspace.task(self.task_id.clone())?;
        self.title.clone_from(&task.genesis().title);
        self.runs = run_line::lines_of(&task, run_line::look)?;
        self.findings = task.events()?.read_all()?.1;
        self.status = Some(task.status()?);
        Ok(())
    }

    fn is_fine(&self) -> bool {
        self.error.is_none()
            && exit_for(&self.findings) == Exit::Fine
            && self.runs.iter().all(|run| run.exit() == Exit::Fine)
    }
}

pub(crate) fn status(at: &Locator, output: &mut Output) -> Result<Exit, CliError> {
    let workspace = at.workspace()?;
    let tasks = workspace.tasks()?;
    let page = Page {
        root: workspace.root().to_string(),
        workspace_id: workspace.genesis().workspace_id.to_string(),
        read_only: workspace.is_read_only(),
        tasks: tasks.into_iter().map(|task| TaskLines::of(&workspace, task)).collect(),
    };
    output.one(&page, |output| show(&page, output))?;
    let fine = page.tasks.iter().all(TaskLines::is_fine);
    Ok(if fine { Exit::Fine } else { Exit::Findings })
}

fn show(page: &Page, output: &mut Output) -> Result<(), CliError> {
    let written = if page.read_only { "made by a newer runjournal: read-only" } else { "" };
    output.page(&[
        ("workspace", page.root.clone()),
        ("id", page.workspace_id.clone()),
        ("format", written.to_owned()),
    ])?;
    if page.tasks.is_empty() {
        hint("no tasks yet; make one with `runjournal task create TASK`");
    }
    for task in &page.tasks {
        output.line("")?;
        show_task(task, page, output)?;
    }
    Ok(())
}

fn show_task(task: &TaskLines, page: &Page, output: &mut Output) -> Result<(), CliError> {
    let status = task.status.map_or_else(|| "UNREADABLE".to_owned(), |status| status.to_string());
    let runs = count(task.runs.len(), "run");
    output.line(format!("{}  {status}  {runs}  {}", task.task_id, task.title).trim_end())?;
    let mut runs: Vec<&RunLine> = task.runs.iter().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.last_at));
    let hidden = runs.len().saturating_sub(RUNS_SHOWN);
    runs.truncate(RUNS_SHOWN);
    if !runs.is_empty() {
        run_line::table(runs, output)?;
    }
    if hidden > 0 {
        let id = &task.task_id;
        output.line(&format!("... and {hidden} more: `runjournal run list {id}`"))?;
    }
    // The trouble of a run is told even where its line is not. Notes are for `run show`.
    let errors = task.runs.iter().filter_map(|run| run.error.as_ref());
    for error in task.error.iter().chain(errors) {
        output.line(&format!("error: {error}"))?;
    }
    let findings = task.findings.iter().chain(task.runs.iter().flat_map(|run| &run.findings));
    let serious = findings.filter(|finding| exit_for([*finding]) != Exit::Fine);
    output.findings(serious, Utf8Path::new(&page.root))
}
