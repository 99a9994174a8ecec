-- Projector "checkpoints".
CREATE TABLE t_checkpoints (
    journal INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    digest BLOB,
    artifacts_root TEXT,
    seq INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (journal, turn)
);
