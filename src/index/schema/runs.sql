-- Projector "runs". The task is here as well, so that its runs are found in their order.
CREATE TABLE t_runs (
    journal INTEGER NOT NULL PRIMARY KEY,
    task_id TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    created_at TEXT NOT NULL,
    completed_at TEXT,
    parent TEXT,
    format_version INTEGER NOT NULL
);
