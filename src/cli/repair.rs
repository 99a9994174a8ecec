//! `repair`: shows what verify's findings ask for, and does it.

use camino::Utf8PathBuf;
use clap::Args;
use runjournal::{
    Backup, Finding, Left, Means, Mend, NotMended, Repair, RepairError, RepairPlan, Severity,
    VerifyError,
};
use serde::Serialize;

use super::error::CliError;
use super::exit::{Exit, of_io};
use super::locate::{Locator, Scope};
use super::output::{Output, count};

#[derive(Debug, Args)]
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
    let repair = match at.scope(args.scope.as_deref())? {
        Scope::Workspace(workspace) => Repair::workspace(&workspace),
        Scope::Task(task) => Repair::task(&task),
        Scope::Run(ctx) => Repair::run_of(&ctx),
    };
    let repair = match &args.from {
        Some(dir) => repair.from_backup(&Backup::open(dir)?),
        None => repair,
    };
    let plan = repair.adopting(args.adopt).plan()?;
    if args.apply { apply(plan, output) } else { show(&plan, output) }
}

fn show(plan: &RepairPlan, output: &mut Output) -> Result<Exit, CliError> {
    let page = Page { applied: false, mends: plan.mends(), failed: Vec::new(), left: plan.left() };
    output.one(&page, |output| {
        for mend in plan.mends() {
            tell(&mend.finding, &format!("would {}", mend.means), output)?;
        }
        leave(plan.left(), output)?;
        output.line(&match plan.mends().len() {
            0 => nothing(plan.left()),
            several => {
                format!("{} to mend; `runjournal repair --apply` does it", count(several, "thing"))
            }
        })
    })?;
    Ok(if plan.is_empty() { exit(&[], plan.left()) } else { Exit::Findings })
}

fn apply(plan: RepairPlan, output: &mut Output) -> Result<Exit, CliError> {
    let repaired = plan.apply();
    let failed: Vec<_> = repaired.failed.iter().map(failed).collect();
    let page = Page { applied: true, mends: &repaired.done, failed, left: &repaired.left };
    output.one(&page, |output| {
        for Mend { finding, means, .. } in &repaired.done {
            tell(finding, &done(means), output)?;
        }
        for failed in &page.failed {
            tell(&failed.mend.finding, &format!("failed: {}", failed.error), output)?;
        }
        leave(&repaired.left, output)?;
        output.line(&match repaired.done.len() {
            0 => nothing(&repaired.left),
            several => format!("{} mended", count(several, "thing")),
        })
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

fn done(means: &Means) -> String {
    format!("done: {means}")
}

fn tell(finding: &Finding, what: &str, output: &mut Output) -> Result<(), CliError> {
    output.line(&finding.to_string())?;
    output.line(&format!("  {what}"))
}

fn leave(left: &[Left], output: &mut Output) -> Result<(), CliError> {
    left.iter().try_for_each(|left| tell(&left.finding, &format!("left: {}", left.why), output))
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

/// Fine where all is well, or where what is left is no more than a warning.
fn exit(failed: &[NotMended], left: &[Left]) -> Exit {
    let serious = left.iter().any(|left| left.finding.code.severity() >= Severity::Error);
    if serious || !failed.is_empty() { Exit::Findings } else { Exit::Fine }
}
