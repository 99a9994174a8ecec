//! Who does what the plan says, and what came of it.

use super::Plan;
use super::read;
use super::report::sealed::Sealed;
use super::report::{Author, Report};
use crate::node::Node;
use crate::status::RunStatus;
use crate::step::{Signal, StepContext, StepError, StepResult};

/// What came of the work: `executor_report.json`.
pub type ExecutorReport = Report<ByExecutor>;

/// Written by an executor.
#[derive(Debug, Clone, PartialEq)]
pub enum ByExecutor {}

impl Sealed for ByExecutor {}

impl Author for ByExecutor {
    const FILE: &'static str = "executor_report.json";
}

/// Who does what the plan says. Any `|s: &StepContext, plan: &Plan| Ok(ExecutorReport::new())` does.
pub trait Executor: Send + Sync {
    /// Does the work. What it writes by `s` is committed with the report, also if that fails.
    ///
    /// # Errors
    /// Where there is nothing to report: the attempt fails, and nothing that it staged is committed.
    fn execute(&self, s: &StepContext, plan: &Plan) -> Result<ExecutorReport, StepError>;
}

impl<F> Executor for F
where
    F: Fn(&StepContext, &Plan) -> Result<ExecutorReport, StepError> + Send + Sync,
{
    fn execute(&self, s: &StepContext, plan: &Plan) -> Result<ExecutorReport, StepError> {
        self(s, plan)
    }
}

/// An executor as a node: reads `plan.json`, writes `executor_report.json`, and signals `success` if the
/// report [passes](Report::passed) and `failed` otherwise, in the phase `EXECUTING`.
pub fn executor(executor: impl Executor) -> impl Node {
    Executing(executor)
}

struct Executing<E>(E);

impl<E: Executor> Node for Executing<E> {
    fn run(&self, s: &StepContext) -> StepResult {
        let plan = Plan::read(s)?;
        let report = self.0.execute(s, &plan)?;
        let signal = Signal::new(if report.passed() { "success" } else { "failed" });
        read::write(s, report)?;
        Ok(signal)
    }

    fn phase(&self) -> RunStatus {
        RunStatus::Executing
    }
}
