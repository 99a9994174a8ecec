//! What can go wrong with a journal.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::Digest;
use crate::error::{IoError, cut};
use crate::genesis::GenesisError;
use crate::id::{EventId, StepName};
use crate::io::LockFile;

use super::{ExpectedVersion, LeaseRef, PayloadRef};

/// An append or a read of a journal was refused, or failed. Unless a variant says otherwise, nothing
/// was appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The genesis file is damaged, missing, or newer than this code.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The directory stands, and its journal does not.
    #[error(
        "{path} is missing though its genesis file is there: that is damage; move {} away, and restore it from a \
         backup: `runjournal backup restore DEST TASK/RUN`, or `TASK`",
        home_of(path)
    )]
    MissingJournal {
        /// Where the journal should be.
        path: Utf8PathBuf,
    },
    /// The run was removed while it was in use.
    #[error(
        "{path} was removed while in use, and nothing can be appended to it, or read from it, any more; restore \
         it from a backup, or start a new run"
    )]
    Removed {
        /// The journal that is gone.
        path: Utf8PathBuf,
    },
    /// Somebody else held the lock for as long as the caller would wait.
    #[error(
        "the lock {path} is held by {holder} and was not freed within {waited:?}; try again, or end \
         that process (the lock goes with it)"
    )]
    LockTimeout {
        /// The lock file.
        path: Utf8PathBuf,
        /// Who holds it.
        holder: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The journal ends in bytes that no killed writer can have left.
    #[error(
        "{path} is damaged at byte {offset} ({length} bytes: {reason}) and no record follows the damage; \
         move the run away and restore it from a backup (`runjournal backup restore DEST TASK/RUN`), or run \
         `runjournal repair --apply` to close the damage off and go on"
    )]
    DamagedTail {
        /// The journal.
        path: Utf8PathBuf,
        /// Where the damage starts.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// What is wrong with them.
        reason: &'static str,
    },
    /// Nothing may follow `execution_complete`.
    #[error("{path} is closed: its execution is complete; start a new run")]
    Closed {
        /// The journal.
        path: Utf8PathBuf,
    },
    /// The idempotency key was used before for something else.
    #[error(
        "the idempotency key {key:?} stands at seq {seq} of {path} with another {difference}; use a new \
         key for new work"
    )]
    KeyConflict {
        /// The journal.
        path: Utf8PathBuf,
        /// The key.
        key: String,
        /// The first record with that key.
        seq: u64,
        /// What differs.
        difference: &'static str,
    },
    /// The stream is not where the caller expected it.
    #[error("the stream {stream} is at {}, and {expected} was expected; read it again", version(*.found))]
    VersionConflict {
        /// The stream, as `kind/id`.
        stream: String,
        /// What the caller asked for.
        expected: ExpectedVersion,
        /// The version of its last record; `None` if it has none.
        found: Option<u64>,
    },
    /// The caller's attempt of a step is over: it ended, or a newer one took over.
    #[error(
        "this attempt of step {step} (started by {started}) is over ({newest}): its writes are refused; stop \
         this process"
    )]
    StepSuperseded {
        /// The step.
        step: StepName,
        /// The caller's `step_started`.
        started: EventId,
        /// What came after it.
        newest: String,
    },
    /// The caller's lease on the task is over, or was never in this journal.
    #[error(
        "the lease {lease} does not hold ({newest}): its writes are refused; stop this worker, or claim the \
         task again and start from what is on the disk"
    )]
    LeaseLost {
        /// The caller's lease.
        lease: LeaseRef,
        /// What came after it.
        newest: String,
    },
    /// The last record of a lease is of a type that this version does not know, so that nobody can tell who
    /// may write to the task.
    #[error(
        "seq {seq} of the task's journal says {event_type:?} of its lease, which this version does not know; use \
         the version that wrote it"
    )]
    UnknownLease {
        /// The record.
        seq: u64,
        /// Its type.
        event_type: String,
    },
    /// Somebody holds a lease, and the caller has none.
    #[error(
        "{path} is written under a lease, the newest is {lease} of worker {worker:?}: a writer without it is \
         refused, also once it is released; claim the task, or, while that worker holds it, join it \
         (RUNJOURNAL_LEASE, or `with_lease`)"
    )]
    LeaseRequired {
        /// The journal.
        path: Utf8PathBuf,
        /// The newest lease that the journal knows.
        lease: LeaseRef,
        /// Who holds it.
        worker: String,
    },
    /// A line or a batch is over its limit.
    #[error("{what} has {size}, and the limit is {limit}; {}", what.advice())]
    TooLarge {
        /// What is over the limit.
        what: TooLarge,
        /// How large it is, in bytes, or in records for [`TooLarge::BatchRecords`].
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The event cannot be appended as it is.
    #[error("the event {:?} cannot be appended: {reason}", cut(.event_type))]
    BadEvent {
        /// Its type.
        event_type: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A sync failed before, so no writer of this process can promise anything until all that were open
    /// are closed.
    #[error(
        "a sync of {path} failed ({reason}), and its writers in this process stopped; check the disk, drop \
         them all, and open a new one"
    )]
    Poisoned {
        /// The journal.
        path: Utf8PathBuf,
        /// The first failure.
        reason: String,
    },
    /// The events were appended, and the sync that should make them durable failed. They count for
    /// every reader now, and may be lost in a power cut.
    #[error(
        "appended to {path}, but not known to be on the disk: {source}, and all since the last good sync is in \
         doubt, also if a later sync says OK; look at the disk, and at the journal once it is mounted anew"
    )]
    NotDurable {
        /// The journal.
        path: Utf8PathBuf,
        /// Why the sync failed.
        source: IoError,
    },
    /// A sync failed before, maybe in another process. What it left in doubt has to be written again before anything is
    /// appended behind it, and that failed.
    #[error(
        "nothing was appended: a sync of {path} failed before, and what it left in doubt cannot be written again: \
         {source}; look at the disk, and try again"
    )]
    InDoubt {
        /// The journal.
        path: Utf8PathBuf,
        /// Why it cannot be written, or synced.
        source: IoError,
    },
    /// A cursor does not fit the journal.
    #[error(
        "{path} does not fit the cursor behind seq {seq}, byte {offset}: it is another journal, or lost its \
         tail; read it from the first record"
    )]
    CursorMismatch {
        /// The journal.
        path: Utf8PathBuf,
        /// The cursor's offset.
        offset: u64,
        /// The cursor's seq.
        seq: u64,
    },
    /// The object that holds a payload is gone.
    #[error(
        "the payload of seq {seq} is not there: {path} (digest {expected}) is missing; restore it from a \
         backup (`runjournal repair --from DEST --apply`), or append the same payload again, which puts it back"
    )]
    ObjectMissing {
        /// Where the object should be.
        path: Utf8PathBuf,
        /// The record that names it.
        seq: u64,
        /// The digest that it should have.
        expected: Digest,
    },
    /// The object that holds a payload is not what the record names.
    #[error(
        "the payload of seq {seq} was changed: {path} has the digest {} ({} bytes), and {} ({} bytes) was \
         expected; restore it from a backup (`runjournal repair --from DEST --apply`), or append the same \
         payload again, which puts it back",
        found.digest, found.size, expected.digest, expected.size
    )]
    ObjectChanged {
        /// The object.
        path: Utf8PathBuf,
        /// The record that names it.
        seq: u64,
        /// What the record says.
        expected: Box<PayloadRef>,
        /// What the file has.
        found: Box<PayloadRef>,
    },
    /// A payload does not have the shape that the reader asked for.
    #[error("the payload of seq {seq} ({event_type}) does not read as asked")]
    Payload {
        /// The record.
        seq: u64,
        /// Its type.
        event_type: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// Records decode as an enum only.
    #[error(
        "no record decodes as {asked}: it must be an enum with a variant for each event type, and without \
         `tag` or `untagged`; read the payload alone by `Record::payload`"
    )]
    NotAnEnum {
        /// The Rust type that was asked for.
        asked: &'static str,
    },
}

impl JournalError {
    /// For a journal that cannot be opened in a directory that stands.
    pub(crate) fn opening(error: IoError) -> Self {
        if error.is_not_found() { Self::MissingJournal { path: error.path } } else { error.into() }
    }

    /// For a lock that was not freed in time.
    pub(crate) fn still_locked(lock: &LockFile, waited: Duration) -> Self {
        Self::LockTimeout { path: lock.path().to_owned(), holder: lock.holder(), waited }
    }
}

/// What is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TooLarge {
    /// Bytes of one line.
    Line,
    /// Bytes of one batch.
    BatchBytes,
    /// Records of one batch.
    BatchRecords,
}

impl TooLarge {
    fn advice(self) -> &'static str {
        match self {
            TooLarge::Line => "put what is large into the payload, or into an artifact",
            TooLarge::BatchBytes | TooLarge::BatchRecords => "commit it in parts",
        }
    }
}

impl std::fmt::Display for TooLarge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            TooLarge::Line => "a line of the journal (bytes)",
            TooLarge::BatchBytes => "a batch (bytes)",
            TooLarge::BatchRecords => "a batch (records)",
        })
    }
}

/// The directory of the run or the task whose journal is at a path: `HOME/journal/events.jsonl`.
fn home_of(journal: &Utf8Path) -> &Utf8Path {
    journal.parent().and_then(Utf8Path::parent).unwrap_or(journal)
}

fn version(found: Option<u64>) -> String {
    found.map_or_else(|| "no record".to_owned(), |version| format!("version {version}"))
}
