//! Proof that whatever kills a process, nothing that was acknowledged is lost, torn, doubled or
//! renumbered.
//!
//! # What it proves
//! Each [`Operation`] of the public API is run in a child process (`runjournal-proof worker`) under `strace`,
//! which kills it with SIGKILL as it enters a system call: once for **every** system call that the
//! operation makes. After each kill the tree must hold the invariants of [`check`]:
//!
//! - **I1** what the worker had acknowledged (see [`Acks`]) is there;
//! - **I2** no torn record is returned, and nothing is reported as damage;
//! - **I3** `seq` and every `stream_version` have no gap and no double, a key stands once;
//! - **I4** each batch is whole or absent, each file is what the journal says of it, the outputs of
//!   a step come from one attempt, and no stage that a counted record names is left over.
//!
//! Then the same call is made again, as a caller who starts over would, and has to end in the state
//! that it promises; an append must go through after that. A kill can also cut a write short, so
//! journals that had just grown are checked once more with their new end cut off at several places.
//! Finally, from each crash state that looks different from those before, recovery itself (catching
//! up and making the call again) is killed at each of its system calls that can change anything, until it
//! comes to a tree that another recovery came to as well, with the same calls ahead of it.
//!
//! Some operations are tried [once more](operations::with_heads) where every journal gets a head after
//! every record. Then each crash state is taken up with whatever head was left, with none, and by the
//! same call before anybody caught up; and writes that have to be refused ask for each of the user's keys
//! and for the version of each artifact and of each of the user's streams.
//!
//! The [`planted`] operations are wrong on purpose: the proof has to find each of them out.
//!
//! # How to add an operation
//! Write its `operate` function in [`operations`] and add a row to [`operations::ALL`]; `cargo test
//! --test kill` picks it up. What it must know:
//!
//! - `prepare` sets the stage, in a process of its own, which may end without cleaning up;
//! - `operate` makes the call between [`Place::begin`] and [`Place::end`], and tells [`Acks`] of each
//!   thing once the call that did it returned; it is also what is called again after a crash, when
//!   [`Place::again`] is true and "it exists already" is a good answer;
//! - `holds` says what must be true after any crash, and `done` what must be true once the call has
//!   gone through, beyond the invariants that are checked anyway.
//!
//! # How to add a way to fail
//! A call on the disk fails as [`faults`] has it: an error is a variant of its `Kind`, which says what calls it can
//! hit.

mod answers;
pub mod catches;
pub mod check;
mod checkpoints;
pub mod damage;
pub mod disk;
pub mod faults;
pub mod fuzz;
mod heads;
pub mod kills;
mod leases;
pub mod operations;
mod place;
pub mod planted;
pub mod power;
mod raw;
mod rng;
mod row;
pub mod runner;
mod seam;
pub mod simulation;
pub mod soak;
mod stage;
pub mod strace;
mod threads;
mod tree;
pub mod trial;
mod violation;
mod work;

pub use operations::{Base, Operation};
pub use place::{Acks, Place};
pub use raw::RawRecord;
pub use rng::Rng;
pub use row::{Budget, Row, Trial};
pub use violation::{Outcome, Violation, ensure};
