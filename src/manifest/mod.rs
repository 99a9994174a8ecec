//! The manifest: one page that describes a whole run, derived from `run.json` and the journal alone.
//!
//! In reading order: the page ([`Manifest`]), how it is made while a journal is read (`Draft`), how it
//! comes to the disk and from there (`file`), what it testifies to (`Witness`), and how what should be under
//! `artifacts/` is held against what is there (`comparison`), by a page (`compare`) or without one.

mod compare;
mod comparison;
mod draft;
mod error;
mod file;
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed;
mod page;
mod witness;

pub(crate) use comparison::{Comparison, Difference, Standing};
pub(crate) use draft::Draft;
pub use error::ManifestError;
pub(crate) use file::read as read_page;
pub(crate) use page::artifacts_root;
pub use page::{Manifest, ManifestArtifact, ManifestJournal};
pub(crate) use page::{root, sums};
pub(crate) use witness::Witness;
