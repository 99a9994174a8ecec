//! The states of a run and of a task, the moves between them, and the payloads that tell of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::ArtifactName;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum RunStatus {
    /// Where every run starts.
    #[default]
    Planning,
    /// Doing the work.
    Executing,
    /// Checking the work.
    Verifying,
    /// Done, and well. Final.
    Success,
    /// Done, and not well. Final.
    Failed,
}

impl RunStatus {
    /// The states that a run can go to from this one.
    #[must_use]
    pub fn next(self) -> &'static [RunStatus] {
        use RunStatus::{Executing, Failed, Planning, Success, Verifying};
        match self {
            Planning => &[Executing, Failed],
            Executing => &[Planning, Verifying, Success, Failed],
            Verifying => &[Planning, Executing, Success, Failed],
            Success | Failed => &[],
        }
    }

    /// True for `SUCCESS` and `FAILED`.
    #[must_use]
    pub fn is_final(self) -> bool {
        self.next().is_empty()
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RunStatus::Planning => "PLANNING",
            RunStatus::Executing => "EXECUTING",
            RunStatus::Verifying => "VERIFYING",
            RunStatus::Success => "SUCCESS",
            RunStatus::Failed => "FAILED",
        })
    }
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// Done, and well.
    Success,
    /// Done, and not well.
    Failed,
}

impl From<Outcome> for RunStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => RunStatus::Success,
            Outcome::Failed => RunStatus::Failed,
        }
    }
}

/// What `status` of a report that passes may be, in any case of its letters.
const PASSES: [&str; 5] = ["passed", "pass", "ok", "success", "succeeded"];

/// True for the status of a report that passes.
pub(crate) fn passes(status: &str) -> bool {
    PASSES.iter().any(|pass| status.eq_ignore_ascii_case(pass))
}

/// The payload of `run_status_changed`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moved {
    pub(crate) from: RunStatus,
    pub(crate) to: RunStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// The payload of `execution_complete`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Completed {
    pub(crate) status: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    pub(crate) counts: Counts,
    /// The reports that the end required, as they were. Told to who reads the journal.
    #[serde(skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub(crate) required: Vec<RequiredReport>,
}

#[derive(Debug, Serialize)]
pub(crate) struct RequiredReport {
    pub(crate) path: ArtifactName,
    pub(crate) digest: Digest,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) steps_completed: u64,
    pub(crate) steps_failed: u64,
}

/// The payload of `task_status_changed`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TaskMoved {
    pub(crate) from: TaskStatus,
    pub(crate) to: TaskStatus,
}

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[non_exhaustive]
pub enum TaskStatus {
    /// Where every task starts, and where a failed one goes back to.
    #[default]
    Todo,
    /// Being worked on.
    InProgress,
    /// Done; it can be reopened.
    Done,
    /// Put away. Final: no new run of it starts.
    Archived,
}

impl TaskStatus {
    /// The states that a task can go to from this one.
    #[must_use]
    pub fn next(self) -> &'static [TaskStatus] {
        use TaskStatus::{Archived, Done, InProgress, Todo};
        match self {
            Todo => &[InProgress, Archived],
            InProgress => &[Done, Todo, Archived],
            Done => &[InProgress, Archived],
            Archived => &[],
        }
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TaskStatus::Todo => "TODO",
            TaskStatus::InProgress => "IN_PROGRESS",
            TaskStatus::Done => "DONE",
            TaskStatus::Archived => "ARCHIVED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes() {
        for pass in ["passed", "PASS", "Ok", "SUCCESS", "succeeded"] {
            assert!(passes(pass), "{pass}");
        }
        for fail in ["", "failed", "passed ", "not ok", "true", "pa\u{17f}s"] {
            assert!(!passes(fail), "{fail}");
        }
    }
}
