//! Artifacts: the files under `artifacts/` held against what the journal says, and their commits that wait.

use super::places::{special, unreadable, whole};
use crate::finding::{Code, Finding};
use crate::journal::JournalError;
use crate::manifest::{Comparison, Difference, Standing};
use crate::name::ArtifactName;

/// The artifacts of a run.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) comparison: Comparison,
    /// The run succeeded.
    pub(super) succeeded: bool,
}

impl Contents {
    pub(super) fn new(comparison: Comparison, succeeded: bool) -> Self {
        Self { comparison, succeeded }
    }

    /// What is wrong with an artifact, its content included.
    pub(super) fn look(&self, name: &ArtifactName) -> Vec<Finding> {
        match self.comparison.look(name) {
            Ok(None) => Vec::new(),
            Ok(Some(difference)) => self.findings(difference),
            Err(JournalError::Io(error)) => vec![unreadable(&error)],
            Err(error) => {
                vec![whole(self.comparison.home().dir(), Code::Unreadable, error.to_string())]
            }
        }
    }

    pub(super) fn findings(&self, difference: Difference) -> Vec<Finding> {
        let Difference { mut finding, standing } = difference;
        match standing {
            // As after a kill: whoever comes next puts it in place, and nothing is lost.
            Standing::Waits { will_be_put: true } => return Vec::new(),
            Standing::Waits { will_be_put: false } => {
                finding.code = Code::CommitNotApplied;
                finding.reason.push_str("; the committed content waits in `.tmp/`");
            }
            Standing::Damaged(stage) => finding = stage,
            Standing::Special if finding.code == Code::ArtifactUnjournaled => {
                finding = special(&finding.place.path);
            }
            Standing::Special | Standing::Usual => {}
        }
        let lacks = matches!(
            finding.code,
            Code::ArtifactMissing
                | Code::ArtifactChanged
                | Code::CommitNotApplied
                | Code::StageDamaged
        );
        let mut findings = vec![finding];
        if lacks && self.succeeded {
            // Once for each of them: equal findings are one in the end.
            let reason = "it succeeded, and artifacts of it are missing or changed";
            let run = self.comparison.home().dir();
            findings.push(whole(run, Code::StatusWithoutArtifacts, reason));
        }
        findings
    }
}
