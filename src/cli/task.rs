//! `task`: makes, lists and shows tasks.

use runjournal::{Finding, Task, TaskId, TaskOptions, TaskStatus, Timestamp};
use serde::Serialize;

use super::args::TaskVerb;
use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::{Output, count, exit_for, hint};
use super::run_line;

/// A task as it is printed.
#[derive(Serialize)]
struct TaskView {
    task_id: TaskId,
    status: TaskStatus,
    title: String,
    objective: String,
    created_at: Timestamp,
    runs: usize,
}

impl TaskView {
    fn of(task: &Task) -> Result<Self, CliError> {
        let genesis = task.genesis();
        Ok(Self {
            task_id: task.id().clone(),
            status: task.status()?,
            title: genesis.title.clone(),
            objective: genesis.objective.clone(),
            created_at: genesis.created_at,
            runs: task.runs()?.len(),
        })
    }
}

pub(crate) fn task(at: &Locator, verb: TaskVerb, output: &mut Output) -> Result<Exit, CliError> {
    match verb {
        TaskVerb::Create { task, title, objective, if_absent } => {
            create(at, task, TaskOptions { title, objective }, if_absent, output)
        }
        TaskVerb::List => list(at, output),
        TaskVerb::Show { task } => show(at, task, output),
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
    let (mut views, mut exit) = (Vec::new(), Exit::Fine);
    for id in workspace.tasks()? {
        // A task that cannot be read must not hide the others.
        match workspace.task(id).map_err(CliError::from).and_then(|task| TaskView::of(&task)) {
            Ok(view) => views.push(view),
            Err(error) => {
                hint(&format!("error: {}", error.in_one_line()));
                exit = Exit::Findings;
            }
        }
    }
    output.many("tasks", &views, |output| {
        if views.is_empty() {
            hint("no tasks yet; make one with `runjournal task create TASK`");
            return Ok(());
        }
        let rows: Vec<_> = views
            .iter()
            .map(|view| {
                [
                    view.task_id.to_string(),
                    view.status.to_string(),
                    view.runs.to_string(),
                    output.ago(view.created_at),
                    view.title.clone(),
                ]
            })
            .collect();
        output.table(["TASK", "STATUS", "RUNS", "CREATED", "TITLE"], &rows)
    })?;
    Ok(exit)
}

/// A task with all that belongs to it.
#[derive(Serialize)]
struct TaskPage {
    #[serde(flatten)]
    task: TaskView,
    path: String,
    run_ids: Vec<String>,
    findings: Vec<Finding>,
}

fn show(at: &Locator, id: TaskId, output: &mut Output) -> Result<Exit, CliError> {
    let task = at.task(&id)?;
    let page = TaskPage {
        task: TaskView::of(&task)?,
        path: task.path().into_string(),
        run_ids: task.runs()?.iter().map(ToString::to_string).collect(),
        findings: task.events()?.read_all()?.1,
    };
    let runs = run_line::lines_of(&task, run_line::state)?;
    output.one(&page, |output| {
        let view = &page.task;
        output.page(&[
            ("task", view.task_id.to_string()),
            ("title", view.title.clone()),
            ("objective", view.objective.clone()),
            ("status", view.status.to_string()),
            ("created", output.ago(view.created_at)),
            ("path", page.path.clone()),
            ("runs", count(view.runs, "run")),
        ])?;
        if !runs.is_empty() {
            output.line("")?;
            run_line::table(&runs, output)?;
        }
        output.findings(&page.findings, at.workspace()?.root())
    })?;
    Ok(exit_for(&page.findings))
}
