-- Projector "audit": the payloads of task journals.
CREATE TABLE t_audit (
    journal INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    detail TEXT,
    PRIMARY KEY (journal, seq)
);
