//! A simulated disk: what an operation really does is recorded, and a model says what a power cut would leave.
//!
//! An operation runs in this process, on a tree that is watched; so all that the program sees is real. [`Trace`] has
//! each call that changed or synced something. [`Disk`] is the model of what of it is on the disk at a moment, and
//! its [`states`](Disk::states) are the trees that a power cut may leave then. Each is written out, and the ordinary
//! library is let loose on it.
//!
//! # The model
//! It may do all that a disk and a file system may, and nothing else.
//!
//! - **At the start everything is on the disk.**
//! - **A write that was not synced** is there or not, each sector of 512 bytes by itself, in any version that it
//!   had since the last sync: a system writes pages back when it likes, in any order.
//! - **One sector of a file may be torn**: new up to its middle, old behind it. Disks promise whole sectors, and not
//!   all keep it; the power goes once, so it is one.
//! - **The length is another fact than the bytes**: it may be there without them, and then NULs stand in their place
//!   (at the end, or as a hole before later bytes), and it may be missing, and then so are they. It may also be at any
//!   sector within one large write.
//! - **A sync covers what was written before it began**, no more: what is written meanwhile is its own.
//! - **A sync that failed** leaves what was pending of the file in doubt for good: it may be there, its length alone, or
//!   nothing of it, also once a later sync said OK, since the system takes those pages for clean.
//! - **A name** (of a new file or directory, by a link, a rename, a removal) is there once the directory that holds it was
//!   synced, and in any state since then before that; the changes of one name come in order, those of two in any,
//!   also within one directory: file systems without a journal write its blocks one by one.
//! - **A rename is never half there, so that neither name is.** A file may have both names: without a journal the new one
//!   is written before the old one goes. A directory has one.
//! - **The sync of a directory says nothing of another one.** Of a rename between two directories each end is certain once its
//!   own was synced. Where only the old one was, what was renamed may have neither name; where only the new one was, it
//!   may have the old name: a file has both then, and of a directory a check of the file system leaves one.
//! - **A sync of a file says nothing of its name, and that of a directory nothing of its own.** What cannot be
//!   reached from the top is lost, with all in it.

mod again;
mod bench;
mod check;
mod content;
mod death;
mod image;
mod letters;
mod model;
mod names;
mod states;
mod step;
#[cfg(test)]
mod tests;
mod trace;
pub mod trial;
mod workload;

pub use again::Again;
pub use image::Image;
#[cfg(test)]
pub(crate) use letters::ALL as LETTERS;
pub use model::Disk;
pub use trace::{NEVER_MADE, Trace};
