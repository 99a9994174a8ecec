//! Programs: somebody else's executable as a node.
//!
//! In reading order: what is to be run ([`Program`]), how it is run and ended (`run`), where (`place`), its
//! three streams (`streams`), what it left to be committed (`outputs`), and why that failed ([`ProgramError`]).

mod error;
mod exits;
mod outputs;
mod place;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod program;
mod run;
mod streams;

pub use error::{ProgramError, StderrTail};
pub use program::Program;
