//! `queue`: work that is put in, taken and done.

use clap::Subcommand;

use super::error::CliError;
use super::exit::Exit;
use super::locate::Locator;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum QueueVerb {}

pub(crate) fn queue(
    _at: &Locator,
    verb: QueueVerb,
    _output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {}
}
