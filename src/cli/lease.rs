//! `lease`: claims, renews, releases and shows leases.

use std::time::Duration;

use clap::Subcommand;
use runjournal::{Lease, LeaseRef, LeaseState, TaskId, Timestamp};
use serde::Serialize;

use super::duration::duration;
use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::Output;
use super::units::until;

const CLAIM: &str = "\
It prints TASK/TOKEN, which is what RUNJOURNAL_LEASE holds: who has it in the environment writes in the name \
of this lease, and everybody else is refused, until somebody claims the task after it was released or has \
expired. A worker's name stands for one process: the same name claims again at once, and what it held before \
is over.

Examples:
  export RUNJOURNAL_LEASE=$(runjournal lease claim TASK-1 --worker me-$$)
  runjournal lease release TASK-1";

#[derive(Debug, Subcommand)]
pub(crate) enum LeaseVerb {
    /// Claim a task, and print TASK/TOKEN
    #[command(after_help = CLAIM)]
    Claim {
        /// The task
        task: TaskId,
        /// Who claims it: a name that no other process has
        #[arg(long)]
        worker: String,
        /// How long it holds without a renewal
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        ttl: Duration,
        /// Wait so long for the task to be free
        #[arg(long, value_name = "TIME", default_value = "0s", hide_default_value = true)]
        #[arg(value_parser = duration)]
        wait: Duration,
    },
    /// Renew a lease for its whole time from now
    Renew {
        /// The task
        task: TaskId,
        /// The lease's token; left out: RUNJOURNAL_LEASE
        #[arg(long)]
        token: Option<u64>,
    },
    /// End a lease, so that others may claim the task
    Release {
        /// The task
        task: TaskId,
        /// The lease's token; left out: RUNJOURNAL_LEASE
        #[arg(long)]
        token: Option<u64>,
    },
    /// Show who claimed a task last
    Show {
        /// The task
        task: TaskId,
    },
}

/// A lease as it is printed.
#[derive(Serialize)]
struct LeaseView {
    lease: String,
    task_id: TaskId,
    token: u64,
    worker_id: String,
    /// `held`, `expired` or `released`.
    state: &'static str,
    ttl_ms: u64,
    expires_at: Timestamp,
}

/// A lease that was released.
#[derive(Serialize)]
struct Released<'a> {
    lease: String,
    task_id: &'a TaskId,
    token: u64,
    state: &'static str,
}

impl<'a> Released<'a> {
    fn of(lease: &'a LeaseRef) -> Self {
        let LeaseRef { task, token, .. } = lease;
        Self { lease: lease.to_string(), task_id: task, token: *token, state: "released" }
    }
}

impl LeaseView {
    fn of(state: LeaseState) -> Self {
        let LeaseRef { task, token, .. } = &state.lease;
        Self {
            lease: state.lease.to_string(),
            task_id: task.clone(),
            token: *token,
            worker_id: state.worker,
            state: match (state.released, state.expired) {
                (true, _) => "released",
                (false, true) => "expired",
                (false, false) => "held",
            },
            ttl_ms: u64::try_from(state.ttl.as_millis()).unwrap_or(u64::MAX),
            expires_at: state.expires_at,
        }
    }
}

pub(crate) fn lease(at: &Locator, verb: LeaseVerb, output: &mut Output) -> Result<Exit, CliError> {
    let workspace = at.workspace()?;
    match verb {
        LeaseVerb::Claim { task, worker, ttl, wait } => {
            let task = workspace.task(task)?;
            // Not the task's last claim, which may be somebody else's by now.
            let lease = task.claim_within(&worker, ttl, wait)?;
            let view = LeaseView::of(lease.state()?);
            output.one(&view, |output| output.line(&view.lease))?;
        }
        LeaseVerb::Renew { task, token } => {
            let lease = Lease::of(&workspace.task(&task)?, reference(&task, token)?);
            lease.renew()?;
            let view = LeaseView::of(lease.state()?);
            output.one(&view, |output| output.line(&format!("ends {}", until(view.expires_at))))?;
        }
        LeaseVerb::Release { task, token } => {
            let lease = Lease::of(&workspace.task(&task)?, reference(&task, token)?);
            lease.release()?;
            output.one(&Released::of(lease.lease_ref()), |_| Ok(()))?;
        }
        LeaseVerb::Show { task } => {
            let task = workspace.task(task)?;
            let what = || format!("lease on {}, for nobody ever claimed it", task.id());
            let state = task.lease()?.ok_or_else(|| CliError::NotThere {
                what: what(),
                to_do: "`runjournal lease claim` does",
            })?;
            let view = LeaseView::of(state);
            output.one(&view, |output| {
                let ends = if view.state == "released" { "released at" } else { "until" };
                output.page(&[
                    ("lease", view.lease.clone()),
                    ("worker", view.worker_id.clone()),
                    ("state", view.state.to_owned()),
                    (ends, output.at(view.expires_at)),
                ])
            })?;
        }
    }
    Ok(Exit::Fine)
}

/// The lease with this token, or the one of the environment.
fn reference(task: &TaskId, token: Option<u64>) -> Result<LeaseRef, CliError> {
    match token {
        Some(token) => Ok(LeaseRef::new(task.clone(), token)),
        None => {
            LeaseRef::from_env_on(task)?.ok_or_else(|| CliError::NoLease { task: task.clone() })
        }
    }
}
