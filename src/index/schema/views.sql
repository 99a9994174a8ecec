-- What readers see: plain names, texts for times, digests and ids. A function of the tree's content alone,
-- but for journals.

CREATE VIEW index_meta AS
SELECT name, value FROM t_meta;

-- What joins the rows of users' projectors. The number differs from index to index.
CREATE VIEW journals AS
SELECT journal, task_id, run_id FROM t_journals;

CREATE VIEW tasks AS
SELECT
    j.task_id,
    t.title,
    t.objective,
    t.status,
    t.created_at,
    t.schema_version,
    j.records,
    j.seq AS last_seq,
    j.task_id || '/journal/events.jsonl' AS journal_path
FROM t_tasks t
JOIN t_journals j ON j.journal = t.journal;

CREATE VIEW runs AS
SELECT
    j.run_id,
    j.task_id,
    r.status,
    j.task_id || '/runs/' || j.run_id AS run_path,
    '{"artifacts":' || CAST((
        SELECT COUNT(*) FROM t_artifacts a WHERE a.journal = r.journal AND a.digest IS NOT NULL
    ) AS TEXT) || ',"bytes":' || CAST((
        SELECT COALESCE(SUM(a.size), 0) FROM t_artifacts a
        WHERE a.journal = r.journal AND a.digest IS NOT NULL
    ) AS TEXT) || '}' AS artifact_summary,
    r.created_at,
    r.completed_at,
    r.reason,
    r.parent,
    j.trace_id,
    r.format_version,
    j.records,
    j.seq AS last_seq,
    lower(hex(j.hash)) AS last_hash
FROM t_runs r
JOIN t_journals j ON j.journal = r.journal;

CREATE VIEW steps AS
SELECT
    j.task_id,
    j.run_id,
    s.step,
    s.attempt,
    s.turn,
    s.state,
    s.signal,
    s.error,
    s.started_seq,
    s.started_at,
    s.ended_seq,
    s.ended_at,
    s.duration_ms,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path
FROM t_steps s
JOIN t_journals j ON j.journal = s.journal;

-- One row for each path that the journal or the disk knows. A removed one has no digest.
CREATE VIEW artifacts AS
SELECT
    j.task_id,
    j.run_id,
    a.path,
    CASE WHEN a.digest IS NULL THEN NULL ELSE 'blake3:' || lower(hex(a.digest)) END AS digest,
    a.size,
    a.media_type,
    a.version,
    a.seq,
    a.step,
    CASE WHEN f.digest IS NULL THEN NULL ELSE 'blake3:' || lower(hex(f.digest)) END AS disk_digest,
    f.size AS disk_size,
    j.task_id || '/runs/' || j.run_id || '/artifacts/' || a.path AS file_path
FROM t_artifacts a
JOIN t_journals j ON j.journal = a.journal
LEFT JOIN t_files f ON f.journal = a.journal AND f.path = a.path
UNION ALL
SELECT
    j.task_id,
    j.run_id,
    f.path,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    'blake3:' || lower(hex(f.digest)),
    f.size,
    j.task_id || '/runs/' || j.run_id || '/artifacts/' || f.path
FROM t_files f
JOIN t_journals j ON j.journal = f.journal
WHERE NOT EXISTS (SELECT 1 FROM t_artifacts a WHERE a.journal = f.journal AND a.path = f.path);

-- The payload is where first_byte and bytes say.
CREATE VIEW events AS
SELECT
    j.task_id,
    j.run_id,
    e.event % 4294967296 AS seq,
    substr(e.id, 1, 8) || '-' || substr(e.id, 9, 4) || '-' || substr(e.id, 13, 4) || '-'
        || substr(e.id, 17, 4) || '-' || substr(e.id, 21, 12) AS event_id,
    t.text AS event_type,
    d.text || 'T' || substr(CAST(100 + e.time / 3600000000 AS TEXT), 2, 2)
        || ':' || substr(CAST(100 + e.time / 60000000 % 60 AS TEXT), 2, 2)
        || ':' || substr(CAST(100 + e.time / 1000000 % 60 AS TEXT), 2, 2)
        || '.' || substr(CAST(1000000 + e.time % 1000000 AS TEXT), 2, 6) || 'Z' AS occurred_at,
    k.text AS aggregate_kind,
    COALESCE(e.stream, CASE WHEN j.run_id = '' THEN j.task_id ELSE j.run_id END) AS stream_id,
    e.version AS stream_version,
    a.text AS actor_kind,
    e.actor_id,
    e.command_id,
    CASE WHEN e.cause IS NULL THEN NULL ELSE
        substr(e.cause, 1, 8) || '-' || substr(e.cause, 9, 4) || '-' || substr(e.cause, 13, 4) || '-'
        || substr(e.cause, 17, 4) || '-' || substr(e.cause, 21, 12) END AS causation_event_id,
    CASE WHEN e.own_trace = 1 THEN j.trace_id ELSE e.correlation END AS correlation_id,
    e.idempotency_key,
    e.batch_index,
    e.batch_size,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path,
    e.first_byte,
    e.bytes
FROM (
    SELECT
        t_events.*,
        event / 4294967296 AS journal,
        lower(hex(event_id)) AS id,
        CASE WHEN causation IS NULL THEN NULL ELSE lower(hex(causation)) END AS cause,
        (occurred % 86400000000 + 86400000000) % 86400000000 AS time
    FROM t_events
) e
JOIN t_journals j ON j.journal = e.journal
JOIN t_words t ON t.word = e.type
JOIN t_words k ON k.word = e.kind
JOIN t_words a ON a.word = e.actor
JOIN t_days d ON d.day = (e.occurred - e.time) / 86400000000;

CREATE VIEW audit AS
SELECT
    e.task_id,
    e.seq,
    e.occurred_at,
    e.aggregate_kind AS entity_kind,
    e.stream_id AS entity_id,
    e.event_type AS action,
    e.actor_kind,
    e.actor_id,
    a.detail,
    e.journal_path,
    e.first_byte,
    e.bytes
FROM t_audit a
JOIN t_journals j ON j.journal = a.journal
JOIN events e ON e.task_id = j.task_id AND e.run_id = j.run_id AND e.seq = a.seq;

CREATE VIEW receipts AS
SELECT
    j.task_id,
    j.run_id,
    r.command_id,
    r.command_type,
    r.state,
    r.kind AS aggregate_kind,
    r.stream AS stream_id,
    r.first_seq,
    r.last_seq,
    r.error,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path
FROM t_receipts r
JOIN t_journals j ON j.journal = r.journal;

CREATE VIEW work AS
SELECT
    j.task_id, j.run_id, w.item, w.state, w.priority, w.not_before, w.attempt, w.max_attempts, w.owner,
    w.expires_at, w.error, w.seq,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path
FROM t_work w
JOIN t_journals j ON j.journal = w.journal;

CREATE VIEW sessions AS
SELECT
    j.task_id, j.run_id, s.session AS session_id, s.provider, s.status, s.resume_cursor, s.last_seen, s.reason,
    s.seq,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path
FROM t_sessions s
JOIN t_journals j ON j.journal = s.journal;

CREATE VIEW checkpoints AS
SELECT
    j.task_id,
    j.run_id,
    c.turn,
    CASE WHEN c.digest IS NULL THEN NULL ELSE 'blake3:' || lower(hex(c.digest)) END AS digest,
    c.artifacts_root,
    c.created_at,
    c.seq,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path
FROM t_checkpoints c
JOIN t_journals j ON j.journal = c.journal;

CREATE VIEW approvals AS
SELECT
    j.task_id,
    j.run_id,
    a.approval AS approval_id,
    a.question,
    a.options,
    a.decision,
    a.decided_by,
    a.requested_seq,
    a.resolved_seq,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path
FROM t_approvals a
JOIN t_journals j ON j.journal = a.journal;

CREATE VIEW leases AS
SELECT
    j.task_id, j.run_id, l.resource, l.token, l.worker_id, l.ttl_ms, l.expires_at, l.state, l.seq,
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END
        || '/journal/events.jsonl' AS journal_path
FROM t_leases l
JOIN t_journals j ON j.journal = l.journal;

-- What a single task or run tells of itself, and what only their comparison tells.
CREATE VIEW findings AS
SELECT COALESCE(j.task_id, '') AS task_id, COALESCE(j.run_id, '') AS run_id, f.code, f.path, f.first_byte,
    f.bytes, f.reason
FROM t_findings f
LEFT JOIN t_journals j ON j.journal = f.journal
UNION ALL
SELECT j.task_id, j.run_id, p.code, j.task_id || '/runs/' || j.run_id || '/artifacts/' || p.path, NULL, NULL,
    p.reason
FROM (
    SELECT
        a.journal,
        a.path,
        CASE
            WHEN s.event_id IS NOT NULL THEN 'commit_not_applied'
            WHEN f.digest IS NULL THEN 'artifact_missing'
            ELSE 'artifact_changed'
        END AS code,
        CASE
            WHEN s.event_id IS NOT NULL THEN 'its committed content is staged and not in place'
            WHEN f.digest IS NULL THEN 'its last record says that it is there'
            ELSE 'its digest is not the one that its last record names'
        END AS reason
    FROM t_artifacts a
    LEFT JOIN t_files f ON f.journal = a.journal AND f.path = a.path
    LEFT JOIN t_stages s ON s.journal = a.journal AND s.event_id = a.event_id
    WHERE a.digest IS NOT NULL AND (f.digest IS NULL OR f.digest <> a.digest)
    UNION ALL
    SELECT
        f.journal,
        f.path,
        CASE WHEN s.event_id IS NOT NULL THEN 'commit_not_applied' ELSE 'artifact_unjournaled' END,
        CASE
            WHEN s.event_id IS NOT NULL THEN 'its committed removal is not in place'
            WHEN a.path IS NULL THEN 'no record names it'
            ELSE 'its last record says that it was removed'
        END
    FROM t_files f
    LEFT JOIN t_artifacts a ON a.journal = f.journal AND a.path = f.path
    LEFT JOIN t_stages s ON s.journal = a.journal AND s.event_id = a.event_id
    WHERE a.digest IS NULL
) p
JOIN t_journals j ON j.journal = p.journal
UNION ALL
SELECT j.task_id, j.run_id, 'status_without_artifacts', j.task_id || '/runs/' || j.run_id, NULL, NULL,
    'it succeeded, and artifacts of it are missing or changed'
FROM t_runs r
JOIN t_journals j ON j.journal = r.journal
WHERE r.status = 'SUCCESS' AND EXISTS (
    SELECT 1
    FROM t_artifacts a
    LEFT JOIN t_files f ON f.journal = a.journal AND f.path = a.path
    WHERE a.journal = r.journal AND a.digest IS NOT NULL AND (f.digest IS NULL OR f.digest <> a.digest)
)
UNION ALL
SELECT j.task_id, '', 'done_without_success', j.task_id, NULL, NULL,
    'it is done, and none of its runs succeeded'
FROM t_tasks t
JOIN t_journals j ON j.journal = t.journal
WHERE t.status = 'DONE' AND NOT EXISTS (
    SELECT 1
    FROM t_journals o
    JOIN t_runs r ON r.journal = o.journal
    WHERE o.task_id = j.task_id AND r.status = 'SUCCESS'
) AND NOT EXISTS (
    SELECT 1 FROM t_run_starts s WHERE s.journal = t.journal AND s.succeeded = 1
)
UNION ALL
SELECT j.task_id, j.run_id, 'orphaned_run', j.task_id || '/runs/' || j.run_id, NULL, NULL,
    'the journal of its task does not know it'
FROM t_runs r
JOIN t_journals j ON j.journal = r.journal
WHERE NOT EXISTS (
    SELECT 1
    FROM t_journals o
    JOIN t_run_starts s ON s.journal = o.journal
    WHERE o.task_id = j.task_id AND o.run_id = '' AND s.run_id = j.run_id
)
UNION ALL
SELECT j.task_id, s.run_id, CASE WHEN s.proven IS NULL THEN 'unborn_run' ELSE 'journal_missing' END,
    j.task_id || '/runs/' || s.run_id, NULL, NULL,
    CASE WHEN s.proven IS NULL THEN 'the journal of its task knows it, and it is not there'
        ELSE 'it is not there, its task''s journal says that it was ' || s.proven || ', and not that it was pruned' END
FROM t_run_starts s
JOIN t_journals j ON j.journal = s.journal
WHERE s.there = 1
    AND NOT EXISTS (SELECT 1 FROM t_journals o WHERE o.task_id = j.task_id AND o.run_id = s.run_id)
UNION ALL
SELECT j.task_id, j.run_id,
    CASE WHEN s.starts > 1 OR s.ends > 1 THEN 'duplicate_step' ELSE 'step_without_start' END,
    j.task_id || '/runs/' || j.run_id || '/journal/events.jsonl', NULL, NULL,
    'attempt ' || CAST(s.attempt AS TEXT) || ' of step ' || s.step || ' started '
        || CAST(s.starts AS TEXT) || ' times and ended ' || CAST(s.ends AS TEXT) || ' times'
FROM t_steps s
JOIN t_journals j ON j.journal = s.journal
WHERE s.starts <> 1 OR s.ends > 1
UNION ALL
SELECT j.task_id, j.run_id, 'duplicate_turn', j.task_id || '/runs/' || j.run_id || '/journal/events.jsonl',
    NULL, NULL, 'turn ' || CAST(c.turn AS TEXT) || ' has ' || CAST(c.times AS TEXT) || ' checkpoints'
FROM t_checkpoints c
JOIN t_journals j ON j.journal = c.journal
WHERE c.times <> 1
UNION ALL
SELECT j.task_id, j.run_id, 'projection_stopped',
    j.task_id || CASE WHEN j.run_id = '' THEN '' ELSE '/runs/' || j.run_id END || '/journal/events.jsonl',
    l.bytes, NULL, p.name || ' stopped at seq ' || CAST(l.stopped_at AS TEXT) || ': ' || l.error
FROM t_laggards l
JOIN t_projectors p ON p.projector = l.projector
JOIN t_journals j ON j.journal = l.journal
WHERE l.stopped_at IS NOT NULL;

-- How far each projector has come in each journal, as a cursor: bytes, seq, hash.
CREATE VIEW projection_state AS
SELECT
    p.name AS projector,
    j.task_id,
    j.run_id,
    COALESCE(l.seq, j.seq) AS last_applied_sequence,
    COALESCE(l.bytes, j.bytes) AS last_applied_bytes,
    lower(hex(CASE WHEN l.journal IS NULL THEN j.hash ELSE l.hash END)) AS last_applied_hash,
    l.stopped_at,
    l.error
FROM t_journals j
CROSS JOIN t_projectors p
LEFT JOIN t_laggards l ON l.journal = j.journal AND l.projector = p.projector;
