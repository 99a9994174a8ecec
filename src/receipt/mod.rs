//! Commands that are decided once. A decision is a function of a stream; what it answers is a batch of
//! events, or a rejection, in that stream, and the batch's idempotency key is the command's id: so the
//! answer itself is the receipt, and there is nothing beside it to be kept in step.

mod asked;
mod command;
mod commands;
mod error;
mod outcome;
mod rejection;

pub use command::Command;
pub use commands::Commands;
pub use error::CommandError;
pub use outcome::{CommandOutcome, Receipt};
#[cfg(feature = "sqlite")]
pub(crate) use outcome::{answered, command_type};
pub use rejection::Rejection;
