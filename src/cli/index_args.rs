//! The grammar of `index` and `query`.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use runjournal::index::{PageCursor, StepState};
use runjournal::{ArtifactName, Digest, EventId, RunStatus, TaskId, TaskStatus, Timestamp};
use serde::de::DeserializeOwned;

use super::args::stream;

#[derive(Debug, Subcommand)]
pub(crate) enum IndexVerb {
    /// Make the index anew, from all of the tree
    Rebuild,
    /// Bring the index up to the tree, reading only what changed
    Refresh {
        /// Read all of it: also what changed and looks as before
        #[arg(long)]
        read_data: bool,
    },
    /// Compare the index with the tree, row by row, reading all of it
    #[command(after_help = VERIFY)]
    Verify,
    /// Print where the SQLite database is
    Path,
}

const VERIFY: &str = "\
Where the tree changed since the index was brought up to it, they differ as well: `runjournal index refresh` \
first.

Exit codes: 0 they are the same; 1 they differ.";

/// What is asked of the index.
#[derive(Debug, Args)]
pub(crate) struct Query {
    /// Ask the index as it is; otherwise it is brought up to the tree first
    #[arg(long, global = true)]
    pub(crate) stale: bool,
    #[command(subcommand)]
    pub(crate) named: Named,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Named {
    /// List tasks, the newest first
    Tasks {
        /// In this state
        #[arg(long, ignore_case = true, value_parser = one_of::<TaskStatus>(TASK_STATES))]
        status: Option<TaskStatus>,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        paging: Paging,
    },
    /// List runs, the newest first
    #[command(
        after_help = "Example: runjournal query runs --status failed --since 2026-01-01T00:00:00Z"
    )]
    Runs {
        /// Of this task
        task: Option<TaskId>,
        /// In this state
        #[arg(long, ignore_case = true, value_parser = one_of::<RunStatus>(RUN_STATES))]
        status: Option<RunStatus>,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show the newest run of a task
    Latest {
        /// The task
        task: TaskId,
    },
    /// List runs that have no end, the newest first
    Unfinished {
        /// Of this task
        task: Option<TaskId>,
        #[command(flatten)]
        times: Times,
        #[command(flatten)]
        paging: Paging,
    },
    /// List artifacts: which runs hold some bytes, a path, large files
    #[command(after_help = "Example: runjournal query artifacts --path plan.json")]
    Artifacts {
        /// Of this run: TASK/RUN, or a unique prefix of a run's id
        #[arg(short, long, value_name = "RUN")]
        run: Option<String>,
        /// That hold these bytes, by their last record or on the disk
        #[arg(long)]
        digest: Option<Digest>,
        /// With this name: its path below artifacts/
        #[arg(long)]
        path: Option<ArtifactName>,
        /// Whose file has more bytes than this, the largest first
        #[arg(long, value_name = "BYTES")]
        larger_than: Option<u64>,
        #[command(flatten)]
        paging: Paging,
    },
    /// List events of all journals, journal by journal
    #[command(after_help = "Example: runjournal query events --type step_failed")]
    Events(EventFilter),
    /// Show what led to an event: the event, its cause, the cause's cause
    Causes {
        /// The event's id
        event_id: EventId,
    },
    /// List attempts of steps, by name
    Steps {
        /// Of this run: TASK/RUN, or a unique prefix of a run's id
        #[arg(short, long, value_name = "RUN")]
        run: Option<String>,
        /// That came this far
        #[arg(long, ignore_case = true, value_parser = one_of::<StepState>(STEP_STATES))]
        state: Option<StepState>,
        /// Of steps with this name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// List what is not as it should be
    Findings {
        /// Of this run: TASK/RUN, or a unique prefix of a run's id
        #[arg(short, long, value_name = "RUN")]
        run: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Ask in SQL, which must read only
    #[command(after_help = SQL)]
    Sql {
        /// One statement
        sql: String,
        /// What $1, $2, ... in it stand for, as texts: to compare with a number, CAST($1 AS INTEGER)
        values: Vec<String>,
    },
}

const SQL: &str = "\
The views: tasks, runs, steps, artifacts, events, receipts, work, sessions, checkpoints, approvals, leases, \
audit, findings, projection_state, index_meta, journals. `runjournal index path` tells where the database is, for \
sqlite3, DuckDB or Datasette.

Example: runjournal query sql 'SELECT status, COUNT(*) FROM runs GROUP BY 1'";

#[derive(Debug, Args)]
pub(crate) struct EventFilter {
    /// Of this run: TASK/RUN, or a unique prefix of a run's id
    #[arg(short, long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// Of this task itself, and not of its runs
    #[arg(long, conflicts_with = "run")]
    pub(crate) task: Option<TaskId>,
    /// Of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Of this stream
    #[arg(long, value_name = "KIND/ID", value_parser = stream)]
    pub(crate) stream: Option<(String, String)>,
    /// With this correlation id
    #[arg(long, value_name = "ID")]
    pub(crate) correlation: Option<String>,
    /// That this event led to
    #[arg(long, value_name = "EVENT_ID")]
    pub(crate) caused_by: Option<EventId>,
    /// That answer this command
    #[arg(long, value_name = "ID")]
    pub(crate) command_id: Option<String>,
    /// The last of each journal first
    #[arg(long)]
    pub(crate) last_first: bool,
    #[command(flatten)]
    pub(crate) paging: Paging,
}

/// When something was made.
#[derive(Debug, Args)]
pub(crate) struct Times {
    /// Made at this time or later, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Made before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// The oldest first
    #[arg(long)]
    pub(crate) oldest_first: bool,
}

/// How much of an answer is printed.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// At most so many rows
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    pub(crate) limit: usize,
    /// Go on behind the rows that were printed before: what `next` said then
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<PageCursor>,
}

fn at_least_one(text: &str) -> Result<usize, &'static str> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or("it must be a whole number, 1 at least")
}

const TASK_STATES: &[&str] = &["todo", "in_progress", "done", "archived"];
const RUN_STATES: &[&str] = &["planning", "executing", "verifying", "success", "failed"];
const STEP_STATES: &[&str] = &["started", "completed", "failed"];

/// One of these words, in any case where the argument ignores it.
fn one_of<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    let possible = |word: &'static str| {
        let with_hyphen = (word == "in_progress").then_some("in-progress");
        PossibleValue::new(word).aliases(with_hyphen)
    };
    PossibleValuesParser::new(words.iter().copied().map(possible)).try_map(|word| read(&word))
}

/// What the library calls it: in capitals, or not.
fn read<T: DeserializeOwned>(word: &str) -> Result<T, serde_json::Error> {
    let word = word.replace('-', "_");
    let read = |word: String| serde_json::from_value(serde_json::Value::String(word));
    read(word.to_uppercase()).or_else(|_| read(word.to_lowercase()))
}
