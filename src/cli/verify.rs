//! `verify`: holds everything against everything, and lists what is not as it should be.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use runjournal::{Backup, Manifest, ReadData, Severity, Verified, VerifyError};
use serde::Serialize;

use super::args::path;
use super::error::CliError;
use super::exit::{Exit, of_io};
use super::locate::Locator;
use super::output::{Output, exit_for};
use super::progress;
use super::units::{count, size};

/// What is to be verified.
#[derive(Debug, Args)]
#[command(after_help = VERIFY)]
pub(crate) struct Verify {
    /// A task, or a run: TASK/RUN, or a unique prefix of its id; left out: the whole workspace
    #[arg(value_name = "TASK|RUN")]
    what: Option<String>,
    /// Read artifacts and objects as well: all of them, one of T parts, or about P of a hundred
    #[arg(long, value_name = "N/T|P%", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "none", default_missing_value = "all", hide_default_value = true)]
    read_data: ReadData,
    /// A copy of a run's manifest, to be held against the run as well
    #[arg(long, value_name = "FILE")]
    manifest: Vec<Utf8PathBuf>,
    /// A backup, of which a snapshot is to be held against it as well
    #[arg(long, value_name = "DEST")]
    #[arg(value_parser = path)]
    backup: Option<Utf8PathBuf>,
    /// The snapshot, by the beginning of its id; otherwise the newest that has it
    #[arg(long, value_name = "ID", requires = "backup")]
    snapshot: Option<String>,
}

const VERIFY: &str = "\
Only reads, and may be called while others write. Without --read-data, of artifacts and objects it is looked \
at whether they are there and how long they are. With --read-data of the whole workspace, an index that is \
there is compared with the tree as well; one that is behind is refreshed first.

--read-data=1/7 to --read-data=7/7, one each day, read everything once a week; --read-data=5% reads other \
files each time.

With --backup, records that a journal lost from its end, files that were changed together with their records, and \
tasks and runs that are gone and were not pruned are found as well. What went on since is fine.

Places are told from the root of the workspace; in JSON, paths are in full.

Exit codes: 1 something is wrong: a warning or an error.

Examples:
  runjournal verify
  runjournal verify TASK-1 --read-data";

pub(crate) fn verify(at: &Locator, asked: Verify, output: &mut Output) -> Result<Exit, CliError> {
    let workspace = at.workspace()?;
    let subject = at.subject(asked.what.as_deref())?;
    let scope = subject.scope().clone();
    let mut verify = runjournal::Verify::of(subject);
    if asked.what.is_none() && asked.read_data == ReadData::All {
        verify = verify.index(at.index()?);
    }
    for file in &asked.manifest {
        verify = verify.witness(&Manifest::open(file)?);
    }
    if let Some(dest) = &asked.backup {
        let backup = Backup::open(dest)?;
        let snapshot = match &asked.snapshot {
            Some(id) => backup.snapshot(id)?,
            None => {
                let of = workspace.genesis().workspace_id;
                backup.newest(&scope, Some(of))?
            }
        };
        verify = snapshot.witness(verify)?;
    }
    let verified = verify.read_data(asked.read_data).run_with(&mut progress::of_verify())?;
    output.one(&Page::of(&verified), |output| show(&verified, workspace.root(), output))?;
    Ok(exit_for(&verified.findings))
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(flatten)]
    verified: &'a Verified,
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl<'a> Page<'a> {
    fn of(verified: &'a Verified) -> Self {
        Self {
            verified,
            errors: verified.count(Severity::Error),
            warnings: verified.count(Severity::Warning),
            notes: verified.count(Severity::Note),
        }
    }
}

fn show(verified: &Verified, root: &Utf8Path, output: &mut Output) -> Result<(), CliError> {
    output.findings(&verified.findings, root)?;
    output.text(&totals(verified), 2)
}

fn totals(verified: &Verified) -> String {
    let Page { errors, warnings, notes, .. } = Page::of(verified);
    format!(
        "{}, {}, {}; {}, {}, {}, {}, {} read",
        count(errors, "error"),
        count(warnings, "warning"),
        count(notes, "note"),
        count(verified.tasks, "task"),
        count(verified.runs, "run"),
        count(verified.records, "record"),
        count(verified.files, "file"),
        size(verified.bytes),
    )
}

/// What kind of trouble it is.
pub(super) fn exit_of(error: &VerifyError) -> Exit {
    match error {
        VerifyError::Io(error) => of_io(error),
        VerifyError::NotThere { .. } => Exit::NotFound,
        VerifyError::ReadData(_) | VerifyError::WitnessOutside { .. } => Exit::Usage,
        _ => Exit::Internal,
    }
}
