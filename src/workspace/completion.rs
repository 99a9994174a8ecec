//! How a run is to end, and the gate: the reports that its success requires.

use std::fmt;

use camino::Utf8Path;
use serde::Deserialize;

use super::WorkspaceError;
use crate::artifact::Last;
use crate::digest::Digest;
use crate::io::{Dir, Kind};
use crate::journal::LockedLog;
use crate::layout;
use crate::name::ArtifactName;
use crate::status::{Outcome, RequiredReport, passes};

/// A longer report is not read: it would be, while others wait for the lock.
const MAX_REPORT: u64 = 4 << 20;

/// How a run is to end: for [`Run::complete_with`](super::Run::complete_with).
#[derive(Debug, Clone)]
#[must_use = "it says how a run is to end, and ends none"]
pub struct Completion {
    outcome: Outcome,
    reason: Option<String>,
    required: Vec<ArtifactName>,
}

impl Completion {
    pub(super) fn new(outcome: Outcome, reason: Option<&str>) -> Self {
        Self { outcome, reason: reason.map(str::to_owned), required: Vec::new() }
    }

    /// Done, and well.
    pub fn success() -> Self {
        Self::new(Outcome::Success, None)
    }

    /// Done, and not well. Nothing that is [required](Completion::require) keeps a run from failing.
    pub fn failure() -> Self {
        Self::new(Outcome::Failed, None)
    }

    /// Why, in a few words.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Success requires this report, and that it passes: it is an artifact of the run whose file has the
    /// digest that the journal says, a JSON object of at most 4 MiB whose member `status` is `passed`,
    /// `pass`, `ok`, `success` or `succeeded`, in any case of the letters. Any program may have written it,
    /// and nothing else of it is read: no checks, and no errors. The run's last record names it with its
    /// digest.
    pub fn require(mut self, report: impl Into<ArtifactName>) -> Self {
        let report = report.into();
        if !self.required.contains(&report) {
            self.required.push(report);
        }
        self
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(crate) fn required(&self) -> &[ArtifactName] {
        &self.required
    }

    /// The reports that the end requires, as they are; or those that keep the run from ending so.
    pub(super) fn check(
        &self,
        locked: &mut LockedLog<'_>,
    ) -> Result<Result<Vec<RequiredReport>, Vec<UnmetReport>>, WorkspaceError> {
        let (mut met, mut unmet) = (Vec::new(), Vec::new());
        let required = self.required.iter().filter(|_| self.outcome == Outcome::Success);
        for report in required {
            match look_at(locked, report)? {
                Ok(digest) => met.push(RequiredReport { path: report.clone(), digest }),
                Err(fault) => unmet.push(UnmetReport { report: report.clone(), fault }),
            }
        }
        Ok(if unmet.is_empty() { Ok(met) } else { Err(unmet) })
    }
}

/// A report that does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnmetReport {
    /// Its name.
    pub report: ArtifactName,
    /// What is wrong with it.
    pub fault: ReportFault,
}

impl fmt::Display for UnmetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.report, self.fault)
    }
}

/// Why a report does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportFault {
    /// The run has no such artifact.
    #[error("is no artifact of the run")]
    Missing,
    /// There is such a file, which the journal does not know.
    #[error("is not in the journal (`runjournal artifact adopt` puts it there)")]
    Unjournaled,
    /// The journal knows it, and its file is gone.
    #[error("is in the journal, and its file is gone")]
    FileGone,
    /// A directory, a symbolic link or a special file stands there, or a link on the way.
    #[error("is no regular file: a directory, a link or a special file stands there")]
    NotAFile,
    /// Its file is not what the journal says.
    #[error("was changed: its file has the digest {found}, and the journal says {expected}")]
    Changed {
        /// What the journal says.
        expected: Digest,
        /// What the file has.
        found: Digest,
    },
    /// It is too long to be read while others wait.
    #[error("has more than {most} bytes")]
    TooLong {
        /// How many it may have.
        most: u64,
    },
    /// It is no JSON object, or its `status` is no text.
    #[error("is no JSON object with a text as `status`: {reason}")]
    NotAReport {
        /// What is wrong.
        reason: String,
    },
    /// It says something else.
    #[error("has the status {status:?}")]
    Status {
        /// What it says.
        status: String,
    },
}

/// The digest of a report that passes, or what is wrong with it.
fn look_at(
    locked: &mut LockedLog<'_>,
    report: &ArtifactName,
) -> Result<Result<Digest, ReportFault>, WorkspaceError> {
    let expected = Last::read(locked, report)?.and_then(|last| last.digest);
    let path = layout::artifact(report.as_str());
    let opened = locked.dir().open_read(&path);
    let mut file = match (opened, expected) {
        (Err(error), None) if error.is_not_found() => return Ok(Err(ReportFault::Missing)),
        (Err(error), Some(_)) if error.is_not_found() => return Ok(Err(ReportFault::FileGone)),
        (Err(_), _) if is_no_file(locked.dir(), &path) => return Ok(Err(ReportFault::NotAFile)),
        (opened, _) => opened?,
    };
    let Some(expected) = expected else { return Ok(Err(ReportFault::Unjournaled)) };
    let Some(bytes) = file.read_little(MAX_REPORT)? else {
        return Ok(Err(ReportFault::TooLong { most: MAX_REPORT }));
    };
    let found = Digest::of(&bytes);
    if found != expected {
        return Ok(Err(ReportFault::Changed { expected, found }));
    }
    Ok(match status(&bytes) {
        Ok(status) if passes(&status) => Ok(found),
        Ok(status) => Err(ReportFault::Status { status }),
        Err(reason) => Err(ReportFault::NotAReport { reason }),
    })
}

/// True if something else than a file stands at a path, or something else than a directory on the way.
fn is_no_file(dir: &Dir, path: &str) -> bool {
    let stands = |path: &Utf8Path| dir.stat(path.as_str()).ok().flatten().map(|entry| entry.kind);
    let path = Utf8Path::new(path);
    stands(path) == Some(Kind::Dir)
        || path.ancestors().any(|place| stands(place) == Some(Kind::Other))
}

/// What a report says. One that says it twice says nothing.
fn status(bytes: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Report {
        status: String,
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    // A list with one text would read as this type, too.
    if !text.trim_start().starts_with('{') {
        return Err("it does not begin with a brace".to_owned());
    }
    let report: Report = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(report.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_report() {
        assert_eq!(status(br#" {"a": [1], "status": "failed"}"#), Ok("failed".to_owned()));
        for bad in [
            "",
            "{}",
            r#"["passed"]"#,
            r#""passed""#,
            r#"{"status":true}"#,
            r#"{"status":null}"#,
            r#"{"status":"passed"} x"#,
            r#"{"status":"failed","status":"passed"}"#,
            r#"{"Status":"passed"}"#,
            r#"{"inner":{"status":"passed"}}"#,
        ] {
            assert!(status(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(status(b"{\"a\":\"\xff\",\"status\":\"passed\"}").is_err());
    }
}
