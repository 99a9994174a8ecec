//! Ctrl-C, and the system's other wishes that the tool should end.

use runjournal::Cancel;

use super::error::CliError;

/// What Ctrl-C, SIGTERM and SIGHUP cancel from now on, instead of ending this process: it ends what it
/// started, and tells the journal. To be called once.
pub(crate) fn cancel() -> Result<Cancel, CliError> {
    let cancel = Cancel::new();
    let told = cancel.clone();
    ctrlc::set_handler(move || told.cancel()).map_err(|source| CliError::Interrupt { source })?;
    Ok(cancel)
}
