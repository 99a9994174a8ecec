//! Whether the reports let the run pass.

use super::ContractError;
use super::executor::ByExecutor;
use super::read;
use super::report::sealed::Sealed;
use super::report::{Author, Check, Report, ReportStatus};
use super::verifier::ByVerifier;
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

impl Sealed for ByGate {}

impl Author for ByGate {
    const FILE: &'static str = "gate_report.json";
}

/// A gate: looks at `executor_report.json` and `verifier_report.json`, writes `gate_report.json`, and signals
/// `passed` if both [pass](Report::passed) and `blocked` otherwise, in the phase `VERIFYING`. A report that
/// is not there, does not read as one, or has a failed check or an error, whatever its status, does not
/// pass. The run that ends by [`require`](crate::Completion::require)`(GateReport::ARTIFACT)` succeeds only
/// through an open gate; `require` reads the status alone, which a gate writes as it found.
///
/// It takes the reports as they stand. Where the executor may run again, have the verifier run behind it.
pub fn gate() -> impl Node {
    Gate
}

struct Gate;

impl Node for Gate {
    fn run(&self, s: &StepContext) -> StepResult {
        let report =
            GateReport::new()
                .with_check(look_at::<ByExecutor>(s)?)
                .with_check(look_at::<ByVerifier>(s)?);
        let signal = Signal::new(if report.passed() { "passed" } else { "blocked" });
        read::write(s, report)?;
        Ok(signal)
    }

    fn phase(&self) -> RunStatus {
        RunStatus::Verifying
    }
}

fn look_at<A: Author>(s: &StepContext) -> Result<Check, StepError> {
    let name = ArtifactName::from(Report::<A>::ARTIFACT);
    // By the step also where it may not be there: what it did not find is a thing that it went by.
    let bytes = match s.read_bytes(&name) {
        Err(ArtifactError::NotFound { .. }) => {
            return Ok(Check::new(name.as_str(), false).note("it is not there"));
        }
        read => read?,
    };
    let parsed = read::parse::<Report<A>>(&s.context().artifact_path(&name), &bytes);
    let check = match parsed {
        Ok(report) if !report.passed() && report.status == ReportStatus::Passed => {
            let why = "its status is passed, and a failed check or an error says otherwise";
            Check::new(name.as_str(), false).note(why)
        }
        Ok(report) => Check::new(name.as_str(), report.passed()),
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
