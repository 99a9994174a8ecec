//! The grammar of `backup`.

use std::time::Duration;

use camino::Utf8PathBuf;
use clap::{ArgGroup, Subcommand};
use runjournal::{RunId, TaskId};

use super::args::path;
use super::duration::age_in_days;

#[derive(Debug, Subcommand)]
pub(crate) enum BackupVerb {
    /// Take a snapshot, into a directory that is a backup, or becomes one
    #[command(after_help = CREATE)]
    Create {
        /// The backup: not in the workspace, best on another disk
        #[arg(value_parser = path)]
        dest: Utf8PathBuf,
        /// Only a task, or a run: TASK, or TASK/RUN, or a unique prefix of a run's id
        #[arg(value_name = "TASK|RUN")]
        what: Option<String>,
    },
    /// List the snapshots
    List {
        /// The backup
        #[arg(value_parser = path)]
        dest: Utf8PathBuf,
    },
    /// Look whether everything that the snapshots name is there
    #[command(after_help = VERIFY)]
    Verify {
        /// The backup
        #[arg(value_parser = path)]
        dest: Utf8PathBuf,
        /// Read all content, and check its digests
        #[arg(long)]
        read_data: bool,
    },
    /// Put back what is not there any more; nothing is replaced
    #[command(after_help = RESTORE)]
    Restore {
        /// The backup
        #[arg(value_parser = path)]
        src: Utf8PathBuf,
        /// Only a task, or a run: TASK, TASK/RUN, or a unique prefix of a run's id
        #[arg(value_name = "TASK|RUN", value_parser = named)]
        what: Option<String>,
        /// The snapshot, by the beginning of its id; otherwise the newest without errors, for each task and run
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
        /// Where to: a workspace, or a directory that is empty or not there; otherwise the workspace
        #[arg(long, value_name = "ROOT")]
        #[arg(value_parser = path)]
        to: Option<Utf8PathBuf>,
        /// Show what would be put where, and read all content; change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Show which snapshots would go, and remove them
    #[command(after_help = PRUNE)]
    #[command(group = ArgGroup::new("kept").required(true).multiple(true))]
    Prune {
        /// The backup
        #[arg(value_parser = path)]
        dest: Utf8PathBuf,
        /// Keep the newest N
        #[arg(long, value_name = "N", group = "kept")]
        keep_last: Option<usize>,
        /// Keep those that are not older, as 12h or 30d; a number alone is of days
        #[arg(long, value_name = "TIME", group = "kept", value_parser = age_in_days)]
        keep_within: Option<Duration>,
        /// Do it; otherwise the plan is shown and nothing is changed
        #[arg(long)]
        apply: bool,
    },
    /// Keep a snapshot from `prune`; held again, say anew why
    Hold {
        /// The backup
        #[arg(value_parser = path)]
        dest: Utf8PathBuf,
        /// The snapshot, by the beginning of its id
        id: String,
        /// Why it stays, in a line
        #[arg(long)]
        reason: String,
    },
    /// Let `prune` remove a snapshot that was held
    Unhold {
        /// The backup
        #[arg(value_parser = path)]
        dest: Utf8PathBuf,
        /// The snapshot, by the beginning of its id
        id: String,
    },
}

const CREATE: &str = "\
Others may go on writing. Content that the backup has already is not written again. What is not as the \
journal says is copied as it is, and told. Its place is told from the root of the workspace, in JSON too.

Exit codes: 1 a snapshot was taken, and something in it is not as it should be.

Examples:
  runjournal backup create /backup/runs
  runjournal backup create /backup/runs TASK-1/RUN-1";

const VERIFY: &str = "\
What is missing, the next `backup create` brings again if the workspace still has it; remove a file that is \
changed before that. What to do stands with each finding. Places are told from the backup; in JSON, paths are \
in full.

Exit codes: 1 something is missing or changed.

Example: runjournal backup verify /backup/runs --read-data";

const RESTORE: &str = "\
All of it is made and checked aside, and put in place only then. What stands there as the snapshot has it is \
left alone; where something else stands, nothing is restored. With a run whose task is not there, the task comes \
along. A run is put into a task that nobody holds, or under the lease in RUNJOURNAL_LEASE.

Unless --snapshot names one, each task and each run is put from the newest snapshot that found no error in it, and \
told where that is not the newest; where each found one, it is put from the newest. A run is not put from a snapshot \
after that of its task: one that its task does not know is left out. A run that is asked for by its name is put, and \
its task as it was then.

Paths are told from the root that it is put into; in JSON, they are in full, but for what was passed over, which is told \
from the root of the workspace that was backed up.

Exit codes: 1 it was restored, and something in it was not as it should be, is from an older snapshot, or was left out.

Examples:
  runjournal backup restore /backup/runs TASK-1/RUN-1 --dry-run
  runjournal backup restore /backup/runs --to ./elsewhere";

const PRUNE: &str = "\
Decided for each workspace, and for snapshots of a whole workspace, of each task and of each run, by \
themselves. Of each the newest stays, and the newest without errors, and what is held.

Example: runjournal backup prune /backup/runs --keep-last 7";

/// What may name a task or a run of a backup. Which one it names, only the backup tells.
fn named(text: &str) -> Result<String, String> {
    let (task, run) = match text.split_once('/') {
        Some((task, run)) => (Some(task), run),
        None => (None, text),
    };
    task.map(str::parse::<TaskId>).transpose().map_err(|error| error.to_string())?;
    run.parse::<RunId>().map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}
