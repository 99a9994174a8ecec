//! Sessions with providers, which a restarted process resumes.
//!
//! The stream `session/<id>` is the session: each record says all of its state, so its last record is the
//! state. A session is *started* by `session_started`, lives until `session_stopped`, and may be started
//! anew; a handle belongs to one start.

mod error;
mod handle;
mod state;

pub use error::SessionError;
pub use handle::Session;
pub use state::{SessionState, SessionStatus};
