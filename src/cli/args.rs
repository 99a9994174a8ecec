//! The grammar of the command line.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};
use runjournal::{ArtifactName, TaskId};

use super::approval::ApprovalVerb;
use super::artifact::ArtifactVerb;
use super::backup_args::BackupVerb;
use super::checkpoint::CheckpointVerb;
use super::completions::Completions;
use super::diff::DiffVerb;
use super::duration::duration;
use super::flow::FlowVerb;
use super::index_args::{IndexVerb, Query};
use super::lease::LeaseVerb;
use super::lineage::LineageVerb;
use super::prune::PruneArgs;
use super::queue::QueueVerb;
use super::receipt::ReceiptVerb;
use super::repair::RepairArgs;
use super::run::RunVerb;
use super::session::SessionVerb;
use super::verify::Verify;

const EXIT_CODES: &str = "\
RUN is TASK/RUN, or a unique prefix of a run's id; left out: RUNJOURNAL_RUN.
Exit codes: 0 fine, 1 findings, a difference or a failed program, 2 usage,
3 not found, 4 conflict, 5 damage, 6 read-only or newer, 10 internal";

/// Options of every verb stand behind its own, and behind `--help`.
const LAST: usize = 1000;

/// The whole fits one screen.
const SCREEN: &str = "\
{about}
{usage-heading} {usage}

Commands:
{subcommands}

Options:
{options}{after-help}";

/// Crash-safe run directories for agents and data pipelines: the disk is the state.
#[derive(Debug, Parser)]
#[command(name = "runjournal", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(help_template = SCREEN)]
pub(crate) struct Cli {
    /// Workspace; else RUNJOURNAL_ROOT, else nearest upward
    #[arg(long, global = true, value_name = "DIR", display_order = LAST)]
    #[arg(value_parser = path)]
    pub(crate) root: Option<Utf8PathBuf>,
    /// Index; else RUNJOURNAL_INDEX, else .index in the root
    #[arg(long, global = true, value_name = "DIR", display_order = LAST + 1)]
    #[arg(value_parser = path)]
    pub(crate) index: Option<Utf8PathBuf>,
    /// table, json or jsonl
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true)]
    #[arg(display_order = LAST + 2)]
    pub(crate) format: Format,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make a workspace at DIR, --root, RUNJOURNAL_ROOT, or ./workspaces
    #[command(after_help = "Example: runjournal init --if-absent")]
    Init {
        /// Where to make it
        #[arg(value_parser = path)]
        dir: Option<Utf8PathBuf>,
        /// Where there is a workspace already, use it as it is
        #[arg(long)]
        if_absent: bool,
    },
    /// Show what is open, who holds what, and what failed last
    #[command(after_help = STATUS)]
    Status,
    /// Show how the workspace is: disk, runs, locks, leases, index
    Health,
    /// Make, list, show and archive tasks
    #[command(subcommand)]
    Task(TaskVerb),
    /// Start, list, show and complete runs
    #[command(subcommand)]
    Run(RunVerb),
    /// Write, read, list, remove and adopt a run's artifacts
    #[command(subcommand)]
    Artifact(ArtifactVerb),
    /// Append to a run's journal, and read it
    #[command(subcommand)]
    Event(EventVerb),
    /// Claim a task, so that nobody else writes to it; renew, release
    #[command(subcommand)]
    Lease(LeaseVerb),
    /// Put work into a queue, take the next piece, say how it went
    #[command(subcommand)]
    Queue(QueueVerb),
    /// Show what became of a command
    #[command(subcommand)]
    Receipt(ReceiptVerb),
    /// List and show a run's sessions with providers
    #[command(subcommand)]
    Session(SessionVerb),
    /// List what a run asks people, and answer
    #[command(subcommand)]
    Approval(ApprovalVerb),
    /// Run a program as a step of a run
    #[command(subcommand)]
    Step(StepVerb),
    /// Run a flow of programs, go on with it, show where it stands
    #[command(subcommand)]
    Flow(FlowVerb),
    /// Show which step made an artifact, from what, and what is stale
    #[command(subcommand)]
    Lineage(LineageVerb),
    /// Keep the artifacts of a turn; list, print and restore turns
    #[command(subcommand)]
    Checkpoint(CheckpointVerb),
    /// Show what differs between two turns, or two runs
    Diff(DiffVerb),
    /// Make, refresh, verify and find the index, which `query` asks
    #[command(subcommand)]
    Index(IndexVerb),
    /// Ask the index: runs, artifacts, events, findings, SQL
    Query(Query),
    /// Look for what is damaged, missing, or does not agree
    Verify(Verify),
    /// Show what can be mended, and mend it: nothing is deleted
    Repair(RepairArgs),
    /// Keep copies elsewhere, verify them, put them back, prune them
    #[command(subcommand)]
    Backup(BackupVerb),
    /// Show which runs are old enough to go, and remove them
    Prune(PruneArgs),
    /// Print what a shell needs to complete verbs and options
    Completions(Completions),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskVerb {
    /// Make a task
    #[command(
        after_help = "Example: runjournal task create TASK-1 --title \"Mend it\" --if-absent"
    )]
    Create {
        /// Its id, such as TASK-1
        task: TaskId,
        /// One line for people
        #[arg(long, default_value = "")]
        title: String,
        /// What the task is to reach
        #[arg(long, default_value = "")]
        objective: String,
        /// Where there is such a task already, use it as it is
        #[arg(long)]
        if_absent: bool,
    },
    /// List the tasks
    List,
    /// Show a task and its runs
    Show {
        /// Its id
        task: TaskId,
    },
    /// Put a task away, for good: all its runs have ended
    Archive {
        /// Its id
        task: TaskId,
    },
}

/// Which run a verb is about.
#[derive(Debug, Args)]
pub(crate) struct InRun {
    /// TASK/RUN, or a unique prefix of a run's id; left out: RUNJOURNAL_RUN
    #[arg(short, long, value_name = "RUN")]
    pub(crate) run: Option<String>,
}

/// Which journal a verb is about: a run's, or a task's own.
#[derive(Debug, Args)]
pub(crate) struct InJournal {
    /// TASK/RUN, or a unique prefix of a run's id; left out: RUNJOURNAL_RUN
    #[arg(short, long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The task's own journal instead of a run's
    #[arg(short, long, value_name = "TASK", conflicts_with = "run")]
    pub(crate) task: Option<TaskId>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventVerb {
    /// Append an event, or one for each line of standard input
    #[command(after_help = APPEND)]
    Append(Append),
    /// Print the events of a run
    #[command(after_help = LOG)]
    Log(Log),
    /// Show one event, with its payload
    Show {
        #[command(flatten)]
        run: InRun,
        /// Its place in the journal
        seq: u64,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Append {
    #[command(flatten)]
    pub(crate) run: InRun,
    /// What kind of event it is, in snake_case
    #[arg(value_name = "TYPE")]
    pub(crate) event_type: String,
    /// What happened, as JSON; `-`: standard input, which is read only with `-` or --lines
    #[arg(long, value_name = "JSON")]
    pub(crate) payload: Option<String>,
    /// The stream it belongs to; the run's unless given
    #[arg(long, value_name = "KIND/ID", value_parser = stream)]
    pub(crate) stream: Option<(String, String)>,
    /// An idempotency key: a second append with it changes nothing; with --lines, batch N of the
    /// input has KEY:N
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// The command that the event answers
    #[arg(long, value_name = "ID")]
    pub(crate) command_id: Option<String>,
    /// Return once it is on the disk: it survives a power cut
    #[arg(long)]
    pub(crate) durable: bool,
    /// Each line of standard input is a payload; appended in batches of at most 1,024, each whole or
    /// not at all
    #[arg(long, conflicts_with = "payload")]
    pub(crate) lines: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Log {
    #[command(flatten)]
    pub(crate) run: InRun,
    /// Only events with a greater seq
    #[arg(long, value_name = "SEQ", default_value_t = 0, hide_default_value = true)]
    pub(crate) after: u64,
    /// Only events of this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,
    /// Only events of this stream
    #[arg(long, value_name = "KIND/ID", value_parser = stream)]
    pub(crate) stream: Option<(String, String)>,
    /// Only events with this correlation id
    #[arg(long, value_name = "ID")]
    pub(crate) correlation: Option<String>,
    /// Only the last N of them; the journal is read only as far back as they are, and damage before
    /// that is not told
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) last: Option<usize>,
    /// Print only what comes behind the place that FILE keeps, if it is there, and keep in it how far
    /// the events are printed: at the end and, with --follow, each time all of them are. After a kill,
    /// some may be printed again, none is left out
    #[arg(long, value_name = "FILE")]
    #[arg(value_parser = path)]
    pub(crate) cursor_file: Option<Utf8PathBuf>,
    /// Stay, and print events as they come, until the run is complete
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StepVerb {
    /// Run a program as a step: done once, and committed whole or not at all
    #[command(after_help = STEP_RUN)]
    Run(StepRun),
}

#[derive(Debug, Args)]
pub(crate) struct StepRun {
    #[command(flatten)]
    pub(crate) run: InRun,
    /// The step's name
    pub(crate) name: String,
    /// An artifact that the program reads, once for each: its digest is recorded when the step
    /// starts, and without it the step does not start
    #[arg(long, value_name = "NAME")]
    pub(crate) input: Vec<ArtifactName>,
    /// The artifact that is the program's standard input, an input as well; otherwise it is empty
    #[arg(long, value_name = "NAME")]
    pub(crate) stdin: Option<ArtifactName>,
    /// The artifact that the program's standard output becomes, instead of being shown
    #[arg(long, value_name = "NAME")]
    pub(crate) stdout: Option<ArtifactName>,
    /// The artifact that its standard error becomes; the same name takes both
    #[arg(long, value_name = "NAME")]
    pub(crate) stderr: Option<ArtifactName>,
    /// What the step signals when the program exits with CODE, once for each; 0 is `success`, and
    /// a code without a signal fails the step
    #[arg(long, value_name = "CODE=SIGNAL", value_parser = exit)]
    pub(crate) exit: Vec<(i32, String)>,
    /// How long the program may run, such as 90s or 10m; then it is ended, and the step fails
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Which turn of a loop this is, from 1: each is done once, one after the other
    #[arg(long, value_name = "N")]
    pub(crate) turn: Option<u64>,
    /// What the turn is for, as JSON: recorded when it begins
    #[arg(long, value_name = "JSON")]
    pub(crate) item: Option<String>,
    /// Run a complete step again, as its next turn, if its inputs, its program or its outputs changed
    #[arg(long, conflicts_with_all = ["turn", "item"])]
    pub(crate) if_changed: bool,
    /// The program and its arguments; recorded as the step's configuration, so keep
    /// secrets out of them
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub(crate) program: Vec<String>,
}

const STATUS: &str = "\
It reads the tree, not the index, and changes nothing: the journals of tasks and of runs that did not end, and of long \
journals of runs that ended the end. Whether all of it is whole, `verify` tells.

States of open runs: waiting (it asks people something), running (a process runs a step), stopped (a step has not ended, \
and its process is gone), idle (no step is open), abandoned (nothing for 7 days, and nobody holds the task).";

const APPEND: &str = "\
Examples:
  runjournal event append tool_called --payload '{\"tool\": \"cc\"}'
  seq 3 | runjournal event append counted --lines";

const LOG: &str = "\
Examples:
  runjournal event log --last 20
  runjournal event log --follow --type tool_called --format jsonl";

const STEP_RUN: &str = "\
The program runs in a folder of its own, which is its current folder and goes when the step ends; \
RUNJOURNAL_ROOT, RUNJOURNAL_RUN and RUNJOURNAL_STEP are set, so that `runjournal` inside it works on this \
run. When it exits with a code that has a signal, the files that it left in $RUNJOURNAL_OUT are committed as \
artifacts together with the end of the step. A step that is complete is not run again, unless --if-changed \
or another --turn asks for it.

What the program itself puts or appends by `runjournal` is committed at once: it stays even if the step \
fails, and is not among the step's inputs and outputs.

The program leads a process group of its own, which ends with it: after the timeout, and on Ctrl-C, SIGTERM or \
SIGHUP, the group gets SIGTERM, 2 s later SIGKILL, and the step is recorded as failed.

The last line of standard output is the step's signal; with --format json the program's own output goes to \
standard error.

Exit codes: 0 the step is complete; 1 the program failed; 3 an input is not there; 4 the step is taken.

Examples:
  runjournal step run build --input plan.json -- ./build.sh
  runjournal step run test --stdout log.txt --exit 3=red -- ./test.sh";

/// Every path that is given: none is empty.
pub(super) fn path(text: &str) -> Result<Utf8PathBuf, &'static str> {
    if text.is_empty() { Err("it is empty; name a file or a directory") } else { Ok(text.into()) }
}

pub(super) fn stream(text: &str) -> Result<(String, String), &'static str> {
    let (kind, id) = text.split_once('/').ok_or("it must be KIND/ID, such as tool/cc")?;
    Ok((kind.to_owned(), id.to_owned()))
}

/// An exit code and what it signals.
fn exit(text: &str) -> Result<(i32, String), &'static str> {
    let (code, signal) = text.split_once('=').unwrap_or_default();
    match code.parse() {
        Ok(code) if !signal.is_empty() => Ok((code, signal.to_owned())),
        _ => Err("it must be CODE=SIGNAL, such as 3=verify_failed"),
    }
}
