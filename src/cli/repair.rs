//! `repair`: shows what verify's findings ask for, and does it.

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use runjournal::{
    Backup, Finding, Left, Mend, NotMended, Repair, RepairError, RepairPlan, VerifyError,
};
use serde::Serialize;

use super::args::path;
use super::error::CliError;
use super::exit::{Exit, of_io};
use super::findings::rows;
use super::locate::Locator;
use super::output::{Output, exit_for};
use super::progress;
use super::units::count;

const REPAIR: &str = "\
Reads everything, contents too. Each finding is shown with what would mend it, or why it is left; nothing is \
deleted, what stands in the wrong place goes to .quarantine/.

Places are told from the root of the workspace; in JSON, paths are in full.

Exit codes: 1 something is to be mended, could not be mended, or is left, as a warning or an error. A torn tail \
and a cache that is ahead are left to the next append, and are not shown.

Examples:
  runjournal repair
  runjournal repair RUN-1 --from /backup/runs --apply";

#[derive(Debug, Args)]
#[command(after_help = REPAIR)]
pub(crate) struct RepairArgs {
    /// A task, or a run as TASK/RUN or a unique prefix of its id; left out: the workspace
    #[arg(value_name = "TASK|RUN")]
    scope: Option<String>,
    /// Do it; otherwise the plan is shown and nothing is changed
    #[arg(long)]
    apply: bool,
    /// Also journal files under artifacts/ that no record names, in runs that are not complete
    #[arg(long)]
    adopt: bool,
    /// A backup, for bytes that the run has no more
    #[arg(long, value_name = "DIR")]
    #[arg(value_parser = path)]
    from: Option<Utf8PathBuf>,
}

#[derive(Serialize)]
struct Page<'a> {
    applied: bool,
    /// What is planned, or was done.
    mends: &'a [Mend],
    failed: Vec<Failed<'a>>,
    left: &'a [Left],
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(flatten)]
    mend: &'a Mend,
    error: String,
}

pub(crate) fn repair(
    at: &Locator,
    args: RepairArgs,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let root = at.workspace()?.root().to_owned();
    let repair = Repair::of(at.subject(args.scope.as_deref())?);
    let repair = match &args.from {
        Some(dir) => repair.from_backup(&Backup::open(dir)?),
        None => repair,
    };
    let repair = repair.adopting(args.adopt);
    if args.apply {
        return apply(&repair, &root, output);
    }
    show(&repair.plan_with(&mut progress::of_repair())?, &root, output)
}

fn show(plan: &RepairPlan, root: &Utf8Path, output: &mut Output) -> Result<Exit, CliError> {
    let page = Page { applied: false, mends: plan.mends(), failed: Vec::new(), left: plan.left() };
    output.one(&page, |output| {
        let mut told: Vec<_> = plan
            .mends()
            .iter()
            .map(|mend| (&mend.finding, format!("would {}", mend.means)))
            .collect();
        told.extend(left(plan.left()));
        tell(&told, root, output)?;
        let last = match plan.mends().len() {
            0 => nothing(plan.left()),
            several => {
                format!("{} to mend; the same with `--apply` does it", count(several, "thing"))
            }
        };
        output.text(&last, 2)
    })?;
    Ok(if plan.is_empty() { exit(&[], plan.left()) } else { Exit::Findings })
}

fn apply(repair: &Repair, root: &Utf8Path, output: &mut Output) -> Result<Exit, CliError> {
    let repaired = repair.run_with(&mut progress::of_repair())?;
    let failed: Vec<_> = repaired.failed.iter().map(failed).collect();
    let page = Page { applied: true, mends: &repaired.done, failed, left: &repaired.left };
    output.one(&page, |output| {
        let mut told: Vec<_> = repaired
            .done
            .iter()
            .map(|mend| (&mend.finding, format!("done: {}", mend.means)))
            .collect();
        let failed = page.failed.iter();
        told.extend(failed.map(|it| (&it.mend.finding, format!("failed: {}", it.error))));
        told.extend(left(&repaired.left));
        tell(&told, root, output)?;
        let last = match repaired.done.len() {
            0 => nothing(&repaired.left),
            several => format!("{} mended", count(several, "thing")),
        };
        output.text(&last, 2)
    })?;
    Ok(exit(&repaired.failed, &repaired.left))
}

fn failed(not: &NotMended) -> Failed<'_> {
    let mut error = not.error.to_string();
    let mut source = std::error::Error::source(&not.error);
    while let Some(cause) = source {
        error = format!("{error}: {cause}");
        source = cause.source();
    }
    Failed { mend: &not.mend, error }
}

fn left(left: &[Left]) -> impl Iterator<Item = (&Finding, String)> {
    left.iter().map(|left| (&left.finding, format!("left: {}", left.why)))
}

/// Each finding, and below it what becomes of it.
fn tell(told: &[(&Finding, String)], root: &Utf8Path, output: &mut Output) -> Result<(), CliError> {
    let findings: Vec<_> = told.iter().map(|(finding, _)| *finding).collect();
    let notes: Vec<_> = told.iter().map(|(_, what)| what.clone()).collect();
    output.annotated(&rows(&findings, root), &notes)
}

fn nothing(left: &[Left]) -> String {
    if left.is_empty() { "nothing to repair".into() } else { "nothing that repair can mend".into() }
}

pub(super) fn exit_of(error: &RepairError) -> Exit {
    match error {
        RepairError::Verify(VerifyError::NotThere { .. }) => Exit::NotFound,
        RepairError::Io(error) => of_io(error),
        RepairError::MovedOn { .. } | RepairError::NotBegun { .. } => Exit::Conflict,
        _ => Exit::Internal,
    }
}

/// As `verify` ends, where it finds what was left; the next append deals with a torn tail, which is none of it.
fn exit(failed: &[NotMended], left: &[Left]) -> Exit {
    let left = exit_for(left.iter().map(|left| &left.finding));
    if failed.is_empty() { left } else { Exit::Findings }
}
