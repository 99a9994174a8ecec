//! Reading a journal without a lock: `Reader`, a piece at a time, under `Events`, which ends where the file
//! ends, and `Follow`, which stays.

pub(crate) mod back;
pub(crate) mod events;
pub(crate) mod filter;
pub(crate) mod fold;
pub(crate) mod follow;
mod hashing;
pub(crate) mod reader;
