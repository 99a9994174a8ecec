//! The manifest: one page that describes a whole run, derived from `run.json` and the journal alone.
//!
//! In reading order: the page ([`Manifest`]), how it is made while a journal is read (`Draft`), how it
//! comes to the disk and from there (`file`), and how it is held against the disk (`compare`).

mod compare;
mod draft;
mod error;
mod file;
mod page;

pub(crate) use draft::Draft;
pub use error::ManifestError;
pub(crate) use page::artifacts_root;
pub use page::{Manifest, ManifestArtifact, ManifestJournal};
