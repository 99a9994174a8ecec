//! Leases: who may write to a task.
