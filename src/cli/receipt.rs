//! `receipt`: what became of a command.

use clap::Subcommand;

use super::error::{CliError, Exit};
use super::locate::Locator;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptVerb {}

pub(crate) fn receipt(
    _at: &Locator,
    verb: ReceiptVerb,
    _output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {}
}
