//! Whether a journal reaches what others know of it: the page and the checkpoints that were made from it, and
//! the snapshots before.

use std::collections::BTreeSet;

use super::BackupError;
use super::look::Look;
use super::page::Page;
use super::snapshot::Snapshot;
use super::word::Word;
use crate::checkpoint::Page as Checkpoint;
use crate::finding::Code;
use crate::journal::{Cursor, Events, Home, JournalError, Opened, types};
use crate::layout;
use crate::layout::HomeId;
use crate::manifest::{Witness, read_page, root};
use crate::verify::turns;

/// A snapshot before, and the homes in which it found errors.
pub(super) struct Before {
    snapshot: Snapshot,
    bad: BTreeSet<HomeId>,
}

/// What a snapshot knows of one home.
pub(super) struct Earlier<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) page: &'a Page,
}

impl From<Snapshot> for Before {
    fn from(snapshot: Snapshot) -> Self {
        let bad = snapshot.bad();
        Self { snapshot, bad }
    }
}

impl Before {
    /// The snapshot, if it holds a home and found no error in it: of damage nobody learns what was lost.
    pub(super) fn good(&self, id: &HomeId) -> Option<&Snapshot> {
        let good = self.snapshot.named(id).is_some() && !self.bad.contains(id);
        good.then_some(&self.snapshot)
    }

    /// The tasks and runs that it holds.
    pub(super) fn homes(&self) -> impl Iterator<Item = &HomeId> {
        self.snapshot.file.homes.iter().map(|home| &home.path)
    }

    /// In words, that it holds what is gone.
    pub(super) fn holds_what_is_gone(&self) -> String {
        format!("snapshot {} has it, it is gone, and no `run_pruned` says why", self.snapshot.id())
    }
}

impl Look<'_> {
    /// The page beside a run's journal, if it is one of this run. Where it cannot be read, nothing is lost: it is
    /// derived.
    pub(super) fn manifest(&self, opened: &Opened) -> Option<Witness> {
        let page = read_page(&self.dir).ok()?.filter(|_| self.home.is_run())?;
        let is_own = page.root == root(opened.genesis, page.journal.hash, page.artifacts_root);
        is_own.then(|| Witness::from(&page))
    }

    /// Tells of records that the journal does not have, and somebody knows. The manifest is to be read before
    /// the journal, so that it is not ahead.
    pub(super) fn tell_if_shorter(
        &mut self,
        manifest: Option<Witness>,
        earlier: Option<&Earlier<'_>>,
        word: &Word,
        opened: &Opened,
    ) -> Result<(), BackupError> {
        // What damage took is told where the damage is.
        if word.damage().next().is_some() {
            return Ok(());
        }
        let earlier = earlier.and_then(|earlier| self.witness(earlier, opened));
        let mut reasons = Vec::new();
        for witness in manifest.into_iter().chain(earlier) {
            if !word.closed_off(witness.cursor) && !self.reaches(opened, witness.cursor)? {
                reasons.push(witness.is_not_reached());
            }
        }
        reasons.extend(self.checkpoint_ahead(word, opened)?);
        for reason in reasons {
            self.tell(Code::JournalShorter, layout::JOURNAL, reason);
        }
        Ok(())
    }

    fn reaches(&self, opened: &Opened, cursor: Cursor) -> Result<bool, JournalError> {
        match Events::open_in(&self.home, opened.clone())?.from(cursor) {
            Ok(_) => Ok(true),
            Err(JournalError::CursorMismatch { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What a snapshot knows of this very task or run: one with another genesis file is another one.
    fn witness(&self, earlier: &Earlier<'_>, opened: &Opened) -> Option<Witness> {
        let genesis = earlier.page.files.iter().find(|file| file.path == self.id.genesis());
        genesis.filter(|file| file.digest == opened.genesis)?;
        let cursor = earlier.page.journal.as_ref()?.cursor?;
        if self.was_put_back_since(earlier.snapshot) {
            return None;
        }
        let by = format!("snapshot {}", earlier.snapshot.id());
        Some(Witness { by, cursor, artifacts: [].into(), names_all: false })
    }

    /// True if a run was put back from a backup after that snapshot, so that it need not have what that knows.
    fn was_put_back_since(&self, snapshot: &Snapshot) -> bool {
        let Some(run) = &self.id.run else { return false };
        let task = Home::of_task(self.root, &self.id.task, self.runtime);
        let then = snapshot.home(&self.id.task, None).ok().flatten();
        let then = then.and_then(|task| task.cursor).map_or(0, |cursor| cursor.seq);
        // Where the task's journal cannot be read, it does not say that.
        let restored = Events::open(&task)
            .map(|events| events.in_stream("run", run.as_str()).of_type(types::RUN_RESTORED))
            .and_then(|events| events.last(1));
        let restored = restored.ok().and_then(|mut last| last.next()?.ok());
        restored.is_some_and(|restored| restored.seq() > then)
    }

    /// In words, that a checkpoint is of records that the journal does not have. One without a record of its own
    /// is what a crash leaves, or its record came after the journal was read.
    fn checkpoint_ahead(&self, word: &Word, opened: &Opened) -> Result<Vec<String>, BackupError> {
        let Some(cursor) = word.cursor.filter(|_| self.home.is_run()) else {
            return Ok(Vec::new());
        };
        let mut ahead = Vec::new();
        for turn in turns(&self.dir) {
            if !word.checkpoints.contains_key(&turn) {
                let page = Checkpoint::unnamed(&self.dir, &layout::checkpoint(turn));
                ahead
                    .extend(page.filter(|page| page.seq > cursor.seq).map(|page| (turn, page.seq)));
            }
        }
        if ahead.is_empty() {
            return Ok(Vec::new());
        }
        let mut events = Events::open_in(&self.home, opened.clone())?.from(cursor)?;
        events.by_ref().try_for_each(|record| record.map(drop))?;
        let last = events.cursor().seq();
        let ahead = ahead.into_iter().filter(|(_, seq)| *seq > last);
        Ok(ahead
            .map(|(turn, seq)| {
                format!("it ends at seq {last}, and the checkpoint of turn {turn} is of seq {seq}")
            })
            .collect())
    }
}
