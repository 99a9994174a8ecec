//! Lineage: which step made an artifact, from what; what a change makes stale. From the journal alone.
//!
//! **Why.** An artifact has *versions*, one for each record of its path. The sources of a version that an
//! attempt of a step wrote are the inputs that the attempt recorded and that are older than the version:
//! so what is read back from an earlier turn of a loop is an older version, and no version is a source of
//! itself. A version that was written outside of a step has none.
//!
//! **Stale.** Judged is the last completed attempt of each step: a turn takes the place of the one before,
//! and what was not completed, or not run because nothing had changed, takes
//! nobody's place. The word that counts for an input is the journal's newest
//! about its path that the attempt did not write itself. An attempt is *stale* if for one of its inputs, other
//! than what it put there while it ran and read back, that word is a removal or another digest, or has the
//! same digest and was written by a judged attempt that is stale. Nothing else is stale: not what read bytes
//! that were written anew and are equal, and not what read the output of a stale step where something fresh has
//! written the same since. What the journal has no word about cannot change for it, and what earlier turns and
//! attempts that did not complete left behind is taken as given. In a loop, a step that read what a later step has since
//! written anew is stale by this: its next turn would read something else.
//!
//! In reading order: an attempt of a step, who made an artifact, a version of it, what an attempt read; all
//! that the journal says of them (`Ledger`); the questions ([`Lineage`]) and their answers ([`Why`], [`Stale`]).

mod attempt;
mod draw;
mod error;
mod input;
mod judge;
mod ledger;
#[expect(clippy::module_inception, reason = "the noun of the room")]
mod lineage;
mod maker;
mod stale;
mod version;
mod why;

pub use attempt::{AttemptState, StepAttempt};
pub use error::LineageError;
pub use input::StepInput;
pub use lineage::Lineage;
pub use maker::Maker;
pub use stale::{Because, Stale, StaleStep};
pub use version::ArtifactVersion;
pub use why::Why;
