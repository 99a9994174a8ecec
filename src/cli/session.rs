//! `session`: sessions with providers.

use clap::Subcommand;

use super::error::{CliError, Exit};
use super::locate::Locator;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum SessionVerb {}

pub(crate) fn session(
    _at: &Locator,
    verb: SessionVerb,
    _output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {}
}
