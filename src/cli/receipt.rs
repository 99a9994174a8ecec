//! `receipt`: what became of a command.

use clap::Subcommand;
use runjournal::{CommandOutcome, Receipt};
use serde::Serialize;
use serde_json::value::RawValue;

use super::args::InJournal;
use super::error::CliError;
use super::exit::Exit;
use super::locate::{Journal, Locator};
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptVerb {
    /// Show how a command was decided, and where its events are
    Show {
        #[command(flatten)]
        journal: InJournal,
        /// Its id
        #[arg(value_name = "COMMAND_ID")]
        id: String,
    },
}

pub(crate) fn receipt(
    at: &Locator,
    verb: ReceiptVerb,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let ReceiptVerb::Show { journal, id } = verb;
    let receipt = match at.journal(&journal)? {
        Journal::Run(context) => context.receipt(&id)?,
        Journal::Task(task) => task.receipt(&id)?,
    };
    let receipt = receipt.ok_or_else(|| CliError::NotThere {
        what: format!("command {id:?}"),
        to_do: "`runjournal event log --format jsonl` has the ids of those that came, as `command_id`",
    })?;
    show(&ReceiptView::of(&receipt)?, output)?;
    Ok(Exit::Fine)
}

#[derive(Serialize)]
struct ReceiptView<'a> {
    command_id: &'a str,
    command_type: Option<&'a str>,
    state: &'static str,
    stream: String,
    seq: u64,
    /// Those of an accepted command; a rejected one has none.
    events: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
    /// The error as people read it.
    #[serde(skip)]
    reason: String,
}

impl<'a> ReceiptView<'a> {
    fn of(receipt: &'a Receipt) -> Result<Self, CliError> {
        let (state, seq, events, rejection) = match receipt.outcome() {
            CommandOutcome::Accepted { seq, events } => ("accepted", *seq, *events, None),
            CommandOutcome::Rejected { seq, error } => ("rejected", *seq, 0, Some(error)),
            // A decision that is newer than this.
            other => ("unknown", other.seq(), 0, None),
        };
        let (kind, id) = receipt.stream();
        Ok(Self {
            command_id: receipt.command_id(),
            command_type: receipt.command_type(),
            state,
            stream: format!("{kind}/{id}"),
            seq,
            events,
            error: rejection.map(|error| serde_json::from_str(error.as_json())).transpose()?,
            reason: rejection.map(ToString::to_string).unwrap_or_default(),
        })
    }
}

fn show(view: &ReceiptView<'_>, output: &mut Output) -> Result<(), CliError> {
    output.one(view, |output| {
        output.page(&[
            ("command", view.command_id.to_owned()),
            ("type", view.command_type.unwrap_or_default().to_owned()),
            ("state", view.state.to_owned()),
            ("stream", view.stream.clone()),
            ("seq", view.seq.to_string()),
            ("events", if view.events > 0 { view.events.to_string() } else { String::new() }),
            ("error", view.reason.clone()),
        ])
    })
}
