//! `repair`: closes damage at the end of journals off, so that appends go on.

use runjournal::{Finding, RepairPlan, Run, Task, Workspace};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
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

/// A journal with damage that cannot be closed off.
#[derive(Serialize)]
struct Left {
    journal: String,
    damage: Vec<Finding>,
    why: Why,
}

/// Why damage cannot be closed off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Why {
    RecordsFollow,
    RunComplete,
}

impl Why {
    fn in_words(self) -> &'static str {
        match self {
            Why::RecordsFollow => "damage that records follow needs a backup",
            Why::RunComplete => "the run is complete, so its journal does not grow any more",
        }
    }
}

#[derive(Serialize)]
struct Page {
    applied: bool,
    journals: Vec<Mended>,
    /// What only a backup can mend.
    left: Vec<Left>,
    /// Why other journals could not be looked at or mended.
    errors: Vec<String>,
}

/// A journal that was looked at: what closes its damage off, and the damage beyond that.
struct Looked {
    plan: RepairPlan,
    left: Option<Left>,
}

pub(crate) fn repair(at: &Locator, apply: bool, output: &mut Output) -> Result<Exit, CliError> {
    let mut page =
        Page { applied: apply, journals: Vec::new(), left: Vec::new(), errors: Vec::new() };
    let mut exit = Exit::Fine;
    for looked in look(&at.workspace()?)? {
        // One journal that is past mending must not keep the others from it.
        let mended = looked.and_then(|Looked { plan, left }| {
            page.left.extend(left);
            carry_out(plan, apply)
        });
        match mended {
            Ok(mended) => page.journals.extend(mended),
            Err(error) => {
                exit = error.exit();
                page.errors.push(error.in_one_line());
            }
        }
    }
    output.one(&page, |output| show(&page, output))?;
    let is_mended = page.left.is_empty() && (apply || page.journals.is_empty());
    if exit == Exit::Fine && !is_mended {
        exit = Exit::Findings;
    }
    Ok(exit)
}

/// Looks at the journal of each task and each run.
fn look(workspace: &Workspace) -> Result<Vec<Result<Looked, CliError>>, CliError> {
    let mut looked = Vec::new();
    for id in workspace.tasks()? {
        match workspace.task(id).map_err(CliError::from) {
            Ok(task) => {
                looked.push(look_at_task(&task));
                let runs = task.runs()?.into_iter();
                looked.extend(runs.map(|run| look_at_run(&task.run(run)?)));
            }
            Err(error) => looked.push(Err(error)),
        }
    }
    Ok(looked)
}

fn look_at_task(task: &Task) -> Result<Looked, CliError> {
    let plan = task.plan_repair()?;
    let findings = task.events()?.read_all()?.1;
    Ok(Looked::of(plan, findings, Why::RecordsFollow))
}

fn look_at_run(run: &Run) -> Result<Looked, CliError> {
    let plan = run.context().plan_repair()?;
    let state = run.state()?;
    let why = if state.status.is_final() { Why::RunComplete } else { Why::RecordsFollow };
    Ok(Looked::of(plan, state.findings, why))
}

impl Looked {
    fn of(plan: RepairPlan, mut findings: Vec<Finding>, why: Why) -> Self {
        findings
            .retain(|finding| finding.code.is_journal_damage() && !plan.damage().contains(finding));
        let journal = plan.journal().into_string();
        let left = (!findings.is_empty()).then_some(Left { journal, damage: findings, why });
        Self { plan, left }
    }
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
        show_damage(&mended.journal, &mended.damage, output)?;
        if let Some(seq) = mended.repaired_by_seq {
            output.line(&format!("  closed off by seq {seq}; the bytes are kept as they are"))?;
        }
    }
    for left in &page.left {
        show_damage(&left.journal, &left.damage, output)?;
        output.line(&format!("  cannot be closed off: {}", left.why.in_words()))?;
    }
    for error in &page.errors {
        output.line(&format!("error: {error}"))?;
    }
    output.line(&conclusion(page))
}

fn show_damage(journal: &str, damage: &[Finding], output: &mut Output) -> Result<(), CliError> {
    output.line(journal)?;
    for finding in damage {
        let place = finding.place.offset.zip(finding.place.length);
        let bytes = place.map(|(at, length)| format!("{length} bytes at {at}: "));
        output.line(&format!("  {}{}", bytes.unwrap_or_default(), finding.reason))?;
    }
    Ok(())
}

fn conclusion(page: &Page) -> String {
    let journals = count(page.journals.len(), "journal");
    match (page.journals.is_empty(), page.applied) {
        (false, false) => format!(
            "{journals} to repair; `runjournal repair --apply` does it (restoring from a backup keeps more)"
        ),
        (false, true) => format!("{journals} repaired"),
        (true, _) if !page.left.is_empty() => {
            let mut whys = page.left.iter().map(|left| left.why);
            let all_complete = whys.all(|why| why == Why::RunComplete);
            let why = if all_complete { Why::RunComplete } else { Why::RecordsFollow };
            format!(
                "nothing that repair can close off: {} (see `runjournal status`)",
                why.in_words()
            )
        }
        (true, _) if page.errors.is_empty() => "nothing to repair".to_owned(),
        (true, _) => "nothing else to repair".to_owned(),
    }
}
