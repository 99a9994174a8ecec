-- Projector "artifacts": the journal's last word about each path.
CREATE TABLE t_artifacts (
    journal INTEGER NOT NULL,
    path TEXT NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    digest BLOB,
    size INTEGER,
    media_type TEXT,
    step TEXT,
    event_id BLOB NOT NULL,
    PRIMARY KEY (journal, path)
);
