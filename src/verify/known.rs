//! What others know of a journal: its head, the page beside it, and witnesses from elsewhere.

use super::checkpoint::newer;
use super::home::Look;
use super::pass::Pass;
use super::places::unreadable;
use crate::digest::Digest;
use crate::error::IoError;
use crate::finding::{Code, Finding};
use crate::genesis::{Read, RunGenesis};
use crate::io::Kind;
use crate::journal::{Cursor, Head};
use crate::layout;
use crate::manifest::{Manifest, ManifestError, Witness, read_page, root, sums};

impl Look<'_> {
    /// Where the heads say that records end.
    pub(super) fn heads(&self, genesis: Digest) -> Result<Vec<Cursor>, IoError> {
        if self.places.kind(layout::HEAD_OF_HOME) != Some(Kind::File) {
            return Ok(Vec::new());
        }
        match self.dir.open_dir(layout::JOURNAL_DIR) {
            Ok(journal) => Head::claims(&journal, genesis),
            // It is told that the journal is missing.
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The page of a run, if it is one of this run that nobody changed.
    pub(super) fn page(&mut self, run: &Read<RunGenesis>) -> Option<Manifest> {
        let path = self.dir.path().join(layout::MANIFEST);
        if self.places.kind(layout::MANIFEST)? != Kind::File {
            self.tell(Finding::whole(&path, Code::ManifestDamaged, "it is no file"));
            return None;
        }
        let page = match read_page(&self.dir) {
            Ok(page) => page?,
            Err(ManifestError::Io(error)) => {
                self.tell(unreadable(&error));
                return None;
            }
            Err(ManifestError::NewerFormat { found, .. }) => {
                self.tell(newer(&path, found));
                return None;
            }
            Err(ManifestError::Damaged { reason, .. }) => {
                self.tell(Finding::whole(&path, Code::ManifestDamaged, reason));
                return None;
            }
            Err(error) => {
                self.tell(Finding::whole(&path, Code::ManifestDamaged, error.to_string()));
                return None;
            }
        };
        let lines = page.artifacts.iter().map(|artifact| (artifact.digest, artifact.path.as_str()));
        let artifacts_root = sums(lines);
        if artifacts_root != page.artifacts_root
            || page.root != root(run.digest, page.journal.hash, artifacts_root)
        {
            let reason = "it is not of this run: its root is not that of its parts";
            self.tell(Finding::whole(&path, Code::ManifestDamaged, reason));
            return None;
        }
        Some(page)
    }

    /// That there is no journal, and how much of it others know.
    pub(super) fn missing(&self, stands: &str, page: Option<&Manifest>) -> Finding {
        let own = page.map(Witness::from);
        let newest = self.witnesses.iter().chain(&own).max_by_key(|known| known.cursor.seq());
        let reason = newest.map_or_else(
            || stands.to_owned(),
            |known| format!("{stands}, and {} knows it up to seq {}", known.by, known.cursor.seq()),
        );
        Finding::whole(self.dir.path().join(layout::JOURNAL), Code::JournalMissing, reason)
    }

    /// What others know of the journal that it does not have.
    pub(super) fn tell_of_reach(&mut self, heads: &[Cursor], page: Option<&Manifest>, pass: &Pass) {
        let journal = self.dir.path().join(layout::JOURNAL);
        let own = page.map(Witness::from);
        for witness in own.iter().chain(self.witnesses) {
            if !pass.reaches(witness.cursor) {
                let reason = witness.is_not_reached();
                self.looked.verified.findings.push(Finding::whole(
                    &journal,
                    Code::JournalShorter,
                    reason,
                ));
            }
        }
        for head in heads {
            if !pass.reaches(*head) {
                let reason = format!(
                    "it is of the record with seq {} that ends at byte {}, which the journal does not have \
                     there",
                    head.seq(),
                    head.offset()
                );
                let path = self.dir.path().join(layout::JOURNAL_DIR).join(layout::HEAD);
                self.tell(Finding::whole(&path, Code::HeadAhead, reason));
            }
        }
    }

    /// Whether the page says what the journal says, where that has all records that the page counts.
    pub(super) fn judge_page(&mut self, page: &Manifest, run: &Read<RunGenesis>, pass: &mut Pass) {
        let Some(draft) = pass.drafted().filter(|_| pass.reaches(page.cursor())) else { return };
        let Ok(drafted) = draft.finish((&page.task_id, &page.run_id), run) else { return };
        // One that was written where records were missing, or before they were lost, counts others.
        let (drafted_as, of_page) = (&drafted.journal, &page.journal);
        let is_whole = drafted_as.records == drafted_as.last_seq;
        if drafted != *page && (is_whole || drafted_as.records == of_page.records) {
            let path = self.dir.path().join(layout::MANIFEST);
            let reason = "it does not say what the journal says";
            self.tell(Finding::whole(&path, Code::ManifestDamaged, reason));
        }
    }
}
