-- Projector "receipts", version 3.
CREATE TABLE t_receipts (
    journal INTEGER NOT NULL,
    command_id TEXT NOT NULL,
    command_type TEXT,
    state TEXT NOT NULL,
    kind TEXT NOT NULL,
    stream TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    error TEXT,
    answered INTEGER NOT NULL,
    PRIMARY KEY (journal, command_id)
);
