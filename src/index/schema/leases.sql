-- Projector "leases".
CREATE TABLE t_leases (
    journal INTEGER NOT NULL,
    resource TEXT NOT NULL,
    token INTEGER NOT NULL,
    worker_id TEXT NOT NULL,
    ttl_ms INTEGER,
    expires_at TEXT,
    state TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (journal, resource)
);
