-- Projector "sessions".
CREATE TABLE t_sessions (
    journal INTEGER NOT NULL,
    session TEXT NOT NULL,
    provider TEXT,
    status TEXT,
    resume_cursor TEXT,
    last_seen TEXT,
    reason TEXT,
    seq INTEGER NOT NULL,
    PRIMARY KEY (journal, session)
);
