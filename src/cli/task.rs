//! `task`: makes, lists, shows and archives tasks.

use runjournal::{Finding, Task, TaskId, TaskOptions, TaskStatus, Timestamp};
use serde::Serialize;

use super::args::TaskVerb;
use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::{Output, exit_for, hint};
use super::run_line::{self, RunLine};
use super::units::count;

/// A task as it is printed. A list has one that cannot be read as well: what is known of it, and the reason.
#[derive(Serialize)]
struct TaskView {
    task_id: TaskId,
    /// `None` if it cannot be read.
    status: Option<TaskStatus>,
    title: String,
    objective: String,
    created_at: Option<Timestamp>,
    runs: usize,
    /// Why it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl TaskView {
    fn of(task: &Task) -> Result<Self, CliError> {
        let mut view = Self::unread(task.id().clone());
        view.read(task)?;
        Ok(view)
    }

    fn unread(task_id: TaskId) -> Self {
        let (title, objective) = (String::new(), String::new());
        Self { task_id, status: None, title, objective, created_at: None, runs: 0, error: None }
    }

    fn read(&mut self, task: &Task) -> Result<(), CliError> {
        let genesis = task.genesis();
        self.title.clone_from(&genesis.title);
        self.objective.clone_from(&genesis.objective);
        self.created_at = Some(genesis.created_at);
        self.runs = task.runs()?.len();
        self.status = Some(task.status()?);
        Ok(())
    }

    fn status(&self) -> String {
        self.status.map_or_else(|| "UNREADABLE".to_owned(), |status| status.to_string())
    }

    fn created(&self, output: &Output) -> String {
        self.created_at.map(|at| output.ago(at)).unwrap_or_default()
    }
}

pub(crate) fn task(at: &Locator, verb: TaskVerb, output: &mut Output) -> Result<Exit, CliError> {
    match verb {
        TaskVerb::Create { task, title, objective, if_absent } => {
            create(at, task, TaskOptions { title, objective }, if_absent, output)
        }
        TaskVerb::List => list(at, output),
        TaskVerb::Show { task } => show(at, task, output),
        TaskVerb::Archive { task } => archive(at, &task, output),
    }
}

fn create(
    at: &Locator,
    id: TaskId,
    options: TaskOptions,
    if_absent: bool,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let workspace = at.workspace()?;
    let task = if if_absent {
        workspace.open_or_create_task(id, options)?
    } else {
        workspace.create_task(id, options)?
    };
    output.one(&TaskView::of(&task)?, |output| output.line(task.id().as_str()))?;
    Ok(Exit::Fine)
}

fn list(at: &Locator, output: &mut Output) -> Result<Exit, CliError> {
    let workspace = at.workspace()?;
    // A task that cannot be read must not hide the others.
    let view = |id: TaskId| {
        let mut view = TaskView::unread(id.clone());
        let read = workspace.task(id).map_err(CliError::from).and_then(|task| view.read(&task));
        view.error = read.err().map(|error| error.in_one_line());
        view
    };
    let views: Vec<_> = workspace.tasks()?.into_iter().map(view).collect();
    output.many("tasks", &views, |output| {
        if views.is_empty() {
            hint("no tasks yet; make one with `runjournal task create TASK`");
            return Ok(());
        }
        let head = ["TASK", "STATUS", "RUNS", "CREATED", "TITLE"].map(str::to_owned);
        let row = |view: &TaskView| {
            [
                view.task_id.to_string(),
                view.status(),
                view.runs.to_string(),
                view.created(output),
                view.title.clone(),
            ]
        };
        let rows: Vec<_> = std::iter::once(head).chain(views.iter().map(row)).collect();
        let why: Vec<_> = views.iter().map(|view| view.error.clone().unwrap_or_default()).collect();
        output.annotated(&rows, &why)
    })?;
    let is_unread = views.iter().any(|view| view.error.is_some());
    Ok(if is_unread { Exit::Findings } else { Exit::Fine })
}

/// A task with all that belongs to it.
#[derive(Serialize)]
struct TaskPage {
    #[serde(flatten)]
    task: TaskView,
    path: String,
    run_ids: Vec<String>,
    run_lines: Vec<RunLine>,
    findings: Vec<Finding>,
}

fn show(at: &Locator, id: TaskId, output: &mut Output) -> Result<Exit, CliError> {
    let task = at.task(&id)?;
    let page = TaskPage {
        task: TaskView::of(&task)?,
        path: task.path().into_string(),
        run_ids: task.runs()?.iter().map(ToString::to_string).collect(),
        run_lines: run_line::lines_of(&task)?,
        findings: task.events()?.read_all()?.1,
    };
    output.one(&page, |output| {
        let view = &page.task;
        output.page(&[
            ("task", view.task_id.to_string()),
            ("title", view.title.clone()),
            ("objective", view.objective.clone()),
            ("status", view.status()),
            ("created", view.created(output)),
            ("path", page.path.clone()),
            ("runs", count(view.runs, "run")),
        ])?;
        if !page.run_lines.is_empty() {
            output.line("")?;
            run_line::table(&page.run_lines, output)?;
        }
        output.findings(&page.findings, at.workspace()?.root())
    })?;
    let exit = exit_for(&page.findings);
    Ok(if exit == Exit::Fine { run_line::exit_of(&page.run_lines) } else { exit })
}

#[derive(Serialize)]
struct Archived<'a> {
    task_id: &'a TaskId,
    status: TaskStatus,
    /// True if it was archived before.
    duplicate: bool,
}

fn archive(at: &Locator, id: &TaskId, output: &mut Output) -> Result<Exit, CliError> {
    let duplicate = !at.task(id)?.archive()?;
    let archived = Archived { task_id: id, status: TaskStatus::Archived, duplicate };
    output.one(&archived, |output| {
        let before = if duplicate { " (it was archived before)" } else { "" };
        output.line(&format!("{id} {}{before}", archived.status))
    })?;
    Ok(Exit::Fine)
}
