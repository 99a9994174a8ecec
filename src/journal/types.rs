//! The fixed words of the format: see docs/format.md for the whole table.

pub(crate) const TASK_CREATED: &str = "task_created";
pub(crate) const TASK_CHANGED: &str = "task_changed";
pub(crate) const TASK_STATUS_CHANGED: &str = "task_status_changed";
pub(crate) const TASK_REPAIRED: &str = "task_repaired";
pub(crate) const RUN_STARTED: &str = "run_started";
pub(crate) const RUN_STATUS_CHANGED: &str = "run_status_changed";
pub(crate) const RUN_REPAIRED: &str = "run_repaired";
pub(crate) const EXECUTION_COMPLETE: &str = "execution_complete";
pub(crate) const STEP_STARTED: &str = "step_started";
pub(crate) const STEP_COMPLETED: &str = "step_completed";
pub(crate) const STEP_FAILED: &str = "step_failed";
pub(crate) const ARTIFACT_WRITTEN: &str = "artifact_written";
pub(crate) const ARTIFACT_REMOVED: &str = "artifact_removed";
pub(crate) const ARTIFACT_ADOPTED: &str = "artifact_adopted";
pub(crate) const COMMAND_REJECTED: &str = "command_rejected";

/// True for types that only the library writes. A match, because every event is asked.
pub(crate) fn is_reserved(event_type: &str) -> bool {
    matches!(
        event_type,
        TASK_CREATED
            | TASK_CHANGED
            | TASK_STATUS_CHANGED
            | TASK_REPAIRED
            | RUN_STARTED
            | "lease_claimed"
            | "lease_renewed"
            | "lease_released"
            | "hold_placed"
            | "hold_lifted"
            | "run_pruned"
            | "run_restored"
            | RUN_REPAIRED
            | "lease_bound"
            | RUN_STATUS_CHANGED
            | EXECUTION_COMPLETE
            | STEP_STARTED
            | STEP_COMPLETED
            | STEP_FAILED
            | "loop_iteration"
            | ARTIFACT_WRITTEN
            | ARTIFACT_REMOVED
            | ARTIFACT_ADOPTED
            | "checkpoint_created"
            | COMMAND_REJECTED
            | "work_enqueued"
            | "work_claimed"
            | "work_completed"
            | "work_failed"
            | "work_dead"
            | "session_started"
            | "session_updated"
            | "session_stopped"
            | "approval_requested"
            | "approval_resolved"
    )
}

/// Types of which a journal is asked for the last record.
pub(crate) const LAST_IS_ASKED: &[&str] =
    &[TASK_STATUS_CHANGED, RUN_STATUS_CHANGED, EXECUTION_COMPLETE];

/// Kinds of streams whose versions mean something to the library.
pub(crate) const RESERVED_KINDS: &[&str] =
    &["artifact", "step", "lease", "checkpoint", "work", "session", "approval"];

/// How the library's own idempotency keys begin.
pub(crate) const RESERVED_KEYS: &[&str] = &[
    "task:",
    "run:",
    "lease:",
    "step-end:",
    "loop:",
    "turn:",
    "cmd:",
    "work:",
    "approval:",
    "approval-end:",
];

/// Members of the library's payloads that it fills in itself, so that they may differ between
/// two appends of the same meaning.
pub(crate) const FILLED_IN: &[&str] = &["previous", "duration_ms", "expires_at"];
