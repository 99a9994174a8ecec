//! Verify: everything held against everything, by reading alone.
//!
//! In reading order: what is asked ([`Verify`], [`ReadData`]) and what comes of it ([`Verified`]); how the
//! work is shared out (`survey`, `jobs`); one task or run (`home`): what stands in it (`places`, `start`), what its
//! journal adds up to (`pass` and the folds), what others know of that (`known`), and what of it is on the disk
//! (`contents`, `checkpoint`, `object`); and what only
//! all of them together tell (`causes`, `index`).

mod causes;
mod checkpoint;
mod contents;
mod error;
mod fold;
mod home;
#[cfg(feature = "sqlite")]
mod index;
mod jobs;
mod known;
mod last;
mod object;
mod pass;
mod places;
mod read_data;
mod settle;
mod start;
mod survey;
mod task;
mod verified;
#[expect(clippy::module_inception, reason = "one noun a file, and this is the noun")]
mod verify;

pub(crate) use checkpoint::turns;
pub use error::VerifyError;
pub use last::LastVerify;
pub(crate) use places::{can_be_cleared, is_misplaced};
pub use read_data::{ReadData, ReadDataError};
pub(crate) use start::traces;
pub use verified::{Verified, VerifyProgress};
pub use verify::Verify;
