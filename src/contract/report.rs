//! What the reports share, which is all but who writes them.

use std::fmt::Debug;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::ContractError;
use super::read::{self, Contract, Metrics, Origin};
use crate::artifact::Artifact;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{RunId, TaskId};
use crate::status;
use crate::step::StepContext;

/// Who writes a report, and so where it stands: an executor, a verifier, a gate, and nobody else.
pub trait Author: Debug + Clone + PartialEq + sealed::Sealed {
    /// The artifact.
    const FILE: &'static str;
}

pub(super) mod sealed {
    /// Nobody else can be an author.
    pub trait Sealed {}
}

/// A report: an [`ExecutorReport`](super::ExecutorReport), a [`VerifierReport`](super::VerifierReport) or a
/// [`GateReport`](super::GateReport), which differ in where they stand.
///
/// It [passes](Report::passed) until a check or an error says otherwise. Whose it is, the node adds, and a
/// status that agrees with the rest. A report of another program needs no more than `{"status": "passed"}`;
/// members that are not known here are passed over, and stay in the file.
///
/// A run may end only with reports that pass: [`Completion::require`](crate::Completion::require), which
/// takes any JSON and reads `status` alone. So require what a node wrote, such as the report of a
/// [`gate`](super::gate): another program's report may say `passed` beside its errors.
///
/// ```
/// use runjournal::{ExecutorReport, ReportStatus};
/// let report = ExecutorReport::new().metric("pages", 3).check("fetch", true);
/// assert_eq!(report.status, ReportStatus::Passed);
/// assert_eq!(report.error("the disk is full").status, ReportStatus::Failed);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
#[non_exhaustive]
pub struct Report<A: Author> {
    /// 1.
    #[serde(default = "read::this_version", deserialize_with = "read::only_this_version")]
    pub schema_version: u32,
    /// The task that it was made for, by the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The run that it was made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// When that run was created, as `run.json` says. When the work began and ended, the journal says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_created_at: Option<Timestamp>,
    /// Whether all is well: what its author made of it. [`passed`](Report::passed) looks at the checks and
    /// the errors, too.
    pub status: ReportStatus,
    /// What was done or looked at, one by one.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Figures: counts, seconds, tokens. Ones that change when the work is done again (a duration) make its
    /// bytes, and so the run's `artifacts_root`, change too.
    #[serde(default, serialize_with = "read::write_metrics")]
    pub metrics: Metrics,
    /// What people should know, and that is no failure.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why it failed.
    #[serde(default)]
    pub errors: Vec<String>,
    #[serde(skip)]
    author: PhantomData<fn() -> A>,
}

/// Whether all is well: `passed` or `failed`. As in [`Completion::require`](crate::Completion::require), `pass`,
/// `ok`, `success` and `succeeded`, in any case of the letters, are read as `passed`, and any other text as `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "String")]
pub enum ReportStatus {
    /// All is well.
    Passed,
    /// Something is not.
    Failed,
}

impl From<String> for ReportStatus {
    fn from(text: String) -> Self {
        Self::of(status::passes(&text))
    }
}

impl ReportStatus {
    pub(super) fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// Something that was done or looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Check {
    /// What it is called: the name of a step of the plan, of a test, of a report.
    pub name: String,
    /// How it went.
    pub status: ReportStatus,
    /// The digest of what was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// A few words on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Check {
    /// A check, and whether it passed.
    #[must_use]
    pub fn new(name: impl Into<String>, passed: bool) -> Self {
        Self { name: name.into(), status: ReportStatus::of(passed), digest: None, note: None }
    }

    /// With the digest of what was looked at.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    /// With a few words on it.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.note = Some(text.into());
        self
    }
}

impl<A: Author> Report<A> {
    /// Where it stands among the artifacts.
    pub const ARTIFACT: Artifact<Self> = Artifact::json(A::FILE);

    /// A report that passes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema_version: read::SCHEMA_VERSION,
            task_id: None,
            run_id: None,
            run_created_at: None,
            status: ReportStatus::Passed,
            checks: Vec::new(),
            metrics: Metrics::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            author: PhantomData,
        }
    }

    /// Adds what was done or looked at. If it failed, so does the report.
    #[must_use]
    pub fn check(self, name: impl Into<String>, passed: bool) -> Self {
        self.with_check(Check::new(name, passed))
    }

    /// Adds a check with all that it says. If it failed, so does the report.
    #[must_use]
    pub fn with_check(mut self, check: Check) -> Self {
        if check.status == ReportStatus::Failed {
            self.status = ReportStatus::Failed;
        }
        self.checks.push(check);
        self
    }

    /// Sets a figure. One that is no finite number cannot be written.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<f64>) -> Self {
        self.metrics.insert(name.into(), value.into());
        self
    }

    /// Adds what people should know, and that is no failure.
    #[must_use]
    pub fn warning(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }

    /// Adds why it failed: the report fails.
    #[must_use]
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.status = ReportStatus::Failed;
        self.errors.push(text.into());
        self
    }

    /// True if all is well: the status says so, no check failed, and there are no errors.
    #[must_use]
    pub fn passed(&self) -> bool {
        let mut said = self.checks.iter().map(|check| check.status).chain([self.status]);
        said.all(|status| status == ReportStatus::Passed) && self.errors.is_empty()
    }

    /// Reads the run's report, and records it as an input of the step. (`s.read(ExecutorReport::ARTIFACT)`
    /// does that too, and tells of a newer version only in words.)
    ///
    /// # Errors
    /// Where there is none, where it does not read as one, or [newer code](ContractError::NewerSchema)
    /// wrote it.
    pub fn read(s: &StepContext) -> Result<Self, ContractError> {
        read::read(s)
    }
}

impl<A: Author> Default for Report<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Author> Contract for Report<A> {
    fn artifact() -> Artifact<Self> {
        Self::ARTIFACT
    }

    fn stamp(&mut self, origin: Origin) {
        self.status = ReportStatus::of(self.passed());
        self.task_id = Some(origin.task_id);
        self.run_id = Some(origin.run_id);
        self.run_created_at = Some(origin.run_created_at);
    }
}
