//! `repair`: closes damage at the end of journals off, so that appends go on.

use runjournal::{Finding, RepairPlan, Task, Workspace};
use serde::Serialize;

use super::error::{CliError, Exit};
use super::locate::Locator;
use super::output::{Output, count};

/// A journal with a damaged end, and what was done about it.
#[derive(Serialize)]
struct Mended {
    journal: String,
    damage: Vec<Finding>,
    /// The record that closes the damage off, if the plan was applied.
    repaired_by_seq: Option<u64>,
}

#[derive(Serialize)]
struct Page {
    applied: bool,
    journals: Vec<Mended>,
    /// Why other journals could not be looked at or mended.
    errors: Vec<String>,
}

pub(crate) fn repair(at: &Locator, apply: bool, output: &mut Output) -> Result<Exit, CliError> {
    let mut page = Page { applied: apply, journals: Vec::new(), errors: Vec::new() };
    let mut exit = Exit::Fine;
    for plan in plans(&at.workspace()?)? {
        // One journal that is past mending must not keep the others from it.
        match plan.and_then(|plan| carry_out(plan, apply)) {
            Ok(None) => {}
            Ok(Some(mended)) => page.journals.push(mended),
            Err(error) => {
                exit = error.exit();
                page.errors.push(error.in_one_line());
            }
        }
    }
    output.one(&page, |output| show(&page, output))?;
    if exit == Exit::Fine && !apply && !page.journals.is_empty() {
        exit = Exit::Findings;
    }
    Ok(exit)
}

/// A plan for the journal of each task and each run.
fn plans(workspace: &Workspace) -> Result<Vec<Result<RepairPlan, CliError>>, CliError> {
    let mut plans = Vec::new();
    for id in workspace.tasks()? {
        match workspace.task(id).map_err(CliError::from) {
            Ok(task) => {
                plans.push(task.plan_repair().map_err(CliError::from));
                plans.extend(plans_of_runs(&task)?);
            }
            Err(error) => plans.push(Err(error)),
        }
    }
    Ok(plans)
}

fn plans_of_runs(task: &Task) -> Result<Vec<Result<RepairPlan, CliError>>, CliError> {
    let plan =
        |run| -> Result<RepairPlan, CliError> { Ok(task.run(run)?.context().plan_repair()?) };
    Ok(task.runs()?.into_iter().map(plan).collect())
}

/// `None` where there is nothing to mend.
fn carry_out(plan: RepairPlan, apply: bool) -> Result<Option<Mended>, CliError> {
    if plan.damage().is_empty() {
        return Ok(None);
    }
    let (journal, damage) = (plan.journal().into_string(), plan.damage().to_vec());
    let repaired_by_seq = if apply { plan.apply()? } else { None };
    Ok(Some(Mended { journal, damage, repaired_by_seq }))
}

fn show(page: &Page, output: &mut Output) -> Result<(), CliError> {
    for mended in &page.journals {
        output.line(&mended.journal)?;
        for finding in &mended.damage {
            let (offset, length) = (finding.place.offset, finding.place.length);
            let place = offset.zip(length);
            let bytes = place.map(|(at, length)| format!("{length} bytes at {at}: "));
            output.line(&format!("  {}{}", bytes.unwrap_or_default(), finding.reason))?;
        }
        if let Some(seq) = mended.repaired_by_seq {
            output.line(&format!("  closed off by seq {seq}; the bytes are kept as they are"))?;
        }
    }
    for error in &page.errors {
        output.line(&format!("error: {error}"))?;
    }
    let journals = count(page.journals.len(), "journal");
    match (page.journals.is_empty(), page.applied) {
        (true, _) if page.errors.is_empty() => output.line("nothing to repair"),
        (true, _) => output.line("nothing else to repair"),
        (false, false) => output.line(&format!(
            "{journals} to repair; `runjournal repair --apply` does it (restoring from a backup keeps more)"
        )),
        (false, true) => output.line(&format!("{journals} repaired")),
    }
}
