//! A manifest in the making: what the counted records of a journal add up to.

use std::collections::BTreeMap;

use super::page::{Manifest, ManifestArtifact, ManifestJournal, artifacts_root, root};
use super::{ManifestError, file};
use crate::artifact::ArtifactPayload;
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::genesis::{self, Read, RunGenesis};
use crate::io::Dir;
use crate::journal::{Cursor, JournalError, LockedLog, Record, types};
use crate::name::ArtifactName;
use crate::status::{Completed, Moved, RunStatus};

/// What the records that were read so far add up to. A record that cannot be understood is told at the
/// end: who reads a journal for more than this must not be kept from it.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    records: u64,
    cursor: Option<Cursor>,
    status: RunStatus,
    completed_at: Option<Timestamp>,
    artifacts: BTreeMap<ArtifactName, ManifestArtifact>,
    failed: Option<JournalError>,
}

impl Draft {
    /// Takes in the next counted record.
    pub(crate) fn apply(&mut self, record: &Record) {
        self.records += 1;
        self.cursor = Some(record.cursor());
        if let Err(error) = self.take_in(record) {
            self.failed.get_or_insert(error);
        }
    }

    fn take_in(&mut self, record: &Record) -> Result<(), JournalError> {
        match record.event_type() {
            types::RUN_STATUS_CHANGED => self.status = record.payload::<Moved>()?.to,
            types::EXECUTION_COMPLETE => {
                self.status = record.payload::<Completed>()?.status.into();
                self.completed_at = Some(record.occurred_at());
            }
            _ => {
                if let Some(said) = ArtifactPayload::of(record)? {
                    self.last_word(record, said);
                }
            }
        }
        Ok(())
    }

    fn last_word(&mut self, record: &Record, said: ArtifactPayload) {
        let Some(digest) = said.digest else {
            self.artifacts.remove(&said.path);
            return;
        };
        let media_type = said.media_type.unwrap_or_else(|| said.path.media_type().to_owned());
        let artifact = ManifestArtifact {
            path: said.path.clone(),
            digest,
            // A record that names a digest names the size as well.
            size: said.size.unwrap_or_default(),
            media_type,
            version: record.stream_version(),
            seq: record.seq(),
            step: said.step,
        };
        self.artifacts.insert(said.path, artifact);
    }

    /// The page, once all records were taken in.
    pub(crate) fn finish(
        self,
        ctx: &RunContext,
        run: &Read<RunGenesis>,
    ) -> Result<Manifest, ManifestError> {
        if let Some(error) = self.failed {
            return Err(error.into());
        }
        let at = self.cursor.unwrap_or_else(|| Cursor::start(run.digest));
        let artifacts: Vec<_> = self.artifacts.into_values().collect();
        let artifacts_root = artifacts_root(&artifacts);
        Ok(Manifest {
            format_version: run.value.format_version,
            task_id: ctx.task_id().clone(),
            run_id: ctx.run_id().clone(),
            status: self.status,
            created_at: run.value.created_at,
            completed_at: self.completed_at,
            journal: ManifestJournal {
                records: self.records,
                bytes: at.offset,
                last_seq: at.seq,
                hash: at.hash,
            },
            artifacts,
            artifacts_root,
            root: root(run.digest, at.hash, artifacts_root),
        })
    }

    /// Takes in what was appended since, and writes the page.
    pub(crate) fn leave(
        mut self,
        ctx: &RunContext,
        locked: &mut LockedLog<'_>,
    ) -> Result<(), ManifestError> {
        let since = self.cursor;
        locked.replay(since, &mut |record| {
            self.apply(record);
            Ok(())
        })?;
        let run = genesis::read::<RunGenesis>(locked.dir())?;
        file::write(&self.finish(ctx, &run)?, ctx, locked)
    }
}

impl RunContext {
    /// The run's manifest as the journal is now: read without a lock, in flat memory but for the list of
    /// artifacts. [`Manifest::read`] has the page that was written last.
    ///
    /// # Errors
    /// Where the run or its journal cannot be read.
    pub fn manifest(&self) -> Result<Manifest, ManifestError> {
        let run = genesis::read::<RunGenesis>(&Dir::open(&self.run_path())?)?;
        let mut draft = Draft::default();
        for record in self.events()? {
            draft.apply(&record?);
        }
        draft.finish(self, &run)
    }
}
