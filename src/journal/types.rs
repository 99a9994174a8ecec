//! The fixed words of the format: see docs/format.md for the whole table.

pub(crate) const TASK_CREATED: &str = "task_created";
pub(crate) const TASK_CHANGED: &str = "task_changed";
pub(crate) const TASK_STATUS_CHANGED: &str = "task_status_changed";
pub(crate) const TASK_REPAIRED: &str = "task_repaired";
pub(crate) const RUN_STARTED: &str = "run_started";
pub(crate) const HOLD_PLACED: &str = "hold_placed";
pub(crate) const HOLD_LIFTED: &str = "hold_lifted";
pub(crate) const RUN_PRUNED: &str = "run_pruned";
pub(crate) const RUN_RESTORED: &str = "run_restored";
pub(crate) const LEASE_CLAIMED: &str = "lease_claimed";
pub(crate) const LEASE_RENEWED: &str = "lease_renewed";
pub(crate) const LEASE_RELEASED: &str = "lease_released";
pub(crate) const LEASE_BOUND: &str = "lease_bound";
pub(crate) const RUN_STATUS_CHANGED: &str = "run_status_changed";
pub(crate) const RUN_REPAIRED: &str = "run_repaired";
pub(crate) const REPAIR_STARTED: &str = "repair_started";
pub(crate) const EXECUTION_COMPLETE: &str = "execution_complete";
pub(crate) const FLOW_STARTED: &str = "flow_started";
pub(crate) const LOOP_ITERATION: &str = "loop_iteration";
pub(crate) const STEP_STARTED: &str = "step_started";
pub(crate) const STEP_COMPLETED: &str = "step_completed";
pub(crate) const STEP_FAILED: &str = "step_failed";
pub(crate) const ARTIFACT_WRITTEN: &str = "artifact_written";
pub(crate) const ARTIFACT_REMOVED: &str = "artifact_removed";
pub(crate) const ARTIFACT_ADOPTED: &str = "artifact_adopted";
pub(crate) const CHECKPOINT_CREATED: &str = "checkpoint_created";
pub(crate) const COMMAND_REJECTED: &str = "command_rejected";
pub(crate) const WORK_ENQUEUED: &str = "work_enqueued";
pub(crate) const WORK_CLAIMED: &str = "work_claimed";
pub(crate) const WORK_COMPLETED: &str = "work_completed";
pub(crate) const WORK_FAILED: &str = "work_failed";
pub(crate) const WORK_DEAD: &str = "work_dead";
pub(crate) const SESSION_STARTED: &str = "session_started";
pub(crate) const SESSION_UPDATED: &str = "session_updated";
pub(crate) const SESSION_STOPPED: &str = "session_stopped";
pub(crate) const APPROVAL_REQUESTED: &str = "approval_requested";
pub(crate) const APPROVAL_RESOLVED: &str = "approval_resolved";

/// True for types that only the library writes. A match, because every event is asked.
pub(crate) fn is_reserved(event_type: &str) -> bool {
    matches!(
        event_type,
        TASK_CREATED
            | TASK_CHANGED
            | TASK_STATUS_CHANGED
            | TASK_REPAIRED
            | RUN_STARTED
            | LEASE_CLAIMED
            | LEASE_RENEWED
            | LEASE_RELEASED
            | HOLD_PLACED
            | HOLD_LIFTED
            | RUN_PRUNED
            | RUN_RESTORED
            | RUN_REPAIRED
            | REPAIR_STARTED
            | LEASE_BOUND
            | RUN_STATUS_CHANGED
            | EXECUTION_COMPLETE
            | STEP_STARTED
            | STEP_COMPLETED
            | STEP_FAILED
            | LOOP_ITERATION
            | FLOW_STARTED
            | ARTIFACT_WRITTEN
            | ARTIFACT_REMOVED
            | ARTIFACT_ADOPTED
            | CHECKPOINT_CREATED
            | COMMAND_REJECTED
            | WORK_ENQUEUED
            | WORK_CLAIMED
            | WORK_COMPLETED
            | WORK_FAILED
            | WORK_DEAD
            | SESSION_STARTED
            | SESSION_UPDATED
            | SESSION_STOPPED
            | APPROVAL_REQUESTED
            | APPROVAL_RESOLVED
    )
}

/// Types of which a journal is asked for the last record.
pub(crate) const LAST_IS_ASKED: &[&str] =
    &[TASK_STATUS_CHANGED, RUN_STATUS_CHANGED, EXECUTION_COMPLETE, LEASE_BOUND, CHECKPOINT_CREATED];

/// Kinds of streams whose versions mean something to the library.
pub(crate) const RESERVED_KINDS: &[&str] =
    &["artifact", "step", "flow", "lease", "checkpoint", "work", "session", "approval"];

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
pub(crate) const FILLED_IN: &[&str] =
    &["previous", "duration_ms", "expires_at", "not_before", "required"];
