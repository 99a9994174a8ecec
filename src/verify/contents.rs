//! Artifacts: the files under `artifacts/` held against what the journal says, and their commits that wait.

use super::places::{special, unreadable};
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

    /// What is wrong with these artifacts, their content included.
    pub(super) fn look<'a>(
        &self,
        names: impl IntoIterator<Item = &'a ArtifactName>,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        let looked = self.comparison.look(names, &mut |_, difference| {
            findings.extend(self.findings(difference));
        });
        match looked {
            Ok(()) => {}
            Err(JournalError::Io(error)) => findings.push(unreadable(&error)),
            Err(error) => {
                let home = self.comparison.home().dir();
                findings.push(Finding::whole(home, Code::Unreadable, error.to_string()));
            }
        }
        findings
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
            findings.push(Finding::whole(run, Code::StatusWithoutArtifacts, reason));
        }
        findings
    }
}
