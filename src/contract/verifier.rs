//! Who checks what was done, and what was found.

use super::read;
use super::report::sealed::Sealed;
use super::report::{Author, Report};
use super::{ExecutorReport, Plan};
use crate::node::Node;
use crate::status::RunStatus;
use crate::step::{Signal, StepContext, StepError, StepResult};

/// What the checks found: `verifier_report.json`.
pub type VerifierReport = Report<ByVerifier>;

/// Written by a verifier.
#[derive(Debug, Clone, PartialEq)]
pub enum ByVerifier {}

impl Sealed for ByVerifier {}

impl Author for ByVerifier {
    const FILE: &'static str = "verifier_report.json";
}

/// Who checks what was done. Any `|s: &StepContext, plan: &Plan, done: &ExecutorReport|
/// Ok(VerifierReport::new())` does.
pub trait Verifier: Send + Sync {
    /// Checks the work.
    ///
    /// # Errors
    /// Where it cannot be checked: the attempt fails, and nothing that it staged is committed.
    fn verify(
        &self,
        s: &StepContext,
        plan: &Plan,
        done: &ExecutorReport,
    ) -> Result<VerifierReport, StepError>;
}

impl<F> Verifier for F
where
    F: Fn(&StepContext, &Plan, &ExecutorReport) -> Result<VerifierReport, StepError> + Send + Sync,
{
    fn verify(
        &self,
        s: &StepContext,
        plan: &Plan,
        done: &ExecutorReport,
    ) -> Result<VerifierReport, StepError> {
        self(s, plan, done)
    }
}

/// A verifier as a node: reads `plan.json` and `executor_report.json`, writes `verifier_report.json`, and
/// signals `verified` if the report [passes](Report::passed) and `verify_failed` otherwise, in the phase
/// `VERIFYING`.
pub fn verifier(verifier: impl Verifier) -> impl Node {
    Verifying(verifier)
}

struct Verifying<V>(V);

impl<V: Verifier> Node for Verifying<V> {
    fn run(&self, s: &StepContext) -> StepResult {
        let (plan, done) = (Plan::read(s)?, ExecutorReport::read(s)?);
        let report = self.0.verify(s, &plan, &done)?;
        let signal = Signal::new(if report.passed() { "verified" } else { "verify_failed" });
        read::write(s, report)?;
        Ok(signal)
    }

    fn phase(&self) -> RunStatus {
        RunStatus::Verifying
    }
}
