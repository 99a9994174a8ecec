-- Projector "tasks".
CREATE TABLE t_tasks (
    journal INTEGER NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    objective TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at TEXT NOT NULL,
    schema_version INTEGER NOT NULL
);
