//! Where the workspace is, and which run is meant.

use camino::{Utf8Path, Utf8PathBuf};
use runjournal::index::Index;
use runjournal::{
    LeaseRef, RunContext, RunId, Scope, Subject, Task, TaskId, Workspace, WorkspaceError,
};

use super::args::InJournal;
use super::error::CliError;

const ROOT: &str = "RUNJOURNAL_ROOT";
const RUN: &str = "RUNJOURNAL_RUN";
const INDEX: &str = "RUNJOURNAL_INDEX";

/// Finds the workspace and the run that the command line and the environment name.
pub(crate) struct Locator {
    root: Option<Utf8PathBuf>,
    index: Option<Utf8PathBuf>,
}

impl Locator {
    /// What `--root` and `--index` say.
    pub(crate) fn new(root: Option<Utf8PathBuf>, index: Option<Utf8PathBuf>) -> Self {
        Self { root, index }
    }

    /// The root that was named, by `--root` or the environment.
    pub(crate) fn named_root(&self) -> Option<Utf8PathBuf> {
        self.root.clone().or_else(|| variable(ROOT).map(Utf8PathBuf::from))
    }

    /// True if `--root` was given.
    pub(crate) fn has_root_argument(&self) -> bool {
        self.root.is_some()
    }

    /// The workspace: the named one, or the nearest upward from the current directory.
    pub(crate) fn workspace(&self) -> Result<Workspace, CliError> {
        match self.named_root() {
            Some(root) => Workspace::open(root).map_err(|error| match error {
                WorkspaceError::NotAWorkspace { path } if is_restored_to(&path) => {
                    CliError::RestoreNotEnded { root: path }
                }
                other => other.into(),
            }),
            None => Workspace::find(".").map_err(|error| match error {
                WorkspaceError::NotAWorkspace { path } => not_found(path),
                other => other.into(),
            }),
        }
    }

    /// The workspace's index: where `--index` or the environment says, or where it is by itself.
    pub(crate) fn index(&self) -> Result<Index, CliError> {
        let workspace = self.workspace()?;
        let dir = self.index.clone().or_else(|| variable(INDEX).map(Utf8PathBuf::from));
        Ok(match dir {
            Some(dir) => Index::at(&workspace, dir),
            None => Index::of(&workspace),
        })
    }

    /// The task, written to under the lease of the environment if that is on it.
    pub(crate) fn task(&self, id: &TaskId) -> Result<Task, CliError> {
        let task = self.workspace()?.task(id)?;
        Ok(match LeaseRef::from_env_on(id)? {
            Some(lease) => task.with_lease(lease),
            None => task,
        })
    }

    /// The workspace, or the task or the run of that name, under the lease of the environment if that is on it;
    /// of an id that both have, the task. Those that cannot be opened are found by their directories.
    pub(crate) fn subject(&self, named: Option<&str>) -> Result<Subject, CliError> {
        let workspace = self.workspace()?;
        let Some(named) = named else { return Ok(Subject::from(&workspace)) };
        let found = self.task_or_run(named);
        let scope = found.or_else(|error| by_directory(workspace.root(), named).ok_or(error))?;
        let lease = scope.task.as_ref().map(LeaseRef::from_env_on).transpose()?.flatten();
        let subject = Subject::named(&workspace, scope);
        Ok(match lease {
            Some(lease) => subject.with_lease(lease),
            None => subject,
        })
    }

    fn task_or_run(&self, named: &str) -> Result<Scope, CliError> {
        let run = || {
            let run = self.named_run(named)?;
            Ok(Scope::run(run.task_id().clone(), run.run_id().clone()))
        };
        let Ok(id) = named.parse::<TaskId>() else { return run() };
        match self.task(&id) {
            Ok(_) => Ok(Scope::task(id)),
            Err(CliError::Workspace(WorkspaceError::TaskNotFound { .. })) => {
                run().map_err(|error| match error {
                    CliError::RunNotFound { run } => CliError::NoTaskAndNoRun { named: run },
                    other => other,
                })
            }
            Err(other) => Err(other),
        }
    }

    /// The journal of the run or the task that is named.
    pub(crate) fn journal(&self, named: &InJournal) -> Result<Journal, CliError> {
        match &named.task {
            Some(task) => self.task(task).map(Journal::Task),
            None => self.run(named.run.as_deref()).map(Journal::Run),
        }
    }

    /// The run of that name.
    pub(crate) fn named_run(&self, text: &str) -> Result<RunContext, CliError> {
        let found = find(&self.workspace()?, text)?;
        Ok(match LeaseRef::from_env_on(found.task_id())? {
            Some(lease) => found.with_lease(lease),
            None => found,
        })
    }

    /// The task of a run that is not there, and the run's id: by its whole name.
    pub(crate) fn lost_run(&self, named: Option<&str>) -> Option<(Task, RunId)> {
        let (task, run) = named?.split_once('/')?;
        Some((self.task(&task.parse().ok()?).ok()?, run.parse().ok()?))
    }

    /// The run: the given one, else the one of the environment.
    pub(crate) fn run(&self, given: Option<&str>) -> Result<RunContext, CliError> {
        let Some(text) = given.map(str::to_owned).or_else(|| variable(RUN)) else {
            return Err(CliError::NoRun);
        };
        if given.is_none() && self.root.is_none() && variable(ROOT).is_some() {
            return Ok(RunContext::from_env()?);
        }
        let found = self.named_run(&text)?;
        // A program inside a step stays inside it, though it names its own run: a newer attempt of
        // the step must be able to refuse its writes.
        match RunContext::from_env() {
            Ok(inherited) if inherited.run_path() == found.run_path() => Ok(inherited),
            _ => Ok(found),
        }
    }
}

/// No workspace is there or above; perhaps because a restore into one was killed.
fn not_found(from: Utf8PathBuf) -> CliError {
    let begun = |dir: &Utf8Path| {
        [dir.to_owned(), dir.join("workspaces")].into_iter().find(|dir| is_restored_to(dir))
    };
    match from.ancestors().find_map(begun) {
        Some(root) => CliError::RestoreNotEnded { root },
        None => CliError::NoWorkspace { from },
    }
}

/// Whether a restore into a directory that is no workspace yet was begun, and has not ended.
pub(super) fn is_restored_to(root: &Utf8Path) -> bool {
    root.join(".restoring").is_dir() && !root.join("workspace.json").exists()
}

/// A run's journal, or a task's own.
pub(crate) enum Journal {
    Run(RunContext),
    Task(Task),
}

/// A run by `TASK/RUN`, or by any unique prefix of its id. An id in full wins over longer ones.
fn find(workspace: &Workspace, text: &str) -> Result<RunContext, CliError> {
    let (tasks, prefix) = match text.split_once('/') {
        Some((task, prefix)) => (one_task(task), prefix),
        None => (workspace.tasks()?, text),
    };
    let not_found = || CliError::RunNotFound { run: text.to_owned() };
    let mut candidates: Vec<(TaskId, RunId)> = Vec::new();
    let mut unreadable = None;
    for task in tasks {
        // A damaged task must not hide the runs of the others.
        let runs = match workspace.task(task.clone()).and_then(|task| task.runs_like(prefix)) {
            Ok(runs) => runs,
            Err(error) => {
                unreadable = unreadable.or(Some(error));
                continue;
            }
        };
        candidates.extend(runs.into_iter().map(|run| (task.clone(), run)));
    }
    if prefix.is_empty() {
        return Err(not_found());
    }
    if candidates.iter().any(|(_, run)| run.as_str() == prefix) {
        candidates.retain(|(_, run)| run.as_str() == prefix);
    }
    match candidates.as_slice() {
        [] => Err(match unreadable {
            // A task that is gone since it was listed is no news; one that was named is.
            Some(error)
                if text.contains('/') || !matches!(error, WorkspaceError::TaskNotFound { .. }) =>
            {
                error.into()
            }
            _ => not_found(),
        }),
        [(task, run)] => Ok(workspace.task(task.clone())?.run(run.clone())?.context().clone()),
        several => Err(CliError::AmbiguousRun {
            run: text.to_owned(),
            candidates: several.iter().map(|(task, run)| format!("{task}/{run}")).collect(),
        }),
    }
}

/// The task, or the run, that a directory is of by its name.
fn by_directory(root: &Utf8Path, named: &str) -> Option<Scope> {
    let is_dir = |path: &Utf8Path| path.symlink_metadata().is_ok_and(|entry| entry.is_dir());
    let run_of = |task: &str, run: &str| {
        let (task, run) = (task.parse().ok()?, run.parse().ok()?);
        is_dir(&run_dir(root, &task, &run)).then(|| Scope::run(task, run))
    };
    if let Some((task, run)) = named.split_once('/') {
        return run_of(task, run);
    }
    let task = named.parse::<TaskId>().ok()?;
    if is_dir(&root.join(task.as_str())) {
        return Some(Scope::task(task));
    }
    let entries = root.read_dir_utf8().ok()?.filter_map(Result::ok);
    let mut runs = entries.filter_map(|entry| run_of(entry.file_name(), named));
    // Of several nobody can say which is meant.
    let first = runs.next()?;
    runs.next().is_none().then_some(first)
}

fn run_dir(root: &Utf8Path, task: &TaskId, run: &RunId) -> Utf8PathBuf {
    root.join(task.as_str()).join("runs").join(run.as_str())
}

/// The task of that name; a text that cannot be an id names none.
fn one_task(text: &str) -> Vec<TaskId> {
    text.parse().into_iter().collect()
}

/// `TASK/RUN`: how a run is named to people and to child processes.
pub(crate) fn name_of(context: &RunContext) -> String {
    format!("{}/{}", context.task_id(), context.run_id())
}

/// A variable of the environment that holds something.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}

/// The path in full, to be shown.
pub(crate) fn in_full(path: &Utf8Path) -> Utf8PathBuf {
    let absolute = std::path::absolute(path).ok();
    absolute
        .and_then(|path| Utf8PathBuf::from_path_buf(path).ok())
        .unwrap_or_else(|| path.to_owned())
}
