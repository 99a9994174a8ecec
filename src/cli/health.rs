//! `health`: one page on the state of the workspace.

use runjournal::{Health, HealthLease, IndexHealth, IndexState, Overview, RunsByStatus};

use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::Output;
use super::units::{count, size, until};

pub(crate) fn health(at: &Locator, output: &mut Output) -> Result<Exit, CliError> {
    let health = Overview::of(&at.workspace()?)?.health.with_index(&at.index()?);
    output.one(&health, |output| show(&health, output))?;
    Ok(if health.is_good() { Exit::Fine } else { Exit::Findings })
}

fn show(health: &Health, output: &mut Output) -> Result<(), CliError> {
    let read_only = if health.read_only { ", read-only" } else { "" };
    output.page(&[
        ("workspace", health.root.to_string()),
        ("format", format!("version {}{read_only}", health.format_version)),
        ("disk", disk(health)),
        ("tasks", health.tasks.to_string()),
        ("runs", runs(&health.runs, health.holds)),
        ("verified", verified(health, output)),
        ("index", index(health)),
        ("left over", left_over(health)),
    ])?;
    for HealthLease { task, worker, expires_at, live, .. } in &health.leases {
        let ends = if *live { until(*expires_at) } else { "over".to_owned() };
        output.text(&format!("lease on {task}: worker {worker:?}, ends: {ends}"), 2)?;
    }
    for locked in &health.locked {
        output.text(&format!("locked now: {} by {}", locked.path, locked.holder), 2)?;
    }
    for trouble in &health.troubles {
        output.text(&format!("trouble: {trouble}"), 2)?;
    }
    let last = if health.is_good() {
        "nothing is wrong with what was looked at; `runjournal verify` reads the journals"
    } else {
        "see to what is listed as trouble"
    };
    output.text(last, 0)
}

fn disk(health: &Health) -> String {
    let (Some(free), Some(total)) = (health.free_bytes, health.total_bytes) else {
        return String::new();
    };
    format!("{} of {} free", size(free), size(total))
}

/// How many runs have which status, and how many are held.
pub(crate) fn runs(runs: &RunsByStatus, holds: u64) -> String {
    let mut parts = vec![runs.all().to_string()];
    let counts = [
        (runs.planning, "PLANNING"),
        (runs.executing, "EXECUTING"),
        (runs.verifying, "VERIFYING"),
        (runs.success, "SUCCESS"),
        (runs.failed, "FAILED"),
        (runs.unreadable, "UNREADABLE"),
        (holds, "held"),
    ];
    let some = counts.into_iter().filter(|(number, _)| *number > 0);
    parts.extend(some.map(|(number, what)| format!("{number} {what}")));
    parts.join(", ")
}

fn verified(health: &Health, output: &Output) -> String {
    let Some(last) = &health.last_verify else { return "never as a whole".to_owned() };
    let (errors, warnings) = (count(last.errors, "error"), count(last.warnings, "warning"));
    format!("{}: {errors}, {warnings}", output.ago(last.at))
}

fn index(health: &Health) -> String {
    let Some(index) = &health.index else { return String::new() };
    format!("{}: {}", index.place, state(index))
}

/// Whether the index can be asked, and whether it is behind.
pub(crate) fn state(index: &IndexHealth) -> String {
    match (index.state, index.behind) {
        (IndexState::Built, Some(0)) => "up to the tree".to_owned(),
        (IndexState::Built, Some(behind)) => {
            format!("{} behind the tree", count(behind, "journal"))
        }
        (IndexState::NotBuilt, _) => "none yet".to_owned(),
        (IndexState::OtherSchema, _) => {
            "of another version; the next question makes it anew".into()
        }
        _ => "damaged".to_owned(),
    }
}

fn left_over(health: &Health) -> String {
    let mut parts = Vec::new();
    if health.trash > 0 {
        parts.push(format!("{} in .trash (`runjournal prune --apply`)", health.trash));
    }
    if health.restoring > 0 {
        parts.push(format!("{} in .restoring", health.restoring));
    }
    parts.join(", ")
}
