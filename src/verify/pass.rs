//! One pass over a journal: what its records add up to, and what is wrong with them.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::causes::{Cause, Causes};
use super::fold::{self, Checkpoints, Ending, Steps, Streams};
use crate::artifact::Catalog;
use crate::digest::Digest;
use crate::finding::{Code, Finding};
use crate::journal::{Cursor, Events, Home, JournalError, Opened, PayloadRef, Record};
use crate::manifest::{Draft, Manifest, artifacts_root};
use crate::workspace::RunWords;

/// What a journal adds up to.
#[derive(Debug, Default)]
pub(super) struct Pass {
    journal: Utf8PathBuf,
    pub(super) findings: Vec<Finding>,
    pub(super) records: u64,
    /// Behind the last record that counts.
    pub(super) cursor: Option<Cursor>,
    /// Bytes that were read.
    pub(super) bytes: u64,
    pub(super) ending: Ending,
    pub(super) checkpoints: Checkpoints,
    pub(super) runs: RunWords,
    pub(super) catalog: Catalog,
    /// Objects that payloads are in.
    pub(super) objects: BTreeSet<(Digest, u64)>,
    /// Places behind records that others know of: those that no record was found to end at.
    pub(super) unmet: Vec<Cursor>,
    /// What a page that stands beside the journal should say.
    draft: Option<(Cursor, Draft)>,
    streams: Streams,
    steps: Steps,
    /// A record was not understood, so what it says is not in the folds.
    misread: bool,
    causes: Causes,
}

impl Pass {
    /// Reads a journal. Records are looked for at the ends that `known` names; what `page` says is made anew.
    pub(super) fn read(
        home: &Home,
        opened: Opened,
        known: Vec<Cursor>,
        page: Option<&Manifest>,
    ) -> Result<Self, JournalError> {
        let mut events = Events::open_in(home, opened)?;
        let start = events.cursor();
        let mut pass = Self {
            journal: home.dir().join(crate::layout::JOURNAL),
            unmet: known.into_iter().filter(|known| *known != start).collect(),
            draft: page.map(|page| (page.cursor(), Draft::default())),
            ..Self::default()
        };
        for record in events.by_ref() {
            pass.take_in(&record?, home.is_run());
        }
        pass.findings.extend_from_slice(events.findings());
        pass.cursor = Some(events.cursor());
        pass.bytes = events.reached();
        Ok(pass)
    }

    fn take_in(&mut self, record: &Record, of_run: bool) {
        self.records += 1;
        let cursor = record.cursor();
        self.unmet.retain(|known| *known != cursor);
        if let Some(named) = record.payload_ref() {
            self.objects.insert((named.digest, named.size));
        }
        if let Some((until, draft)) = &mut self.draft
            && cursor.seq() <= until.seq()
        {
            draft.apply(record);
        }
        self.causes.take_in(record);
        let (journal, findings) = (&self.journal, &mut self.findings);
        let mut tell = |code, reason| findings.push(fold::at(journal, record, code, reason));
        let (catalog, knows_all) = (&self.catalog, self.records == record.seq() && !self.misread);
        let told_root = || knows_all.then(|| artifacts_root(catalog.digests()));
        self.streams.take_in(record, &mut tell);
        let mut understood = self.ending.take_in(record, &mut tell);
        if of_run {
            understood = understood
                .and_then(|()| self.steps.take_in(record, &mut tell))
                .and_then(|()| self.checkpoints.take_in(record, told_root, &mut tell))
                .and_then(|()| self.catalog.take_in(record));
        } else {
            understood = understood.and_then(|()| self.runs.apply(record));
        }
        self.misread |= understood.is_err();
        match understood {
            // Its object is looked at as such.
            Ok(())
            | Err(JournalError::ObjectMissing { .. } | JournalError::ObjectChanged { .. }) => {}
            Err(error) => tell(Code::Unreadable, error.to_string()),
        }
    }

    /// What the page should say, if it is known: `None` where records are missing, or do not read.
    pub(super) fn drafted(&mut self) -> Option<Draft> {
        let (_, draft) = self.draft.take()?;
        Some(draft)
    }

    /// True if a record was found to end there.
    pub(super) fn reaches(&self, known: Cursor) -> bool {
        !self.unmet.contains(&known)
    }

    /// The causes that are not in this journal.
    pub(super) fn causes(&mut self) -> Vec<Cause> {
        std::mem::take(&mut self.causes).elsewhere(&self.journal)
    }

    /// The objects that payloads are in, as records name them.
    pub(super) fn objects(&self) -> impl Iterator<Item = PayloadRef> {
        self.objects.iter().map(|(digest, size)| PayloadRef { digest: *digest, size: *size })
    }
}
