//! Checkpoints: one for each turn, in order.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::digest::Digest;
use crate::finding::Code;
use crate::journal::{JournalError, Record, types};

/// What the journal says of checkpoints, by turn.
#[derive(Debug, Default)]
pub(in crate::verify) struct Checkpoints {
    pub(in crate::verify) created: BTreeMap<u64, Created>,
    last: u64,
}

/// A checkpoint, as its record says.
#[derive(Debug, Clone, Copy)]
pub(in crate::verify) struct Created {
    pub(in crate::verify) digest: Digest,
    pub(in crate::verify) artifacts_root: Option<Digest>,
    /// Of the record.
    pub(in crate::verify) seq: u64,
    /// What the records before it say that `artifacts_root` is; `None` where they do not tell.
    pub(in crate::verify) told_root: Option<Digest>,
}

#[derive(Deserialize)]
struct Payload {
    turn: u64,
    digest: Digest,
    #[serde(default)]
    artifacts_root: Option<Digest>,
}

impl Checkpoints {
    pub(in crate::verify) fn take_in(
        &mut self,
        record: &Record,
        told_root: impl FnOnce() -> Option<Digest>,
        tell: &mut dyn FnMut(Code, String),
    ) -> Result<(), JournalError> {
        if record.event_type() != types::CHECKPOINT_CREATED {
            return Ok(());
        }
        let Payload { turn, digest, artifacts_root } = record.payload()?;
        if self.created.contains_key(&turn) {
            tell(Code::DuplicateTurn, format!("turn {turn} has a checkpoint before it"));
            return Ok(());
        }
        if turn != self.last + 1 {
            let reason = format!("the checkpoint of turn {turn} follows that of {}", self.last);
            tell(Code::TurnOutOfSequence, reason);
        }
        self.last = turn;
        let (seq, told_root) = (record.seq(), told_root());
        self.created.insert(turn, Created { digest, artifacts_root, seq, told_root });
        Ok(())
    }
}
