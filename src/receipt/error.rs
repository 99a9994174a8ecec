//! What can go wrong with a command.

use camino::Utf8PathBuf;

use crate::error::cut;
use crate::journal::JournalError;

/// A command was not decided: nothing was appended, unless the journal says otherwise. A rejection is no
/// error: it is in the [`Receipt`](crate::Receipt).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The journal refused, could not be read, or an event of the decision cannot be appended.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The command cannot be dispatched as it is.
    #[error("the command {:?} cannot be dispatched: {reason}", cut(.command_id))]
    BadCommand {
        /// Its id, or the beginning of it.
        command_id: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The decision yielded no event, so that nothing would tell that it was made.
    #[error(
        "the command {command_id:?} ({command_type}) was accepted without an event, and nothing was appended; \
         yield one that says what happened, or reject the command"
    )]
    NoEvents {
        /// The command.
        command_id: String,
        /// What was asked for.
        command_type: String,
    },
    /// The id was used before, for another command.
    #[error(
        "the command {command_id:?} stands at seq {seq} of {path} as {stands}, and was now asked for as \
         {asked}; use a new id for a new command"
    )]
    Conflict {
        /// The command.
        command_id: String,
        /// The journal.
        path: Utf8PathBuf,
        /// Where the earlier command was answered.
        seq: u64,
        /// Type and stream of the earlier command, as `TYPE on KIND/ID`.
        stands: String,
        /// The same of this one.
        asked: String,
    },
}
