-- Projector "steps".
CREATE TABLE t_steps (
    journal INTEGER NOT NULL,
    step TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    state TEXT NOT NULL,
    signal TEXT,
    error TEXT,
    started_seq INTEGER,
    started_at TEXT,
    ended_seq INTEGER,
    ended_at TEXT,
    duration_ms INTEGER,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (journal, step, attempt)
);
