//! What is to be done, and who says so.

use serde::{Deserialize, Serialize};

use super::ContractError;
use super::read::{self, Contract, Metrics, Origin};
use super::report::ReportStatus;
use crate::artifact::Artifact;
use crate::clock::Timestamp;
use crate::id::{RunId, TaskId};
use crate::node::Node;
use crate::status::RunStatus;
use crate::step::{Signal, StepContext, StepError, StepResult};

/// What is to be done: `plan.json`.
///
/// A [`planner`] gives goal and steps, and the node adds whose it is. It passes until an error says
/// otherwise. A plan of another program needs no more than `{"goal": "..."}`; a step of it no more than
/// `{"name": "..."}`. Members that are not known here are passed over, and stay in the file.
///
/// ```
/// use runjournal::Plan;
/// let plan = Plan::new("A page that loads").step("fetch", "Fetch the page").step("build", "Build it");
/// # assert_eq!(plan.steps.len(), 2);
/// assert!(plan.passed());
/// assert!(!plan.error("nothing says where the page is").passed());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// 1.
    #[serde(default = "read::this_version", deserialize_with = "read::only_this_version")]
    pub schema_version: u32,
    /// The task that it was made for, by the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The run that it was made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// When that run was created, as `run.json` says. When the plan was made, the journal says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_created_at: Option<Timestamp>,
    /// Whether it is a plan to go by: what its author made of it. [`passed`](Plan::passed) looks at the
    /// errors, too.
    #[serde(default = "passed")]
    pub status: ReportStatus,
    /// What the steps are to reach.
    pub goal: String,
    /// What is to be done, in this order.
    #[serde(default)]
    pub steps: Vec<PlanStep>,
    /// Figures of the planning, such as tokens.
    #[serde(default, serialize_with = "read::write_metrics")]
    pub metrics: Metrics,
    /// What people should know.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why it is none to go by.
    #[serde(default)]
    pub errors: Vec<String>,
}

/// The status of a plan that does not say one.
fn passed() -> ReportStatus {
    ReportStatus::Passed
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanStep {
    /// What it is called.
    pub name: String,
    /// What it is to do.
    #[serde(default)]
    pub summary: String,
}

impl Plan {
    /// Where it stands: `artifacts/plan.json`.
    pub const ARTIFACT: Artifact<Self> = Artifact::json("plan.json");

    /// A plan without steps, which passes.
    #[must_use]
    pub fn new(goal: impl Into<String>) -> Self {
        Self {
            schema_version: read::SCHEMA_VERSION,
            task_id: None,
            run_id: None,
            run_created_at: None,
            status: ReportStatus::Passed,
            goal: goal.into(),
            steps: Vec::new(),
            metrics: Metrics::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Adds a step behind those there are.
    #[must_use]
    pub fn step(mut self, name: impl Into<String>, summary: impl Into<String>) -> Self {
        self.steps.push(PlanStep { name: name.into(), summary: summary.into() });
        self
    }

    /// Sets a figure. One that is no finite number cannot be written.
    #[must_use]
    pub fn metric(mut self, name: impl Into<String>, value: impl Into<f64>) -> Self {
        self.metrics.insert(name.into(), value.into());
        self
    }

    /// Adds what people should know.
    #[must_use]
    pub fn warning(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }

    /// Adds why it is none to go by: the plan fails.
    #[must_use]
    pub fn error(mut self, text: impl Into<String>) -> Self {
        self.status = ReportStatus::Failed;
        self.errors.push(text.into());
        self
    }

    /// True if it is a plan to go by: its status says so, and it has no errors.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.status == ReportStatus::Passed && self.errors.is_empty()
    }

    /// Reads the run's plan, and records it as an input of the step. (`s.read(Plan::ARTIFACT)` does that
    /// too, and tells of a newer version only in words.)
    ///
    /// # Errors
    /// Where there is none, where it does not read as one, or [newer code](ContractError::NewerSchema)
    /// wrote it.
    pub fn read(s: &StepContext) -> Result<Self, ContractError> {
        read::read(s)
    }
}

impl Contract for Plan {
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

/// Who makes a plan. Any `|s: &StepContext| Ok(Plan::new(...))` does; for code that exists, wrap it:
///
/// ```
/// use runjournal::{Plan, Planner, StepContext, StepError, planner};
/// # struct CrewBridge;
/// # struct Old { goal: String, tasks: Vec<(String, String)> }
/// # impl CrewBridge {
/// #     fn generate_plan(&self, _: &str) -> Result<Old, std::io::Error> {
/// #         Ok(Old { goal: "g".into(), tasks: vec![] })
/// #     }
/// # }
/// struct Crew {
///     legacy: CrewBridge,
/// }
///
/// impl Planner for Crew {
///     fn plan(&self, _: &StepContext) -> Result<Plan, StepError> {
///         let old = self.legacy.generate_plan("a page that loads")?;
///         Ok(old.tasks.into_iter().fold(Plan::new(old.goal), |plan, (name, what)| plan.step(name, what)))
///     }
/// }
///
/// let node = planner(Crew { legacy: CrewBridge });
/// # fn is_node(_: impl runjournal::Node) {}
/// # is_node(node);
/// ```
pub trait Planner: Send + Sync {
    /// Makes the plan. What it writes by `s` is committed with it, also if the plan does not pass.
    ///
    /// # Errors
    /// Where there is none to be had: the attempt fails, and nothing that it staged is committed.
    fn plan(&self, s: &StepContext) -> Result<Plan, StepError>;
}

impl<F> Planner for F
where
    F: Fn(&StepContext) -> Result<Plan, StepError> + Send + Sync,
{
    fn plan(&self, s: &StepContext) -> Result<Plan, StepError> {
        self(s)
    }
}

/// A planner as a node: writes `plan.json`, and signals `planned` if the plan [passes](Plan::passed) and
/// `plan_failed` otherwise, in the phase `PLANNING`. A plan that does not pass is committed as well, to be
/// read; an executor that is led to is handed it.
pub fn planner(planner: impl Planner) -> impl Node {
    Planning(planner)
}

struct Planning<P>(P);

impl<P: Planner> Node for Planning<P> {
    fn run(&self, s: &StepContext) -> StepResult {
        let plan = self.0.plan(s)?;
        let signal = Signal::new(if plan.passed() { "planned" } else { "plan_failed" });
        read::write(s, plan)?;
        Ok(signal)
    }

    fn phase(&self) -> RunStatus {
        RunStatus::Planning
    }
}
