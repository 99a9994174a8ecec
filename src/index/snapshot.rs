//! A run as the index knows it, and where its journal goes on from there.

use rusqlite::Row;
use serde::Serialize;

use super::query::{ArtifactQuery, Columns, JOURNAL_OF, ProjectionRow, RUN, STEP, Select};
use super::{ArtifactRow, IndexError, IndexReader, RunRow, StepRow};
use crate::clock::Timestamp;
use crate::context::RunContext;
use crate::digest::Digest;
use crate::journal::Cursor;

/// A run as the index knows it, at one moment, and the place in its journal up to which all of it is
/// told: a client takes the snapshot, and then the events behind [`cursor`](RunSnapshot::cursor). They are
/// exactly the rest, however many are appended meanwhile.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let root = camino::Utf8Path::from_path(dir.path()).unwrap().join("workspaces");
/// # let workspace = runjournal::Workspace::create(&root)?;
/// # let task = workspace.create_task("TASK-1", runjournal::TaskOptions::default())?;
/// # let ctx = task.open_or_start_run("RUN-1")?;
/// # let index = runjournal::index::Index::of(&workspace);
/// # index.refresh()?;
/// # let mut journal = ctx.journal()?;
/// # journal.append(runjournal::Event::new("tool_called"))?;
/// let snapshot = index.open()?.snapshot(&ctx)?;
/// println!("{}: {} steps", snapshot.run.status, snapshot.steps.len());
/// for record in ctx.events()?.from(snapshot.cursor)? {
///     println!("{}", record?.event_type()); // or .follow(), to stay
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunSnapshot {
    /// The run.
    pub run: RunRow,
    /// The attempts of its steps.
    pub steps: Vec<StepRow>,
    /// Its artifacts.
    pub artifacts: Vec<ArtifactRow>,
    /// Its sessions.
    pub sessions: Vec<SessionRow>,
    /// Its approvals.
    pub approvals: Vec<ApprovalRow>,
    /// Its checkpoints.
    pub checkpoints: Vec<CheckpointRow>,
    /// The smallest `last_applied_sequence` of the projectors whose rows these are. Where an event stopped
    /// one of them, the rows of the others may tell of later events already.
    pub sequence: u64,
    /// The place behind the event of that seq.
    pub cursor: Cursor,
}

/// A session with a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionRow {
    /// Its id.
    pub session_id: String,
    /// With whom.
    pub provider: Option<String>,
    /// Its state.
    pub status: Option<String>,
    /// Where the provider goes on; JSON, unless it is a text.
    pub resume_cursor: Option<String>,
    /// When it was last heard of, as the provider told.
    pub last_seen: Option<String>,
    /// Why it failed, if it did.
    pub reason: Option<String>,
    /// The seq of its last event.
    pub seq: u64,
}

/// A question to a human, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ApprovalRow {
    /// Its id.
    pub approval_id: String,
    /// What was asked; JSON, unless it is a text.
    pub question: Option<String>,
    /// What there is to choose from; JSON, unless it is a text.
    pub options: Option<String>,
    /// What was decided; JSON, unless it is a text.
    pub decision: Option<String>,
    /// By whom.
    pub decided_by: Option<String>,
    /// The seq of the question,
    pub requested_seq: Option<u64>,
    /// and of the answer.
    pub resolved_seq: Option<u64>,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CheckpointRow {
    /// Its number.
    pub turn: u64,
    /// The digest of its file.
    pub digest: Option<Digest>,
    /// What stands for the artifacts at that turn.
    pub artifacts_root: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The seq of its event.
    pub seq: u64,
}

/// The projectors whose rows a snapshot holds.
const USED: [&str; 6] = ["runs", "steps", "artifacts", "sessions", "approvals", "checkpoints"];

const SESSIONS: &str =
    "provider, status, resume_cursor, last_seen, reason, seq FROM t_sessions WHERE 0 = 0";
const APPROVALS: &str = "question, options, decision, decided_by, requested_seq, resolved_seq \
                         FROM t_approvals WHERE 0 = 0";
const CHECKPOINTS: &str = "digest, artifacts_root, created_at, seq FROM t_checkpoints WHERE 0 = 0";

impl IndexReader {
    /// A run as the index knows it, from its rows alone, all of one moment.
    ///
    /// # Errors
    /// [`IndexError::NotIndexed`] where the index does not know the run; [`IndexError::Damaged`] where the
    /// index is.
    pub fn snapshot(&self, run: &RunContext) -> Result<RunSnapshot, IndexError> {
        let (task, run) = (run.task_id(), run.run_id());
        let _moment = self.transaction()?;
        let not_indexed = || IndexError::NotIndexed { what: format!("run {task}/{run}") };
        let found = Select::new(&["r.created_at", "r.journal"], RUN)
            .given(&format!("r.journal = {JOURNAL_OF}"), [task.into(), run.into()]);
        let found = self.ask(&found, |row| {
            let journal: i64 = row.get(1)?;
            Ok((journal, RunRow::read(&mut Columns::from(row, 2))?))
        })?;
        let (journal, row) = found.into_iter().next().ok_or_else(not_indexed)?;
        let artifacts =
            self.artifacts(&ArtifactQuery::new().of_run(task, run).limit(usize::MAX))?;
        let cursor = least(self.projections(task, Some(run))?).ok_or_else(not_indexed)?;
        let of = |column: &str, keys, columns| {
            let select = Select::new(keys, columns);
            select.given(&format!("{column} = ?"), [journal.into()]).first(false, usize::MAX)
        };
        Ok(RunSnapshot {
            run: row,
            steps: self.ask(&of("s.journal", &["s.step", "s.attempt"], STEP), |row| {
                StepRow::read(&mut Columns::from(row, 2))
            })?,
            artifacts: artifacts.rows,
            sessions: self.ask(&of("journal", &["session"], SESSIONS), session)?,
            approvals: self.ask(&of("journal", &["approval"], APPROVALS), approval)?,
            checkpoints: self.ask(&of("journal", &["turn"], CHECKPOINTS), checkpoint)?,
            sequence: cursor.seq(),
            cursor,
        })
    }
}

/// Where the one of the projectors stands that came least far.
fn least(projections: Vec<ProjectionRow>) -> Option<Cursor> {
    let used = projections.into_iter().filter(|row| USED.contains(&row.projector.as_str()));
    let cursors = used.map(|row| row.cursor).collect::<Option<Vec<_>>>()?;
    cursors.into_iter().min_by_key(|cursor| cursor.seq())
}

fn session(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    let mut columns = Columns::from(row, 0);
    Ok(SessionRow {
        session_id: columns.next()?,
        provider: columns.next()?,
        status: columns.next()?,
        resume_cursor: columns.next()?,
        last_seen: columns.next()?,
        reason: columns.next()?,
        seq: columns.number()?,
    })
}

fn approval(row: &Row<'_>) -> rusqlite::Result<ApprovalRow> {
    let mut columns = Columns::from(row, 0);
    Ok(ApprovalRow {
        approval_id: columns.next()?,
        question: columns.next()?,
        options: columns.next()?,
        decision: columns.next()?,
        decided_by: columns.next()?,
        requested_seq: columns.number_if_any()?,
        resolved_seq: columns.number_if_any()?,
    })
}

fn checkpoint(row: &Row<'_>) -> rusqlite::Result<CheckpointRow> {
    let mut columns = Columns::from(row, 0);
    Ok(CheckpointRow {
        turn: columns.number()?,
        digest: columns.digest_if_any()?,
        artifacts_root: columns.next()?,
        created_at: columns.parsed()?,
        seq: columns.number()?,
    })
}
