//! `prune`: shows what is old enough to go, and removes it.

use std::time::Duration;

use clap::Args;
use runjournal::{Keep, KeptRun, Leftover, PrunableRun, Prune, PruneError, PrunePolicy, TaskId};
use serde::Serialize;

use super::duration::age;
use super::error::CliError;
use super::exit::{Exit, of_io, of_workspace};
use super::locate::Locator;
use super::output::Output;
use super::units::{count, size};

const WHAT_GOES: &str = "\
A run that ended goes by the time of its end, one that did not by that of its last event. Held runs stay \
(`runjournal run hold`), and so does what is damaged, what runs, and, of a task that a worker holds, what did \
not end. With them go objects, stages and work folders that nobody names any more. TIME is as 12h or 30d, or \
never.

Exit codes: 1 something stays because it is damaged, or could not be looked at or removed.

Examples:
  runjournal prune
  runjournal prune TASK-1 --success 30d --failed never --apply";

#[derive(Debug, Args)]
#[command(after_help = WHAT_GOES)]
pub(crate) struct PruneArgs {
    /// Only this task
    task: Option<TaskId>,
    /// Do it; otherwise the plan is shown and nothing is changed
    #[arg(long)]
    apply: bool,
    /// How old runs get that succeeded
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = age)]
    success: Duration,
    /// How old runs get that failed
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = age)]
    failed: Duration,
    /// How old runs get that did not end
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = age)]
    abandoned: Duration,
    /// How old what nobody names gets
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = age)]
    leftovers: Duration,
}

/// What goes, or went, and what stays.
#[derive(Serialize)]
struct Page {
    applied: bool,
    runs: Vec<PrunableRun>,
    kept: Vec<KeptRun>,
    leftovers: Vec<Leftover>,
    bytes: u64,
}

pub(crate) fn prune(
    at: &Locator,
    asked: &PruneArgs,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let prune = match &asked.task {
        Some(task) => Prune::of(&at.task(task)?),
        None => Prune::of(&at.workspace()?),
    };
    let PruneArgs { success, failed, abandoned, leftovers, .. } = *asked;
    let plan = prune.policy(PrunePolicy { success, failed, abandoned, leftovers }).plan()?;
    let page = if asked.apply {
        let pruned = plan.apply()?;
        let bytes = pruned.bytes();
        let (runs, kept, leftovers) = (pruned.runs, pruned.kept, pruned.leftovers);
        Page { applied: true, runs, kept, leftovers, bytes }
    } else {
        let bytes = plan.bytes();
        let (runs, kept, leftovers) = (plan.runs, plan.kept, plan.leftovers);
        Page { applied: false, runs, kept, leftovers, bytes }
    };
    output.one(&page, |output| show(&page, output))?;
    let trouble = |kept: &KeptRun| matches!(kept.why, Keep::Damaged { .. } | Keep::Failed { .. });
    Ok(if page.kept.iter().any(trouble) { Exit::Findings } else { Exit::Fine })
}

fn show(page: &Page, output: &mut Output) -> Result<(), CliError> {
    if !page.runs.is_empty() {
        let rows: Vec<_> = page.runs.iter().map(|run| row(run, output)).collect();
        output.table(["RUN", "STATUS", "WHY", "SINCE", "SIZE"], &rows)?;
    }
    for leftover in &page.leftovers {
        output.text(&format!("{}  {}", leftover.path, size(leftover.bytes)), 2)?;
    }
    for kept in &page.kept {
        let run = kept.run.as_ref().map_or_else(|| "all runs".to_owned(), ToString::to_string);
        let next = next_step(kept).map(|next| format!("; {next}")).unwrap_or_default();
        output.text(&format!("stays: {}/{run}: {}{next}", kept.task, kept.why), 2)?;
    }
    let what = format!(
        "{} and {}, {}",
        count(page.runs.len(), "run"),
        count(page.leftovers.len(), "leftover"),
        size(page.bytes),
    );
    let last = match (page.runs.is_empty() && page.leftovers.is_empty(), page.applied) {
        (true, false) => "nothing to prune".to_owned(),
        (true, true) => "nothing pruned".to_owned(),
        (false, false) => format!("{what} to prune; the same with `--apply` does it"),
        (false, true) => format!("{what} pruned"),
    };
    output.text(&last, 2)
}

/// What is to be typed next, where something is damaged.
fn next_step(kept: &KeptRun) -> Option<String> {
    let run = kept.run.as_ref().map(|run| format!("/{run}")).unwrap_or_default();
    let is_damaged = matches!(kept.why, Keep::Damaged { .. });
    is_damaged.then(|| format!("see `runjournal verify {}{run}`", kept.task))
}

fn row(run: &PrunableRun, output: &Output) -> [String; 5] {
    [
        format!("{}/{}", run.task, run.run),
        run.status.to_string(),
        run.reason.to_string(),
        output.ago(run.since),
        size(run.bytes),
    ]
}

pub(super) fn exit_of(error: &PruneError) -> Exit {
    match error {
        PruneError::Io(error) => of_io(error),
        PruneError::Workspace(error) => of_workspace(error),
        _ => Exit::Internal,
    }
}
