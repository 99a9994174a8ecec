//! Which run, or which task, a finding is in, and where there.

use camino::Utf8Path;

use crate::id::{RunId, TaskId};
use crate::layout;
use crate::name::ArtifactName;

/// A place below a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) task: TaskId,
    /// `None` in what is a task's own.
    pub(super) run: Option<RunId>,
    /// Relative to the run or the task.
    pub(super) path: String,
}

impl Spot {
    /// `None` for what is in no task.
    pub(super) fn of(root: &Utf8Path, path: &Utf8Path) -> Option<Self> {
        let below = path.strip_prefix(root).ok()?.as_str();
        let (task, rest) = below.split_once('/').unwrap_or((below, ""));
        let task = task.parse().ok()?;
        let runs = rest.strip_prefix(layout::RUNS).and_then(|runs| runs.strip_prefix('/'));
        let Some(in_runs) = runs else {
            return Some(Self { task, run: None, path: rest.to_owned() });
        };
        let (run, path) = in_runs.split_once('/').unwrap_or((in_runs, ""));
        Some(Self { task, run: Some(run.parse().ok()?), path: path.to_owned() })
    }

    /// The artifact, if it is one.
    pub(super) fn artifact(&self) -> Option<ArtifactName> {
        let name = self.path.strip_prefix(layout::ARTIFACTS)?.strip_prefix('/')?;
        ArtifactName::new(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(path: &str) -> Option<(String, Option<String>, String)> {
        let spot = Spot::of(Utf8Path::new("/w"), Utf8Path::new(path))?;
        Some((spot.task.to_string(), spot.run.map(|run| run.to_string()), spot.path))
    }

    #[test]
    fn a_place_is_in_a_run_or_in_a_task() {
        let some = |task: &str, run: Option<&str>, path: &str| {
            Some((task.to_owned(), run.map(str::to_owned), path.to_owned()))
        };
        assert_eq!(spot("/w/T/task.json"), some("T", None, "task.json"));
        assert_eq!(spot("/w/T/runs/R"), some("T", Some("R"), ""));
        assert_eq!(spot("/w/T/runs/R/artifacts/a/b"), some("T", Some("R"), "artifacts/a/b"));
        assert_eq!(spot("/w/T/runs"), some("T", None, "runs"));
        assert_eq!(spot("/w/.index/x"), None);
        assert_eq!(spot("/other/T"), None);
    }
}
