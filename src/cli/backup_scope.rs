//! Which task or run of a backup is meant.

use std::collections::BTreeSet;

use runjournal::{RunId, Scope, Snapshot, TaskId};

use super::error::CliError;

/// The task of that name, or the run by `TASK/RUN` or a unique prefix of its id, of all that some snapshots hold; of
/// an id that both have, the task. An id in full wins over longer ones.
pub(super) fn scope_of(snapshots: &[Snapshot], named: &str) -> Result<Option<Scope>, CliError> {
    let homes: BTreeSet<(&TaskId, Option<&RunId>)> =
        snapshots.iter().flat_map(Snapshot::homes).collect();
    let (of, prefix) = match named.split_once('/') {
        Some((task, prefix)) => (Some(task), prefix),
        None => (None, named),
    };
    let is_task = |task: &&TaskId| of.is_none() && task.as_str() == named;
    if let Some(task) = homes.iter().map(|(task, _)| *task).find(is_task) {
        return Ok(Some(Scope::task(task.clone())));
    }
    let runs = homes.iter().filter_map(|(task, run)| Some((*task, (*run)?)));
    let mut fitting: Vec<_> = runs
        .filter(|(task, run)| {
            of.is_none_or(|of| of == task.as_str()) && run.as_str().starts_with(prefix)
        })
        .collect();
    if fitting.iter().any(|(_, run)| run.as_str() == prefix) {
        fitting.retain(|(_, run)| run.as_str() == prefix);
    }
    match fitting.as_slice() {
        [] => Ok(None),
        [(task, run)] => Ok(Some(Scope::run((*task).clone(), (*run).clone()))),
        several => Err(CliError::AmbiguousRun {
            run: named.to_owned(),
            candidates: several.iter().map(|(task, run)| format!("{task}/{run}")).collect(),
        }),
    }
}
