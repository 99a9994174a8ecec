//! Two turns, or two runs, held against each other: a [`Diff`] of two sets of artifacts, and the text of it
//! (`text`);
//! texts of runs, whose lines are numbered (`numbered`).

#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod diff;
mod numbered;
mod text;

pub use diff::{ArtifactChange, ChangeKind, Diff, DiffSide};
