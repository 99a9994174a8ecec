//! What can go wrong with sessions.

use crate::error::cut;
use crate::journal::JournalError;

use super::SessionStatus;

/// A session cannot be started, read or changed. Unless a journal's error says otherwise, nothing was
/// appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The journal refused.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The session's id or its provider breaks the rule of names.
    #[error("the {what} {:?} cannot be used: {reason}", cut(.name))]
    BadName {
        /// What it should name: `session id`, `provider`.
        what: &'static str,
        /// The refused name.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The session is one with another provider.
    #[error(
        "the session {session:?} is one with {provider:?}, and {asked:?} was asked for; choose another id for \
         a session with another provider"
    )]
    OtherProvider {
        /// Its id.
        session: String,
        /// With whom it is.
        provider: String,
        /// With whom it was asked for.
        asked: String,
    },
    /// The session that the handle is for is over.
    #[error(
        "this handle's session {session:?} is over ({newest}), so it was not changed; ask for the session \
         again to start it anew, or to join who did"
    )]
    Over {
        /// Its id.
        session: String,
        /// What came after it.
        newest: String,
    },
    /// An update cannot end a session.
    #[error("an update cannot move the session {session:?} to {to}; end it with `stop` or `fail`")]
    IllegalMove {
        /// Its id.
        session: String,
        /// Where it was to go.
        to: SessionStatus,
    },
    /// The resume cursor cannot be written as JSON.
    #[error("the resume cursor for the session {session:?} cannot be written as JSON")]
    NotJson {
        /// Its id.
        session: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The resume cursor does not have the shape that the caller asked for.
    #[error(
        "the resume cursor of the session {session:?} does not read as asked; read it as what it was \
         written as, or as a `serde_json::Value`"
    )]
    CursorShape {
        /// Its id.
        session: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}
