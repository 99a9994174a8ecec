//! `approval`: what a run asks people, and their answers.

use clap::Subcommand;

use super::error::{CliError, Exit};
use super::locate::Locator;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalVerb {}

pub(crate) fn approval(
    _at: &Locator,
    verb: ApprovalVerb,
    _output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {}
}
