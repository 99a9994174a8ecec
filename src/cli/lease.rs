//! `lease`: claims, renews, releases and shows leases.

use clap::Subcommand;

use super::error::{CliError, Exit};
use super::locate::Locator;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(crate) enum LeaseVerb {}

pub(crate) fn lease(
    _at: &Locator,
    verb: LeaseVerb,
    _output: &mut Output,
) -> Result<Exit, CliError> {
    match verb {}
}
