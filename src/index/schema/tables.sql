-- Tables of the workspace index. Lean: integer keys, digests and ids as bytes. Readers use the views.
-- Written for SQLite and PostgreSQL alike; docs/portability.md has the rules.

-- What the index says of itself.
CREATE TABLE t_meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- Texts that occur again and again: types of events, kinds of streams, kinds of actors.
CREATE TABLE t_words (
    word INTEGER NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
);

-- The text of each day on which something occurred, so that a view can show a time.
CREATE TABLE t_days (
    day INTEGER NOT NULL PRIMARY KEY,
    text TEXT NOT NULL
);

-- Who makes rows of events. One that is not the same any more starts from the beginning.
CREATE TABLE t_projectors (
    projector INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    checksum TEXT NOT NULL,
    tables TEXT NOT NULL,
    views TEXT NOT NULL
);

-- The journals: one of each task (run_id is empty), one of each run. The cursor is where every
-- projector stands that t_laggards does not name; genesis is the digest of the file that the rows and the
-- chain begin with. Signature and stamp serve to skip work; without one, the next look is a thorough one.
CREATE TABLE t_journals (
    journal INTEGER NOT NULL PRIMARY KEY,
    task_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    trace_id TEXT,
    genesis BLOB,
    records INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    hash BLOB,
    signature BLOB,
    stamp BLOB
);
CREATE UNIQUE INDEX i_journals_place ON t_journals (task_id, run_id);

-- Projectors that stand elsewhere than their journal's cursor: they are new, or an event stopped them.
CREATE TABLE t_laggards (
    projector INTEGER NOT NULL,
    journal INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    hash BLOB,
    stopped_at INTEGER,
    error TEXT,
    PRIMARY KEY (projector, journal)
);

-- What is not as it should be, as far as a single task or run can tell. What does not last is what
-- the last look found at the journal's end, or in the files.
CREATE TABLE t_findings (
    journal INTEGER NOT NULL,
    lasting INTEGER NOT NULL,
    number INTEGER NOT NULL,
    code TEXT NOT NULL,
    path TEXT NOT NULL,
    first_byte INTEGER,
    bytes INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (journal, lasting, number)
);

-- The files under artifacts/ as they are on the disk. The stamp serves to skip work.
CREATE TABLE t_files (
    journal INTEGER NOT NULL,
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest BLOB NOT NULL,
    stamp BLOB,
    PRIMARY KEY (journal, path)
);

-- Staged files: records that are not in place yet.
CREATE TABLE t_stages (
    journal INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    PRIMARY KEY (journal, event_id)
);
