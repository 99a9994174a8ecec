//! The page held against the disk.

use std::collections::BTreeMap;

use super::comparison::{Comparison, Difference, Standing};
use super::{Manifest, ManifestError, Witness};
use crate::artifact::Catalog;
use crate::context::RunContext;
use crate::finding::{Code, Finding};
use crate::journal::{Events, JournalError};

impl Manifest {
    /// Compares the page with the disk, hashing every file; what differs is returned, sorted by path, and
    /// nothing is changed. The page may be older than the run, or come from a backup: what the journal
    /// says behind the page's last record holds, and a journal that does not reach that record is found.
    /// What in the journal does not count is told by [`Run::state`](crate::Run::state), and everything
    /// else by [`Verify`](crate::Verify), which takes pages as witnesses.
    ///
    /// It takes no lock for what is as it should be. What is not is looked at once more while nothing is
    /// in flight, so a run can be compared while others write to it. A link, a pipe or a device under
    /// `artifacts/` is a finding; it is neither followed nor opened.
    ///
    /// # Errors
    /// Where the journal, or a directory, cannot be read. A file that cannot be read is a finding.
    pub fn compare(&self, ctx: &RunContext) -> Result<Vec<Finding>, ManifestError> {
        let home = ctx.home();
        let mut findings = Vec::new();
        let reaches = match Events::open(&home)?.from(self.cursor()) {
            Ok(_) => true,
            Err(JournalError::CursorMismatch { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let witness = Witness::from(self);
        if !reaches {
            let reason = witness.is_not_reached();
            findings.push(Finding::whole(ctx.journal_path(), Code::JournalShorter, reason));
        }
        let (dir, catalog) = (home.open()?.dir, Catalog::read(&home)?);
        let comparison = Comparison::new(home, dir, catalog, Some((witness, reaches)));
        let listed = comparison.names()?;
        let odd = listed.odd.into_iter().map(|(path, odd)| (path, odd.finding));
        let mut different: BTreeMap<String, Finding> = odd.collect();
        comparison.look(listed.names.keys(), &mut |name, difference| {
            different.insert(name.to_string(), difference.into_compared());
        })?;
        findings.extend(different.into_values());
        Ok(findings)
    }
}

impl Difference {
    /// A commit that waits is told of as such, whoever puts it in place when.
    fn into_compared(self) -> Finding {
        let Self { mut finding, standing } = self;
        if let Standing::Waits { .. } = standing {
            finding.code = Code::CommitNotApplied;
            finding.reason.push_str("; the committed content waits in `.tmp/`");
        }
        finding
    }
}
