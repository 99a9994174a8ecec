-- Projector "work".
CREATE TABLE t_work (
    journal INTEGER NOT NULL,
    item TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER,
    not_before TEXT,
    attempt INTEGER,
    owner TEXT,
    error TEXT,
    seq INTEGER NOT NULL,
    max_attempts INTEGER,
    expires_at TEXT,
    PRIMARY KEY (journal, item)
);
