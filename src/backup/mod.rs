//! Backup: snapshots of workspaces, tasks and runs in a directory elsewhere, taken while others write, and what
//! is put back from them.
//!
//! In reading order: the directory ([`Backup`]), what a snapshot says ([`Snapshot`], with a `page` for each home);
//! taking one: where content goes (`keep`), what a journal says (`word`), a home while others write (`look`,
//! `artifacts`), whether its journal lost records (`reach`), all homes (`take`); whether all of it is there
//! (`check`); which one is meant (`choose`); putting back: what would be put where (`restore`), by what stands
//! there (`stands`), and doing it (`put`); how far all that is (`progress`); and which snapshots are kept
//! (`retention`).

mod artifacts;
mod check;
mod choose;
mod error;
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed;
mod keep;
mod look;
mod page;
mod progress;
mod put;
mod reach;
mod restore;
mod retention;
mod snapshot;
mod stage;
mod stands;
mod store;
mod take;
mod word;

pub use check::BackupVerified;
pub use error::BackupError;
use keep::Known;
pub use progress::BackupProgress;
use progress::Counts;
pub use put::Restored;
pub use restore::{Restore, RestoreAction, RestoreItem, RestorePlan};
pub use retention::{BackupPrune, BackupPrunePlan, BackupPruned, Retention, SnapshotKept};
pub use snapshot::{Snapshot, SnapshotHome, SnapshotTotals};
pub use store::{Backup, BackupGenesis, BackupObject};
