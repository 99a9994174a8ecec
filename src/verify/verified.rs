//! What came of a verify, and how far it is.

use serde::Serialize;

use crate::finding::{Finding, Severity};

/// What was looked at, and what is not as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Sorted by path, then by place in the file.
    pub findings: Vec<Finding>,
    /// Tasks that were looked at,
    pub tasks: u64,
    /// and runs.
    pub runs: u64,
    /// Records that count.
    pub records: u64,
    /// Artifacts and objects of which the content was read,
    pub files: u64,
    /// and bytes in all: of those, and of journals.
    pub bytes: u64,
}

impl Verified {
    /// True if nothing is wrong: no finding is more than a note.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.worst().is_none_or(|worst| worst == Severity::Note)
    }

    /// How bad the worst finding is.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.code.severity()).max()
    }

    /// How many findings are that bad.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.code.severity() == severity).count()
    }

    pub(super) fn sort(&mut self) {
        let key = |finding: &Finding| {
            let place = &finding.place;
            (place.path.clone(), place.offset, finding.code, finding.reason.clone())
        };
        self.findings.sort_by_cached_key(key);
        self.findings.dedup();
    }

    pub(super) fn add(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.tasks += other.tasks;
        self.runs += other.runs;
        self.records += other.records;
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// How far a verify is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyProgress {
    /// Tasks and runs that were looked at,
    pub done: u64,
    /// of so many that are known of so far.
    pub known: u64,
    /// Records that count,
    pub records: u64,
    /// and bytes that were read.
    pub bytes: u64,
    /// Findings so far.
    pub findings: u64,
}
