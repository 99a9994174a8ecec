//! A directory with a journal, as a path from the root.

use std::fmt;
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{RUN, RUNS, TASK};
use crate::id::{RunId, TaskId};

/// A task, or a run: what has a journal. Its text is its path from the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HomeId {
    pub(crate) task: TaskId,
    /// `None` for the task itself.
    pub(crate) run: Option<RunId>,
}

impl HomeId {
    pub(crate) fn task(task: TaskId) -> Self {
        Self { task, run: None }
    }

    pub(crate) fn run(task: TaskId, run: RunId) -> Self {
        Self { task, run: Some(run) }
    }

    /// The home that a path below the root is in, and the path from there; `None` for what is in no task.
    pub(crate) fn of_path<'a>(root: &Utf8Path, path: &'a Utf8Path) -> Option<(Self, &'a str)> {
        let below = path.strip_prefix(root).ok()?.as_str();
        let (task, rest) = below.split_once('/').unwrap_or((below, ""));
        let task = task.parse().ok()?;
        let in_runs = rest.strip_prefix(RUNS).and_then(|runs| runs.strip_prefix('/'));
        let Some(in_runs) = in_runs else { return Some((Self::task(task), rest)) };
        let (run, rest) = in_runs.split_once('/').unwrap_or((in_runs, ""));
        Some((Self::run(task, run.parse().ok()?), rest))
    }

    pub(crate) fn dir(&self, root: &Utf8Path) -> Utf8PathBuf {
        match &self.run {
            Some(run) => super::run_dir(root, &self.task, run),
            None => super::task_dir(root, &self.task),
        }
    }

    /// The file that makes it exist.
    pub(crate) fn genesis(&self) -> &'static str {
        if self.run.is_some() { RUN } else { TASK }
    }
}

impl fmt::Display for HomeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run {
            Some(run) => write!(f, "{}/{RUNS}/{run}", self.task),
            None => write!(f, "{}", self.task),
        }
    }
}

impl FromStr for HomeId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let home = Self::of_path(Utf8Path::new(""), Utf8Path::new(text));
        let whole = home.filter(|(home, rest)| rest.is_empty() && home.to_string() == text);
        whole
            .map(|(home, _)| home)
            .ok_or_else(|| format!("{text:?} is no place of a task or a run"))
    }
}

impl Serialize for HomeId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HomeId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Option<(String, String)> {
        let (home, rest) = HomeId::of_path(Utf8Path::new("/w"), Utf8Path::new(path))?;
        Some((home.to_string(), rest.to_owned()))
    }

    #[test]
    fn a_path_is_in_a_run_or_in_a_task() {
        let some = |home: &str, rest: &str| Some((home.to_owned(), rest.to_owned()));
        assert_eq!(place("/w/T/task.json"), some("T", "task.json"));
        assert_eq!(place("/w/T/runs/R"), some("T/runs/R", ""));
        assert_eq!(place("/w/T/runs/R/artifacts/a/b"), some("T/runs/R", "artifacts/a/b"));
        assert_eq!(place("/w/T/runs"), some("T", "runs"));
        assert_eq!(place("/w/.index/x"), None);
        assert_eq!(place("/other/T"), None);
    }

    #[test]
    fn only_the_path_of_a_home_is_read_as_one() {
        for good in ["T", "T/runs/R"] {
            assert_eq!(good.parse::<HomeId>().unwrap().to_string(), good);
        }
        for bad in ["", "/T", "T/", "T/runs", "T/runs/", "T/runs/R/", "T/runs/R/x", "T/x", "../T"] {
            assert!(bad.parse::<HomeId>().is_err(), "{bad}");
        }
    }
}
