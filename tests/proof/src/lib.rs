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
//! # Where what is
//! Each row that the runner prints has a folder, and is tried alone by its name (`runjournal-proof --minutes 1 --only
//! NAME`); `cargo test` has a short version of each.
//!
//! | row | folder | what it tries | one of it again |
//! |---|---|---|---|
//! | `kills` | [`trial`], [`strace`], [`kills`] | each operation, killed at each of its calls | `runjournal-proof kill append` |
//! | `disk` | [`disk`] | what a power cut may leave, by a model of the disk | `runjournal-proof disk --operation append` |
//! | `simulation` | [`simulation`] | plans by seed, against a model of the library | `runjournal-proof replay --seed 7` |
//! | `faults` | [`faults`] | each call of each operation fails, with each error | `runjournal-proof fault --operation append` |
//! | `power` | [`power`] | real file systems, shut down | `--only power` |
//! | `damage` | [`damage`] | flipped bits, cut files | `runjournal-proof damage --seed 7 --number 3` |
//! | `soak` | [`soak`] | many processes at once, killed and stopped | `--only soak --seed 7` |
//! | `fuzz` | [`fuzz`] | any bytes, to each parser | `runjournal-proof feed TARGET FILE` |
//! | `planted` | [`catches`] | mistakes in the library, each to be found out | `RUNJOURNAL_PLANTED=no-lock runjournal-proof catch no-lock` |
//!
//! # How to add an operation
//! Write its `operate` function in [`operations`] and add a row to the list of its file, which is in
//! [`operations::ALL`]; a row ends with `..plain()`. Three trials take all of that list, and each row is at once
//! killed at its calls, failed at its calls, and cut off by the simulated disk. Then name it in
//! `tests/trials/public.rs`, beside the public method that it tries: that list is held against the sources, and
//! counts the rows.
//!
//! - `base` is what is there before, and has to be there after any crash;
//! - `prepare` sets the stage beyond it, in a process of its own, which may end without cleaning up. What it wrote is
//!   on the disk: what is to be lost by a power cut has to be written by `operate`, through the library (what is
//!   changed behind its back, the simulated disk does not know);
//! - `operate` makes the call between [`Place::begin`] and [`Place::end`], and tells [`Acks`] of each
//!   thing once the call that did it returned; it is also what is called again after a crash, when
//!   [`Place::again`] is true and "it exists already" is a good answer. A new word for [`Acks::tell`] is to be made
//!   known to [`check`]. It has to come to the same calls each time, so that the nth is the same one;
//! - `holds` says what must be true after any crash, and `done` what must be true once the call has
//!   gone through, beyond the invariants that are checked anyway. What was told and is not in the run's journal,
//!   `holds` has to look for;
//! - `reads_much` spares kills at calls that change nothing.
//!
//! The simulated disk asks also whether the call is durable: of what is not, nothing is promised after a power cut.
//! Its long workloads are made of short calls (the `letters` of [`disk`]), each of which has to go through in any
//! order and any number of times; every two of them are tried in `cargo test`. The simulation knows none of these
//! lists: an act of its own has a variant in its `act`, is drawn by `plan`, made by `perform`, and said beforehand
//! by `predict`.
//!
//! # How to add a mistake
//! A line in the library's `planted.rs`, the line of code that makes it, and a [`catches::Catch`] with the trial that
//! finds it out: `says` is the reason that only this mistake gives.
//!
//! # How to add a fuzz target
//! A function from bytes in a `fuzzed` file beside the parser, named in the library's list of targets
//! ([`fuzz::names`]); what of real runs is a seed for it, in `harvest`. Then `runjournal-proof fuzz --only NAME --seeds
//! --keep` makes its corpus, `tests/fuzz/corpus/NAME`: 1 to 50 files, which `cargo test` replays.
//!
//! # How to add a kind of trial
//! Give it a [`Trial`] whose [`Row`] says what was tried, and add that to [`runner::TRIALS`]. It tries one thing at
//! least before it looks at the time: a row that tried nothing, and names no skip, has failed. What of it cannot be
//! tried on a machine goes to [`Row::skipped`](Row#structfield.skipped), what there was no time for to
//! [`Row::no_time`](Row#structfield.no_time).
//!
//! # How to add a way to fail
//! A call on the disk fails as [`faults`] has it: an error is a variant of its `Kind`, which says what calls it can
//! hit.

mod again;
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
mod line;
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
