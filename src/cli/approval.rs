//! `approval`: what a run asks people, and their answers.

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;
use runjournal::{Approval, ApprovalError, RunContext, Timestamp};
use serde::Serialize;

use super::args::InRun;
use super::error::CliError;
use super::exit::{Exit, of_journal};
use super::locate::{Locator, name_of};
use super::output::{Output, hint};

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalVerb {
    /// List what a run asked, and the answers
    List {
        #[command(flatten)]
        run: InRun,
    },
    /// Answer what a run asked; the first answer holds
    #[command(after_help = "Example: runjournal approval resolve deploy yes --by mia")]
    Resolve {
        /// Its id
        approval: String,
        /// One of its options; anything, if it has none
        decision: String,
        /// Who decides
        #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true)]
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        by: String,
        #[command(flatten)]
        run: InRun,
    },
}

pub(crate) fn approval(
    at: &Locator,
    verb: ApprovalVerb,
    output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {
        ApprovalVerb::List { run } => list(at, run.run.as_deref(), output),
        ApprovalVerb::Resolve { approval, decision, by, run } => {
            resolve(&at.run(run.run.as_deref())?, &approval, &decision, &by, output)
        }
    }
}

#[derive(Serialize)]
struct ApprovalView {
    approval_id: String,
    question: String,
    options: Vec<String>,
    requested_at: Timestamp,
    requested_seq: u64,
    decision: Option<String>,
    by: Option<String>,
    resolved_at: Option<Timestamp>,
    resolved_seq: Option<u64>,
}

impl From<Approval> for ApprovalView {
    fn from(approval: Approval) -> Self {
        let resolution = approval.resolution;
        Self {
            approval_id: approval.id,
            question: approval.question,
            options: approval.options,
            requested_at: approval.requested_at,
            requested_seq: approval.requested_seq,
            resolved_at: resolution.as_ref().map(|resolution| resolution.at),
            resolved_seq: resolution.as_ref().map(|resolution| resolution.seq),
            decision: resolution.as_ref().map(|resolution| resolution.decision.clone()),
            by: resolution.map(|resolution| resolution.by),
        }
    }
}

fn list(at: &Locator, run: Option<&str>, output: &mut Output) -> Result<Exit, CliError> {
    let approvals = at.run(run)?.approvals()?;
    let views: Vec<_> = approvals.into_iter().map(ApprovalView::from).collect();
    output.many("approvals", &views, |output| {
        if views.is_empty() {
            hint("nothing was asked; a run's program asks");
            return Ok(());
        }
        let row = |view: &ApprovalView| {
            [
                view.approval_id.clone(),
                output.ago(view.requested_at),
                view.options.join(", "),
                view.decision.clone().unwrap_or_default(),
                view.by.clone().unwrap_or_default(),
                view.question.clone(),
            ]
        };
        let rows: Vec<_> = views.iter().map(row).collect();
        output.table(["APPROVAL", "ASKED", "OPTIONS", "DECISION", "BY", "QUESTION"], &rows)
    })?;
    Ok(Exit::Fine)
}

#[derive(Serialize)]
struct Resolved<'a> {
    run: String,
    approval_id: &'a str,
    decision: &'a str,
    by: &'a str,
    seq: u64,
    /// True if the same was decided by the same before.
    duplicate: bool,
}

fn resolve(
    context: &RunContext,
    approval_id: &str,
    decision: &str,
    by: &str,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let appended = context.resolve_approval(approval_id, decision, by)?;
    let (seq, duplicate) = (appended.seq, appended.duplicate);
    let run = name_of(context);
    let view = Resolved { run, approval_id, decision, by, seq, duplicate };
    output.one(&view, |output| {
        let before = if duplicate { " (it was decided so before)" } else { "" };
        output.line(&format!("{approval_id}: {decision}, by {by}{before}"))
    })?;
    Ok(Exit::Fine)
}

/// What kind of trouble it is.
pub(super) fn exit_of(error: &ApprovalError) -> Exit {
    match error {
        ApprovalError::Journal(error) => of_journal(error),
        ApprovalError::NotAsked { .. } => Exit::NotFound,
        ApprovalError::BadName { .. }
        | ApprovalError::BadOptions { .. }
        | ApprovalError::NotAnOption { .. } => Exit::Usage,
        ApprovalError::AskedOtherwise { .. }
        | ApprovalError::AlreadyResolved { .. }
        | ApprovalError::TimedOut { .. }
        | ApprovalError::RunClosed { .. } => Exit::Conflict,
        _ => Exit::Internal,
    }
}
