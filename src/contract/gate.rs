//! Whether the reports let the run pass.

use super::read::{self, Contract};
use super::report::{Author, Check, Report};
use super::{ContractError, ExecutorReport, VerifierReport};
use crate::artifact::ArtifactError;
use crate::digest::Digest;
use crate::name::ArtifactName;
use crate::node::Node;
use crate::status::RunStatus;
use crate::step::{Signal, StepContext, StepError, StepResult};

/// Whether the reports let the run pass: `gate_report.json`. Each check is a report, with its digest.
pub type GateReport = Report<ByGate>;

/// Written by a gate.
#[derive(Debug, Clone, PartialEq)]
pub enum ByGate {}

impl Author for ByGate {
    const FILE: &'static str = "gate_report.json";
}

/// A gate: looks at `executor_report.json` and `verifier_report.json`, writes `gate_report.json`, and signals
/// `passed` if both pass and `blocked` otherwise, in the phase `VERIFYING`. A report that is not there, or
/// does not read as one, does not pass; the run that ends by
/// [`require`](crate::Completion::require)`(GateReport::ARTIFACT)` succeeds only through an open gate.
///
/// It takes the reports as they stand. Where the executor may run again, have the verifier run behind it.
pub fn gate() -> impl Node {
    Gate
}

struct Gate;

impl Node for Gate {
    fn run(&self, s: &StepContext) -> StepResult {
        let report = GateReport::new()
            .with(look_at::<ExecutorReport>(s, Report::passed)?)
            .with(look_at::<VerifierReport>(s, Report::passed)?);
        let signal = Signal::new(if report.passed() { "passed" } else { "blocked" });
        read::write(s, report)?;
        Ok(signal)
    }

    fn phase(&self) -> RunStatus {
        RunStatus::Verifying
    }
}

fn look_at<T: Contract>(s: &StepContext, passed: fn(&T) -> bool) -> Result<Check, StepError> {
    let name = ArtifactName::from(T::artifact());
    let bytes = match s.read_bytes(&name) {
        Err(ArtifactError::NotFound { .. }) => {
            return Ok(Check::new(name.as_str(), false).note("it is not there"));
        }
        read => read?,
    };
    let check = match read::parse(&s.context().artifact_path(&name), &bytes) {
        Ok(report) => Check::new(name.as_str(), passed(&report)),
        Err(error) => Check::new(name.as_str(), false).note(why(error)),
    };
    Ok(check.digest(Digest::of(&bytes)))
}

/// Without the path, which would differ in a copy of the run.
fn why(error: ContractError) -> String {
    match error {
        ContractError::NewerSchema { found, supported, .. } => {
            format!("it has schema version {found}, and {supported} is the newest that is read")
        }
        ContractError::Artifact(ArtifactError::Json { source, .. }) => {
            format!("it does not read as a report: {source}")
        }
        ContractError::Artifact(other) => other.to_string(),
    }
}
