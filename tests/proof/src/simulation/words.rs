//! What the numbers in a plan stand for.

use runjournal::Digest;

use super::plan::TASKS;

/// A journal: a task's, or a run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HomeId {
    pub(super) task: usize,
    pub(super) run: Option<usize>,
}

impl HomeId {
    pub(super) fn task(task: usize) -> Self {
        Self { task, run: None }
    }

    pub(super) fn run(task: usize, run: usize) -> Self {
        Self { task, run: Some(run) }
    }

    /// Its directory below the workspace.
    pub(super) fn path(self) -> String {
        self.run
            .map_or(task(self.task), |number| format!("{}/runs/{}", task(self.task), run(number)))
    }

    pub(super) fn genesis(self) -> &'static str {
        if self.run.is_some() { "run.json" } else { "task.json" }
    }
}

pub(super) fn task(task: usize) -> String {
    format!("T{}", task % TASKS)
}

pub(super) fn run(run: usize) -> String {
    format!("R{run}")
}

pub(super) fn worker(worker: usize) -> String {
    format!("worker-{worker}")
}

const PATHS: [&str; 5] = ["a.txt", "plan.json", "d/b.txt", "d/e/c.bin", "x.md"];

pub(super) fn path(path: usize) -> &'static str {
    PATHS.get(path % PATHS.len()).copied().unwrap_or("a.txt")
}

pub(super) fn step(step: usize) -> &'static str {
    if step == 0 { "alpha" } else { "beta" }
}

pub(super) fn item(item: usize) -> String {
    format!("item-{item}")
}

pub(super) fn command(command: usize) -> String {
    format!("command-{command}")
}

/// Some contents are the same whoever writes them, others are this act's; one is empty, and one is large.
pub(super) fn content(content: usize, act: usize, path: &str) -> Vec<u8> {
    match content {
        0 => Vec::new(),
        1 | 2 => format!("the same {content}\n").into_bytes(),
        3 => format!("act {act} of {path}\n").repeat(200).into_bytes(),
        4 if act.is_multiple_of(3) => format!("act {act} of {path}\n").repeat(9000).into_bytes(),
        _ => format!("{{\"act\": {act}, \"path\": \"{path}\"}}\n").into_bytes(),
    }
}

pub(super) fn digest(content: &[u8]) -> String {
    Digest::of(content).to_string()
}
