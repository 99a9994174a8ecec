//! Wrong versions of this code, each one line away from the right one. The proof's build has them, to show that
//! its trials find each of them out; in every other build none is ever there.

/// Mistakes, each with what it is chosen by.
macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident = $name:literal,)*) => {
        /// A mistake that can be made in this code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug {
            $($(#[$doc])* $bug,)*
        }

        /// The names of all mistakes.
        #[cfg(runjournal_proof)]
        pub const BUGS: &[&str] = &[$($name,)*];

        #[cfg(runjournal_proof)]
        impl Bug {
            const fn name(self) -> &'static str {
                match self {
                    $(Self::$bug => $name,)*
                }
            }
        }
    };
}

bugs! {
    // What a power cut finds out.
    /// The content of a file is not synced.
    #[cfg(runjournal_proof)]
    Unsynced = "no-fsync",
    /// The names in a directory are not synced.
    #[cfg(runjournal_proof)]
    NamesUnsynced = "no-directory-fsync",
    /// Files are put in place before the record that says so is on the disk.
    RecordUnsynced = "record-not-synced",
    /// An object gets its name before its content is on the disk.
    ObjectUnsynced = "object-not-synced",
    /// A record is written before the names of the objects that it needs are on the disk.
    ObjectNameUnsynced = "object-name-not-synced",
    /// A claim is told before the disk has that runs are bound to it.
    BindingUnsynced = "binding-not-synced",
    /// A generation of the index is named by a file that the disk does not have.
    #[cfg(feature = "sqlite")]
    CurrentUnsynced = "current-not-synced",
    /// A snapshot gets its name before its content is on the disk.
    SnapshotEarly = "snapshot-named-early",
    /// That another process synced, a while ago, is taken for a sync of what was written since.
    OldNoteBelieved = "old-sync-believed",
    /// A sync is taken for one of what was written while it ran.
    LaterCovered = "later-writes-covered",
    /// Who handed its events over is told of them before they are on the disk.
    HandedUnsynced = "handed-over-not-synced",
    /// The ticket for what was handed over is taken before that is written.
    TicketEarly = "ticket-before-write",
    /// Staged content is not synced before it is put in place.
    StageUnsynced = "stage-not-synced",
    /// An object that stands there is named again, and may never have been synced.
    OldObjectUnsynced = "old-object-not-synced",
    /// What a step read from others is not synced with its end.
    InputsUnsynced = "inputs-not-synced",
    /// What was committed before with the same key is not made as durable as it is asked for now.
    DuplicateUnsynced = "duplicate-not-synced",
    /// Of the directories above a new file, only the uppermost is synced.
    ParentsUnsynced = "parents-not-synced",
    /// Who finishes what another one left does not wait for the disk to have the record.
    RecoveredUnsynced = "recovered-before-sync",
    /// A checkpoint knows of records that the disk does not have.
    CheckpointAhead = "checkpoint-before-sync",
    /// A checkpoint does not know what was written while it was made.
    CheckpointBehind = "checkpoint-not-caught-up",
    /// Staged content that another one left is not synced before it is put in place.
    RecoveredStageUnsynced = "recovered-stage-not-synced",
    /// A task is told to be archived though the disk may not have that yet.
    ArchivedUnsynced = "archived-not-synced",
    /// A run goes before the disk has that it was pruned.
    PrunedUnsynced = "pruned-before-sync",

    // What a kill, or an error, finds out.
    /// Files are put in place before the record is written.
    RenamedFirst = "rename-before-record",
    /// Whether the file ends in the middle of a line is not looked at.
    TailUnchecked = "no-tail-check",
    /// A torn line gets its end, and no mark.
    SealedPlainly = "seal-without-mark",
    /// A record does not vouch for what lies before it.
    GarbageUntold = "garbage-not-told",
    /// Of a batch that is not whole, the records count that are there.
    VoidBatchCounted = "void-batch-counted",
    /// A sync that failed is tried again, and then believed.
    SyncRetried = "sync-retried",
    /// A sync that failed is told to its caller, and to nobody after that.
    FailedSyncForgotten = "failed-sync-forgotten",
    /// What a failed sync left in doubt is not written again.
    DoubtForgotten = "doubt-forgotten",
    /// After a catch-up that failed, what it left is gone on from.
    FailedCatchUpBelieved = "failed-catch-up-believed",
    /// What may have been written for another thread when its writer panicked is written again.
    LostGivenBack = "lost-batch-given-back",
    /// That a part was written is taken for all of it.
    #[cfg(runjournal_proof)]
    ShortWriteTaken = "short-write-taken",
    /// What waits in `.tmp/` is put in place whatever it holds.
    StageUncompared = "stage-not-compared",
    /// What waits in `.tmp/` is put in place over whatever stands there.
    ForeignReplaced = "foreign-file-replaced",
    /// What waits in `.tmp/` is put in place though a later record is about the same path.
    SupersededApplied = "superseded-stage-applied",
    /// Who opens a journal by its head does not look into `.tmp/`.
    StagesForgotten = "stages-forgotten",
    /// What was staged and is gone is committed all the same.
    StageLossUnseen = "stage-loss-not-seen",

    // What others at the same work find out.
    /// Nobody waits for a lock.
    Unlocked = "no-lock",
    /// Who lets go of a lock removes its file.
    LockUnlinked = "lock-unlinked",
    /// What others appended is not read before an append.
    NotCaughtUp = "not-caught-up",
    /// That a stream has another version than expected does not matter.
    VersionUnchecked = "version-not-checked",
    /// What was appended with a key is not compared with what is to be.
    KeysUncompared = "keys-not-compared",
    /// A run is written to under any lease.
    TokenUnchecked = "token-not-checked",
    /// A lease is renewed and released by whoever had the task before.
    AnyTokenHeld = "any-token-held",
    /// A lease whose time is over is taken for one that was released.
    ExpiryTrusted = "expiry-trusted",
    /// A claim is told before any run is bound to it.
    Unbound = "claim-not-bound",
    /// A step is taken over from an attempt that is at work.
    LivingTakenOver = "living-attempt-taken-over",
    /// A complete run is written to.
    Reopened = "closed-run-written",
    /// A run that was removed is written to.
    #[cfg(runjournal_proof)]
    RemovalUnseen = "removed-run-written",
    /// Of two who make the same thing, the second replaces the first.
    GenesisReplaced = "genesis-replaced",
    /// A restore replaces what came to stand in its place.
    RestoredOver = "restored-over",
    /// Damage is told of by who reads while somebody writes, before it was looked at again.
    DamageUnconfirmed = "damage-not-confirmed",
    /// A run is pruned though it is held since that was planned.
    HoldIgnored = "hold-ignored",
    /// A run that did not end goes without an end: who waits for its lock writes to it.
    PrunedOpen = "pruned-without-end",
    /// A run is pruned though somebody wrote to it since that was planned.
    GrownPruned = "grown-run-pruned",
    /// A run of a newer format is written to.
    NewerWritten = "newer-format-written",
    /// Lines may have any length.
    LimitsIgnored = "limits-ignored",

    // What damage, and what is old, find out.
    /// A record counts whatever its hash.
    HashUnchecked = "hash-not-checked",
    /// A record counts whatever its seq.
    SeqUnchecked = "seq-not-checked",
    /// A repair deletes what stands in its way.
    NothingKept = "repaired-by-deleting",
    /// What a backup holds is restored whatever it is.
    RestoredUnchecked = "restored-unchecked",
    /// An object that stands there is named again whatever it holds.
    ObjectUnchecked = "object-not-checked",
    /// A file is taken for what is to be written since it is as long.
    SameSizeTaken = "same-size-taken",
    /// A table of the head is believed whatever its checksum.
    TableUnchecked = "table-not-checked",
    /// A cursor is gone on from whatever stands before it.
    CursorUnchecked = "cursor-not-checked",
    /// Records are appended behind damage.
    DamageIgnored = "damage-ignored",
    /// A head is believed whatever journal it lies beside.
    HeadUnchecked = "head-not-checked",
    /// Keys are looked for among the newest records only.
    KeysForgotten = "keys-forgotten",
    /// A live tail goes on in a journal that was replaced.
    FollowedOn = "followed-on",
    /// The index keeps what it knows of a journal that was replaced.
    #[cfg(feature = "sqlite")]
    IndexedOn = "indexed-on",
    /// A file that changed right after it was looked at is taken for unchanged.
    #[cfg(feature = "sqlite")]
    RacyStat = "racy-stat-trusted",
    /// A symbolic link is followed.
    #[cfg(runjournal_proof)]
    LinkFollowed = "link-followed",
}

impl Bug {
    /// True if this process is to make it: `RUNJOURNAL_PLANTED` names it.
    #[cfg(runjournal_proof)]
    pub(crate) fn is_planted(self) -> bool {
        static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let planted = PLANTED.get_or_init(|| std::env::var("RUNJOURNAL_PLANTED").ok());
        planted.as_deref() == Some(self.name())
    }

    /// Never.
    #[cfg(not(runjournal_proof))]
    #[expect(clippy::unused_self, reason = "as where it can be")]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}
