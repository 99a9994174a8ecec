//! Artifacts: files that nodes read and write, with the journal as their write-ahead log.
//!
//! **The record is the commit, the rename is its application.** In reading order: what a caller
//! names ([`Artifact`]), what the journal says of each path (`Catalog`), how a committed record is
//! put in place and what a crash left is finished (`apply`), the writer that joins journal and
//! recovery (`HomeWriter`), content on its way (`Stage`), and the two ways to write: [`Transaction`] and
//! [`Artifacts`], each with a writer for what does not fit in memory.

mod apply;
mod bind;
mod catalog;
mod checks;
mod commit;
mod error;
mod group;
mod handle;
mod history;
mod mend;
mod reader;
mod stage;
mod store;
mod stream;
mod transaction;
mod writer;

pub(crate) use apply::digest_on_disk;
pub(crate) use bind::{BoundRun, bind};
pub(crate) use catalog::{ArtifactPayload, Catalog, Last};
pub use commit::{Committed, Stored};
pub use error::ArtifactError;
pub use handle::Artifact;
pub use history::{ArtifactAct, ArtifactHistory, ArtifactRecord};
pub use reader::ArtifactReader;
pub use store::{ArtifactEntry, Artifacts};
pub use stream::{ArtifactWriter, StagedWriter};
pub(crate) use transaction::to_json;
pub use transaction::{Expect, Transaction};
pub(crate) use writer::{HomeLog, HomeWriter};
