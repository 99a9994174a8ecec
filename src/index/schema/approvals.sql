-- Projector "approvals".
CREATE TABLE t_approvals (
    journal INTEGER NOT NULL,
    approval TEXT NOT NULL,
    question TEXT,
    options TEXT,
    decision TEXT,
    decided_by TEXT,
    requested_seq INTEGER,
    resolved_seq INTEGER,
    PRIMARY KEY (journal, approval)
);
