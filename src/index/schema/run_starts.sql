-- Projector "run_starts": what task journals say of runs. The last word on each: its start, its removal by a
-- prune, or its restore.
CREATE TABLE t_run_starts (
    journal INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    -- 1 if it should be there.
    there INTEGER NOT NULL,
    -- 1 if it was pruned, and had succeeded.
    succeeded INTEGER NOT NULL,
    -- What was done with it that it must have been there for, since it was last pruned.
    proven TEXT,
    PRIMARY KEY (journal, run_id)
);
