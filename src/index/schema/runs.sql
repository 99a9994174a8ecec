-- Projector "runs".
CREATE TABLE t_runs (
    journal INTEGER NOT NULL PRIMARY KEY,
    status TEXT NOT NULL,
    reason TEXT,
    created_at TEXT NOT NULL,
    completed_at TEXT,
    parent TEXT,
    format_version INTEGER NOT NULL
);
