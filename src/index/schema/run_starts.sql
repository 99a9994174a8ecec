-- Projector "run_starts": what task journals say of runs.
CREATE TABLE t_run_starts (
    journal INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    -- 1 if the last word on whether it is there is that it was pruned.
    pruned INTEGER NOT NULL,
    PRIMARY KEY (journal, run_id)
);
