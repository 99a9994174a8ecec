-- Projector "events". The key is the journal's times 2^32, plus seq. A stream or correlation of none
-- is the journal's own: its run or task, its trace.
CREATE TABLE t_events (
    event INTEGER NOT NULL PRIMARY KEY,
    event_id BLOB NOT NULL,
    type INTEGER NOT NULL,
    occurred INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    stream TEXT,
    version INTEGER NOT NULL,
    actor INTEGER NOT NULL,
    actor_id TEXT,
    command_id TEXT,
    causation BLOB,
    own_trace INTEGER NOT NULL,
    correlation TEXT,
    idempotency_key TEXT,
    batch_index INTEGER,
    batch_size INTEGER,
    first_byte INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
