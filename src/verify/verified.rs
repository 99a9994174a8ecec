//! What came of a verify, and how far it is.

use serde::Serialize;

use crate::finding::{Finding, Severity};

/// What was looked at, and what is not as it should be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Sorted by path, then by place in the file.
    pub findings: Vec<Finding>,
    /// How many tasks were looked at.
    pub tasks: u64,
    /// How many runs were looked at.
    pub runs: u64,
    /// How many records count, of all journals that were read.
    pub records: u64,
    /// How many artifacts and objects had their content read.
    pub files: u64,
    /// How many bytes were read, of those files and of journals.
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
    /// How many tasks and runs were looked at so far.
    pub done: u64,
    /// How many tasks and runs are known of so far; it grows as tasks tell of their runs.
    pub known: u64,
    /// How many records count so far.
    pub records: u64,
    /// How many bytes were read so far.
    pub bytes: u64,
    /// How many findings there are so far.
    pub findings: u64,
}
