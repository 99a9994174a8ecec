//! `run hold` and `run unhold`: a person's word that a run stays.

use clap::Args;
use runjournal::{Hold, RunId, TaskId, Timestamp};
use serde::Serialize;

use super::error::CliError;
use super::exit::Exit;
use super::locate::{Locator, name_of};
use super::output::Output;
use super::run::ThisRun;

#[derive(Debug, Args)]
pub(crate) struct HoldRun {
    #[command(flatten)]
    run: ThisRun,
    /// Why it stays, in a line
    #[arg(long)]
    reason: String,
    /// Who wants it to stay
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UnholdRun {
    #[command(flatten)]
    run: ThisRun,
}

#[derive(Serialize)]
struct HoldView {
    run: String,
    task_id: TaskId,
    run_id: RunId,
    held: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    placed_at: Option<Timestamp>,
}

pub(crate) fn hold(at: &Locator, asked: &HoldRun, output: &mut Output) -> Result<Exit, CliError> {
    let ctx = at.run(asked.run.named())?;
    let task = ctx.task()?;
    let Hold { run: run_id, reason, by, placed_at, .. } = match &asked.by {
        Some(by) => task.hold_run_by(ctx.run_id(), &asked.reason, by)?,
        None => task.hold_run(ctx.run_id(), &asked.reason)?,
    };
    let view = HoldView {
        run: name_of(&ctx),
        task_id: task.id().clone(),
        run_id,
        held: true,
        reason: Some(reason),
        by,
        placed_at: Some(placed_at),
    };
    output.one(&view, |output| output.text(&format!("{} is held", view.run), 2))?;
    Ok(Exit::Fine)
}

pub(crate) fn unhold(
    at: &Locator,
    asked: &UnholdRun,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let (task, run_id) = match at.run(asked.run.named()) {
        Ok(ctx) => (ctx.task()?, ctx.run_id().clone()),
        Err(error) => at.lost_run(asked.run.named()).ok_or(error)?,
    };
    let lifted = task.lift_hold(&run_id)?;
    let view = HoldView {
        run: format!("{}/{run_id}", task.id()),
        task_id: task.id().clone(),
        run_id,
        held: false,
        reason: None,
        by: None,
        placed_at: None,
    };
    let now = if lifted { "is not held any more" } else { "was not held" };
    output.one(&view, |output| output.text(&format!("{} {now}", view.run), 2))?;
    Ok(Exit::Fine)
}
