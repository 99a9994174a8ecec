//! Events that were caused by events elsewhere: every journal of the workspace is asked for them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use camino::Utf8Path;

use super::{jobs, task};
use crate::finding::Finding;
use crate::id::{EventId, RunId, TaskId};
use crate::io::Dir;
use crate::journal::{Events, Home, Runtime};

/// An event that is not in the journal of what it caused, and the finding if it is nowhere.
#[derive(Debug)]
pub(crate) struct Cause {
    pub(super) id: EventId,
    pub(super) finding: Finding,
}

/// A task, with its runs or without.
type Journal = (TaskId, Option<RunId>);

/// The findings about causes that no journal of the workspace has.
pub(super) fn nowhere(root: &Utf8Path, runtime: &Runtime, causes: Vec<Cause>) -> Vec<Finding> {
    if causes.is_empty() {
        return Vec::new();
    }
    let wanted: HashSet<EventId> = causes.iter().map(|cause| cause.id).collect();
    let found = Mutex::new(HashSet::new());
    let tasks = Dir::open_root(root).map(|dir| task::names(&dir, ""));
    let first: Vec<Journal> =
        tasks.into_iter().flatten().filter_map(|name| Some((name.parse().ok()?, None))).collect();
    let look = |(task, run): Journal, more: &jobs::Jobs<Journal>| {
        let home = match &run {
            Some(run) => Home::of_run(root, &task, run, runtime),
            None => Home::of_task(root, &task, runtime),
        };
        if run.is_none()
            && let Ok(dir) = Dir::open(home.dir())
        {
            let runs = task::names(&dir, crate::layout::RUNS).into_iter();
            let runs = runs.filter_map(|name| name.parse().ok());
            more.push(runs.map(|run| (task.clone(), Some(run))));
        }
        let events = Events::open(&home).into_iter().flatten();
        let ids = events.map_while(Result::ok).map(|record| record.event_id());
        let here: Vec<EventId> = ids.filter(|id| wanted.contains(id)).collect();
        found.lock().unwrap_or_else(PoisonError::into_inner).extend(here);
    };
    jobs::run(first, look, &mut || {});
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let nowhere = causes.into_iter().filter(|cause| !found.contains(&cause.id));
    nowhere.map(|cause| cause.finding).collect()
}
