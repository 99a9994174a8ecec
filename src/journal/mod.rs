//! The journal: an append-only file of records that prove themselves and all before them.
//!
//! In reading order: what a caller hands in ([`Event`]), what stands on disk ([`Record`]), the pure
//! function that decides what counts (`scan`), what the counted records add up to and the cache of it
//! (`head`), the one way to append (`log`), and reading without a lock (`read`): [`Events`] ends where
//! the file ends, [`Follow`] stays.

mod error;
mod event;
#[cfg(runjournal_proof)]
pub(crate) mod fuzzed;
mod head;
mod home;
mod lease;
mod limits;
mod log;
mod read;
mod record;
mod scan;
pub(crate) mod types;

pub use error::{JournalError, TooLarge};
pub(crate) use event::check_user_key;
pub use event::{Actor, Event, ExpectedVersion};
pub(crate) use head::Head;
pub(crate) use head::ledger::HeadPolicy;
pub use home::StepRef;
pub(crate) use home::{Home, Opened, Runtime};
pub use lease::LeaseRef;
pub(crate) use lease::{Binding, Claimed, Held, Leased, Renewed, lease_event};
pub use limits::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_LINE};
pub use log::Durability;
pub(crate) use log::batch::AllAppended;
pub use log::batch::Appended;
pub(crate) use log::journal_sync::{JournalSync, Unsynced};
pub(crate) use log::objects::spill;
pub(crate) use log::sync::Ticket;
pub(crate) use log::{LockedLog, Log};
pub use read::events::Events;
pub use read::fold::Fold;
pub(crate) use read::fold::Folded;
pub use read::follow::{Follow, Followed};
pub(crate) use read::reader::lock_shared;
pub use record::{Garbage, PayloadRef, Record};
pub use scan::cursor::{Cursor, CursorError};
